"""Word lengths of all tensors of a network, with integers or before there are any."""

from collections.abc import Mapping
from dataclasses import dataclass

from quantizer.format_classes import find_format_classes
from quantizer.network.graph import Network
from quantizer.network.layers import Concat, ElementwiseLayer, PRelu, WeightedLayer
from quantizer.quantized import BitWidths, QuantizedNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class WordLengths:
    """Bits of every tensor, and what a Concat requantizes.

    Attributes
    ----------
    feature_maps, constants
        By name.
    biases
        Of every bias.
    requantized_inputs
        By name of a Concat, the inputs that do not share its format.
    """

    feature_maps: Mapping[str, int]
    constants: Mapping[str, int]
    biases: int
    requantized_inputs: Mapping[str, tuple[str, ...]]


def read_word_lengths(network: QuantizedNetwork) -> WordLengths:
    """Word lengths of a network whose formats are known."""
    formats = network.formats
    return WordLengths(
        feature_maps={name: fmt.bits for name, fmt in formats.items()},
        constants={name: constant.bits for name, constant in network.weights.items()},
        biases=max((bias.bits for bias in network.biases.values()), default=network.bits.biases),
        requantized_inputs={
            layer.name: tuple(name for name in layer.inputs if formats[name] != formats[layer.ofm])
            for layer in network.network.layers
            if isinstance(layer, Concat)
        },
    )


def plan_word_lengths(network: Network, bits: BitWidths) -> WordLengths:
    """Word lengths that `quantize` would give, without choosing formats."""
    roots = find_format_classes(network, ()).roots
    constants = {}
    for layer in network.layers:
        if isinstance(layer, WeightedLayer):
            constants[layer.weights] = bits.weights
        elif isinstance(layer, PRelu):
            constants[layer.slopes] = bits.weights
        elif isinstance(layer, ElementwiseLayer) and layer.constant is not None:
            constants[layer.constant] = bits.activations
    return WordLengths(
        # Layers of a SCALE-Sim topology read maps that no layer writes.
        feature_maps={
            name: bits.input_bits if roots.get(name) == network.input else bits.activations
            for name in network.shapes
        },
        constants=constants,
        biases=bits.biases,
        requantized_inputs={
            layer.name: tuple(name for name in layer.inputs if roots[name] != roots[layer.ofm])
            for layer in network.layers
            if isinstance(layer, Concat)
        },
    )
