"""The same network with one fraction length moved: what tuning tries.

Widths and signs stay. All maps of one format class move together, all channels of a
constant by as many places. What follows from a format follows again: a bias lies where
its own fraction length and the accumulators let it (NUMBERS.md 5), and is encoded from
the float bias each time, so that no rounding adds to an earlier one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quantizer import fraction_length
from quantizer.encode_constants import (
    BiasFormat,
    coarsest_accumulators,
    encode_biases,
    encode_constant,
    find_bias_formats,
)
from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import QFormat
from quantizer.format_classes import find_format_classes
from quantizer.formats_file import GivenFormat
from quantizer.given_formats import GivenFormats
from quantizer.network.layers import WeightedLayer
from quantizer.quantized import QuantizedNetwork
from quantizer.tensor_bits import Use, constants_of


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


def find_weights_per_channel(
    network: QuantizedNetwork, pinned: Mapping[str, GivenFormat]
) -> list[Constant]:
    """List the weights that may move channel by channel, from the first layer on.

    Parameters
    ----------
    pinned
        Formats that the user fixed, by tensor name; never moved.
    """
    if not network.per_channel:
        return []
    names = [
        name
        for layer in network.network.layers
        for name, use in constants_of(layer)
        if use is Use.WEIGHTS and name not in pinned
    ]
    return [Constant(name=name) for name in dict.fromkeys(names)]


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
            for name, use in constants_of(layer):
                if name not in pinned:
                    yield Bias(name=name) if use is Use.BIAS else Constant(name=name)
        yield from class_of(graph.input)

    return list(dict.fromkeys(all_movables()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A quantized network, any number of moves away from what `quantize` made.

    Attributes
    ----------
    network
        As it is now.
    biases
        Format of every bias by itself, before accumulators limit it, by constant name.
    """

    network: QuantizedNetwork
    biases: Mapping[str, BiasFormat]

    def move(self, what: Movable, places: int) -> "Variant":
        """Make the network whose one fraction length is larger by so many places.

        Raises
        ------
        InputError
            There is no such network: a format is out of range, or a bias saturates, is as
            fine as its accumulators let it or too far from one.
        """
        network, biases = self.network, self.biases
        match what:
            case MapClass(names=names):
                moved = {name: _move_map(name, network.formats[name], places) for name in names}
                network = replace(network, formats={**network.formats, **moved})
            case Constant(name=name):
                network = _move_constant(network, name, network.weights[name].frac_bits + places)
            case Bias(name=name):
                biases = {**biases, name: _move_bias(network, name, biases[name], places)}
        return _follow(network, biases)

    def move_channels(self, weights: Constant, places: NDArray[np.int64]) -> "Variant":
        """Make the network whose weights are moved by so many places in each output channel.

        Parameters
        ----------
        places : int64[K]

        Raises
        ------
        InputError
            As for `move`.
        """
        frac_bits = self.network.weights[weights.name].frac_bits + places
        return _follow(_move_constant(self.network, weights.name, frac_bits), self.biases)


def unmoved(network: QuantizedNetwork, pinned: Mapping[str, GivenFormat]) -> Variant:
    """Make the variant from which moves start.

    Parameters
    ----------
    pinned
        Formats that the user fixed, by tensor name, as given to `quantize`.
    """
    graph = network.network
    widths = {
        layer.bias: network.biases[layer.name].bits
        for layer in graph.layers
        if isinstance(layer, WeightedLayer) and layer.bias is not None
    }
    given = GivenFormats(graph, pinned)
    biases = find_bias_formats(graph, widths, given, per_channel=network.per_channel)
    return Variant(network=network, biases=biases)


def _follow(network: QuantizedNetwork, biases: Mapping[str, BiasFormat]) -> Variant:
    """Encode the biases again, as the accumulators now limit them."""
    encoded = encode_biases(network.network, network.formats, network.weights, biases)
    return Variant(network=replace(network, biases=encoded), biases=biases)


def _move_map(name: str, fmt: QFormat, places: int) -> QFormat:
    where = f"feature map {name!r}"
    return replace(fmt, frac_bits=fraction_length.in_range(where, fmt.frac_bits + places))


def _move_constant(
    network: QuantizedNetwork, name: str, frac_bits: NDArray[np.int64]
) -> QuantizedNetwork:
    for length in (int(frac_bits.min()), int(frac_bits.max())):
        fraction_length.in_range(f"constant {name!r}", length)
    values, width = network.network.constants[name], network.weights[name].bits
    moved = encode_constant(values, width, frac_bits)
    return replace(network, weights={**network.weights, name: moved})


def _move_bias(network: QuantizedNetwork, name: str, own: BiasFormat, places: int) -> BiasFormat:
    """Move from where the accumulators left a bias; no channel gets finer than they are."""
    limits = coarsest_accumulators(network.network, network.formats, network.weights)[name]
    before = np.minimum(own.frac_bits, limits)
    after = np.minimum(before + places, limits)
    if (after == before).all():
        raise InputError(
            f"bias {name!r}", "is as fine as its accumulators; expected a coarser format"
        )
    return replace(own, frac_bits=after)
