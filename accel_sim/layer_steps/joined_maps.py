"""Maps that are written where a concatenation has them, so that it has nothing to copy."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from accel_sim.layer_steps.feature_map import has_pixels
from accel_sim.layer_steps.step import Maps, Raw
from quantizer.network.layers import Concat, Conv
from quantizer.quantized import QuantizedNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a map lies in the one that a concatenation makes.

    Attributes
    ----------
    joined
        Name of that map, for which there is room before its first part is made.
    first, channels
        First channel in it, and how many.
    """

    joined: str
    first: int
    channels: int

    def find(self, maps: Maps) -> Raw:
        """Give the part of the joined map, [channels, H, W]."""
        return maps[self.joined][self.first : self.first + self.channels]


Placements = Mapping[str, Placement]
"""By name of map."""

NO_PLACEMENTS: Placements = MappingProxyType({})


def find_placements(network: QuantizedNetwork) -> Placements:
    """Find the maps that are written as parts of others.

    All parts of one need its format, and a convolution among them, which writes where it is told
    to. A map that goes into several is part of the first.
    """
    graph, formats = network.network, network.formats
    makers = {layer.ofm: layer for layer in graph.layers}
    placements: dict[str, Placement] = {}
    for layer in graph.layers:
        if not isinstance(layer, Concat):
            continue
        shape, names = graph.shapes[layer.ofm], layer.inputs
        if (
            has_pixels(shape)
            and layer.axis == 0
            and len(set(names)) == len(names)
            and all(name in makers and name not in placements for name in names)
            and all(formats[name] == formats[layer.ofm] for name in names)
            and any(isinstance(makers[name], Conv) for name in names)
        ):
            first = 0
            for name in names:
                channels = graph.shapes[name][0]
                placements[name] = Placement(joined=layer.ofm, first=first, channels=channels)
                first += channels
    return placements
