"""``accel-sim check REPORT.json``: whether the same inputs give the same report again."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel_sim.cli.console import progress_bar, show, show_error
from accel_sim.cli.formats import quantize_for, refuse_numbers
from accel_sim.cli.inputs import FormatRequest, NetworkRequest
from accel_sim.cli.workload import Workload, load_workload
from quantizer.errors import InputError

if TYPE_CHECKING:
    from accel_sim.hardware.config import HardwareConfig
    from accel_sim.report.differences import FieldDifference
    from accel_sim.report.document import Quantization, ReportDocument
    from quantizer.network.images import ImageSet
    from quantizer.quantized import BitWidths

REPORT_SUFFIX = ".json"
_SHOWN = 20
_CELL_COLUMNS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportInputs:
    """What a report does not hold; fields as the options of the same names."""

    network: str | None
    input_shape: str | None
    images: Path | None
    calibration: Path | None
    mean: str | None
    scale: str | None
    layout: str | None
    estimator: str | None
    headroom_bits: int | None
    formats: Path | None

    @property
    def given(self) -> dict[str, object]:
        """Values by option; None where it is not given."""
        return {
            f"--{name.replace('_', '-')}": getattr(self, name) for name in self.__dataclass_fields__
        }


def check_report(path: Path, inputs: ReportInputs) -> bool:
    """Run again what a report is of, and print what differs; tell whether nothing does.

    Raises
    ------
    InputError
        If the report cannot be read, or what is given is not what it was made from.
    """
    from accel_sim.report.as_json import read_report
    from accel_sim.report.differences import find_differences

    report = read_report(path)
    there = report.model_dump(mode="json")
    now = _run_again(path, report, inputs).model_dump(mode="json")
    if there["tool"] != now["tool"]:
        show_error(f"{path}: {there['tool']['version']} wrote it, this is {now['tool']['version']}")
    differences = find_differences(there, now)
    if differences:
        _show_differences(path, differences)
    else:
        show(f"{path}: equal")
    return not differences


def _run_again(path: Path, report: "ReportDocument", inputs: ReportInputs) -> "ReportDocument":
    from accel_sim.machine_fit import check_fit
    from accel_sim.simulation import simulate

    machine = _machine(path, report)
    _refuse_impossible_numbers(path, report)
    request = _network_request(path, report, inputs)
    numbers = _format_request(report.quantization, inputs)
    workload = load_workload(request)
    _refuse_another_network(path, report, workload)
    if workload.is_quantized:
        refuse_numbers(workload, {"--estimator": inputs.estimator, "--formats": inputs.formats})
        # The formats are in the file.
        numbers = replace(numbers, per_channel=False, method=None, tune=False, tune_passes=None,
                          tune_budget=None, tune_measure=None)  # fmt: skip
    widths = _widths(report.quantization)
    images = None if workload.images is None else _first_images(path, report, workload.images)
    with progress_bar("Quantizing") as progress:
        quantized = quantize_for(machine, workload, widths, numbers, progress)
    check_fit(machine, quantized, widths)
    with progress_bar("Running") as progress:
        again = simulate(machine, quantized, images, bits=widths, explain=True, progress=progress)
    return again.to_document()


def _refuse_impossible_numbers(path: Path, report: "ReportDocument") -> None:
    """Refuse what only an edited report can hold."""
    from quantizer.network.images import Layout
    from quantizer.quantized import TuneMeasure, Tuning

    images, tuning = report.images, report.quantization.tuning
    try:
        _widths(report.quantization)
        if tuning is not None:
            Tuning(measure=TuneMeasure(tuning.measure), passes=tuning.passes, budget=tuning.budget)
        if images is not None and images.layout is not None:
            Layout(images.layout)
    except ValueError as error:
        raise InputError(str(path), f"{error}; give a file as --json wrote it") from None


def _machine(path: Path, report: "ReportDocument") -> "HardwareConfig":
    """Make the machine of a report; JSON is YAML as well."""
    from accel_sim.hardware.load import parse_hardware

    text = json.dumps(_without_nothing(report.hardware.config))
    return parse_hardware(text, f"{path}: hardware.config")


def _without_nothing(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nothing(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_nothing(each) for each in value]
    return value


def _network_request(path: Path, report: "ReportDocument", inputs: ReportInputs) -> NetworkRequest:
    from accel_sim.builtin import builtin_names

    name = inputs.network
    if name is None:
        name = report.network.name
        if name not in builtin_names():
            raise InputError(
                str(path), f"is of {name!r}, which is not built in; give its file: --network F.onnx"
            )
    is_outside = name not in builtin_names()
    mean, scale, layout = inputs.mean, inputs.scale, inputs.layout
    if report.images is not None and is_outside:
        mean = mean or ",".join(map(repr, report.images.mean))
        scale = scale or ",".join(map(repr, report.images.scale))
        given = inputs.images or inputs.calibration
        if given is not None and not given.is_dir():  # a folder of pictures has its own
            layout = layout or report.images.layout
    return NetworkRequest(
        network=name,
        input_shape=inputs.input_shape,
        images=inputs.images,
        calibration=inputs.calibration,
        limit_images=None,
        mean=mean,
        scale=scale,
        layout=layout,
        needs_images=report.images is not None,
        has_formats=inputs.formats is not None,
    )


def _format_request(quantization: "Quantization", inputs: ReportInputs) -> FormatRequest:
    tuning = quantization.tuning
    return FormatRequest(
        input_bits=None,
        bias_bits=None,
        bits=None,
        per_channel=quantization.per_channel,
        method=quantization.method,
        estimator=inputs.estimator,
        headroom_bits=inputs.headroom_bits,
        formats=inputs.formats,
        tune=tuning is not None,
        tune_passes=None if tuning is None else tuning.passes,
        tune_budget=None if tuning is None else tuning.budget,
        tune_measure=None if tuning is None else tuning.measure,
    )


def _widths(quantization: "Quantization") -> "BitWidths":
    from quantizer.quantized import BitWidths, LayerBits

    return BitWidths(
        weights=quantization.weight_bits,
        activations=quantization.activation_bits,
        inputs=quantization.input_bits,
        biases=quantization.bias_bits,
        layers={
            name: LayerBits(
                weights=widths.weight_bits,
                activations=widths.activation_bits,
                biases=widths.bias_bits,
            )
            for name, widths in quantization.layer_bits.items()
        },
    )


def _refuse_another_network(path: Path, report: "ReportDocument", workload: Workload) -> None:
    found, expected = workload.network.digest, report.network.digest
    if found != expected:
        raise InputError(
            "--network",
            f"{workload.network.name} has digest {found[:12]}, that of {path} {expected[:12]}; "
            "give the file that it was made from",
        )


def _first_images(path: Path, report: "ReportDocument", images: "ImageSet") -> "ImageSet":
    """Take as many as the report is of."""
    assert report.images is not None
    count = report.images.count
    if len(images) < count:
        raise InputError(
            "--images", f"{images.source} holds {len(images)} images, {path} is of {count}"
        )
    labels = None if images.labels is None else images.labels[:count]
    # Names of files are no results.
    return replace(images, images=images.images[:count], labels=labels, source=report.images.source)


def _show_differences(path: Path, differences: "list[FieldDifference]") -> None:
    from accel_sim.report.layer_table import make_table
    from accel_sim.report.quantities import shorten_name

    table = make_table("field", "there", "now")
    for each in differences[:_SHOWN]:
        there, now = (
            shorten_name(json.dumps(value), _CELL_COLUMNS) for value in (each.there, each.now)
        )
        table.add_row(each.path, there, now)
    fields = "1 field differs" if len(differences) == 1 else f"{len(differences):,} fields differ"
    show(f"{path}: {fields}", "", table)
    if len(differences) > _SHOWN:
        show("", f"and {len(differences) - _SHOWN:,} more")
