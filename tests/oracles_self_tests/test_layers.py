"""Do the big-integer layers say what the contract says, and the int64 layers the same?"""

from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tests.oracles import layers_bigint, layers_int64, real_windows
from tests.oracles.fixed_point import ROUNDINGS, Format, average, requantize
from tests.oracles.layers_bigint import Bounds

SIGNED_8 = Format(bits=8, frac_bits=0, signed=True)
RELU = Bounds(lower=0)


def random_windows(rng: np.random.Generator, *, spare_pad: int) -> dict[str, Any]:
    """Attributes of a convolution or pool that fits a map of at least 7 x 7.

    Pads stay below the kernel plus ``spare_pad``; above 0, windows can lie in the padding.
    """
    kernel = [int(size) for size in rng.integers(1, 4, 2)]
    return {
        "kernel_shape": kernel,
        "strides": [int(stride) for stride in rng.integers(1, 4, 2)],
        "pads": [int(rng.integers(0, kernel[side % 2] + spare_pad)) for side in range(4)],
    }


def run_operator(
    operator: str, inputs: dict[str, NDArray[Any]], attributes: dict[str, Any], opset: int = 22
) -> NDArray[Any]:
    """One operator in onnxruntime's float32."""
    node = helper.make_node(operator, list(inputs), ["ofm"], **attributes)
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape)
        for name, array in inputs.items()
    ]
    ofm = helper.make_tensor_value_info("ofm", TensorProto.FLOAT, [None] * 4)
    graph = helper.make_graph([node], "operator", values, [ofm])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feed = {name: array.astype(np.float32) for name, array in inputs.items()}
    (result,) = session.run(None, feed)
    return np.asarray(result)


def test_a_convolution_by_hand() -> None:
    ifm = [[[[1, 2, 3], [4, 5, 6], [7, 8, 9]]]]
    weights = [[[[1, 0], [0, -1]]]]
    plain = layers_bigint.convolve(ifm, weights)
    assert plain.exact.tolist() == [[[[-4, -4], [-4, -4]]]]
    # One row of zeros above and one column of zeros to the right, every second window.
    padded = layers_bigint.convolve(ifm, weights, pads=(1, 0, 0, 1), strides=(2, 2))
    assert padded.exact.tolist() == [[[[-2, 0], [4 - 8, 6]]]]


def test_accumulators_wrap_and_the_exact_sums_outside_are_counted() -> None:
    # 3 * 50 = 150 leaves 8 signed bits, -3 * 50 too, 2 * 50 and 127 do not.
    result = layers_bigint.multiply_dense(
        [[3, 0], [-3, 0], [2, 0], [0, 127]], [[50, 1]], accumulator_bits=8
    )
    assert result.exact.tolist() == [[150], [-150], [100], [127]]
    assert result.wrapped.tolist() == [[-106], [106], [100], [127]]
    assert result.overflows == 2


def test_a_sum_that_leaves_and_comes_back_is_no_overflow() -> None:
    result = layers_bigint.multiply_dense([[3, -3]], [[50, 40]], accumulator_bits=8)
    assert result.wrapped.tolist() == [[30]]
    assert result.overflows == 0


def test_biases_are_shifted_into_the_accumulators_format() -> None:
    assert layers_bigint.align_bias([3, -5], 7, [7, 5], [8, 12]) == [3 * 64, -5]
    with pytest.raises(AssertionError, match="never has more fraction bits"):
        layers_bigint.align_bias([1], 7, [7], [15])


def test_the_output_stage_by_hand() -> None:
    # Channel 0: (90 + 6) / 2**4 = 6; channel 1: (90 - 2) / 2**3 = 11.
    stage = layers_bigint.output_stage(
        [[90, 90]], aligned_bias=[6, -2], shifts=[4, 3], form=SIGNED_8, mode="ties_pos"
    )
    assert stage.raw.tolist() == [[6, 11]]
    assert stage.output_saturations == 0


@pytest.mark.parametrize(
    ("bounds", "raw", "saturations"),
    [
        (Bounds(), [-128, -128, 0, 127, 127], 2),
        (RELU, [0, 0, 0, 127, 127], 1),
        (Bounds(lower=0, upper=96), [0, 0, 0, 96, 96], 0),
        (Bounds(lower=-128, upper=127), [-128, -128, 0, 127, 127], 0),
        (Bounds(lower=0, upper=200), [0, 0, 0, 127, 127], 1),
        (Bounds(lower=-200), [-128, -128, 0, 127, 127], 2),
        (Bounds(upper=-200), [-128, -128, -128, -128, -128], 1),
        (Bounds(lower=300), [127, 127, 127, 127, 127], 1),
    ],
)
def test_an_output_saturates_where_no_activation_holds_it_inside(
    bounds: Bounds, raw: list[int], saturations: int
) -> None:
    stage = layers_bigint.output_stage(
        [[-129], [-128], [0], [127], [128]],
        aligned_bias=[0],
        shifts=[0],
        form=SIGNED_8,
        mode="ties_pos",
        bounds=bounds,
    )
    assert stage.raw[:, 0].tolist() == raw
    assert stage.output_saturations == saturations


