"""Commands to go on with, that run as pasted."""

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from accel_sim.cli.inputs import FormatRequest, NetworkRequest, as_arguments, as_widths

if TYPE_CHECKING:
    from accel_sim.hardware.config import HardwareConfig
    from accel_sim.report.model import RunReport
    from quantizer.bits_file import GivenBits

_WIDTHS = (2, 3, 4, 6, 8, 12, 16)


def suggest_next(
    hardware: str,
    overrides: Sequence[str],
    request: NetworkRequest,
    numbers: FormatRequest,
    given: "GivenBits | None",
    report: "RunReport",
    *,
    is_quantized: bool,
) -> tuple[str, str, str]:
    """Three commands about the same network and images: narrower, faster, elsewhere.

    Parameters
    ----------
    is_quantized
        Whether the network's file has formats that no option changes.
    """
    workload = request.arguments() + numbers.arguments()
    changes = as_sets(overrides)
    widths = [] if is_quantized else _widths(given, report)
    if numbers.formats is None and numbers.bits is None and not is_quantized:
        sweep = [*_sweep_widths(report), *changes, *workload]
    else:
        sweep = ["--set", "mac_array.cols=8,16,32", *changes, *widths, *workload]
    commands = [["accel-sim", "sweep", hardware, *sweep]]
    doubling = report.doubling
    if doubling is None:
        commands.append(["accel-sim", "check", hardware])
    else:
        kept = [change for change in overrides if change.partition("=")[0] != doubling.key]
        doubled = as_sets([*kept, f"{doubling.key}={doubling.value}"])
        commands.append(["accel-sim", "simulate", hardware, *doubled, *widths, *workload])
    other = _find_other(hardware, report, rounds_alike=is_quantized)
    if other is None:
        commands.append(["accel-sim", "list", "machines"])
    else:
        commands.append(["accel-sim", "compare", hardware, other, *widths, *workload])
    first, second, third = (shlex.join(command) for command in commands)
    return first, second, third


def as_sets(overrides: Sequence[str]) -> list[str]:
    """Write overrides as ``--set`` options."""
    return [part for override in overrides for part in ("--set", override)]


def _widths(given: "GivenBits | None", report: "RunReport") -> list[str]:
    """Widths as options, but for those that the default of a bits file gives."""
    bits = report.quantization.bits
    has_weights = given is not None and given.default.weights is not None
    has_activations = given is not None and given.default.activations is not None
    return as_arguments(
        as_widths(
            None if has_weights else bits.weights, None if has_activations else bits.activations
        )
    )


def _sweep_widths(report: "RunReport") -> list[str]:
    built = report.hardware.precision
    return as_arguments(
        {
            "--weight-bits": _narrower(built.weight_bits),
            "--activation-bits": _narrower(built.activation_bits),
        }
    )


def _narrower(built_bits: int) -> str:
    return ",".join([str(width) for width in _WIDTHS if width <= built_bits][-3:])


def _find_other(hardware: str, report: "RunReport", *, rounds_alike: bool) -> str | None:
    """Name the largest other shipped machine that is built for these widths."""
    from accel_sim.hardware.load import load_hardware, shipped_machines

    costs = [layer.performance for layer in report.layers]
    weight_bits = max(cost.weight_bits or 0 for cost in costs)
    activation_bits = max(max(cost.ifm_bits, cost.ofm_bits) for cost in costs)
    # By their names, largest first: to read all of them takes longer than some runs.
    for name in sorted(shipped_machines(), key=_count_processing_elements, reverse=True):
        machine = load_hardware(name)
        is_wide_enough = (
            machine.precision.weight_bits >= weight_bits
            and machine.precision.activation_bits >= activation_bits
        )
        if rounds_alike and not _round_alike(machine, report.hardware):
            continue
        if name != hardware and machine.name != report.hardware.name and is_wide_enough:
            return name
    return None


def _count_processing_elements(name: str) -> int:
    """Count those of a shipped machine, by its name: ``edge_16x16`` has 256."""
    rows, _, cols = name.rpartition("_")[2].partition("x")
    return int(rows) * int(cols)


def _round_alike(machine: "HardwareConfig", other: "HardwareConfig") -> bool:
    one, two = machine.numeric_rules, other.numeric_rules
    return (one.requantize_rounding, one.average_pool_rounding) == (
        two.requantize_rounding,
        two.average_pool_rounding,
    )
