"""From a network in memory to integers, by the options about numbers."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from accel_sim.cli.console import Progress
from accel_sim.cli.inputs import DEFAULT_ESTIMATOR, DEFAULT_METHOD, FormatRequest
from accel_sim.cli.workload import Workload
from quantizer.errors import InputError

if TYPE_CHECKING:
    from accel_sim.accumulation import Plans
    from accel_sim.hardware.config import HardwareConfig
    from quantizer.formats_file import GivenFormat
    from quantizer.network.graph import Network
    from quantizer.quantized import BitWidths, QuantizedNetwork


def refuse_numbers(workload: Workload, given: Mapping[str, object]) -> None:
    """Refuse options that choose formats, where the network's file has chosen them.

    Parameters
    ----------
    given
        Values of options; None where an option is not given.

    Raises
    ------
    InputError
        An option has nothing to choose.
    """
    if workload.qonnx is None:
        return
    for option, value in given.items():
        if value is not None and (workload.is_quantized or option == "--formats"):
            raise InputError(
                option, f"the formats of {workload.qonnx.where} are in that file; leave it out"
            )


def check_numbers(workload: Workload, request: FormatRequest) -> None:
    """Refuse options about numbers that are wrong on every machine.

    Raises
    ------
    InputError
        If an option has no use with the method, there are no images to choose formats from, or
        the formats file cannot be used.
    """
    if request.tune and workload.calibration is None:
        raise InputError("--tune", "needs images to tune on; give --calibration")
    if has_no_formats(workload, request):
        return
    from quantizer.estimators import Estimator
    from quantizer.formats_file import read_formats
    from quantizer.qonnx.read import require_formats
    from quantizer.step_rules import find_step_rule

    method = request.method or DEFAULT_METHOD
    rule = find_step_rule(method, Estimator(request.estimator or DEFAULT_ESTIMATOR))
    if request.estimator is not None and not rule.fits_distribution:
        raise InputError(
            "--estimator",
            f"has no use with --method {method}, which fits no distribution; leave one of them out",
        )
    if request.formats is not None:
        read_formats(request.formats)
    if workload.qonnx is not None:
        require_formats(workload.qonnx, has_images=workload.calibration is not None)


def describe_numbers(request: FormatRequest) -> dict[str, object]:
    """Give how formats are chosen, as JSON values; word lengths are those of each point."""
    from quantizer.formats_file import read_formats

    tuning, formats = request.tuning, None
    if request.formats is not None:
        formats = {
            name: {"bits": fmt.bits, "frac_bits": list(fmt.frac_bits), "signed": fmt.signed}
            for name, fmt in read_formats(request.formats).items()
        }
    return {
        "method": request.method or DEFAULT_METHOD,
        "estimator": request.estimator or DEFAULT_ESTIMATOR,
        "headroom_bits": request.headroom_bits or 0,
        "per_channel": request.per_channel,
        "formats": formats,
        "tuning": None if tuning is None else asdict(tuning),
    }


def has_no_formats(workload: Workload, request: FormatRequest) -> bool:
    """Tell whether there is nothing to choose formats from, so that the network stays float."""
    return workload.qonnx is None and workload.calibration is None and request.formats is None


def quantize_for(
    hardware: "HardwareConfig | None",
    workload: Workload,
    bits: "BitWidths",
    request: FormatRequest,
    progress: Progress,
    *,
    is_rebuilt: bool = False,
) -> "QuantizedNetwork | Network":
    """Quantize under the rules of a machine; None for those of the file, or the default ones.

    Gives the float network if there is nothing to choose formats from.

    Parameters
    ----------
    is_rebuilt
        Whether the datapath of the machine is rebuilt for the network.

    Raises
    ------
    InputError
        What `check_numbers` refuses; or if a quantized file has no use on the machine, or tuning
        no values.
    """
    check_numbers(workload, request)
    qonnx = workload.qonnx
    tuning = request.tuning
    if tuning is not None and hardware is not None and not hardware.precision.keeps_psums_exact:
        raise InputError(
            "--tune",
            f"is judged by values, and {hardware.name} has none: its partial sums are cut in "
            "memory (precision.psum_storage_bits), which is not simulated; leave it out",
        )
    if has_no_formats(workload, request):
        return workload.network
    from accel_sim.hardware.choices import Activations
    from quantizer.estimators import Estimator
    from quantizer.formats_file import read_formats
    from quantizer.qonnx.read import give_rules, restore_facts
    from quantizer.quantize import quantize

    formats: Mapping[str, GivenFormat] = {}
    if request.formats is not None:
        formats = read_formats(request.formats)
    rules = None if hardware is None else hardware.numeric_rules
    if qonnx is not None:
        rules = give_rules(qonnx, rules)
        formats = qonnx.formats
    network = quantize(
        workload.network,
        workload.calibration,
        bits,
        rules,
        method=request.method or DEFAULT_METHOD,
        estimator=Estimator(request.estimator or DEFAULT_ESTIMATOR),
        headroom_bits=request.headroom_bits or 0,
        per_channel=request.per_channel,
        formats=formats,
        signed_only=hardware is not None and hardware.precision.activations is Activations.SIGNED,
        progress=progress if tuning is None else _half(progress, 0),
    )
    if tuning is not None and workload.calibration is not None:
        # The kernels of the exact run take a second to load.
        from accel_sim.tuning_score import tune_on

        network = tune_on(
            network,
            workload.calibration,
            tuning,
            plans=_find_plans(hardware, network, is_rebuilt=is_rebuilt),
            pinned=formats,
            progress=_half(progress, 1),
        )
    return network if qonnx is None else restore_facts(qonnx, network)


def _find_plans(
    hardware: "HardwareConfig | None", network: "QuantizedNetwork", *, is_rebuilt: bool
) -> "Plans":
    """Find how a machine adds, where that is part of the result."""
    from accel_sim.accumulation import NO_PLANS
    from accel_sim.machine_fit import find_schedules, rebuild_datapath
    from accel_sim.scheduling import collect_plans
    from quantizer.fixedpoint.qformat import Overflow

    if hardware is None or network.rules.accumulator_overflow is Overflow.WRAP:
        return NO_PLANS
    if is_rebuilt:
        hardware = rebuild_datapath(hardware, network, network.bits)
    return collect_plans(find_schedules(hardware, network, network.bits))


def _half(progress: Progress, index: int) -> Progress:
    """Progress of the first or the second half, as progress of the whole."""
    return lambda done, total: progress(index * total + done, 2 * total)
