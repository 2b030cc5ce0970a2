"""What a network costs: worked by hand, and properties that always hold."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from accel_sim.energy.constants import energy_constants
from accel_sim.energy.layer_energy import COMPONENTS
from accel_sim.energy.mac import mac_energy
from accel_sim.hardware.choices import Dataflow
from accel_sim.hardware.load import load_hardware, shipped_machines
from accel_sim.mapping.access_counts import count_dram_bits, count_tiles
from accel_sim.mapping.enumerate_tiles import enumerate_tiles
from accel_sim.mapping.loop_nest import Kind, LoopNest
from accel_sim.mapping.loop_orders import LOOP_ORDERS
from accel_sim.performance import (
    Bound,
    LayerActivity,
    run_performance,
)
from accel_sim.timing.pipeline import layer_cycles, tile_sizes
from accel_sim.timing.schedule_rules import schedule_rules
from quantizer.errors import InputError
from quantizer.network.graph import Network
from quantizer.network.layers import Add, AveragePool, Concat, Conv, Dense, MaxPool, Reshape

COMPOSABLE = [
    name
    for name in shipped_machines()
    if load_hardware(name).mac_array.dataflow is not Dataflow.ROW_STATIONARY
]
FLAT = "dram={model: flat, bandwidth_GBps: 4, latency_ns: 20, energy_pJ_per_bit: 8, packing: dense}"


def small_network() -> Network:
    """A residual block, a pool, a concat and a classifier."""
    conv = {"stride": (1, 1), "pads": (1, 1, 1, 1), "dilation": (1, 1), "clamp": None}
    layers = (
        Conv(name="conv1", ifm="x", ofm="a", weights="w1", bias="b1", groups=1, **conv),
        Conv(name="conv2", ifm="a", ofm="b", weights="w2", bias=None, groups=8, **conv),
        Add(name="add", inputs=("a", "b"), constant=None, signs=(1, 1), ofm="c", clamp=None),
        MaxPool(name="pool", ifm="c", ofm="d", kernel=(2, 2), stride=(2, 2), pads=(0, 0, 0, 0),
                dilation=(1, 1)),
        Concat(name="concat", inputs=("d", "d"), axis=0, ofm="e"),
        AveragePool(name="mean", ifm="e", ofm="f", kernel=(6, 6), stride=(6, 6),
                    pads=(0, 0, 0, 0), dilation=(1, 1), counts_padding=False, clamp=None),
        Reshape(name="flatten", ifm="f", ofm="g"),
        Dense(name="fc", ifm="g", ofm="y", weights="w3", bias="b3", clamp=None),
    )  # fmt: skip
    shapes = {
        "x": (3, 12, 12), "a": (8, 12, 12), "b": (8, 12, 12), "c": (8, 12, 12),
        "d": (8, 6, 6), "e": (16, 6, 6), "f": (16, 1, 1), "g": (16,), "y": (10,),
    }  # fmt: skip
    constants = {
        "w1": (8, 3, 3, 3), "b1": (8,), "w2": (8, 1, 3, 3), "w3": (10, 16), "b3": (10,),
    }  # fmt: skip
    return Network(
        name="small", digest="0", input="x", outputs=("y",), layers=layers, shapes=shapes,
        constants={name: np.zeros(shape, np.float32) for name, shape in constants.items()},
    )  # fmt: skip


def constant_bits(network, weight_bits):
    """Width of every constant; biases have 16 bits."""
    return {name: 16 if name in ("b1", "b3") else weight_bits for name in network.constants}


def run(machine="edge_16x16", overrides=(), bits=8, weight_bits=8, **arguments):
    network = small_network()
    layers = run_performance(
        load_hardware(machine, overrides),
        network,
        {name: bits for name in network.shapes},
        constant_bits(network, weight_bits),
        **arguments,
    )
    return {layer.name: layer for layer in layers}


def test_a_convolution_worked_by_hand():
    """4 channels of 8x8, 16 filters of 3x3 with a border of one; 8 bits, biases of 16.

    Tiles of 4 of the 8 output rows. 4 GB/s at 500 MHz are 8 bytes a cycle; a batch of reads
    starts after 10 cycles.

    ifm      each tile reads 5 rows (4, and one beyond; the padding is not fetched) of 8
             columns of 4 channels: 160 bytes, 20 cycles
    weights  16 * 4 * 9 = 576 bytes, 16 biases of 2: 608 bytes, 76 cycles, once
    ofm      each tile 4 * 8 * 16 = 512 bytes, 64 cycles

    A tile has 32 pixels: 2 folds of 16 rows; 16 filters: 1 fold of columns. A fold takes
    4 * 9 = 36 products, 16 + 16 - 2 cycles of skew and 16 of drain: 2 * 82 = 164 cycles.

    first load                10 + 76 + 20     = 106
    tile 0, tile 1 comes (30) behind it           164
    tile 1, tile 0 leaves (64) behind it          164
    last store                                     64
                                                  498
    """
    nest = LoopNest(
        layer="conv", op="Conv", kind=Kind.MAC, batch=1, groups=1, filters=16, channels=4,
        filter_rows=3, filter_cols=3, output_rows=8, output_cols=8, input_rows=8, input_cols=8,
        stride=(1, 1), dilation=(1, 1), pads=(1, 1), ifm_bits=8, weight_bits=8, bias_bits=16,
        ofm_bits=8, residual_bits=0,
    )  # fmt: skip
    hardware = load_hardware("edge_16x16", [FLAT])
    space = enumerate_tiles(nest, hardware)
    whole_but_rows = {"batch": 1, "groups": 1, "filters": 16, "channels": 4, "output_rows": 4,
                      "output_cols": 8}  # fmt: skip
    (candidate,) = (
        at for at in range(len(space.feasible)) if asdict(space.tile(at)) == whole_but_rows
    )
    for order in LOOP_ORDERS:
        cycles = layer_cycles(
            schedule_rules(nest, hardware), tile_sizes(nest, hardware, space, candidate), order
        )
        assert cycles.total == 498
        assert cycles.compute == 2 * 2 * 36
        assert cycles.fill_drain == 2 * 2 * 46
        assert cycles.stall_dram_weights == 10 + 76
        assert cycles.stall_dram_ifm == 20
        assert cycles.stall_dram_ofm == 64
        assert cycles.overhead == cycles.stall_dram_psum == cycles.stall_port_ifm == 0
        bits = count_dram_bits(
            count_tiles(nest, hardware, space.take(np.array([candidate]))), order
        )
        assert bits.ifm_read.tolist() == [8 * 320]
        assert bits.weights_read.tolist() == [8 * 608]
        assert bits.ofm_write.tolist() == [8 * 1024]
        assert bits.psum_read.tolist() == [0]


def test_a_classifier_worked_by_hand():
    """16 inputs, 10 outputs, 8 bits, biases of 16: one tile is best.

    16 + 10 * 16 + 10 * 2 = 196 bytes come in ceil(196 / 8) = 25 cycles after 10; the array
    takes 16 products, 16 + 16 - 2 cycles of skew and 16 of drain; 10 bytes leave in 2.

    10 + 25 + 16 + 46 + 2 = 99
    """
    fc = run(overrides=[FLAT])["fc"]
    assert fc.cycles.total == 99
    assert (fc.cycles.compute, fc.cycles.fill_drain) == (16, 46)
    # Partial sums, weights, ifm: weights end at 10 + ceil(180 / 8) = 33, all at 35.
    assert fc.cycles.stall_dram_weights == 33
    assert fc.cycles.stall_dram_ifm == 2
    assert fc.cycles.stall_dram_ofm == 2
    moved = fc.dram_bytes
    assert (moved.ifm_read, moved.weights_read, moved.ofm_write) == (16, 180, 10)
    assert (moved.read, moved.write) == (196, 10)
    assert fc.macs == 160
    assert fc.utilization_fraction == 160 / (99 * 256)
    assert fc.bound_by is Bound.FILL_DRAIN
    # Words of 128 bits. ifm: 16 bytes in, 16 products of one pixel out. Weights: 180 bytes
    # in 12, one word of 10 filters per product out. ofm: one word of 10, in and out.
    words = fc.buffer_accesses
    assert (words.ifm.writes, words.ifm.reads) == (1, 16)
    assert (words.weights.writes, words.weights.reads) == (12, 16)
    assert (words.ofm.writes, words.ofm.reads) == (1, 1)
    assert (words.psum.writes, words.psum.reads) == (0, 0)


def in_mode(along, **keys):
    mode = {"weight_bits": 4, "activation_bits": 4, "macs_per_pe": 4, "along": along} | keys
    return f"precision.modes=[{{{', '.join(f'{key}: {value}' for key, value in mode.items())}}}]"


@pytest.mark.parametrize(
    ("along", "compute", "ifm_words", "weight_words", "ofm_words"),
    [
        # 16 products, 4 at once: 4 steps with 16 bits for a pixel, 10 * 16 bits of weights.
        ("reduction", 4, 4, 4 * 2, 1),
        # 10 filters, 4 at once, on 3 columns: 16 steps with 4 bits, 3 * 4 * 4 of weights.
        ("filters", 16, 16, 16, 1),
    ],
)
def test_a_classifier_in_a_mode_worked_by_hand(along, compute, ifm_words, weight_words, ofm_words):
    fc = run(overrides=[FLAT, in_mode(along)], bits=4, weight_bits=4)["fc"]
    assert fc.mapping.mode.along == along
    assert (fc.cycles.compute, fc.cycles.fill_drain) == (compute, 46)
    words = fc.buffer_accesses
    assert (words.ifm.reads, words.weights.reads) == (ifm_words, weight_words)
    assert words.ofm.writes == ofm_words
    assert fc.utilization_fraction == 160 / (fc.cycles.total * 256 * 4)
    hardware = load_hardware("edge_16x16", [in_mode(along)])
    (mode,) = hardware.precision.modes
    mac = mac_energy(hardware, mode, 4 if along == "reduction" else 1)
    assert fc.energy.mac.value_pJ == pytest.approx(160 * mac.value)


def test_what_no_mode_holds_costs_what_it_costs_without_modes():
    plain, composable = (run(overrides=[FLAT, *keys], bits=8, weight_bits=4)
                         for keys in ([], [in_mode("reduction")]))  # fmt: skip
    assert composable == plain


@pytest.mark.parametrize("machine", COMPOSABLE)
@pytest.mark.parametrize("along", ["reduction", "filters"])
def test_no_mode_is_faster_than_all_of_its_multipliers(machine, along):
    array = load_hardware(machine).mac_array
    for layer in run(machine, [in_mode(along)], bits=4, weight_bits=4).values():
        assert layer.macs_per_pe == (4 if layer.macs else 1)
        assert layer.macs <= layer.cycles.compute * array.rows * array.cols * layer.macs_per_pe
        assert 0 <= layer.utilization_fraction <= 1


@pytest.mark.parametrize("machine", shipped_machines())
@pytest.mark.parametrize("objective", ["latency", "energy", "energy_delay", "dram_bytes"])
def test_every_machine_runs_a_network(machine, objective):
    layers = run(machine, [f"mapping.objective={objective}", "mapping.batch=1"])
    hardware = load_hardware(machine)
    pes = hardware.mac_array.rows * hardware.mac_array.cols
    network = small_network()
    assert [layer.macs for layer in layers.values()] == [
        network.layer_macs(layer) for layer in network.layers
    ]
    for layer in layers.values():
        assert layer.cycles.total >= -(-layer.macs // pes)
        assert 0 <= layer.utilization_fraction <= 1
        parts = [getattr(layer.energy, name) for name in COMPONENTS]
        total = layer.energy.total
        assert total.value_pJ == pytest.approx(sum(part.value_pJ for part in parts))
        assert total.low_pJ <= total.value_pJ <= total.high_pJ
        dram = layer.energy.dram_dynamic.value_pJ + layer.energy.dram_background.value_pJ
        assert layer.energy.chip.value_pJ == pytest.approx(total.value_pJ - dram)
    for name in ("concat", "flatten"):
        assert layers[name].mapping is None
        assert layers[name].bound_by is Bound.NOTHING
        assert layers[name].energy.total.value_pJ == 0
    # Pooling, addition and means cost time, traffic and energy of their own.
    for name in ("add", "pool", "mean"):
        assert layers[name].mapping.dataflow is None
        assert layers[name].cycles.compute > 0
        assert (layers[name].dram_bytes.write > 0) == ("ofm" not in layers[name].resident)
        assert layers[name].energy.post_processing.value_pJ > 0
    assert layers["add"].dram_bytes.residual_read == layers["add"].dram_bytes.ifm_read


@pytest.mark.parametrize("overlap", ["none", "weight_preload", "full"])
@pytest.mark.parametrize("dataflow", [Dataflow.WEIGHT_STATIONARY, Dataflow.INPUT_STATIONARY])
def test_an_array_with_an_operand_that_stays_runs_a_network(dataflow, overlap):
    keys = [f"dataflow={dataflow}", "drain=hidden", f"fold_overlap={overlap}"]
    layers, others = run(overrides=[f"mac_array.{key}" for key in keys]), run()
    for name, layer in layers.items():
        assert layer.macs == others[name].macs
        assert layer.cycles.total >= -(-layer.macs // 256)
        assert layer.dram_bytes.write >= others[name].dram_bytes.ofm_write
    # 27 and more products on 16 rows: partial sums are kept fold by fold.
    assert layers["conv1"].mapping.dataflow is dataflow
    assert layers["conv1"].buffer_accesses.psum.writes > 0
    assert others["conv1"].buffer_accesses.psum.writes == 0
    # The lanes do not care.
    assert layers["pool"].cycles == others["pool"].cycles


def test_traffic_is_what_every_operand_moves_once_at_least():
    layers, network = run(), small_network()
    elements = {name: int(np.prod(shape)) for name, shape in network.shapes.items()}
    assert layers["conv1"].dram_bytes.ifm_read >= elements["x"]
    assert layers["conv1"].dram_bytes.weights_read >= 8 * 27 + 8 * 2
    assert layers["add"].dram_bytes.ifm_read == elements["a"]
    assert layers["pool"].dram_bytes.ifm_read == elements["c"]
    for layer in network.layers:
        if layer.name not in ("concat", "flatten"):
            assert layers[layer.name].dram_bytes.write == elements[layer.ofm]


def test_a_concat_pays_for_what_it_requantizes():
    free, paid = run()["concat"], run(requantized_inputs={"concat": ("d",)})["concat"]
    assert free.cycles.total == free.dram_bytes.read == 0
    assert paid.dram_bytes.read == paid.dram_bytes.write == 8 * 6 * 6
    assert paid.cycles.compute == 8 * 6 * 6 // 16


def test_narrow_operands_move_fewer_bytes_at_full_width_energy():
    wide, narrow = run()["conv1"], run(bits=4, weight_bits=4)["conv1"]
    assert narrow.dram_bytes.ofm_write * 2 == wide.dram_bytes.ofm_write
    assert narrow.energy.mac == wide.energy.mac
    assert narrow.cycles.compute == wide.cycles.compute
    assert (narrow.ifm_bits, narrow.weight_bits, narrow.ofm_bits) == (4, 4, 4)


def test_a_chip_built_for_narrow_operands_spends_less_on_a_mac():
    built = run(
        overrides=["precision.weight_bits=4", "precision.activation_bits=4"],
        bits=4, weight_bits=4,
    )["conv1"]  # fmt: skip
    assert built.energy.mac.value_pJ < run(bits=4, weight_bits=4)["conv1"].energy.mac.value_pJ


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"weight_bits": 9},
            "layer 'conv1': its weights have 9 bits, the datapath of edge_16x16 8; "
            "--set precision.weight_bits=9 builds one that holds them",
        ),
        (
            {"bits": 12},
            "layer 'conv1': its activations have 12 bits, the datapath of edge_16x16 8; "
            "--set precision.activation_bits=12 builds one that holds them",
        ),
    ],
)
def test_an_operand_wider_than_the_datapath_is_refused(arguments, message):
    with pytest.raises(InputError) as caught:
        run(**arguments)
    assert str(caught.value) == message


def test_an_output_wider_than_the_datapath_is_refused():
    network = small_network()
    bits = {name: 8 for name in network.shapes} | {"y": 10}
    with pytest.raises(InputError) as caught:
        run_performance(load_hardware("edge_16x16"), network, bits, constant_bits(network, 8))
    assert str(caught.value) == (
        "layer 'fc': its outputs have 10 bits, the datapath of edge_16x16 8; "
        "--set precision.activation_bits=10 builds one that holds them"
    )


def test_an_accumulator_narrower_than_one_product_is_refused():
    with pytest.raises(InputError) as caught:
        run(overrides=["precision.accumulator_bits=15"])
    assert str(caught.value) == (
        "layer 'conv1': one product of 8-bit weights and 8-bit activations needs 16 bits, the "
        "accumulators of edge_16x16 have 15; --set precision.accumulator_bits=16 builds ones that "
        "hold it"
    )
    assert run(overrides=["precision.accumulator_bits=16"])
    assert run(overrides=["precision.accumulator_bits=8"], bits=4, weight_bits=4)


def test_the_datapath_that_the_error_names_holds_the_operand():
    layers = run(overrides=["precision.weight_bits=9"], weight_bits=9)
    assert layers["conv1"].weight_bits == 9


def test_gating_saves_exactly_the_energy_of_the_gated_macs():
    activity = {"conv1": LayerActivity(zero_ifm_fraction=0.25)}
    off = ["mac_array.zero_gating=false"]
    plain = run(overrides=off, activity=activity)["conv1"]
    gated = run(activity=activity)["conv1"]
    constants = energy_constants(load_hardware("edge_16x16"))
    saved = plain.macs * 0.25 * (constants.macs.zero.value - constants.macs.gated.value)
    assert plain.energy.mac.value_pJ - gated.energy.mac.value_pJ == pytest.approx(saved)
    assert replace(gated, energy=plain.energy) == plain


def test_half_of_the_activations_zero_costs_what_was_measured_of_a_network():
    """The cell's CNN-like column over its uniform one, 8 x 8 bits: 0.717."""
    off = ["mac_array.zero_gating=false", "precision.activations=signed"]
    half = {"conv1": LayerActivity(zero_ifm_fraction=0.5)}
    busy, mixed = run(overrides=off)["conv1"], run(overrides=off, activity=half)["conv1"]
    ratio = mixed.energy.mac.value_pJ / busy.energy.mac.value_pJ
    assert ratio == pytest.approx(1250.56 / 1744.19)


