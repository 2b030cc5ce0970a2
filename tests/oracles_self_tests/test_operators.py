"""Does each operator by itself mean what onnxruntime takes it to mean?

Maps hold small integers and formats have steps of 1, so float32 and int64 are both exact.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper

from tests.oracles import (
    elementwise_bigint,
    integer_network,
    layers_bigint,
    layers_int64,
    real_windows,
)
from tests.oracles.fixed_point import ROUNDINGS, Format
from tests.oracles_self_tests.both_networks import BOTH, Run
from tests.oracles_self_tests.float_reference import run_float
from tests.oracles_self_tests.small_networks import build

WIDE = {"bits": 24, "frac_bits": 0, "signed": True}
INTEGERS = np.random.default_rng(3).integers(-9, 10, (2, 8, 6, 4)).astype(np.float64)
Case = tuple[str, tuple[int, ...], dict[str, Any], dict[str, Any], int]


def numbers(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


def reals(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


# operator, shape of one image, attributes, constants (in order of the inputs), opset
CASES: list[Case] = [
    ("Identity", (8, 6, 4), {}, {}, 11),
    ("Flatten", (8, 6, 4), {}, {}, 11),
    ("Flatten", (8, 6, 4), {"axis": -3}, {}, 13),
    ("Reshape", (8, 6, 4), {}, {"shape": numbers(0, 4, -1, 4)}, 11),
    ("Reshape", (8, 6, 4), {}, {"shape": numbers(-1, 2, 4, 6, 4)}, 21),
    ("Squeeze", (8, 1, 1), {"axes": [2, 3]}, {}, 11),
    ("Squeeze", (8, 1, 1), {}, {"axes": numbers(-1, 2)}, 13),
    ("Unsqueeze", (8,), {"axes": [2, 3]}, {}, 11),
    ("Unsqueeze", (8, 6), {}, {"axes": numbers(-1, 1)}, 13),
    ("Transpose", (8, 6, 4), {"perm": [0, 3, 1, 2]}, {}, 11),
    ("DepthToSpace", (8, 6, 4), {"blocksize": 2}, {}, 11),
    ("DepthToSpace", (8, 6, 4), {"blocksize": 2, "mode": "CRD"}, {}, 13),
    ("SpaceToDepth", (8, 6, 4), {"blocksize": 2}, {}, 13),
    ("Slice", (8, 6, 4), {}, {"s": numbers(0, 1), "e": numbers(2**31 - 1, -1)}, 11),
    (
        "Slice",
        (8, 6, 4),
        {},
        {"s": numbers(1, -1), "e": numbers(99, -99), "a": numbers(1, -2), "p": numbers(3, -2)},
        13,
    ),
    ("Pad", (8, 6, 4), {}, {"pads": numbers(0, 1, 2, 0, 0, 0, 1, 3)}, 11),
    ("Pad", (8, 6, 4), {}, {"pads": numbers(0, 0, -1, 2, 0, 0, 1, -2), "v": reals(-7)[0]}, 13),
    (
        "Pad",
        (8, 6, 4),
        {"mode": "constant"},
        {"pads": numbers(1, 2), "v": reals(3)[0], "axes": numbers(-1)},
        18,
    ),
    ("MaxPool", (8, 6, 4), {"kernel_shape": [3, 2], "dilations": [2, 1], "pads": [1] * 4}, {}, 12),
    ("MaxPool", (8, 6), {"kernel_shape": [3], "strides": [2], "ceil_mode": 1}, {}, 11),
    ("GlobalMaxPool", (8, 6, 4), {}, {}, 11),
    ("GlobalMaxPool", (8, 6), {}, {}, 22),
    ("ReduceMax", (8, 6, 4), {"axes": [-1, 2], "keepdims": 0}, {}, 11),
    ("ReduceMax", (8, 6, 4), {}, {"axes": numbers(2, 3)}, 20),
    ("Relu", (8, 6, 4), {}, {}, 14),
    ("Clip", (8, 6, 4), {}, {"low": reals(-3)[0], "high": reals(5)[0]}, 13),
    ("PRelu", (8, 6, 4), {}, {"slopes": reals(*range(-4, 4)).reshape(8, 1, 1)}, 11),
    ("PRelu", (8, 6, 4), {}, {"slopes": reals(2)}, 16),
    ("PRelu", (8, 6, 4), {}, {"slopes": reals(-2, 0, 1, 3)}, 13),
    ("PRelu", (8, 6, 4), {}, {"slopes": reals(*range(24)).reshape(1, 6, 4)}, 13),
    ("PRelu", (8, 6, 4), {}, {"slopes": reals(*range(-96, 96)).reshape(8, 6, 4)}, 16),
    ("PRelu", (8, 6, 4), {}, {"slopes": reals(*range(-3, 3)).reshape(1, 1, 6, 1)}, 16),
    ("Max", (8, 6, 4), {}, {"c": reals(-3)[0]}, 11),
    ("Max", (8, 6, 4), {}, {"c": reals(2)}, 13),
    ("Min", (8, 6, 4), {}, {"c": reals(2).reshape(1, 1, 1)}, 11),
    ("Min", (8, 6, 4), {}, {"c": reals(-3)[0]}, 24),
    ("Div", (8, 6, 4), {}, {"c": reals(1, -0.5, 0.25, 1)}, 11),
    ("Div", (8, 6, 4), {}, {"c": reals(-0.125)[0]}, 14),
    ("Upsample", (8, 6, 4), {"mode": "nearest"}, {"scales": reals(1, 1, 2, 3)}, 9),
    ("Upsample", (8, 6), {}, {"scales": reals(1, 1, 4)}, 9),
    ("Upsample", (8, 6, 4), {"scales": [1.0, 2.0, 1.0, 3.0]}, {}, 7),
    ("Mul", (8, 6, 4), {}, {"c": reals(1, 2, 3, -4)}, 14),
    ("Sub", (8, 6, 4), {}, {"c": reals(*range(6)).reshape(1, 6, 1)}, 14),
    ("Add", (8, 6, 4), {}, {"c": reals(3)[0]}, 14),
]


@BOTH
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[4]}")
def test_an_operator_equals_onnxruntime(case: Case, run: Run, tmp_path: Path) -> None:
    operator, shape, attributes, constants, opset = case
    node = helper.make_node(operator, ["x", *constants], ["y"], **attributes)
    path = build(tmp_path, [node], constants, input_shape=shape, opset=opset)
    images = INTEGERS.reshape(-1)[: 2 * int(np.prod(shape))].reshape(2, *shape)
    expected = run_float(path, images)["y"]
    formats = dict.fromkeys(("x", "y", *constants), WIDE)
    np.testing.assert_array_equal(run(path, formats, images)["y"], expected)


@BOTH
def test_a_constant_may_be_subtracted_from(run: Run, tmp_path: Path) -> None:
    node = helper.make_node("Sub", ["c", "x"], ["y"])
    path = build(tmp_path, [node], {"c": reals(2, 3)}, input_shape=(2,))
    got = run(path, dict.fromkeys(("x", "y", "c"), WIDE), np.array([[5.0, -5.0]]))
    assert got["y"].tolist() == [[-3, 8]]


@BOTH
@pytest.mark.parametrize("operator", ["Max", "Min"])
def test_the_number_of_a_maximum_may_come_first(operator: str, run: Run, tmp_path: Path) -> None:
    node = helper.make_node(operator, ["c", "x"], ["y"])
    path = build(tmp_path, [node], {"c": reals(2)[0]}, input_shape=(8, 6, 4))
    got = run(path, {"x": WIDE}, INTEGERS)["y"]
    np.testing.assert_array_equal(got, run_float(path, INTEGERS)["y"])


@BOTH
@pytest.mark.parametrize("opset", [11, 13, 18])
def test_a_split_gives_each_part(opset: int, run: Run, tmp_path: Path) -> None:
    inputs, attributes, constants = ["x"], {"axis": 2}, {}
    if opset < 13:
        attributes["split"] = [1, 3, 2]
    elif opset < 18:
        inputs.append("lengths")
        constants["lengths"] = numbers(1, 3, 2)
    else:
        attributes["num_outputs"] = 3
    node = helper.make_node("Split", inputs, ["a", "b", "c"], **attributes)
    outputs = ("a", "b", "c")
    path = build(tmp_path, [node], constants, input_shape=(8, 6, 4), outputs=outputs, opset=opset)
    expected = run_float(path, INTEGERS)
    got = run(path, {"x": WIDE}, INTEGERS)
    for name in outputs:
        np.testing.assert_array_equal(got[name], expected[name])


RESIZES = [
    (coordinates, nearest)
    for coordinates in (
        "asymmetric", "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel",
        "align_corners", "tf_half_pixel_for_nn",
    )
    for nearest in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
]  # fmt: skip


@BOTH
@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize(("coordinates", "nearest"), RESIZES)
def test_a_resize_repeats_as_onnxruntime_does_or_is_refused(
    coordinates: str, nearest: str, factor: int, run: Run, tmp_path: Path
) -> None:
    opset = 11 if coordinates == "tf_half_pixel_for_nn" else 19
    node = helper.make_node(
        "Resize",
        ["x", "roi", "scales"],
        ["y"],
        coordinate_transformation_mode=coordinates,
        nearest_mode=nearest,
    )
    constants = {"roi": reals(), "scales": reals(1, 1, factor, 1)}
    path = build(tmp_path, [node], constants, input_shape=(8, 6, 4), opset=opset)
    expected = run_float(path, INTEGERS)["y"]
    repeats = np.repeat(INTEGERS, factor, axis=2)
    if np.array_equal(expected, repeats):
        np.testing.assert_array_equal(run(path, {"x": WIDE}, INTEGERS)["y"], repeats)
    else:
        with pytest.raises(ValueError, match=r"^y: Resize must repeat each value equally often$"):
            run(path, {"x": WIDE}, INTEGERS)


@pytest.mark.parametrize("seed", range(40))
def test_transposed_convolutions_agree_four_times(seed: int, tmp_path: Path) -> None:
    """Big integers, int64, gathered float64 and onnxruntime, with pads as drawn."""
    rng = np.random.default_rng(seed)
    groups = int(rng.integers(1, 3))
    channels, filters = groups * int(rng.integers(1, 3)), groups * int(rng.integers(1, 3))
    kernel = [int(size) for size in rng.integers(1, 4, 2)]
    strides = [int(stride) for stride in rng.integers(1, 4, 2)]
    attributes = {
        "strides": strides,
        "dilations": [int(dilation) for dilation in rng.integers(1, 3, 2)],
        "pads": [int(rng.integers(0, size)) for size in (*kernel, *kernel)],
        "output_padding": [int(rng.integers(0, stride)) for stride in strides],
        "group": groups,
    }
    ifm = rng.integers(-99, 100, (2, channels, 4, 5))
    weights = rng.integers(-99, 100, (channels, filters // groups, *kernel))
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], **attributes)
    constants = {"w": weights.astype(np.float32)}
    path = build(tmp_path, [node], constants, input_shape=ifm.shape[1:])
    expected = run_float(path, ifm)["y"]

    as_conv = np.concatenate([part.swapaxes(0, 1) for part in np.split(weights, groups)])
    axes = layers_int64.spread_axes(attributes, ifm.shape[2:], kernel)
    fast = layers_int64.convolve_transposed(ifm, as_conv, *axes, groups)
    np.testing.assert_array_equal(fast, expected)
    gathered = real_windows.convolve_transposed(attributes, 1.0 * ifm, 1.0 * as_conv)
    np.testing.assert_array_equal(gathered, expected)
    exact = layers_bigint.convolve_transposed(
        ifm,
        weights,
        strides=tuple(strides),
        pads=tuple(attributes["pads"]),
        dilations=tuple(attributes["dilations"]),
        output_padding=tuple(attributes["output_padding"]),
        groups=groups,
    ).exact
    assert exact.tolist() == expected.astype(np.int64).tolist()


@BOTH
@pytest.mark.parametrize(
    "attributes",
    [
        {"auto_pad": "SAME_UPPER"},
        {"auto_pad": "SAME_LOWER"},
        {"auto_pad": "VALID"},
        {"output_shape": [8, 11]},
        {"output_shape": [8, 11], "auto_pad": "SAME_UPPER"},
        {"output_shape": [8, 11], "auto_pad": "SAME_LOWER"},
        {"output_shape": [10, 11]},
        {},
    ],
)
@pytest.mark.parametrize("kernel", [2, 3])
def test_sizes_of_a_transposed_convolution_are_those_of_onnxruntime(
    attributes: dict[str, Any], kernel: int, run: Run, tmp_path: Path
) -> None:
    if "output_shape" in attributes and kernel < 3:
        # onnxruntime refuses what the kernel does not reach; ask for what is there.
        attributes = {**attributes, "output_shape": [6 + kernel, 10]}
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 3], **attributes)
    weights = np.arange(1.0, 1 + 3 * kernel, dtype=np.float32).reshape(1, 1, kernel, 3)
    path = build(tmp_path, [node], {"w": weights}, input_shape=(1, 4, 3))
    images = np.arange(1.0, 13.0).reshape(1, 1, 4, 3)
    expected = run_float(path, images)["y"]
    got = run(path, dict.fromkeys(("x", "w", "y"), WIDE), images)
    np.testing.assert_array_equal(got["y"], expected)


@BOTH
def test_where_the_standard_and_onnxruntime_differ_a_transposed_convolution_is_refused(
    run: Run, tmp_path: Path
) -> None:
    """SAME means a length of 2 * 4, but windows of 1 in steps of 2 end at 7."""
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2], auto_pad="SAME_UPPER")
    path = build(tmp_path, [node], {"w": np.ones((1, 1, 1), np.float32)}, input_shape=(1, 4))
    with pytest.raises(ValueError, match=r"^auto_pad asks for more than the kernels reach$"):
        run(path, dict.fromkeys(("x", "w", "y"), WIDE), np.ones((1, 1, 4)))


@pytest.mark.parametrize("mode", ROUNDINGS)
def test_elementwise_operators_by_big_integers_equal_the_interpreter(
    mode: str, tmp_path: Path
) -> None:
    rng = np.random.default_rng(11)
    first, second = rng.integers(-128, 128, (2, 3, 4, 4))
    form = Format(bits=8, frac_bits=1, signed=True)
    entries = {"bits": 8, "signed": True}
    formats = {
        "x": {**entries, "frac_bits": 3},
        "c": {**entries, "frac_bits": 2},
        "y": {**entries, "frac_bits": 1},
    }

    for operator, expected in (
        ("Add", layers_bigint.add),
        ("Sub", elementwise_bigint.subtract),
        ("Mul", elementwise_bigint.multiply),
    ):
        node = helper.make_node(operator, ["x", "c"], ["y"])
        path = build(
            tmp_path, [node], {"c": (second / 4).astype(np.float32)}, input_shape=(3, 4, 4)
        )
        got = integer_network.interpret(path, formats, first[None] / 8, mode)
        by_hand = expected(
            first, second, first_frac_bits=3, second_frac_bits=2, form=form, mode=mode
        )
        assert got.tensors["y"][0].tolist() == by_hand.raw.tolist()
        assert got.output_saturations["y"] == by_hand.output_saturations
    node = helper.make_node("PRelu", ["x", "c"], ["y"])
    path = build(tmp_path, [node], {"c": (second / 4).astype(np.float32)}, input_shape=(3, 4, 4))
    got = integer_network.interpret(path, formats, first[None] / 8, mode)
    by_hand = elementwise_bigint.bend(
        first, second, ifm_frac_bits=3, slope_frac_bits=2, form=form, mode=mode
    )
    assert got.tensors["y"][0].tolist() == by_hand.raw.tolist()
    assert got.output_saturations["y"] == by_hand.output_saturations