@pytest.mark.parametrize("mode", ROUNDINGS)
def test_the_output_stage_requantizes(mode: str) -> None:
    accumulators = np.arange(-600, 600)[:, None]
    stage = layers_bigint.output_stage(
        accumulators, aligned_bias=[0], shifts=[3], form=SIGNED_8, mode=mode
    )
    assert stage.raw[:, 0].tolist() == [
        requantize(acc, 3, mode, -128, 127) for acc in range(-600, 600)
    ]


def test_an_addition_by_hand() -> None:
    # 5 / 4 + 3 / 2 = 11 / 4; with one fraction bit that is 5.5, a tie.
    form = Format(bits=8, frac_bits=1, signed=True)
    total = layers_bigint.add(
        [5, -128, 127],
        [3, -128, 127],
        first_frac_bits=2,
        second_frac_bits=1,
        form=form,
        mode="ties_pos",
        bounds=Bounds(lower=-100),
    )
    assert total.raw.tolist() == [6, -100, 127]
    assert total.output_saturations == 1


def test_a_concat_requantizes_only_what_differs() -> None:
    coarse = Format(bits=8, frac_bits=3, signed=True)
    fine = Format(bits=8, frac_bits=4, signed=True)
    unsigned = Format(bits=8, frac_bits=3, signed=False)
    joined = layers_bigint.concat(
        [[[5, -8]], [[5, -7]], [[200, 100]]],
        [coarse, fine, unsigned],
        form=coarse,
        mode="ties_pos",
    )
    assert joined.raw.tolist() == [[5, -8, 3, -3, 127, 100]]
    assert joined.output_saturations == 1


def test_a_raw_bound_is_a_rounded_real() -> None:
    assert layers_bigint.raw_bound(6.0, 4, "ties_pos") == 96
    assert layers_bigint.raw_bound(-0.3125, 3, "ties_pos") == -2
    assert layers_bigint.raw_bound(-0.3125, 3, "ties_away") == -3


def test_clipping_a_map_stays_in_its_format() -> None:
    clipped = layers_bigint.clip_map(
        [-128, 5, 127], form=SIGNED_8, bounds=Bounds(lower=-3, upper=400)
    )
    assert clipped.tolist() == [-3, 5, 127]


def test_max_pool_padding_holds_the_least_integer() -> None:
    pooled = layers_bigint.max_pool([[[[-5]]]], kernel=(2, 2), pads=(1, 1, 0, 0), raw_min=-128)
    assert pooled.tolist() == [[[[-5]]]]


