"""Do values and costs meet: same rules, same widths, measured activity?"""

from dataclasses import replace
from itertools import combinations

import numpy as np
import onnx
import pytest

from accel_sim.hardware.load import load_hardware
from accel_sim.machine_fit import find_schedules
from accel_sim.measure import measure_values
from accel_sim.scheduling import collect_plans
from accel_sim.simulation import choose_bits, simulate
from quantizer.errors import InputError
from quantizer.network.images import ImageSet, Preprocessing
from quantizer.network.onnx_import import load_onnx
from quantizer.quantize import quantize
from quantizer.quantized import BitWidths
from tests.digits import load_digits
from tests.oracles.networks import random_network
from tests.seeds import seeds

EDGE = "edge_16x16"


@pytest.fixture(scope="module")
def network():
    return load_digits(20)[0]


@pytest.fixture(scope="module")
def images():
    return load_digits(20)[1]


@pytest.fixture(scope="module")
def quantized(network, images):
    return quantize(network, images, BitWidths())


def test_the_public_names_are_the_three_verbs():
    import accel_sim

    assert accel_sim.simulate is simulate
    assert accel_sim.load_hardware is load_hardware
    assert accel_sim.load_onnx is load_onnx
    assert accel_sim.quantize is quantize
    assert accel_sim.BitWidths is BitWidths
    assert set(accel_sim.__all__) <= set(dir(accel_sim))
    with pytest.raises(AttributeError, match="module 'accel_sim' has no attribute 'simulat'"):
        accel_sim.simulat  # noqa: B018


def test_values_are_those_of_the_exact_run_under_the_machines_rules(quantized, images):
    hardware = load_hardware(EDGE, ["precision.requantize_rounding=to_neg"])
    report = simulate(hardware, quantized, images)
    floored = replace(quantized, rules=hardware.numeric_rules)
    assert report.values == measure_values(floored, images)
    assert report.values != measure_values(quantized, images)
    assert [layer.values for layer in report.layers] == list(report.values.layers.values())


SATURATING = ["precision.accumulator_overflow=saturate", "precision.accumulator_bits=16"]
COLUMNS = [*SATURATING, "mac_array.dataflow=weight_stationary", "mac_array.drain=hidden"]
TREES = [*SATURATING, "mac_array.dataflow=channel_parallel", "mac_array.drain=hidden"]


def test_saturating_values_are_those_of_the_machines_order(quantized, images):
    machines = {name: load_hardware(EDGE, keys) for name, keys in (
        ("wrap", SATURATING[1:]), ("chain", SATURATING), ("columns", COLUMNS), ("trees", TREES),
    )}  # fmt: skip
    reports = {name: simulate(machine, quantized, images) for name, machine in machines.items()}
    for name in ("chain", "columns", "trees"):
        plans = collect_plans(find_schedules(machines[name], quantized, quantized.bits))
        under_rules = replace(quantized, rules=machines[name].numeric_rules)
        assert reports[name].values == measure_values(under_rules, images, plans=plans)
    values = [report.values.layers for report in reports.values()]
    assert all(one != other for one, other in combinations(values, 2))
    second = values[1]
    conv1 = second["conv1"]
    assert 0 < conv1.accumulator_proven_channels < conv1.accumulator_channels == 16
    assert sum(layer.accumulator_overflows for layer in second.values()) > 0


SHARED = (
    "buffers={ifm: {capacity_KiB: 16, port_bits: 128, ports: 1r1w, banks: 2, double_buffered: "
    "true}, weights: {capacity_KiB: 64, port_bits: 128, ports: 1r1w, banks: 2, double_buffered: "
    "true}, psum: {capacity_KiB: 32, port_bits: 512, ports: 1r1w, banks: 2, double_buffered: "
    "false}, shared: [ifm, ofm]}"
)


def test_what_stays_on_chip_never_changes_a_bit(quantized, images):
    reports = [
        simulate(load_hardware(EDGE, [SHARED, f"mapping.residency={residency}"]), quantized, images)
        for residency in ("auto", "none")
    ]
    moved = [sum(layer.performance.dram_bytes.write for layer in one.layers) for one in reports]
    assert moved[0] < moved[1]
    assert reports[0].values == reports[1].values


def test_a_fixed_reduction_gives_the_same_bits_whatever_the_objective(quantized, images):
    small = ["buffers.ifm.capacity_KiB=4", "buffers.weights.capacity_KiB=4"]
    found = {
        reduction: [
            simulate(
                load_hardware(
                    EDGE,
                    [*COLUMNS, *small, f"mapping.objective={objective}",
                     f"mapping.reduction={reduction}"],
                ),
                quantized,
                images,
            ).values
            for objective in ("latency", "energy", "dram_bytes")
        ]
        for reduction in ("free", "fixed")
    }  # fmt: skip
    assert found["fixed"][0] == found["fixed"][1] == found["fixed"][2]
    assert found["free"][0] != found["free"][1]


