"""The same network with one fraction length moved: what tuning tries.

Widths and signs stay. All maps of one format class move together, all channels of a
constant by as many places. What follows from a format follows again: a bias lies where
its own fraction length and the accumulators let it (NUMBERS.md 5), and is encoded from
the float bias each time, so that no rounding adds to an earlier one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from quantizer import fraction_length
from quantizer.encode_constants import encode_biases
from quantizer.fixedpoint.qformat import QFormat, Rounding
from quantizer.format_classes import find_format_classes
from quantizer.formats_file import GivenFormat
from quantizer.given_formats import GivenFormats
from quantizer.network.layers import ElementwiseLayer, Layer, PRelu, WeightedLayer
from quantizer.quantized import QuantizedConstant, QuantizedNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class MapClass:
    """Feature maps of one format class."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """Weights, slopes, or an added or multiplied constant."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bias:
    """A bias."""

    name: str


Movable = MapClass | Constant | Bias
"""What has one fraction length to move."""


def find_movables(network: QuantizedNetwork, pinned: Mapping[str, GivenFormat]) -> list[Movable]:
    """List what may move, from the last layer backwards: its output, its constants, its bias.

    A class of maps, or a constant of several layers, stands where the last of its layers
    does; the network input stands at the end.

    Parameters
    ----------
    pinned
        Formats that the user fixed, by tensor name; never moved.
    """
    graph = network.network
    given = GivenFormats(graph, pinned)
    classes = find_format_classes(graph, given.pinned)
    members: dict[str, list[str]] = {}
    for name in classes.sources:
        members.setdefault(classes.root(name, given.pinned), []).append(name)

    def class_of(name: str) -> Iterator[MapClass]:
        root = classes.root(name, given.pinned)
        if root not in given.pinned:
            yield MapClass(names=tuple(members[root]))

    def all_movables() -> Iterator[Movable]:
        for layer in reversed(graph.layers):
            yield from class_of(layer.ofm)
            constant = _constant(layer)
            if constant is not None and constant not in pinned:
                yield Constant(name=constant)
            bias = layer.bias if isinstance(layer, WeightedLayer) else None
            if bias is not None and bias not in pinned:
                yield Bias(name=bias)
        yield from class_of(graph.input)

    return list(dict.fromkeys(all_movables()))


def _constant(layer: Layer) -> str | None:
    """Name what a layer multiplies by, or adds to a map."""
    if isinstance(layer, WeightedLayer):
        return layer.weights
    if isinstance(layer, PRelu):
        return layer.slopes
    return layer.constant if isinstance(layer, ElementwiseLayer) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A quantized network, any number of moves away from what `quantize` made.

    Attributes
    ----------
    network
        As it is now.
    pinned
        Formats that the user fixed, by tensor name.
    moved_biases
        Own fraction lengths of the biases that were moved, int64[K], before accumulators
        limit them.
    """

    network: QuantizedNetwork
    pinned: Mapping[str, GivenFormat]
    moved_biases: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    def move(self, what: Movable, places: int) -> "Variant":
        """Make the network whose one fraction length is larger by so many places.

        Raises
        ------
        InputError
            There is no such network: a format is out of range, or a bias saturates, is
            finer than an accumulator or too far from one.
        """
        network, biases = self.network, self.moved_biases
        given = dict(self.pinned)
        match what:
            case MapClass(names=names):
                moved = {name: _move_map(name, network.formats[name], places) for name in names}
                network = replace(network, formats={**network.formats, **moved})
            case Constant(name=name):
                constant = _move_constant(network, name, places)
                network = replace(network, weights={**network.weights, name: constant})
            case Bias(name=name):
                own = network.biases[_users(network, name)[0].name].frac_bits + places
                biases = {**biases, name: own}
                given[name] = _as_given(network, name, own)
        for name, own in biases.items():
            if name not in given:
                given[name] = _as_given(network, name, np.minimum(own, _limits(network, name)))
        made = encode_biases(
            network.network,
            network.formats,
            network.weights,
            network.bits,
            GivenFormats(network.network, given),
        )
        return replace(self, network=replace(network, biases=made), moved_biases=biases)


def _move_map(name: str, fmt: QFormat, places: int) -> QFormat:
    where = f"feature map {name!r}"
    return replace(fmt, frac_bits=fraction_length.in_range(where, fmt.frac_bits + places))


def _move_constant(network: QuantizedNetwork, name: str, places: int) -> QuantizedConstant:
    values, before = network.network.constants[name], network.weights[name]
    frac_bits = before.frac_bits + places
    raw = np.empty(values.shape, np.int16)
    for length in np.unique(frac_bits).tolist():
        checked = fraction_length.in_range(f"constant {name!r}", length)
        fmt = QFormat(bits=before.bits, frac_bits=checked)
        channels = frac_bits == length
        raw[channels] = fmt.encode(values[channels], Rounding.TIES_EVEN)
    return QuantizedConstant(raw=raw, bits=before.bits, frac_bits=frac_bits)


def _as_given(network: QuantizedNetwork, bias: str, frac_bits: NDArray[np.int64]) -> GivenFormat:
    return GivenFormat(
        bits=network.biases[_users(network, bias)[0].name].bits,
        frac_bits=tuple(frac_bits.tolist()),
        signed=True,
        where=f"bias {bias!r}",
    )


def _limits(network: QuantizedNetwork, bias: str) -> NDArray[np.int64]:
    """Fraction length of the coarsest accumulator that a bias is added to, per channel."""
    lengths = [network.accumulator_frac_bits(layer) for layer in _users(network, bias)]
    return np.asarray(np.min(lengths, axis=0), np.int64)


def _users(network: QuantizedNetwork, bias: str) -> list[WeightedLayer]:
    return [
        layer
        for layer in network.network.layers
        if isinstance(layer, WeightedLayer) and layer.bias == bias
    ]
