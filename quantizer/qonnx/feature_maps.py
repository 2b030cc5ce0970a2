"""Which format each feature map of a QONNX file has, and how the file rounds.

A Quant node may stand anywhere between a map and what computes with it: what only moves
values gives the same integers before and behind it. So a map that is not quantized itself has
the format in which its readers see it. A map that no Quant node reaches is open.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import QFormat, Rounding
from quantizer.network.graph import Network
from quantizer.network.layers import AveragePool, Clip, Concat, MovingLayer, Pad
from quantizer.qonnx.quant_node import QuantNode


class Step(StrEnum):
    """What a machine rounds for, in the words of a message."""

    REQUANTIZE = "requantizes"
    AVERAGE = "averages"


@dataclass(frozen=True, slots=True, kw_only=True)
class MapFormats:
    """What the Quant nodes say about feature maps.

    Attributes
    ----------
    nodes
        By name of a map that has a format of its own: the node that gives it.
    open
        Maps that need a format and have none.
    roundings
        Without the steps that the file says nothing about.
    """

    nodes: Mapping[str, QuantNode]
    open: tuple[str, ...]
    roundings: Mapping[Step, Rounding]


def map_format(node: QuantNode) -> QFormat:
    """Format that a Quant node gives to a feature map.

    Raises
    ------
    InputError
        It gives none: its scales differ, or its range is narrow.
    """
    length = node.uniform_frac_bits
    if length is None:
        raise InputError(node.where, "has scales that differ; a feature map has one format")
    if node.is_narrow:
        raise InputError(
            node.where, "has narrow=1, a range that no feature map has; expected narrow=0"
        )
    return QFormat(bits=node.bits, frac_bits=length, signed=node.signed)


def find_map_formats(network: Network, nodes: Mapping[str, QuantNode]) -> MapFormats:
    """Give every feature map its format.

    Parameters
    ----------
    nodes
        Quant nodes by the map that they are of.

    Raises
    ------
    InputError
        A node gives no format; readers see a map in several formats, or with one and
        without; or nodes round in several ways.
    """
    stored = _find_stored(network, nodes)
    readings = _find_readings(network, stored)
    own = [layer.ofm for layer in network.layers if not isinstance(layer, MovingLayer)]
    found: dict[str, QuantNode] = {}
    open_maps = []
    for name in (network.input, *own):
        given = [stored[name]] if name in stored else readings[name]
        closing = [node for node in given if node is not None]
        views = {None if node is None else (map_format(node), node.rounding) for node in given}
        if not closing:
            open_maps.append(name)
        elif len(views) > 1:
            raise InputError(
                closing[0].where,
                f"is not how all that read {name!r} see it; "
                "expected one format and rounding of a map",
            )
        else:
            found[name] = closing[0]
    roundings = _agree(_find_roundings(network, nodes, stored, found))
    return MapFormats(nodes=found, open=tuple(open_maps), roundings=roundings)


def _find_stored(network: Network, nodes: Mapping[str, QuantNode]) -> dict[str, QuantNode]:
    """Find the maps whose values are in a format, their own or that of what they move."""
    for each in nodes.values():
        map_format(each)
    stored = {name: node for name, node in nodes.items() if name == network.input}
    for layer in network.layers:
        node = nodes.get(layer.ofm)
        if isinstance(layer, MovingLayer | Concat) and all(name in stored for name in layer.inputs):
            first, *others = (stored[name] for name in layer.inputs)
            if node is None:
                is_one = all(map_format(other) == map_format(first) for other in others)
                node = first if is_one else None
            elif isinstance(layer, MovingLayer) and map_format(node) != map_format(first):
                raise InputError(
                    node.where,
                    f"makes {map_format(node)} of what {layer.op} {layer.name!r} moves in "
                    f"{map_format(first)}; expected the same format",
                )
        if node is not None:
            stored[layer.ofm] = node
    return stored


def _find_readings(
    network: Network, stored: Mapping[str, QuantNode]
) -> dict[str, list[QuantNode | None]]:
    """How maps that are not stored are seen by what computes: by which nodes, or None.

    In the order of the layers that read them.
    """
    readings: dict[str, dict[str, QuantNode | None]] = {name: {} for name in network.shapes}
    for name in network.outputs:
        readings[name][""] = None
    for layer in reversed(network.layers):
        if not isinstance(layer, MovingLayer | Concat):
            seen: dict[str, QuantNode | None] = {"": None}
        elif layer.ofm in stored:
            seen = {layer.ofm: stored[layer.ofm]}
        else:
            seen = readings[layer.ofm]
        for name in layer.inputs:
            readings[name] |= seen
    return {name: list(seen.values())[::-1] for name, seen in readings.items()}


def _find_roundings(
    network: Network,
    nodes: Mapping[str, QuantNode],
    stored: Mapping[str, QuantNode],
    found: Mapping[str, QuantNode],
) -> Iterator[tuple[Step, QuantNode]]:
    """Nodes that round for a step; left out are those behind what is in the format already."""
    if network.input in found:
        yield Step.REQUANTIZE, found[network.input]
    for layer in network.layers:
        node = found.get(layer.ofm) or nodes.get(layer.ofm)
        if node is None:
            continue
        match layer:
            case AveragePool():
                yield Step.AVERAGE, node
            case Concat():
                parts = [stored[name] for name in layer.inputs if name in stored]
                if any(map_format(part) != map_format(node) for part in parts):
                    yield Step.REQUANTIZE, node
            case Clip() | Pad():
                yield Step.REQUANTIZE, node  # its bounds, or what it pads with
            case _ if not isinstance(layer, MovingLayer):
                yield Step.REQUANTIZE, node


def _agree(roundings: Iterator[tuple[Step, QuantNode]]) -> dict[Step, Rounding]:
    first: dict[Step, QuantNode] = {}
    for step, node in roundings:
        known = first.setdefault(step, node)
        if known.rounding is not node.rounding:
            raise InputError(
                node.where,
                f"rounds {node.rounding.name.lower()}, {known.target!r} is rounded "
                f"{known.rounding.name.lower()}; expected one way, as a machine {step}",
            )
    return {step: node.rounding for step, node in first.items()}