def test_a_proven_machine_gives_the_bits_of_one_that_wraps(quantized, images):
    saved = {}
    for name, keys in (
        ("wrap", COLUMNS[2:]),
        ("chain", SATURATING[:1]),
        ("columns", [SATURATING[0], *COLUMNS[2:]]),
        ("trees", [SATURATING[0], *TREES[2:]]),
        ("trees that wrap", TREES[2:]),
    ):
        saved[name] = []
        report = simulate(
            load_hardware(EDGE, keys),
            quantized,
            images,
            save=lambda _, tensors, name=name: saved[name].append(dict(tensors)),
        )
        macs = [one for one in report.values.layers.values() if one.accumulator_channels]
        assert all(one.accumulator_proven_channels == one.accumulator_channels for one in macs)
    for name in saved.keys() - {"wrap"}:
        for one, other in zip(saved["wrap"], saved[name], strict=True):
            assert all((one[tensor] == other[tensor]).all() for tensor in one)


@pytest.mark.parametrize("along", ["reduction", "filters"])
def test_a_mode_changes_no_bit_where_accumulators_wrap(network, images, along):
    narrow = quantize(network, images, BitWidths(weights=4, activations=4, inputs=4))
    mode = f"{{weight_bits: 4, activation_bits: 4, macs_per_pe: 4, along: {along}}}"
    narrow_accumulators = ["precision.accumulator_bits=9"]
    for dataflow in (narrow_accumulators, [*COLUMNS[2:], *narrow_accumulators]):
        whole, several = (
            simulate(load_hardware(EDGE, [*dataflow, f"precision.modes={modes}"]), narrow, images)
            for modes in ("[]", f"[{mode}]")
        )
        assert several.values == whole.values
        assert sum(one.accumulator_overflows for one in whole.values.layers.values() if one) > 0
        assert several.cycles < whole.cycles
        modes = {
            layer.performance.macs_per_pe for layer in several.layers if layer.performance.macs
        }
        assert 4 in modes
        assert several.utilization_fraction <= 1


def test_saturating_values_are_those_of_the_order_of_a_mode(network, images):
    narrow = quantize(network, images, BitWidths(weights=4, activations=4, inputs=4))
    mode = "{weight_bits: 4, activation_bits: 4, macs_per_pe: 4, along: reduction}"
    keys = [SATURATING[0], "precision.accumulator_bits=9"]
    hardware = load_hardware(EDGE, [*keys, f"precision.modes=[{mode}]"])
    found = simulate(hardware, narrow, images).values
    plans = collect_plans(find_schedules(hardware, narrow, narrow.bits))
    under_rules = replace(narrow, rules=hardware.numeric_rules)
    assert found == measure_values(under_rules, images, plans=plans)
    assert found.layers != simulate(load_hardware(EDGE, keys), narrow, images).values.layers


def test_a_machine_that_cuts_its_partial_sums_has_costs_but_no_values(quantized, images):
    columns = [*COLUMNS[2:], "buffers.psum.port_bits=64"]
    cut, whole = (
        load_hardware(EDGE, [*columns, f"precision.psum_storage_bits={bits}"]) for bits in (16, 32)
    )
    with pytest.raises(InputError) as caught:
        simulate(cut, quantized, images)
    assert str(caught.value) == (
        "edge_16x16: precision.psum_storage_bits: partial sums of 32 bits are cut to 16 in "
        "memory, which is not simulated; --no-values gives costs alone, "
        "--set precision.psum_storage_bits=32 keeps them whole"
    )
    narrow, wide = simulate(cut, quantized), simulate(whole, quantized)
    words = [sum(layer.performance.buffer_accesses.psum.reads for layer in report.layers)
             for report in (narrow, wide)]  # fmt: skip
    assert 0 < words[0] < words[1]
    assert (
        simulate(whole, quantized, images).values
        == simulate(load_hardware(EDGE, columns), quantized, images).values
    )


def test_formats_stand_beside_the_layers(quantized, images):
    report = simulate(load_hardware(EDGE), quantized, images)
    for layer, found in zip(quantized.network.layers, report.layers, strict=True):
        assert found.name == layer.name
        assert found.ofm_frac_bits == quantized.formats[layer.ofm].frac_bits
        assert found.performance.ofm_bits == quantized.formats[layer.ofm].bits


def test_costs_alone_need_no_images_and_no_formats(network, quantized):
    hardware = load_hardware(EDGE)
    bare = simulate(hardware, network)
    formatted = simulate(hardware, quantized)
    assert [layer.performance for layer in bare.layers] == [
        layer.performance for layer in formatted.layers
    ]
    assert bare.quantization.method is None
    assert bare.values is None
    assert bare.images is None


