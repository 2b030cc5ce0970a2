"""``accel-sim export-vectors``: golden vectors for the RTL of a machine."""

from pathlib import Path
from typing import Annotated

import typer

from accel_sim.cli import options
from accel_sim.cli.console import progress_bar, show
from accel_sim.cli.formats import quantize_for, refuse_numbers
from accel_sim.cli.inputs import FormatRequest, NetworkRequest, add_batch, as_widths, read_widths
from accel_sim.cli.workload import load_workload

LayerName = Annotated[
    str | None,
    typer.Option(
        "--layer",
        metavar="NAME",
        parser=options.parse_name,
        help="Only this layer; default: all convolutions and dense layers.",
        rich_help_panel="Output",
    ),
]
Tiles = Annotated[
    int | None,
    typer.Option(
        "--tiles",
        metavar="N",
        parser=options.parse_count,
        help="At most N array tiles of each layer, evenly spread; default: all.",
        rich_help_panel="Output",
    ),
]
Directory = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR",
        parser=options.parse_path,
        help="Folder to make; it must not be there, or be empty.",
        rich_help_panel="Output",
    ),
]


def export_vectors(
    hardware: options.Hardware,
    directory: Directory,
    network: options.NetworkName = None,
    layer: LayerName = None,
    tiles: Tiles = None,
    input_shape: options.InputShape = None,
    images: options.Images = None,
    calibration: options.Calibration = None,
    mean: options.Mean = None,
    scale: options.Scale = None,
    layout: options.LayoutName = None,
    weight_bits: options.WeightBits = None,
    activation_bits: options.ActivationBits = None,
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
    override: options.Override = None,
    batch: options.Batch = None,
) -> None:
    """Write operands, sums and cycles of every array tile, for RTL to be held against."""
    request = NetworkRequest(
        network=network,
        input_shape=input_shape,
        images=images,
        calibration=calibration,
        limit_images=None,
        mean=mean,
        scale=scale,
        layout=layout,
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

    from accel_sim.golden_vectors.export import check_batch, check_machine, find_layers
    from accel_sim.golden_vectors.export import export_vectors as export
    from accel_sim.hardware.load import load_hardware
    from accel_sim.machine_fit import check_fit
    from accel_sim.report.layer_table import make_table
    from accel_sim.report.output_folder import check_folder
    from accel_sim.report.quantities import format_storage
    from accel_sim.simulation import choose_bits
    from quantizer.quantized import QuantizedNetwork

    check_folder("--output", directory)
    machine = load_hardware(hardware, add_batch(override or [], batch))
    widths = choose_bits(
        machine,
        weights=weight_bits,
        activations=activation_bits,
        inputs=input_bits,
        biases=bias_bits,
        given=read_widths(numbers, weight_bits, activation_bits),
    )
    workload = load_workload(request)
    refuse_numbers(workload, numbers.given | as_widths(weight_bits, activation_bits))
    # What holds no images is refused above.
    assert workload.images is not None
    find_layers(workload.network, layer)
    check_machine(machine)
    check_batch(machine, workload.images)
    if formats is None and not workload.is_quantized:
        check_fit(machine, workload.network, widths)
    with progress_bar("Quantizing") as progress:
        quantized = quantize_for(machine, workload, widths, numbers, progress)
    assert isinstance(quantized, QuantizedNetwork)
    with progress_bar("Writing") as progress:
        summary = export(
            machine,
            quantized,
            workload.images,
            directory,
            layer=layer,
            tiles=tiles,
            progress=progress,
        )
    table = make_table("layer", "op", "array tiles", "written", "size", left=(0, 1))
    for one in summary.layers:
        table.add_row(
            one.name,
            one.op,
            f"{one.array_tiles:,}",
            f"{one.written_tiles:,}",
            format_storage(one.size_bytes),
        )
    show(table, "", *summary.left_out, f"{directory}: manifest.json says what each file holds.")
