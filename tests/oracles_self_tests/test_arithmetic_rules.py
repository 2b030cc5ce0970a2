"""Do both whole-network oracles follow the contract's rules of operators added since Conv?"""

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from tests.oracles import integer_network
from tests.oracles_self_tests.both_networks import BOTH, Run
from tests.oracles_self_tests.small_networks import build, s8

UNSIGNED = {"bits": 8, "frac_bits": 2, "signed": False}


@BOTH
def test_a_normalization_that_stands_alone_by_hand(run: Run, tmp_path: Path) -> None:
    node = helper.make_node(
        "BatchNormalization", ["x", "gamma", "beta", "mean", "variance"], ["y"], epsilon=0.0
    )
    constants = {
        "gamma": [3.0, 1.0],
        "beta": [0.5, 0.0],
        "mean": [1.0, 4.0],
        "variance": [4.0, 1.0],
    }
    path = build(
        tmp_path,
        [node],
        {name: np.array(values, np.float32) for name, values in constants.items()},
        input_shape=(2,),
    )
    # Channel 0: 1.5 x - 1; channel 1: x - 4. In steps of 1/4 and 1/2: 6/4, 4/4; -2/2, -8/2.
    formats = {"x": s8(1), "gamma": s8(2), "beta": s8(1), "y": s8(1)}
    # 5 (2.5): 5*6 - 1*8 = 22 of 1/8 -> 5.5 -> 6; 5*4 - 4*8 = -12 -> -3.
    assert run(path, formats, np.array([[2.5, 2.5]]))["y"].tolist() == [[6, -3]]


@BOTH
def test_the_slope_of_a_leaky_relu_is_a_constant_named_after_its_output(
    run: Run, tmp_path: Path
) -> None:
    nodes = [
        helper.make_node("LeakyRelu", ["x"], ["leaky"], alpha=0.3),
        helper.make_node("Clip", ["leaky", "", "upper"], ["y"]),
    ]
    path = build(tmp_path, nodes, {"upper": np.array(2.0, np.float32)}, input_shape=(3,))
    formats = {"x": s8(2), "leaky.alpha": s8(3), "y": s8(1)}
    # 0.3 is 2/8. -10 * 2 of 1/32 in steps of 1/2: -1.25; 3 of 1/4 is 1.5, a tie; 20 is held at 4.
    assert run(path, formats, np.array([[-2.5, 0.75, 5.0]]))["y"].tolist() == [[-1, 2, 4]]


@BOTH
def test_a_product_of_maps_is_rounded_once(run: Run, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("GlobalMaxPool", ["x"], ["peak"]),
        helper.make_node("Mul", ["peak", "x"], ["y"]),
    ]
    path = build(tmp_path, nodes, {}, input_shape=(2, 1, 2))
    images = np.array([[1.5, 0.5], [-0.5, -1.0]]).reshape(1, 2, 1, 2)
    # In steps of 1/2, 3, 1 and -1, -2; products in steps of 1/4: 9, 3 and 1, 2 by the peaks.
    got = run(path, {"x": s8(1), "y": s8(0)}, images)
    assert got["peak"].ravel().tolist() == [3, -1]
    assert got["y"].ravel().tolist() == [2, 1, 0, 1]


@BOTH
def test_padding_is_encoded_as_a_bound_and_held_in_the_format(run: Run, tmp_path: Path) -> None:
    def padded(value: float, form: dict[str, object], rounding: str) -> int:
        node = helper.make_node("Pad", ["x", "pads", "value"], ["y"])
        constants = {
            "pads": np.array([0, 0, 0, 1], np.int64),
            "value": np.array(value, np.float32),
        }
        path = build(tmp_path, [node], constants, input_shape=(1,))
        return int(run(path, {"x": form}, np.array([[1.0]]), rounding)["y"][0, 1])

    assert padded(0.625, UNSIGNED, "ties_pos") == 3
    assert padded(0.625, UNSIGNED, "ties_even") == 2
    assert padded(-0.625, UNSIGNED, "ties_pos") == 0
    assert padded(-99.0, s8(2), "ties_pos") == -128
    assert padded(np.inf, s8(2), "ties_pos") == 127


