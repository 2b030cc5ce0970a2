"""Feature maps that may stay on chip from the layer that writes them to the last that reads them.

Only where ifm and ofm share a memory can a layer read there what another wrote. Layers that
cost nothing pass a map on under another name. What a concat joins and what the host computes
pass through DRAM.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from accel_sim.hardware.config import HardwareConfig
from accel_sim.mapping.layer_nests import name_operands
from accel_sim.mapping.loop_nest import Kind, LoopNest
from accel_sim.mapping.stored_bits import BITS_PER_BYTE, stored_bits
from quantizer.network.graph import Network
from quantizer.network.layers import Concat


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """A map that may stay on chip, whole, for the whole batch.

    Attributes
    ----------
    first, last
        Positions of the layers that write it and that read it last.
    n_bytes
        That it takes there.
    ifm_of, residual_of
        Positions of the layers that read it as either.
    is_output
        Whether it is an output of the network, which DRAM takes in any case.
    """

    first: int
    last: int
    n_bytes: int
    ifm_of: frozenset[int]
    residual_of: frozenset[int]
    is_output: bool


def find_stays(
    network: Network, nests: Sequence[LoopNest], hardware: HardwareConfig
) -> tuple[Stay, ...]:
    """Find all maps that may stay, in the order in which they are written.

    Parameters
    ----------
    nests
        Of the layers of the network, one each.
    """
    if not hardware.buffers.keeps_maps or hardware.mapping.residency == "none":
        return ()
    written: dict[str, int] = {}
    # Names of one map in memory; what no layer writes comes from outside, by its own name.
    same: dict[str, str] = {}
    ifm_of: dict[str, set[int]] = {}
    residual_of: dict[str, set[int]] = {}
    in_dram = {network.input}
    for position, (layer, nest) in enumerate(zip(network.layers, nests, strict=True)):
        if isinstance(layer, Concat) or nest.kind is Kind.HOST:
            in_dram |= {same.get(name, name) for name in layer.inputs} | {layer.ofm}
        if nest.kind.is_free:
            first = layer.inputs[0]
            same[layer.ofm] = layer.ofm if isinstance(layer, Concat) else same.get(first, first)
            continue
        same[layer.ofm] = layer.ofm
        written[layer.ofm] = position
        for name, readers in zip(name_operands(layer, network), (ifm_of, residual_of), strict=True):
            if name is not None:
                readers.setdefault(same.get(name, name), set()).add(position)
    outputs = {same.get(name, name) for name in network.outputs}
    return tuple(
        Stay(
            first=position,
            last=max(ifm_of.get(name, set()) | residual_of.get(name, set())),
            n_bytes=_count_bytes(network, name, nests[position], hardware),
            ifm_of=frozenset(ifm_of.get(name, ())),
            residual_of=frozenset(residual_of.get(name, ())),
            is_output=name in outputs,
        )
        for name, position in written.items()
        if name not in in_dram and (name in ifm_of or name in residual_of)
    )


def keep_map(nests: Sequence[LoopNest], stay: Stay) -> tuple[LoopNest, ...]:
    """Lay the layers out with one more map on chip."""
    return tuple(
        replace(
            nest,
            resident_bytes=nest.resident_bytes + stay.n_bytes,
            ifm_stays=nest.ifm_stays or position in stay.ifm_of,
            residual_stays=nest.residual_stays or position in stay.residual_of,
            ofm_stays=nest.ofm_stays or (position == stay.first and not stay.is_output),
        )
        if stay.first <= position <= stay.last and not nest.kind.is_free
        else nest
        for position, nest in enumerate(nests)
    )


def _count_bytes(network: Network, name: str, nest: LoopNest, hardware: HardwareConfig) -> int:
    elements = hardware.mapping.batch
    for extent in network.shapes[name]:
        elements *= extent
    return -(-elements * stored_bits(nest, hardware).ofm // BITS_PER_BYTE)
