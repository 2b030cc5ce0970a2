"""Word lengths of every tensor, from those of the network and of single layers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from quantizer.errors import InputError, nearest
from quantizer.network.graph import Network
from quantizer.network.layers import ElementwiseLayer, Layer, PRelu, WeightedLayer
from quantizer.quantized import BitWidths


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorBits:
    """Word lengths by name of feature map and of constant, biases among the constants."""

    feature_maps: Mapping[str, int]
    constants: Mapping[str, int]


class Use(StrEnum):
    """What a constant is used for, in the words of a message."""

    WEIGHTS = "weights"
    SLOPES = "slopes"
    OPERAND = "an operand"
    BIAS = "a bias"


def constants_of(layer: Layer) -> Iterator[tuple[str, Use]]:
    """Name the constants of a layer, and what it uses each for."""
    if isinstance(layer, WeightedLayer):
        yield layer.weights, Use.WEIGHTS
        if layer.bias is not None:
            yield layer.bias, Use.BIAS
    elif isinstance(layer, PRelu):
        yield layer.slopes, Use.SLOPES
    elif isinstance(layer, ElementwiseLayer) and layer.constant is not None:
        yield layer.constant, Use.OPERAND


def find_tensor_bits(network: Network, bits: BitWidths, roots: Mapping[str, str]) -> TensorBits:
    """Give every tensor the width that is asked for.

    Parameters
    ----------
    roots
        For the input and every feature map that a layer writes, the map that decides its
        format.

    Raises
    ------
    InputError
        A width is given for a layer or a tensor that there is not, or two for tensors that
        must have one; or a constant has two uses that ask for different formats.
    """
    _check_layers(network, bits)
    uses = _find_uses(network)
    of_layers = _find_widths_of_layers(network, bits, roots)
    defaults = {Use.OPERAND: bits.activations, Use.BIAS: bits.biases}

    def map_width(name: str) -> int:
        # Layers of a SCALE-Sim topology read maps that no layer writes.
        root = roots.get(name, name)
        return bits.input_bits if root == network.input else of_layers.get(root, bits.activations)

    return TensorBits(
        feature_maps={name: map_width(name) for name in network.shapes},
        constants={
            name: of_layers.get(name, defaults.get(use, bits.weights)) for name, use in uses.items()
        },
    )


def _check_layers(network: Network, bits: BitWidths) -> None:
    """Refuse widths of a layer that there is not, or of a constant that it has not."""
    layers = {layer.name: layer for layer in network.layers}
    for name, given in bits.layers.items():
        where = f"{bits.source}: {name!r}"
        if name not in layers:
            known = list(layers)
            raise InputError(where, f"the network has no layer of this name{nearest(name, known)}")
        uses = {use for _, use in constants_of(layers[name])}
        if given.weights is not None and uses.isdisjoint({Use.WEIGHTS, Use.SLOPES}):
            raise InputError(where, "weight_bits: the layer has no weights; leave it out")
        if given.biases is not None and Use.BIAS not in uses:
            raise InputError(where, "bias_bits: the layer has no bias; leave it out")


def _find_uses(network: Network) -> dict[str, Use]:
    """Find what every constant is used for."""
    uses: dict[str, tuple[Use, str]] = {}
    for layer in network.layers:
        for name, use in constants_of(layer):
            first, where = uses.setdefault(name, (use, layer.name))
            if first is not use:
                raise InputError(
                    f"layer {layer.name!r}",
                    f"uses constant {name!r} as {use}, but layer {where!r} as {first}; "
                    "expected a tensor of its own for each",
                )
    return {name: use for name, (use, _) in uses.items()}


def _find_widths_of_layers(
    network: Network, bits: BitWidths, roots: Mapping[str, str]
) -> dict[str, int]:
    """Collect the widths given for single layers, by constant and by deciding feature map."""
    widths: dict[str, int] = {}
    first: dict[str, str] = {}
    for layer in network.layers:
        if layer.name not in bits.layers:
            continue
        given, where = bits.layers[layer.name], f"{bits.source}: {layer.name!r}"
        root = roots.get(layer.ofm, layer.ofm)
        if given.activations is not None and root == network.input:
            raise InputError(
                where,
                "activation_bits: its output has the format of the network input; give input_bits",
            )
        asked = [(root, "activation_bits", given.activations, "the format of its output")]
        for name, use in constants_of(layer):
            key, width = {
                Use.OPERAND: ("activation_bits", given.activations),
                Use.BIAS: ("bias_bits", given.biases),
            }.get(use, ("weight_bits", given.weights))
            asked.append((name, key, width, f"constant {name!r}"))
        for name, key, width, shared in asked:
            if width is None:
                continue
            if widths.setdefault(name, width) != width:
                raise InputError(
                    where,
                    f"{key}: {shared} is shared with layer {first[name]!r}, for which it is "
                    f"{widths[name]}; expected one width, got {width}",
                )
            first.setdefault(name, layer.name)
    return widths
