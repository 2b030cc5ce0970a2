"""Are overflows and saturations of whole networks counted as the contract says?"""

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from tests.oracles import fake_quant, integer_network, layers_bigint
from tests.oracles.fixed_point import Format
from tests.oracles_self_tests.both_networks import assert_equal
from tests.oracles_self_tests.small_networks import build, s8


@pytest.mark.parametrize(
    ("bounds", "raw", "saturations"),
    [
        ((None, None), [-128, -128, 0, 127, 127], 2),
        ((0.0, None), [0, 0, 0, 127, 127], 1),
        ((-60.0, 24.0), [-120, -120, 0, 48, 48], 0),
        ((-64.0, 63.5), [-128, -128, 0, 127, 127], 0),
        ((-65.0, 64.0), [-128, -128, 0, 127, 127], 2),
        ((-65.0, -64.5), [-128] * 5, 1),
        ((100.0, None), [127] * 5, 1),
    ],
)
def test_a_clips_bound_inside_the_format_is_no_saturation(
    bounds: tuple[float | None, float | None],
    raw: list[int],
    saturations: int,
    tmp_path: Path,
) -> None:
    clip = helper.make_node("Clip", ["product"], ["y"])
    clip.attribute.extend(
        helper.make_attribute(name, bound)
        for name, bound in zip(("min", "max"), bounds, strict=True)
        if bound is not None
    )
    path = build(
        tmp_path,
        [helper.make_node("MatMul", ["x", "w"], ["product"]), clip],
        {"w": np.array([[1.0]], np.float32)},
        input_shape=(1,),
        opset=10,
    )
    formats = {"x": {"bits": 16, "frac_bits": 1, "signed": True}, "w": s8(0), "y": s8(1)}
    images = np.array([[-129.0], [-128.0], [0.0], [127.0], [128.0]]) / 2
    got = integer_network.interpret(path, formats, images)
    assert got.tensors["y"].ravel().tolist() == raw
    assert got.output_saturations == {"y": saturations}
    assert_equal(got.tensors, fake_quant.run(path, formats, images))


@pytest.mark.parametrize("accumulator_bits", [10, 12, 48])
def test_wrapped_accumulators_and_counts_equal_big_integers(
    accumulator_bits: int, tmp_path: Path
) -> None:
    rng = np.random.default_rng(accumulator_bits)
    weights = rng.integers(-128, 128, (4, 2, 3, 3))
    bias = rng.integers(-500, 500, 4)
    images = rng.integers(-128, 128, (10, 2, 6, 5))
    path = build(
        tmp_path,
        [
            helper.make_node("Conv", ["x", "w", "b"], ["conv"], pads=[1, 0, 0, 1]),
            helper.make_node("Relu", ["conv"], ["y"]),
        ],
        {"w": weights.astype(np.float32), "b": bias.astype(np.float32)},
        input_shape=(2, 6, 5),
    )
    formats = {"x": s8(0), "w": s8(0), "b": {**s8(0), "bits": 16}, "y": s8(-3)}
    got = integer_network.interpret(
        path, formats, images.astype(np.float64), accumulator_bits=accumulator_bits
    )
    products = layers_bigint.convolve(
        images, weights, pads=(1, 0, 0, 1), accumulator_bits=accumulator_bits
    )
    stage = layers_bigint.output_stage(
        products.wrapped,
        aligned_bias=[int(value) for value in bias],
        shifts=[3] * 4,
        form=Format(bits=8, frac_bits=-3, signed=True),
        mode="ties_pos",
        bounds=layers_bigint.Bounds(lower=0),
    )
    assert got.tensors["y"].tolist() == stage.raw.tolist()
    assert got.accumulator_overflows == {"y": products.overflows}
    assert got.output_saturations == {"y": stage.output_saturations}
    if accumulator_bits == 48:
        assert products.overflows == 0
        assert stage.output_saturations > 0
    else:
        assert products.overflows > 0
        with pytest.raises(AssertionError, match="a sum leaves the accumulator"):
            fake_quant.run(
                path, formats, images.astype(np.float64), accumulator_bits=accumulator_bits
            )


def test_saturations_of_a_concat_are_those_of_its_requantized_parts(tmp_path: Path) -> None:
    path = build(
        tmp_path,
        [
            helper.make_node("Relu", ["x"], ["relu"]),
            helper.make_node("Concat", ["x", "relu"], ["y"], axis=1),
        ],
        {},
        input_shape=(1, 1, 2),
    )
    images = np.array([-3.0, 5.0]).reshape(1, 1, 1, 2)
    formats = {"x": s8(3), "y": {"bits": 8, "frac_bits": 5, "signed": True}}
    got = integer_network.interpret(path, formats, images)
    assert got.tensors["y"].ravel().tolist() == [-96, 127, 0, 127]
    assert got.output_saturations == {"y": 2}
