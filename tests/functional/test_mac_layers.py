"""Are convolutions and dense layers handed to their kernels as the contract says?"""

import numpy as np
import pytest

from accel_sim.layer_steps.step import Events
from quantizer.fixedpoint.qformat import Rounding
from quantizer.network.layers import Clamp, Conv
from quantizer.quantized import NumericRules
from tests.functional.by_hand import QUIET, RELU, constant, conv, dense, quantized, run, signed
from tests.oracles import layers_bigint
from tests.oracles.fixed_point import Format


@pytest.mark.parametrize(
    "weights",
    [
        # The last bound on a sum below 2**31, and the first not below it: 2**31 itself.
        [-(2**15), -(2**15) + 1],
        [-(2**15), -(2**15)],
        # Well beyond, though the weights themselves add up to next to nothing.
        [-(2**15), 2**15 - 1, -(2**15), 2**15 - 1],
    ],
)
def test_sums_that_reach_the_end_of_int32_stay_exact(weights: list[int]) -> None:
    ifm = [-(2**15) if weight < 0 else 2**15 - 1 for weight in weights]
    channels = len(weights)
    network = quantized(
        conv(),
        maps={"x": (signed(16, 0), (channels, 1, 1)), "y": (signed(32, -2), (1, 1, 1))},
        weights={"w": constant(np.reshape(weights, (1, channels, 1, 1)), 0)},
    )
    trace = run(network, np.reshape(ifm, (channels, 1, 1)))
    total = sum(x * weight for x, weight in zip(ifm, weights, strict=True))
    # A little under 2**31, 2**31 itself, almost 2**32; two places dropped, ties up.
    assert trace.tensors["y"].item() == (total + 2) // 4
    assert trace.events["conv"] == QUIET


def test_accumulators_wrap_at_the_machines_width() -> None:
    maps = {"x": (signed(8, 0), (1, 1, 3)), "y": (signed(16, 0), (1, 1, 3))}
    network = quantized(
        conv(),
        maps=maps,
        weights={"w": constant([[[[100]]]], 0)},
        rules=NumericRules(accumulator_bits=12),
    )
    trace = run(network, [[[20, 21, -127]]])
    # 2000 fits in 12 bits, 2100 comes round to 2100 - 4096, -12700 to -12700 + 3 * 4096.
    assert trace.tensors["y"].ravel().tolist() == [2000, -1996, -412]
    assert trace.events["conv"] == Events(accumulator_overflows=2)


@pytest.mark.parametrize("op", ["conv", "dense"])
def test_each_channel_has_its_own_formats(op: str) -> None:
    """Weights and biases per channel: the bias aligns with the accumulator, exactly."""
    raw = [[3, -5], [7, 2], [-1, 4]]
    weight_frac_bits, bias_frac_bits = [4, 0, 9], [6, -3, 10]
    bias = [-20, 1, 11]
    is_conv = op == "conv"
    ofm_shape = (3, 1, 1) if is_conv else (3,)
    maps = {"x": (signed(8, 3), (2, 1, 1) if is_conv else (2,)), "y": (signed(16, 5), ofm_shape)}
    weights = np.array(raw)[:, :, None, None] if is_conv else raw
    network = quantized(
        conv(bias=True) if is_conv else dense(bias=True),
        maps=maps,
        weights={"w": constant(weights, *weight_frac_bits)},
        biases={op: constant(bias, *bias_frac_bits)},
    )
    x = [90, -128]
    found = run(network, np.reshape(x, maps["x"][1])).tensors["y"]
    expected = layers_bigint.output_stage(
        layers_bigint.multiply_dense([x], raw).exact,
        aligned_bias=layers_bigint.align_bias(bias, 3, weight_frac_bits, bias_frac_bits),
        shifts=[3 + length - 5 for length in weight_frac_bits],
        form=Format(bits=16, frac_bits=5, signed=True),
        mode="ties_pos",
    )
    assert found.shape == ofm_shape
    assert found.ravel().tolist() == expected.raw[0].tolist()


