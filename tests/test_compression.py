"""Is a run charged for the codes of its own feature maps, and for nothing else?"""

import math
from dataclasses import asdict, replace
from fractions import Fraction

import numpy as np
import pytest

from accel_sim.compression import compress_maps
from accel_sim.functional import ExactNetwork
from accel_sim.hardware.load import load_hardware
from accel_sim.machine_fit import find_schedules
from accel_sim.mapping.coded_maps import PairCounts
from accel_sim.mapping.stored_bits import stored_bits
from accel_sim.simulation import choose_bits, simulate
from accel_sim.sweep.in_order import run_in_order
from accel_sim.sweep.points import Experiment, SweepPoint
from quantizer.network.layers import Concat
from quantizer.quantize import quantize
from tests.digits import load_digits
from tests.oracles import zero_rle as oracle

RLE = "dram.compression=zero_rle"
FLAT = "dram={model: flat, bandwidth_GBps: 1, latency_ns: 20, energy_pJ_per_bit: 8"
MAPS = ("ifm_read", "residual_read", "ofm_write")


@pytest.fixture(scope="module")
def network():
    graph, images = load_digits(6)
    return quantize(graph, images, choose_bits(load_hardware("edge_16x16")))


@pytest.fixture(scope="module")
def images():
    return load_digits(6)[1]


def layers_of(report):
    return {layer.name: layer.performance for layer in report.layers}


def measure_lengths(network, images, run_bits, level_bits):
    """Bits of the codes of all images over those of the maps, by name, element by element."""
    exact = ExactNetwork(network)
    coded, plain = {}, {}
    for index in range(len(images)):
        for name, raw in exact.run(images.real(index)).tensors.items():
            values = [int(value) for value in np.asarray(raw).ravel()]  # channels first
            code = oracle.encode(values, run_bits, level_bits)
            coded[name] = coded.get(name, 0) + len(code)
            plain[name] = plain.get(name, 0) + len(values) * level_bits
    return {name: Fraction(coded[name], plain[name]) for name in coded}


@pytest.mark.parametrize("memory", ["device", "flat", "byte"])
@pytest.mark.parametrize("run_bits", [2, 5])
def test_bytes_are_those_of_the_maps_times_the_lengths_of_their_codes(
    run_bits, memory, network, images
):
    compression = f"{{scheme: zero_rle, run_bits: {run_bits}}}"
    overrides = [f"dram.compression={compression}"]
    if memory != "device":
        packing = "byte" if memory == "byte" else "dense"
        overrides = [f"{FLAT}, packing: {packing}, compression: {compression}}}"]
    without = [*overrides, "dram.compression=none"]
    plain = layers_of(simulate(load_hardware("edge_16x16", without), network, images))
    coded = layers_of(simulate(load_hardware("edge_16x16", overrides), network, images))
    lengths = measure_lengths(network, images, run_bits, 8)
    lengths[network.network.input] = Fraction(1)
    for layer in network.network.layers:
        before, after = plain[layer.name], coded[layer.name]
        assert before.uncompressed_dram_bytes is None
        assert after.uncompressed_dram_bytes == before.dram_bytes
        moved = before.dram_bytes
        ifm, *residual = layer.inputs
        expected = replace(
            moved,
            ifm_read=math.ceil(moved.ifm_read * lengths[ifm]),
            residual_read=math.ceil(
                moved.residual_read * (lengths[residual[0]] if residual else 1)
            ),
            ofm_write=math.ceil(moved.ofm_write * lengths[layer.ofm]),
        )
        assert after.dram_bytes == expected
        # The schedule, and what the chip does, knows nothing of it.
        assert after.mapping == before.mapping
        assert after.buffer_accesses == before.buffer_accesses
        for component in ("mac", "register_file", "buffers", "post_processing"):
            assert getattr(after.energy, component) == getattr(before.energy, component)
        causes = asdict(after.cycles)
        unstalled = {name: n for name, n in causes.items() if not name.startswith("stall_dram")}
        assert unstalled == {name: asdict(before.cycles)[name] for name in unstalled}
        if memory != "device" and moved.ifm_read:
            per_byte = before.energy.dram_dynamic.value_pJ / (moved.read + moved.write)
            assert after.energy.dram_dynamic.value_pJ == pytest.approx(
                per_byte * (expected.read + expected.write)
            )
    assert any(coded[name].dram_bytes.ifm_read < plain[name].dram_bytes.ifm_read for name in plain)


def test_a_flat_memory_takes_time_in_proportion(network, images):
    """A layer that waits for DRAM alone takes its bytes over the bandwidth."""
    slow = "dram={model: flat, bandwidth_GBps: 0.01, latency_ns: 0, energy_pJ_per_bit: 8"
    report = simulate(
        load_hardware("edge_16x16", [f"{slow}, compression: zero_rle}}"]), network, images
    )
    pool = layers_of(report)["max_pool"]
    assert pool.dram_bytes.ofm_write != pool.uncompressed_dram_bytes.ofm_write
    # 50 cycles a byte at 500 MHz; little of that hides behind the pool's own 262 cycles.
    moved = pool.dram_bytes.read + pool.dram_bytes.write
    assert pool.cycles.total == pytest.approx(50 * moved, abs=262)


def with_pairs(hardware, network, pairs):
    bits = choose_bits(hardware)
    schedules = find_schedules(hardware, network, bits)
    return compress_maps(hardware, network, schedules, pairs, bits)


