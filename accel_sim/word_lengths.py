"""Word lengths of all tensors of a network, with integers or before there are any."""

from collections.abc import Mapping
from dataclasses import dataclass

from quantizer.format_classes import find_format_classes
from quantizer.network.graph import Network
from quantizer.network.layers import Concat, WeightedLayer
from quantizer.quantized import BitWidths, QuantizedNetwork
from quantizer.tensor_bits import find_tensor_bits


@dataclass(frozen=True, slots=True, kw_only=True)
class WordLengths:
    """Bits of every tensor, and what a Concat requantizes.

    Attributes
    ----------
    feature_maps, constants
        By name; biases are constants.
    requantized_inputs
        By name of a Concat, the inputs that do not share its format.
    """

    feature_maps: Mapping[str, int]
    constants: Mapping[str, int]
    requantized_inputs: Mapping[str, tuple[str, ...]]


def read_word_lengths(network: QuantizedNetwork) -> WordLengths:
    """Word lengths of a network whose formats are known."""
    formats, layers = network.formats, network.network.layers
    biases = {
        layer.bias: network.biases[layer.name].bits
        for layer in layers
        if isinstance(layer, WeightedLayer) and layer.bias is not None
    }
    return WordLengths(
        feature_maps={name: fmt.bits for name, fmt in formats.items()},
        constants=biases | {name: constant.bits for name, constant in network.weights.items()},
        requantized_inputs={
            layer.name: tuple(name for name in layer.inputs if formats[name] != formats[layer.ofm])
            for layer in layers
            if isinstance(layer, Concat)
        },
    )


def plan_word_lengths(network: Network, bits: BitWidths) -> WordLengths:
    """Word lengths that `quantize` would give, without choosing formats.

    Raises
    ------
    InputError
        See `find_tensor_bits`.
    """
    roots = find_format_classes(network, ()).roots
    widths = find_tensor_bits(network, bits, roots)
    return WordLengths(
        feature_maps=widths.feature_maps,
        constants=widths.constants,
        requantized_inputs={
            layer.name: tuple(name for name in layer.inputs if roots[name] != roots[layer.ofm])
            for layer in network.layers
            if isinstance(layer, Concat)
        },
    )