def test_a_convolution_takes_its_geometry_from_the_layer() -> None:
    layer = Conv(
        name="conv",
        ifm="x",
        ofm="y",
        weights="w",
        bias=None,
        stride=(2, 3),
        pads=(1, 0, 2, 3),
        dilation=(2, 1),
        groups=2,
        clamp=None,
    )
    rng = np.random.default_rng(0)
    x, w = rng.integers(-128, 128, (4, 7, 8)), rng.integers(-128, 128, (6, 2, 3, 2))
    expected = layers_bigint.convolve(
        x[None], w, strides=(2, 3), pads=(1, 0, 2, 3), dilations=(2, 1), groups=2
    )
    network = quantized(
        layer,
        maps={"x": (signed(8, 0), x.shape), "y": (signed(32, 0), expected.exact.shape[1:])},
        weights={"w": constant(w, 0, bits=8)},
    )
    assert run(network, x).tensors["y"].tolist() == expected.exact[0].tolist()


def test_a_dense_layer_runs_on_every_position_of_a_map() -> None:
    network = quantized(
        dense(bias=True),
        maps={"x": (signed(8, 0), (2, 3)), "y": (signed(16, 0), (2, 4))},
        weights={"w": constant([[1, 1, 1], [0, -7, 2], [0, 0, 1], [127, 0, 0]], 0)},
        biases={"dense": constant([0, 100, -100, 1], 0)},
    )
    trace = run(network, [[1, 2, 3], [-1, 0, 5]])
    assert trace.tensors["y"].tolist() == [[6, 92, -97, 128], [4, 110, -95, -126]]
    assert trace.events["dense"] == QUIET


@pytest.mark.parametrize(
    ("clamp", "raw", "saturations"),
    [
        (None, [-128, -128, 0, 96, 127], 2),
        (RELU, [0, 0, 0, 96, 127], 1),
        (Clamp(low=0.0, high=6.0), [0, 0, 0, 96, 96], 0),
        (Clamp(low=0.0, high=100.0), [0, 0, 0, 96, 127], 1),
        (Clamp(low=-1.0, high=1.0), [-16, -16, 0, 16, 16], 0),
        # 0.34375 * 16 = 5.5, a tie: up.
        (Clamp(low=-0.34375, high=0.34375), [-5, -5, 0, 6, 6], 0),
        # Bounds that miss the range: it ends at its edge.
        (Clamp(low=9.0, high=10.0), [127, 127, 127, 127, 127], 1),
        (Clamp(low=-20.0, high=-9.0), [-128, -128, -128, -128, -128], 1),
        (Clamp(low=9.0, high=np.inf), [127, 127, 127, 127, 127], 1),
        (Clamp(low=-np.inf, high=-9.0), [-128, -128, -128, -128, -128], 1),
    ],
)
def test_an_activation_holds_its_layers_output(
    clamp: Clamp | None, raw: list[int], saturations: int
) -> None:
    network = quantized(
        conv(clamp=clamp),
        maps={"x": (signed(16, 4), (1, 1, 5)), "y": (signed(8, 4), (1, 1, 5))},
        weights={"w": constant([[[[1]]]], 0)},
    )
    trace = run(network, [[[-129, -128, 0, 96, 300]]])
    assert trace.tensors["y"].ravel().tolist() == raw
    assert trace.events["conv"] == Events(output_saturations=saturations)


@pytest.mark.parametrize(
    ("rounding", "bound"),
    [(Rounding.TIES_POS, 6), (Rounding.TIES_EVEN, 6), (Rounding.TO_NEG, 5), (Rounding.TO_ZERO, 5)],
)
def test_an_activations_bound_rounds_as_the_machine_requantizes(
    rounding: Rounding, bound: int
) -> None:
    network = quantized(
        conv(clamp=Clamp(low=-np.inf, high=0.34375)),
        maps={"x": (signed(8, 4), (1, 1, 1)), "y": (signed(8, 4), (1, 1, 1))},
        weights={"w": constant([[[[1]]]], 0)},
        rules=NumericRules(requantize_rounding=rounding),
    )
    assert run(network, [[[100]]]).tensors["y"].item() == bound


def test_a_convolution_of_a_map_of_one_dimension() -> None:
    layer = Conv(
        name="conv", ifm="x", ofm="y", weights="w", bias=None, stride=(1, 2), pads=(0, 1, 0, 1),
        dilation=(1, 2), groups=1, clamp=None,
    )  # fmt: skip
    network = quantized(
        layer,
        maps={"x": (signed(8, 0), (2, 5)), "y": (signed(16, 0), (1, 2))},
        weights={"w": constant([[[[1, 10, 100]], [[-1, 0, 2]]]], 0)},
    )
    # Cols -1, 1, 3 and 1, 3, 5 of 1..5, then of 6..10.
    trace = run(network, [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]])
    assert trace.tensors["y"].tolist() == [[20 + 400 + 18, 2 + 40 - 7]]