@pytest.mark.parametrize("machine", ["edge_16x16", "mcu_4x4", "tpu_256x256"])
def test_shorter_codes_never_cost_more(machine, network):
    hardware = load_hardware(machine, [RLE])
    elements = {
        layer.ofm: math.prod(network.network.shapes[layer.ofm]) for layer in network.network.layers
    }
    before = None
    for percent in (4, 10, 30, 60, 61.5, 80, 100):
        by_map = {name: max(1, math.ceil(n * percent / 100)) for name, n in elements.items()}
        schedules = with_pairs(hardware, network, PairCounts(by_map=by_map, images=1))
        cost = [
            (schedule.dram_bytes.read, schedule.dram_bytes.write, schedule.cycles.total)
            for schedule in schedules
        ]
        if before is not None:
            # A device moves whole bursts, and a code of another length is cut elsewhere.
            slack = 0 if machine == "mcu_4x4" else 8
            for (read, write, cycles), (less_read, less_write, fewer) in zip(
                cost, before, strict=True
            ):
                assert less_read <= read
                assert less_write <= write
                assert fewer <= cycles + slack
        before = cost


def test_codes_as_long_as_their_maps_cost_what_these_cost(network):
    hardware = load_hardware("edge_16x16", ["dram.compression={scheme: zero_rle, run_bits: 8}"])
    # Pairs of 16 bits for half of the elements of 8 bits.
    by_map = {
        layer.ofm: math.prod(network.network.shapes[layer.ofm]) for layer in network.network.layers
    }
    as_long = with_pairs(hardware, network, PairCounts(by_map=by_map, images=2))
    unknown = with_pairs(hardware, network, None)
    assert as_long == unknown
    plain = find_schedules(load_hardware("edge_16x16"), network, choose_bits(hardware))
    for coded, schedule in zip(unknown, plain, strict=True):
        assert coded.uncompressed_dram_bytes == schedule.dram_bytes
        assert replace(coded, uncompressed_dram_bytes=None) == schedule


def test_maps_that_stay_on_chip_cross_no_dram_and_have_no_code(network, images):
    plain = layers_of(simulate(load_hardware("tpu_256x256"), network, images))
    coded = layers_of(simulate(load_hardware("tpu_256x256", [RLE]), network, images))
    residents = [name for name, layer in coded.items() if "ifm" in layer.resident]
    assert residents
    for name in residents:
        assert coded[name].dram_bytes.ifm_read == 0
    for name, layer in coded.items():
        if set(layer.resident) >= {"ifm", "ofm"}:
            assert layer.cycles == plain[name].cycles


def test_the_input_is_not_coded_under_any_name(network):
    hardware = load_hardware("edge_16x16", [RLE])
    first, *_ = schedules = with_pairs(
        hardware,
        network,
        PairCounts(by_map={layer.ofm: 1 for layer in network.network.layers}, images=1),
    )
    assert first.coded.ifm == 1
    assert first.coded.ofm < 1
    assert all(schedule.coded.ifm < 1 for schedule in schedules[1:])


def test_a_concat_reads_the_codes_of_what_it_requantizes(network):
    """Its inputs have other formats than it; it reads them both, and writes its own map."""
    graph = network.network
    (concat,) = (layer for layer in graph.layers if isinstance(layer, Concat))
    formats = dict(network.formats)
    for name in concat.inputs:
        fmt = formats[name]
        formats[name] = replace(fmt, frac_bits=fmt.frac_bits + 1)
    changed = replace(network, formats=formats)
    hardware = load_hardware("edge_16x16", [RLE])
    sizes = [math.prod(graph.shapes[name]) for name in concat.inputs]
    by_map = {layer.ofm: 1 for layer in graph.layers}
    by_map |= dict(zip(concat.inputs, (40, 100), strict=True)) | {concat.ofm: 70}
    schedules = with_pairs(hardware, changed, PairCounts(by_map=by_map, images=1))
    coded = schedules[graph.layers.index(concat)].coded
    assert stored_bits(schedules[graph.layers.index(concat)].nest, hardware).ifm == 8
    assert coded.ifm == Fraction(140 * 13, sum(sizes) * 8)
    assert coded.ofm == Fraction(70 * 13, sum(sizes) * 8)


def test_the_doubled_machine_compresses_as_well(network, images):
    hardware = load_hardware("iot_8x8", [f"{FLAT}, compression: zero_rle}}"])
    report = simulate(hardware, network, images, explain=True)
    doubled = load_hardware(
        "iot_8x8",
        [
            f"{FLAT}, compression: zero_rle}}",
            f"{report.doubling.key}={report.doubling.value}",
        ],
    )
    assert simulate(doubled, network, images).cycles == report.doubling.cycles


def test_points_of_a_sweep_that_compress_otherwise_are_measured_anew(network, images):
    values = ("none", "zero_rle", "{scheme: zero_rle, run_bits: 2}")
    points = [
        SweepPoint(
            hardware=(hardware := load_hardware("edge_16x16", [f"dram.compression={value}"])),
            changes={},
            bits=choose_bits(hardware),
        )
        for value in values
    ]
    experiment = Experiment(
        network=network.network, images=images, quantize=lambda *_: network, settings={}
    )
    results = run_in_order(points, experiment, lambda *_: None)
    for point, result in zip(points, results, strict=True):
        alone = simulate(point.hardware, network, images)
        assert layers_of(result.report) == layers_of(alone)
