"""What layers cost that are neither plain convolutions nor plain sums."""

import numpy as np
import pytest

from accel_sim.energy.constants import energy_constants
from accel_sim.hardware.load import load_hardware, shipped_machines
from accel_sim.performance import Bound, LayerActivity, run_performance
from quantizer.errors import InputError
from quantizer.network.graph import Network
from quantizer.network.layers import (
    BatchNorm,
    Conv,
    ConvTranspose,
    Function,
    FunctionKind,
    LocalResponseNorm,
    Lookup,
    Mul,
    Pad,
    PRelu,
    Slice,
    Transpose,
    Upsample,
)

SIGMOID = Function(kind=FunctionKind.SIGMOID)
PADS = (1, 1, 1, 1)
MAP = (16, 8, 8)
ELEMENTS = 16 * 8 * 8

LAYERS = (
    Conv(name="depthwise", ifm="x", ofm="a", weights="w", bias=None, stride=(1, 1), pads=PADS,
         dilation=(1, 1), groups=16, clamp=None),
    BatchNorm(name="norm", ifm="a", ofm="b", weights="scale", bias="offset", clamp=None),
    PRelu(name="prelu", ifm="b", ofm="c", slopes="slopes", clamp=None),
    Mul(name="product", inputs=("c", "c"), constant=None, ofm="d", clamp=None),
    Lookup(name="sigmoid", ifm="d", ofm="e", function=SIGMOID, clamp=None),
    LocalResponseNorm(name="lrn", ifm="e", ofm="f", size=5, alpha=1, beta=1, bias=1, clamp=None),
    Transpose(name="transpose", ifm="f", ofm="g", view=MAP, permutation=(0, 2, 1)),
    Pad(name="pad", ifm="g", ofm="h", before=(0, 1, 1), after=(0, 1, 1), value=0),
    Slice(name="slice", ifm="h", ofm="i", starts=(0, 1, 1), steps=(1, 1, 1)),
    Upsample(name="upsample", ifm="i", ofm="j", factors=(1, 2, 2)),
    ConvTranspose(name="transposed", ifm="i", ofm="y", weights="wt", bias="bt", stride=(2, 2),
                  pads=PADS, dilation=(1, 1), groups=1, clamp=None),
)  # fmt: skip
NETWORK = Network(
    name="net", digest="0", input="x", outputs=("y",), layers=LAYERS,
    shapes={
        **dict.fromkeys("xabcdefgi", MAP), "h": (16, 10, 10), "j": (16, 16, 16),
        "y": (4, 16, 16),
    },
    constants={
        name: np.zeros(shape, np.float32)
        for name, shape in (
            ("w", (16, 1, 3, 3)), ("scale", (16,)), ("offset", (16,)), ("slopes", (16,)),
            ("wt", (4, 16, 4, 4)), ("bt", (4,)),
        )
    },
)  # fmt: skip


def run(machine="edge_16x16", overrides=(), network=NETWORK, **arguments):
    layers = run_performance(
        load_hardware(machine, overrides),
        network,
        dict.fromkeys(network.shapes, 8),
        {name: 16 if name in ("offset", "bt") else 8 for name in network.constants},
        **arguments,
    )
    return {layer.name: layer for layer in layers}


