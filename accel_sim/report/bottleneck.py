"""What bounds a run, and a machine with twice of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from accel_sim.hardware.config import FlatDram, HardwareConfig
from accel_sim.hardware.limits import table_problems
from accel_sim.performance import LayerPerformance
from accel_sim.report.facts import Doubling
from accel_sim.timing.layer_cycles import Bound, LayerCycles

_ARRAY = ("mac_array.rows", "mac_array.cols")
_LANES = ("post_processing.lanes",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bottleneck:
    """What most cycles of a run go to, and the keys of the machine that govern it.

    Attributes
    ----------
    cycles_fraction
        Of all cycles, those of this one cause.
    keys
        Any of them could be doubled.
    """

    bound_by: Bound
    cycles_fraction: float
    keys: tuple[str, ...]


def find_bottleneck(hardware: HardwareConfig, layers: Sequence[LayerPerformance]) -> Bottleneck:
    """Sum the causes of cycles over all layers and take the largest."""
    by_cause = {
        cause.name: sum(getattr(layer.cycles, cause.name) for layer in layers)
        for cause in fields(LayerCycles)
    }
    cycles = LayerCycles(**by_cause)
    bound = cycles.bound_by
    stall = f"stall_{bound}"
    return Bottleneck(
        bound_by=bound,
        cycles_fraction=by_cause[stall if stall in by_cause else str(bound)] / cycles.total,
        keys=_governing_keys(hardware, layers, bound),
    )


def _governing_keys(
    hardware: HardwareConfig, layers: Sequence[LayerPerformance], bound: Bound
) -> tuple[str, ...]:
    match bound.partition("_"):
        case ("compute", _, _):
            on_array = sum(layer.cycles.compute for layer in layers if layer.macs)
            on_lanes = sum(layer.cycles.compute for layer in layers if not layer.macs)
            return _ARRAY if on_array >= on_lanes else _LANES
        case ("overhead", _, _):
            return _LANES
        case ("port", _, ("ifm" | "weights" | "psum" | "ofm") as operand):
            port = f"buffers.{hardware.buffers.memory_key(operand)}.port_bits"
            if hardware.mac_array.networks is None or operand not in ("ifm", "psum"):
                return (port,)
            # What waits for a network counts as waiting for the port behind it.
            return port, f"mac_array.networks.{operand}_bits"
        case ("dram", _, _):
            is_flat = isinstance(hardware.dram, FlatDram)
            return ("dram.bandwidth_GBps" if is_flat else "dram.channels",)
        case _:
            # A larger array fills and drains longer, but has fewer folds to do it for.
            return _ARRAY


def double_key(hardware: HardwareConfig, key: str) -> tuple[HardwareConfig, str] | None:
    """Give the machine with one dotted key doubled, and the doubled value as text.

    None where that is more than the machine model or its tables allow.
    """
    config: dict[str, Any] = hardware.model_dump()
    section = config
    *parents, last = key.split(".")
    for name in parents:
        section = section[name]
    section[last] *= 2
    if parents == ["buffers", *hardware.buffers.shared[:1]]:
        # The others that lie in the memory say the same of it.
        config["buffers"] |= dict.fromkeys(hardware.buffers.shared, section)
    try:
        doubled = HardwareConfig.model_validate(config)
    except ValueError:
        return None
    if any(table_problems(doubled)):
        return None
    return doubled, f"{section[last]:.12g}"


def double_bottleneck(
    hardware: HardwareConfig,
    costs: tuple[LayerPerformance, ...],
    run: Callable[[HardwareConfig], tuple[LayerPerformance, ...]],
) -> Doubling | None:
    """Run again with twice of what bounds the run.

    Parameters
    ----------
    run
        Costs of the same layers on another machine.

    Returns
    -------
    Doubling
        Of several keys that govern the bound, the one that brings most; None where
        none can be doubled.
    """
    bottleneck = find_bottleneck(hardware, costs)
    best: Doubling | None = None
    for key in bottleneck.keys:
        doubled = double_key(hardware, key)
        if doubled is None:
            continue
        machine, value = doubled
        cycles = sum(layer.cycles.total for layer in run(machine))
        if best is None or cycles < best.cycles:
            best = Doubling(
                bound_by=bottleneck.bound_by,
                cycles_fraction=bottleneck.cycles_fraction,
                key=key,
                value=value,
                cycles=cycles,
            )
    return best
