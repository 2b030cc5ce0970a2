"""``accel-sim quantize``: choose formats, show them, and write them with the network."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from accel_sim.cli import options
from accel_sim.cli.console import progress_bar, show
from accel_sim.cli.formats import quantize_for, refuse_numbers
from accel_sim.cli.inputs import FormatRequest, NetworkRequest, as_widths, read_widths
from accel_sim.cli.outputs import check_outputs
from accel_sim.cli.workload import load_workload
from quantizer.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from quantizer.quantized import MapChoice, QuantizedNetwork

DEFAULT_BITS = 8
NAME_COLUMNS, LAYER_COLUMNS = 28, 16

Net = Annotated[
    str,
    typer.Argument(
        metavar="NET",
        parser=options.parse_name,
        help="An .onnx file, or the name of a built-in network.",
    ),
]
WeightBits = Annotated[
    int | None,
    typer.Option(
        "--weight-bits",
        metavar="BITS",
        parser=options.parse_width,
        help="Default: 8, or the machine's.",
        rich_help_panel="Quantization",
    ),
]
ActivationBits = Annotated[
    int | None,
    typer.Option(
        "--activation-bits",
        metavar="BITS",
        parser=options.parse_width,
        help="Default: 8, or the machine's.",
        rich_help_panel="Quantization",
    ),
]
Machine = Annotated[
    str | None,
    typer.Option(
        "--machine",
        metavar="HW",
        parser=options.parse_name,
        help="Quantize as for this machine: its widths, rounding and signs.",
        rich_help_panel="Quantization",
    ),
]
NetworkOut = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="NET.q.onnx",
        parser=options.parse_path,
        help="Write the quantized network as QONNX, as --network reads it.",
        rich_help_panel="Output",
    ),
]
FormatsOut = Annotated[
    Path | None,
    typer.Option(
        "--write-formats",
        metavar="F.json",
        parser=options.parse_path,
        help="Write the formats, as --formats reads them.",
        rich_help_panel="Output",
    ),
]


def quantize(
    network: Net,
    calibration: options.Calibration = None,
    input_shape: options.InputShape = None,
    mean: options.Mean = None,
    scale: options.Scale = None,
    layout: options.LayoutName = None,
    weight_bits: WeightBits = None,
    activation_bits: ActivationBits = None,
    input_bits: options.InputBits = None,
    bias_bits: options.BiasBits = None,
    bits: options.BitsFile = None,
    per_channel: options.PerChannel = False,
    method: options.Method = None,
    estimator: options.EstimatorName = None,
    headroom_bits: options.HeadroomBits = None,
    formats: options.Formats = None,
    tune: options.Tune = False,
    tune_passes: options.TunePasses = None,
    tune_budget: options.TuneBudget = None,
    tune_measure: options.TuneMeasureName = None,
    machine: Machine = None,
    output: NetworkOut = None,
    write_formats: FormatsOut = None,
) -> None:
    """Choose a fixed-point format for every tensor of a network.

    The format u8f5 is unsigned, of 8 bits, 5 of them behind the binary point; s is signed.
    Of a feature map, k and p are the shapes of the fitted distribution (of each sign), the
    step is that before it is rounded to a power of two, and the SQNR is the one predicted.
    """
    request = NetworkRequest(
        network=network,
        input_shape=input_shape,
        images=None,
        calibration=calibration,
        limit_images=None,
        mean=mean,
        scale=scale,
        layout=layout,
        needs_images=False,
        needs_formats=True,
        has_formats=formats is not None,
    )
    numbers = FormatRequest(
        input_bits=input_bits,
        bias_bits=bias_bits,
        bits=bits,
        per_channel=per_channel,
        method=method,
        estimator=estimator,
        headroom_bits=headroom_bits,
        formats=formats,
        tune=tune,
        tune_passes=tune_passes,
        tune_budget=tune_budget,
        tune_measure=tune_measure,
    )
    if output is not None and output.suffix != ".onnx":
        raise InputError(
            "--output", f"{str(output)!r} has another ending than .onnx; give F.q.onnx"
        )
    read = [*request.input_paths, *numbers.input_paths, None if machine is None else Path(machine)]
    check_outputs({"--output": output, "--write-formats": write_formats}, read)

    from accel_sim.hardware.load import load_hardware
    from accel_sim.report.as_json import to_json_bytes
    from accel_sim.report.output_file import write_file
    from accel_sim.simulation import choose_bits
    from quantizer.bits_file import GivenBits
    from quantizer.formats_file import formats_to_json
    from quantizer.qonnx.write import to_qonnx
    from quantizer.quantized import DEFAULT_BIAS_BITS, BitWidths, QuantizedNetwork

    hardware = None if machine is None else load_hardware(machine)
    given = read_widths(numbers, weight_bits, activation_bits) or GivenBits()
    workload = load_workload(request)
    refuse_numbers(workload, numbers.given | as_widths(weight_bits, activation_bits))
    if workload.calibration is None and formats is None and workload.qonnx is None:
        raise InputError(network, "needs images to choose its formats; give --calibration")
    if hardware is None:
        widths = BitWidths(
            weights=weight_bits or given.default.weights or DEFAULT_BITS,
            activations=activation_bits or given.default.activations or DEFAULT_BITS,
            inputs=input_bits or given.inputs,
            biases=bias_bits or given.default.biases or DEFAULT_BIAS_BITS,
            layers=given.layers,
            source=given.source,
        )
    else:
        widths = choose_bits(
            hardware,
            weights=weight_bits,
            activations=activation_bits,
            inputs=input_bits,
            biases=bias_bits,
            given=given,
        )
    with progress_bar("Quantizing") as progress:
        quantized = quantize_for(hardware, workload, widths, numbers, progress)
    assert isinstance(quantized, QuantizedNetwork)  # refused above if there is nothing to go by
    if output is not None:
        model = to_qonnx(quantized)
        write_file(output, lambda file: file.write(model))
    if write_formats is not None:
        content = to_json_bytes(formats_to_json(quantized))
        write_file(write_formats, lambda file: file.write(content))
    show(_table(quantized))


def _table(quantized: "QuantizedNetwork") -> "Table":
    from accel_sim.report.layer_table import make_table
    from accel_sim.report.quantities import shorten_name
    from quantizer.formats_file import formats_to_json
    from quantizer.tensor_bits import constants_of

    layers = quantized.network.layers
    kinds = {layer.ofm: (layer.name, "map") for layer in layers}
    for layer in layers:
        for name, use in constants_of(layer):
            kinds.setdefault(name, (layer.name, use.split()[-1]))
    titles = ("tensor", "layer", "kind", "format", "k, p", "step", "predicted")
    table = make_table(*titles, left=(0, 1, 2))
    for name, fmt in formats_to_json(quantized).items():
        lengths = fmt["frac_bits"]
        if isinstance(lengths, list):
            lengths = f"{min(lengths)}..{max(lengths)}"
        layer_name, kind = kinds.get(name, ("-", "input"))
        table.add_row(
            shorten_name(name, NAME_COLUMNS),
            shorten_name(layer_name, LAYER_COLUMNS),
            kind,
            f"{'s' if fmt['signed'] else 'u'}{fmt['bits']}f{lengths}",
            *_reasons(quantized.choices.get(name)),
        )
    return table


def _reasons(choice: "MapChoice | None") -> tuple[str, str, str]:
    """Show shapes of each sign's distribution, the step before rounding, the SQNR after."""
    if choice is None:
        return "", "", ""
    return (
        "\n".join(f"{k:.2f}, {p:.2f}" for k, p in choice.shapes),
        "" if choice.step is None else f"{choice.step:.3g}",
        "" if choice.predicted_sqnr_dB is None else f"{choice.predicted_sqnr_dB:.1f} dB",
    )