@pytest.mark.parametrize("machine", shipped_machines())
def test_every_machine_moves_what_a_layer_has_and_no_more(machine):
    layers = run(machine, ["mapping.residency=none", "mapping.batch=1"])
    for name, ifm, weights, ofm in (
        ("norm", ELEMENTS, 16 * 3, ELEMENTS),
        ("prelu", ELEMENTS, 16, ELEMENTS),
        ("product", ELEMENTS, 0, ELEMENTS),
        ("sigmoid", ELEMENTS, 256, ELEMENTS),
        ("transpose", ELEMENTS, 0, ELEMENTS),
        ("pad", ELEMENTS, 0, 16 * 10 * 10),
        ("slice", ELEMENTS, 0, ELEMENTS),
        ("upsample", ELEMENTS, 0, 4 * ELEMENTS),
    ):
        moved = layers[name].dram_bytes
        assert (moved.ifm_read, moved.weights_read, moved.ofm_write) == (ifm, weights, ofm)
        assert moved.residual_read == (ELEMENTS if name == "product" else 0)
        assert moved.psum_read == moved.psum_write == layers[name].macs == 0
        lanes = load_hardware(machine).post_processing.lanes
        assert layers[name].cycles.compute == -(-ofm // lanes)
        assert layers[name].mapping.dataflow is None


def test_the_host_costs_the_machine_nothing():
    layer = run()["lrn"]
    assert layer.op == "LocalResponseNorm"
    assert layer.cycles.total == layer.dram_bytes.read == layer.dram_bytes.write == 0
    assert layer.energy.total.value_pJ == 0
    assert layer.bound_by is Bound.NOTHING
    assert layer.mapping is None


@pytest.mark.parametrize(
    ("name", "additions", "products"),
    [
        # Bias, rounding and clipping; a table's entry costs as much.
        ("norm", 3, 1), ("prelu", 3, 1), ("product", 3, 1), ("sigmoid", 3, 0),
        ("transpose", 0, 0), ("pad", 0, 0), ("slice", 0, 0), ("upsample", 0, 0),
    ],
)  # fmt: skip
def test_energy_of_the_lanes_is_that_of_their_operations(name, additions, products):
    constants = energy_constants(load_hardware("edge_16x16"))
    energy = run()[name].energy
    busy_pJ = constants.macs.busy.value
    expected = ELEMENTS * (additions * constants.addition.value + products * busy_pJ)
    assert energy.post_processing.value_pJ == pytest.approx(expected)
    assert energy.mac.value_pJ == energy.register_file.value_pJ == 0


def test_only_the_weights_of_multipliers_are_reported():
    layers = run()
    widths = {name: layers[name].weight_bits for name in ("norm", "prelu", "sigmoid", "product")}
    assert widths == {"norm": 8, "prelu": 8, "sigmoid": None, "product": None}


def test_a_table_may_be_wider_than_the_weights():
    keys = ["precision.weight_bits=4"]
    network = Network(
        name="net", digest="0", input="x", outputs=("y",),
        layers=(Lookup(name="sigmoid", ifm="x", ofm="y", function=SIGMOID, clamp=None),),
        shapes={"x": MAP, "y": MAP}, constants={},
    )  # fmt: skip
    assert run(overrides=keys, network=network)["sigmoid"].dram_bytes.weights_read == 256


def test_a_scale_wider_than_the_datapath_is_refused():
    with pytest.raises(InputError) as caught:
        run(overrides=["precision.weight_bits=4"], network=_only("norm"))
    assert str(caught.value) == (
        "layer 'norm': its weights have 8 bits, the datapath of edge_16x16 4; "
        "--set precision.weight_bits=8 builds one that holds them"
    )


def _only(name: str) -> Network:
    (layer,) = (layer for layer in LAYERS if layer.name == name)
    return Network(
        name="net", digest="0", input=layer.ifm, outputs=(layer.ofm,), layers=(layer,),
        shapes=NETWORK.shapes, constants=NETWORK.constants,
    )  # fmt: skip


def test_a_transposed_convolution_is_its_sub_pixel_form():
    """4 filters of 4 x 4 x 16 at stride 2: 16 of 2 x 2 x 16 over 8 x 8 outputs."""
    layers = run()
    transposed = layers["transposed"]
    assert transposed.macs == NETWORK.layer_macs(LAYERS[-1]) == 8 * 8 * 4 * 16 * 16
    moved = transposed.dram_bytes
    # One bias of 2 bytes for each of the four phases.
    assert moved.ifm_read >= ELEMENTS
    assert moved.weights_read == 4 * 16 * 16 + 4 * 4 * 2
    assert moved.ofm_write == 4 * 16 * 16
    # 64 pixels on 16 rows, 16 filters on 16 columns, 2 * 2 * 16 products.
    assert transposed.cycles.compute == 4 * 1 * 64
    slots = transposed.cycles.total * 256
    assert transposed.utilization_fraction == transposed.macs / slots
    whole = run("cloud_64x64")["transposed"].dram_bytes
    assert whole.ifm_read == ELEMENTS


def test_zero_taps_and_surplus_outputs_cost_like_any_other():
    """3 x 3 taps at stride 2 are four phases of 2 x 2; 15 x 15 outputs are 8 x 8 times 4."""
    network = Network(
        name="net", digest="0", input="x", outputs=("y",),
        layers=(
            ConvTranspose(name="odd", ifm="x", ofm="y", weights="w", bias=None, stride=(2, 2),
                          pads=PADS, dilation=(1, 1), groups=1, clamp=None),
        ),
        shapes={"x": MAP, "y": (4, 15, 15)},
        constants={"w": np.zeros((4, 16, 3, 3), np.float32)},
    )  # fmt: skip
    layer = run("cloud_64x64", network=network)["odd"]
    assert layer.macs == 8 * 8 * 4 * 16 * 9
    assert layer.dram_bytes.weights_read == 4 * 4 * 16 * 4
    assert layer.dram_bytes.ofm_write == 4 * 16 * 16
    constants = energy_constants(load_hardware("cloud_64x64"))
    done = 8 * 8 * 16 * 16 * 4
    assert layer.energy.mac.value_pJ == pytest.approx(done * constants.macs.busy.value)
    assert layer.utilization_fraction == layer.macs / (layer.cycles.total * 64 * 64)


BLOCKS = "mac_array.depthwise=block_diagonal"


def test_groups_side_by_side_move_the_same_in_fewer_cycles():
    alone, together = run()["depthwise"], run(overrides=[BLOCKS])["depthwise"]
    assert together.macs == alone.macs == ELEMENTS * 9
    assert together.cycles.total < alone.cycles.total
    assert together.utilization_fraction > alone.utilization_fraction
    assert together.dram_bytes.weights_read == alone.dram_bytes.weights_read == 16 * 9
    # All 16 groups fill the 16 columns.
    assert together.mapping.tile.filters == together.mapping.tile.channels == 16


@pytest.mark.parametrize("is_gated", [True, False])
def test_zeros_off_the_diagonal_cost_what_other_zeros_cost(is_gated):
    keys = [BLOCKS, f"mac_array.zero_gating={str(is_gated).lower()}"]
    constants = energy_constants(load_hardware("edge_16x16"))
    activity = {"depthwise": LayerActivity(zero_ifm_fraction=0.5)}
    layer = run(overrides=keys, activity=activity)["depthwise"]
    off_diagonal = 15 * layer.macs
    zero = constants.macs.gated if is_gated else constants.macs.zero
    expected = 0.5 * layer.macs * constants.macs.busy.value
    expected += (0.5 * layer.macs + off_diagonal) * zero.value
    assert layer.energy.mac.value_pJ == pytest.approx(expected)