@BOTH
def test_a_mean_over_space_is_rounded_as_an_average_pool(run: Run, tmp_path: Path) -> None:
    node = helper.make_node("ReduceMean", ["x"], ["y"], axes=[-1, 2], keepdims=0)
    path = build(tmp_path, [node], {}, input_shape=(1, 1, 3), opset=13)
    formats = {"x": s8(0), "y": s8(0)}
    images = np.array([1.0, 1.0, 3.0]).reshape(1, 1, 1, 3)
    assert run(path, formats, images)["y"].tolist() == [[2]]
    assert run(path, formats, images, "ties_pos", "to_neg")["y"].tolist() == [[1]]


@BOTH
def test_copies_between_arithmetic_and_its_relu_are_looked_through(
    run: Run, tmp_path: Path
) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Dropout", ["product"], ["kept"]),
        helper.make_node("Relu", ["kept"], ["relu"]),
        helper.make_node("Clip", ["relu", "", "upper"], ["y"]),
    ]
    constants = {"w": np.array([[1.0, -1.0]], np.float32), "upper": np.array(1.5, np.float32)}
    path = build(tmp_path, nodes, constants, input_shape=(1,))
    got = run(path, {"x": s8(2), "w": s8(0), "y": s8(1)}, np.array([[5.0]]))
    assert got.keys() == {"x", "y"}
    assert got["y"].tolist() == [[3, 0]]


@BOTH
def test_a_constant_that_multiplies_a_product_is_folded_if_nothing_is_stored_between(
    run: Run, tmp_path: Path
) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["conv"]),
        helper.make_node("Mul", ["conv", "c"], ["y"]),
    ]
    constants = {
        "w": np.ones((1, 1, 1), np.float32),
        "b": np.array([0.25], np.float32),
        "c": np.array([[3.0]], np.float32),
    }
    path = build(tmp_path, nodes, constants, input_shape=(1, 1))
    formats = {"x": s8(2), "w": s8(0), "b": s8(2), "y": s8(0)}
    image = np.array([[[0.5]]])
    # 3 * 0.5 + 0.75 = 2.25; stored in between, 0.75 would have become 1.
    assert run(path, formats, image)["y"].item() == 2
    assert run(path, {**formats, "conv": s8(0), "c": s8(0)}, image)["y"].item() == 3
    # A row of height 1 may have been added to the weights of one dimension.
    given = {"w": np.full((1, 1, 1, 1), 2.0)}
    assert run(path, formats, image, constants=given)["y"].item() == 2


def test_a_local_normalization_by_hand(tmp_path: Path) -> None:
    node = helper.make_node("LRN", ["x"], ["y"], size=3, alpha=3.0, beta=1.0, bias=1.0)
    path = build(tmp_path, [node], {}, input_shape=(3, 1, 1))
    images = np.array([1.0, 2.0, -3.0]).reshape(1, 3, 1, 1)
    # 1 / (1 + 1 + 4), 2 / (1 + 1 + 4 + 9), -3 / (1 + 4 + 9), in steps of 1/64.
    got = integer_network.run(path, {"x": s8(0), "y": s8(6)}, images)["y"]
    assert got.ravel().tolist() == [11, 9, -14]


@BOTH
@pytest.mark.parametrize("shape", [(2, 1), (1, 2, 1, 1)])
def test_a_constant_operand_must_not_join_images(
    shape: tuple[int, ...], run: Run, tmp_path: Path
) -> None:
    node = helper.make_node("Add", ["x", "c"], ["y"])
    path = build(tmp_path, [node], {"c": np.ones(shape, np.float32)}, input_shape=(3,))
    complaint = r"^y: a constant operand must not add axes or images$"
    with pytest.raises(ValueError, match=complaint):
        run(path, dict.fromkeys(("x", "c", "y"), s8(0)), np.ones((2, 3)))
