"""``accel-sim simulate``: one network on one machine."""

from pathlib import Path
from typing import TYPE_CHECKING

from accel_sim.cli import options
from accel_sim.cli.compile_ahead import compile_ahead
from accel_sim.cli.console import count_columns, progress_bar, show
from accel_sim.cli.formats import quantize_for, refuse_numbers
from accel_sim.cli.inputs import FormatRequest, NetworkRequest, add_batch, as_widths, read_widths
from accel_sim.cli.next_commands import suggest_next
from accel_sim.cli.outputs import check_outputs
from accel_sim.cli.pages import ChartFormat, ChartsOut, HtmlOut, write_page
from accel_sim.cli.workload import Workload, load_workload
from quantizer.errors import InputError

if TYPE_CHECKING:
    from accel_sim.map_histograms import MapHistogram
    from quantizer.network.graph import Network
    from quantizer.quantized import QuantizedNetwork


def simulate(
    hardware: options.Hardware,
    network: options.NetworkName = None,
    input_shape: options.InputShape = None,
    images: options.Images = None,
    calibration: options.Calibration = None,
    limit_images: options.LimitImages = None,
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
    no_values: options.NoValues = False,
    json: options.JsonOut = None,
    csv: options.CsvOut = None,
    html: HtmlOut = None,
    charts: ChartsOut = None,
    chart_format: ChartFormat = "svg",
    save_tensors: options.SaveTensors = None,
    trace: options.Trace = None,
    dram_trace: options.DramTrace = None,
) -> None:
    """Run a network on a machine: integers, SQNR, cycles, traffic and energy."""
    request = NetworkRequest(
        network=network,
        input_shape=input_shape,
        images=images,
        calibration=calibration,
        limit_images=limit_images,
        mean=mean,
        scale=scale,
        layout=layout,
        needs_images=not no_values,
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
    check_outputs(
        {
            "--json": json,
            "--csv": csv,
            "--html": html,
            "--charts": charts,
            "--save-tensors": save_tensors,
            "--trace": trace,
            "--dram-trace": dram_trace,
        },
        (*request.input_paths, *numbers.input_paths, Path(hardware)),
    )
    if no_values and save_tensors is not None:
        raise InputError("--save-tensors", "has no use with --no-values; leave one of them out")

    from accel_sim.compression import compress_maps
    from accel_sim.dram_bandwidth import sample_bandwidth
    from accel_sim.dram_trace import check_traceable, write_trace
    from accel_sim.hardware.load import load_hardware
    from accel_sim.machine_fit import COSTS_ALONE, check_fit, check_values, find_schedules
    from accel_sim.report.as_csv import layer_records, to_csv_bytes
    from accel_sim.report.as_json import to_json_bytes
    from accel_sim.report.as_npz import TensorStore
    from accel_sim.report.as_table import to_renderables
    from accel_sim.report.output_file import write_file
    from accel_sim.report.page.run_page import make_run_page
    from accel_sim.simulation import choose_bits
    from accel_sim.simulation import simulate as run
    from accel_sim.tile_trace import write_timeline
    from quantizer.formats_file import formats_to_json
    from quantizer.quantized import QuantizedNetwork

    overrides = add_batch(override or [], batch)
    machine = load_hardware(hardware, overrides)
    if dram_trace is not None:
        check_traceable(machine)
    given = read_widths(numbers, weight_bits, activation_bits)
    widths = choose_bits(
        machine,
        weights=weight_bits,
        activations=activation_bits,
        inputs=input_bits,
        biases=bias_bits,
        given=given,
    )
    workload = load_workload(request)
    refuse_numbers(workload, numbers.given | as_widths(weight_bits, activation_bits))
    if workload.images is not None:
        check_values(machine, otherwise=COSTS_ALONE)
    if formats is None and not workload.is_quantized:
        check_fit(machine, workload.network, widths)
    with compile_ahead(hardware, overrides, has_values=not no_values) as wait_for_code:
        with progress_bar("Quantizing") as progress:
            quantized = quantize_for(machine, workload, widths, numbers, progress)
        check_fit(machine, quantized, widths)
        store = None
        if save_tensors is not None:
            # Refused with --no-values; all else has images and formats.
            assert isinstance(quantized, QuantizedNetwork)
            assert workload.images is not None
            store = TensorStore(quantized, len(workload.images), formats_to_json(quantized))
        with progress_bar("Running") as progress:
            report = run(
                machine,
                quantized,
                workload.images,
                bits=widths,
                explain=True,
                progress=progress,
                save=None if store is None else store.save,
                before_schedules=wait_for_code,
            )
    document = report.to_document()
    if json is not None:
        content = to_json_bytes(document.model_dump(mode="json"))
        write_file(json, lambda file: file.write(content))
    if csv is not None:
        table = to_csv_bytes(layer_records(document))
        write_file(csv, lambda file: file.write(table))
    if save_tensors is not None and store is not None:
        write_file(save_tensors, store.write)
    draws = html is not None or charts is not None
    if draws or trace is not None or dram_trace is not None:
        found = find_schedules(machine, quantized, widths)
        pairs = None if report.values is None else report.values.zero_run_pairs
        schedules = compress_maps(machine, quantized, found, pairs, widths)
        if trace is not None:
            write_file(trace, lambda file: write_timeline(machine, schedules, file))
        if dram_trace is not None:
            write_file(dram_trace, lambda file: write_trace(machine, schedules, file))
        if draws:
            maps = _measure_maps(quantized, workload)
            bandwidth = sample_bandwidth(machine, schedules)
            page = make_run_page(document, maps, bandwidth)
            write_page(page, html, charts, chart_format)
    show(*to_renderables(document, count_columns()))
    commands = suggest_next(
        hardware, overrides, request, numbers, given, report, is_quantized=workload.is_quantized
    )
    show("Next:", *(f"  {command}" for command in commands))


def _measure_maps(
    network: "QuantizedNetwork | Network", workload: Workload
) -> "tuple[MapHistogram, ...]":
    """Sum up the feature maps of the images that chose their formats, if these are at hand."""
    from quantizer.quantized import QuantizedNetwork

    if workload.images is None or not isinstance(network, QuantizedNetwork):
        return ()
    images = workload.images if workload.calibration is None else workload.calibration
    from accel_sim.map_histograms import measure_histograms

    with progress_bar("Summing up") as progress:
        return measure_histograms(network, images, progress)