@pytest.mark.parametrize("seed", seeds(4, 8))
def test_the_widths_of_a_float_network_are_those_that_quantize_would_give(seed, tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(random_network(seed), path)
    network = load_onnx(path)
    rng = np.random.default_rng(seed)
    calibration = ImageSet(
        images=rng.normal(size=(3, *network.shapes[network.input])).astype(np.float32),
        labels=None,
        preprocessing=Preprocessing(),
        source="random",
    )
    bits = BitWidths(weights=4, activations=6, inputs=7)
    hardware = load_hardware(EDGE)
    bare = simulate(hardware, network, bits=bits)
    formatted = simulate(hardware, quantize(network, calibration, bits))
    assert [layer.performance for layer in bare.layers] == [
        layer.performance for layer in formatted.layers
    ]


def test_measured_zeros_save_energy_where_the_machine_gates_them(quantized, images):
    gated = load_hardware(EDGE, ["mac_array.zero_gating=true"])
    measured = simulate(gated, quantized, images)
    assert any(layer.values.zero_ifm_fraction > 0 for layer in measured.layers)
    without = simulate(gated, quantized)
    assert measured.energy_by_component.mac.value_pJ < without.energy_by_component.mac.value_pJ
    assert measured.cycles == without.cycles


def test_the_doubling_is_a_run_on_the_doubled_machine(network):
    report = simulate(load_hardware(EDGE), network, explain=True)
    doubling = report.doubling
    again = simulate(load_hardware(EDGE, [f"{doubling.key}={doubling.value}"]), network)
    assert doubling.cycles == again.cycles
    assert simulate(load_hardware(EDGE), network).doubling is None


def test_a_batch_costs_more_and_is_reported_whole(network):
    one = simulate(load_hardware(EDGE), network)
    four = simulate(load_hardware(EDGE, ["mapping.batch=4"]), network)
    assert four.macs == 4 * one.macs == 4 * network.macs
    assert one.cycles < four.cycles <= 4 * one.cycles
    assert four.to_document().totals.latency_us_per_image == four.latency_us / 4


def test_the_same_inputs_give_the_same_report_but_for_the_run(quantized, images):
    first, second = (
        simulate(load_hardware(EDGE), quantized, images, explain=True).to_json_dict()
        for _ in range(2)
    )
    assert first.pop("run").keys() == second.pop("run").keys()
    assert first == second


def test_tensors_are_handed_over_image_by_image(quantized, images):
    saved = []
    simulate(
        load_hardware(EDGE),
        quantized,
        images,
        save=lambda index, tensors: saved.append((index, sorted(tensors))),
    )
    assert [index for index, _ in saved] == list(range(len(images)))
    assert all(names == sorted(quantized.formats) for _, names in saved)


def test_a_float_network_cannot_run_images(network, images):
    with pytest.raises(InputError) as error:
        simulate(load_hardware(EDGE), network, images)
    assert str(error.value) == (
        f"{network.name}: is not quantized; call quantize() first, or give no images"
    )


def test_a_network_that_computes_nothing_is_refused(network):
    layer = next(layer for layer in network.layers if layer.op == "Reshape")
    nothing = replace(network, layers=(layer,), input=layer.ifm, outputs=(layer.ofm,))
    with pytest.raises(InputError) as error:
        simulate(load_hardware(EDGE), nothing)
    assert str(error.value) == (
        f"{network.name}: has no layer that computes; give a network with one"
    )


def test_the_input_is_never_wider_than_the_machine_unless_asked():
    narrow = load_hardware(EDGE, ["precision.activation_bits=6"])
    assert choose_bits(narrow) == BitWidths(weights=8, activations=6, inputs=6)
    edge = load_hardware(EDGE)
    assert choose_bits(edge, weights=4, activations=4) == BitWidths(
        weights=4, activations=4, inputs=8
    )
    wide = load_hardware(EDGE, ["precision.activation_bits=16"])
    assert choose_bits(wide, inputs=8) == BitWidths(weights=8, activations=16, inputs=8)
    assert choose_bits(wide).input_bits == 16


def test_what_cannot_run_is_refused_before_any_image_does(quantized, images):
    hardware = load_hardware(EDGE, ["precision.activation_bits=4"])
    with pytest.raises(InputError, match=r"its (activations|outputs) have 8 bits, the datapath"):
        simulate(hardware, quantized, images, progress=lambda done, total: pytest.fail("it runs"))


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_schedules_wait_once_for_what_they_need(quantized, images, overflow):
    hardware = load_hardware(EDGE, [f"precision.accumulator_overflow={overflow}"])
    waits = []
    report = simulate(
        hardware, quantized, images, explain=True, before_schedules=lambda: waits.append(1)
    )
    assert waits == [1]
    assert report.layers == simulate(hardware, quantized, images).layers