@pytest.mark.parametrize("seed", range(25))
def test_int64_convolution_equals_big_integers_and_onnxruntime(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = int(rng.choice([1, 1, 2, 3]))
    ifm = rng.integers(-128, 128, (2, groups * int(rng.integers(1, 3)), 8, 7))
    attributes = random_windows(rng, spare_pad=2)
    attributes["dilations"] = [int(dilation) for dilation in rng.integers(1, 3, 2)]
    attributes["group"] = groups
    kernel = attributes["kernel_shape"]
    filters = groups * int(rng.integers(1, 3))
    weights = rng.integers(-128, 128, (filters, ifm.shape[1] // groups, *kernel))
    exact = layers_bigint.convolve(
        ifm,
        weights,
        strides=tuple(attributes["strides"]),
        pads=tuple(attributes["pads"]),
        dilations=tuple(attributes["dilations"]),
        groups=groups,
    ).exact
    rows, cols = layers_int64.window_axes(attributes, ifm.shape[2:], tuple(kernel))
    fast = layers_int64.convolve(ifm, weights, rows, cols, groups)
    assert fast.tolist() == exact.tolist()
    real = run_operator("Conv", {"ifm": ifm, "weights": weights}, attributes)
    assert real.astype(np.int64).tolist() == exact.tolist()


def test_int64_convolution_is_exact_for_the_widest_operands() -> None:
    ifm = np.full((1, 64, 3, 3), 2**16 - 1)
    weights = np.full((1, 64, 3, 3), -(2**15))
    rows, cols = layers_int64.window_axes({}, (3, 3), (3, 3))
    (acc,) = layers_int64.convolve(ifm, weights, rows, cols, 1).ravel()
    assert int(acc) == -64 * 9 * (2**16 - 1) * 2**15


def test_int64_sums_that_could_overflow_are_refused() -> None:
    with pytest.raises(AssertionError, match="a sum of products could leave int64"):
        layers_int64.multiply_dense(np.full((1, 4), 2**30), np.full((1, 4), 2**30))


@pytest.mark.parametrize("ceil_mode", [0, 1])
@pytest.mark.parametrize("seed", range(25))
def test_pools_equal_big_integers_and_onnxruntime(seed: int, ceil_mode: int) -> None:
    rng = np.random.default_rng(seed)
    ifm = rng.integers(-128, 128, (2, 2, 8, 7))
    attributes = {**random_windows(rng, spare_pad=0), "ceil_mode": ceil_mode}
    kernel, strides, pads = (tuple(attributes[key]) for key in ("kernel_shape", "strides", "pads"))
    rows, cols = layers_int64.window_axes(attributes, ifm.shape[2:], kernel)
    largest = layers_bigint.max_pool(
        ifm, kernel=kernel, raw_min=-128, strides=strides, pads=pads, ceil_mode=bool(ceil_mode)
    )
    assert layers_int64.max_pool(ifm, rows, cols, -128).tolist() == largest.tolist()
    real = run_operator("MaxPool", {"ifm": ifm}, attributes)
    assert real.tolist() == largest.tolist()

    for count_include_pad in (False, True):
        total, count = layers_int64.sum_pool(ifm, rows, cols, count_include_pad=count_include_pad)
        averages = layers_bigint.average_pool(
            ifm,
            ifm_frac_bits=0,
            kernel=kernel,
            form=Format(bits=16, frac_bits=5, signed=True),
            mode="ties_even",
            strides=strides,
            pads=pads,
            ceil_mode=bool(ceil_mode),
            count_include_pad=count_include_pad,
        )
        expected = [
            average(int(s), int(n), 5, "ties_even", -(2**15), 2**15 - 1)
            for s, n in np.broadcast(total, count)
        ]
        assert averages.raw.ravel().tolist() == expected
        included = {**attributes, "count_include_pad": int(count_include_pad)}
        real = run_operator("AveragePool", {"ifm": ifm}, included)
        assert np.allclose(total / count, real, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("style", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("seed", range(10))
def test_automatic_padding_equals_onnxruntime(seed: int, style: str) -> None:
    rng = np.random.default_rng(seed)
    ifm = rng.integers(-128, 128, (1, 1, 8, 7))
    n_rows, n_cols = (int(size) for size in rng.integers(1, 5, 2))
    strides = [int(stride) for stride in rng.integers(1, 4, 2)]
    given = {"auto_pad": style, "strides": strides, "kernel_shape": [n_rows, n_cols]}
    weights = rng.integers(-128, 128, (1, 1, n_rows, n_cols))
    real = run_operator("Conv", {"ifm": ifm, "weights": weights}, given)
    as_read = {**given, "auto_pad": style.encode()}
    rows, cols = layers_int64.window_axes(as_read, (8, 7), (n_rows, n_cols))
    acc = layers_int64.convolve(ifm, weights, rows, cols, 1)
    assert acc.tolist() == real.astype(np.int64).tolist()


@pytest.mark.parametrize("style", [b"SAME_UPPER", b"SAME_LOWER", b"VALID", b"NOTSET"])
@pytest.mark.parametrize("ceil_mode", [0, 1])
def test_both_networks_place_windows_alike(style: bytes, ceil_mode: int) -> None:
    for size in range(4, 9):
        for kernel, stride, begin, end in np.ndindex(4, 3, 3, 3):
            attributes = {
                "auto_pad": style,
                "strides": [stride + 1] * 2,
                "pads": [begin, 0, end, 0],
                "ceil_mode": ceil_mode,
            }
            axis, _ = layers_int64.window_axes(attributes, (size, size), (kernel + 1,) * 2)
            positions, pad_begin, pad_end = real_windows.window_positions(
                attributes, 0, size, kernel + 1
            )
            assert (pad_begin, pad_end) == (axis.pad_begin, axis.pad_end)
            expected = [
                [p * axis.stride + r - axis.pad_begin for r in range(axis.kernel)]
                for p in range(axis.count)
            ]
            assert positions.tolist() == expected