@pytest.mark.parametrize("is_gated", [True, False])
def test_zeros_of_weights_meet_the_other_activations(is_gated):
    keys = [f"mac_array.zero_gating={str(is_gated).lower()}"]
    macs = energy_constants(load_hardware("edge_16x16")).macs
    activity = {"conv1": LayerActivity(zero_ifm_fraction=0.25, zero_weight_fraction=0.5)}
    layer = run(overrides=keys, activity=activity)["conv1"]
    stopped = macs.gated if is_gated else macs.zero
    expected = 0.375 * macs.busy.value + 0.375 * macs.zero.value + 0.25 * stopped.value
    assert layer.energy.mac.value_pJ == pytest.approx(layer.macs * expected)


def test_an_activity_is_a_fraction():
    with pytest.raises(ValueError, match=r"^expected a fraction, got 1\.5$"):
        LayerActivity(zero_ifm_fraction=1.5)
    with pytest.raises(ValueError, match=r"^expected a fraction, got -0\.5$"):
        LayerActivity(zero_ifm_fraction=0.5, zero_weight_fraction=-0.5)


def test_a_batch_shares_weights_and_repeats_the_rest():
    one, four = run(), run(overrides=["mapping.batch=4", "mapping.objective=dram_bytes"])
    assert four["fc"].macs == 4 * one["fc"].macs
    assert four["fc"].dram_bytes.weights_read == one["fc"].dram_bytes.weights_read
    assert four["fc"].dram_bytes.ifm_read == 4 * one["fc"].dram_bytes.ifm_read


def test_layers_of_one_shape_cost_the_same():
    network = small_network()
    doubled = replace(network, layers=(*network.layers, replace(network.layers[0], name="again")))
    layers = run_performance(
        load_hardware("edge_16x16"), doubled, {name: 8 for name in network.shapes},
        constant_bits(network, 8),
    )  # fmt: skip
    assert replace(layers[-1], name="conv1") == layers[0]


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ("dram.channels=1", "dram.channels=2"),
        ("post_processing.lanes=4", "post_processing.lanes=8"),
        ("buffers.ifm.capacity_KiB=4", "buffers.ifm.capacity_KiB=8"),
        ("buffers.weights.banks=2", "buffers.weights.banks=4"),
        ("dram.max_outstanding_reads=1", "dram.max_outstanding_reads=2"),
    ],
)
def test_more_of_a_resource_is_never_slower(less, more):
    assert sum(layer.cycles.total for layer in run(overrides=[more]).values()) <= sum(
        layer.cycles.total for layer in run(overrides=[less]).values()
    )
