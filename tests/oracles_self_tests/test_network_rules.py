"""Do both whole-network oracles follow the contract where it can be worked out by hand?"""

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from tests.oracles_self_tests.both_networks import BOTH, Run
from tests.oracles_self_tests.small_networks import build, s8


@BOTH
def test_a_network_by_hand(run: Run, tmp_path: Path) -> None:
    path = build(
        tmp_path,
        [
            helper.make_node("Conv", ["x", "w", "b"], ["conv"]),
            helper.make_node("Relu", ["conv"], ["relu"]),
            helper.make_node("GlobalAveragePool", ["relu"], ["pool"]),
            helper.make_node("Flatten", ["pool"], ["y"]),
        ],
        {
            "w": np.array([0.75, -0.5], np.float32).reshape(2, 1, 1, 1),
            "b": np.array([0.1, 0.5], np.float32),
        },
        input_shape=(1, 1, 2),
    )
    formats = {"x": s8(2), "w": s8(3), "b": s8(4), "relu": s8(3), "pool": s8(4)}
    # Steps 1/4: 0.4 -> 2 (1.6), 3.125 -> 13 (12.5, a tie, up).
    # Weights 6/8 and -4/8; biases 0.1 -> 2/16 (1.6) and 8/16; accumulators in steps 1/32.
    # Channel 0: 2*6 + 2*2 = 16, 13*6 + 4 = 82 -> /4 -> 4, 20.5 -> 21.
    # Channel 1: -8 + 16 = 8, -52 + 16 = -36 -> 2, -9 -> 0 by the Relu.
    # Averages, one more fraction bit: 25*2/2 = 25, 2*2/2 = 2.
    tensors = run(path, formats, np.array([0.4, 3.125]).reshape(1, 1, 1, 2))
    assert tensors["x"].ravel().tolist() == [2, 13]
    assert tensors["relu"].ravel().tolist() == [4, 21, 2, 0]
    assert tensors["pool"].ravel().tolist() == [25, 2]
    assert tensors["y"].tolist() == [[25, 2]]
    assert "conv" not in tensors


@BOTH
def test_an_activation_fuses_only_as_sole_consumer(run: Run, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Relu", ["product"], ["y"]),
    ]
    constants = {"w": np.array([[1.0, -1.0]], np.float32)}
    coarse_product = {"x": s8(0), "w": s8(0), "product": s8(-2), "y": s8(-2)}
    image = np.array([[9.0]])

    fused = build(tmp_path, nodes, constants, input_shape=(1,))
    formats = {name: coarse_product[name] for name in ("x", "w", "y")}
    tensors = run(fused, formats, image)
    assert "product" not in tensors
    assert tensors["y"].tolist() == [[2, 0]]

    seen = build(tmp_path, nodes, constants, input_shape=(1,), outputs=("y", "product"))
    tensors = run(seen, coarse_product, image)
    assert tensors["product"].tolist() == [[2, -2]]
    assert tensors["y"].tolist() == [[2, 0]]


@BOTH
def test_a_clip_bound_is_rounded_in_the_ofms_format(run: Run, tmp_path: Path) -> None:
    path = build(
        tmp_path,
        [
            helper.make_node("MatMul", ["x", "w"], ["product"]),
            helper.make_node("Clip", ["product", "low", "high"], ["y"]),
        ],
        {
            "w": np.array([[1.0]], np.float32),
            "low": np.array(-0.625, np.float32),
            "high": np.array(0.625, np.float32),
        },
        input_shape=(1,),
    )
    formats = {"x": s8(2), "w": s8(0), "y": s8(2)}
    images = np.array([[9.0], [-9.0]])
    # The bounds are -2.5 and 2.5 steps.
    assert run(path, formats, images).pop("y").tolist() == [[3], [-2]]
    assert run(path, formats, images, "ties_away").pop("y").tolist() == [[3], [-3]]


@BOTH
def test_a_constant_after_a_product_is_a_bias_if_nothing_is_stored_between(
    run: Run, tmp_path: Path
) -> None:
    path = build(
        tmp_path,
        [
            helper.make_node("MatMul", ["x", "w"], ["product"]),
            helper.make_node("Add", ["product", "c"], ["y"]),
        ],
        {"w": np.array([[1.0]], np.float32), "c": np.array([0.25], np.float32)},
        input_shape=(1,),
    )
    image = np.array([[1.25]])
    folded = {"x": s8(2), "w": s8(0), "c": s8(2), "y": s8(0)}
    assert run(path, folded, image)["y"].tolist() == [[2]]
    # Stored in between, 1.25 is rounded to 1 first.
    stored = {**folded, "product": s8(0)}
    assert run(path, stored, image)["y"].tolist() == [[1]]


@BOTH
def test_a_constant_after_a_product_joins_the_bias_it_has(run: Run, tmp_path: Path) -> None:
    path = build(
        tmp_path,
        [
            helper.make_node("Conv", ["x", "w", "b"], ["product"]),
            helper.make_node("Add", ["c", "product"], ["y"]),
        ],
        {
            "w": np.ones((2, 1, 1, 1), np.float32),
            "b": np.array([0.25, -0.25], np.float32),
            "c": np.array([0.5, 1.0], np.float32).reshape(2, 1, 1),
        },
        input_shape=(1, 1, 1),
    )
    formats = {"x": s8(2), "w": s8(0), "b": s8(2), "y": s8(2)}
    tensors = run(path, formats, np.full((1, 1, 1, 1), 1.25))
    assert tensors["y"].ravel().tolist() == [8, 8]


@BOTH
def test_a_constant_that_varies_over_a_map_is_no_bias(run: Run, tmp_path: Path) -> None:
    path = build(
        tmp_path,
        [
            helper.make_node("Conv", ["x", "w"], ["product"]),
            helper.make_node("Add", ["product", "c"], ["y"]),
        ],
        {"w": np.ones((2, 1, 1, 1), np.float32), "c": np.array([1.0, 2.0], np.float32)},
        input_shape=(1, 1, 2),
    )
    formats = {"x": s8(0), "w": s8(0), "c": s8(0), "y": s8(0)}
    images = np.zeros((1, 1, 1, 2))
    with pytest.raises(ValueError, match=r"^product: no format is given"):
        run(path, formats, images)
    tensors = run(path, {**formats, "product": s8(0)}, images)
    assert tensors["y"].ravel().tolist() == [1, 2, 1, 2]


@BOTH
def test_batch_normalization_is_folded_or_given_folded(run: Run, tmp_path: Path) -> None:
    statistics = {"gamma": 3.0, "beta": 0.5, "mean": 1.0, "variance": 4.0}
    names = list(statistics)
    path = build(
        tmp_path,
        [
            helper.make_node("Conv", ["x", "w"], ["conv"]),
            helper.make_node("BatchNormalization", ["conv", *names], ["y"], epsilon=0.0),
        ],
        {
            "w": np.full((1, 1, 1, 1), 2.0, np.float32),
            **{name: np.array([value], np.float32) for name, value in statistics.items()},
        },
        input_shape=(1, 1, 1),
    )
    formats = {"x": s8(0), "w": s8(1), "beta": s8(1), "y": s8(0)}
    image = np.full((1, 1, 1, 1), 5.0)
    # (2 * 5 - 1) * 3 / 2 + 0.5 = 14
    assert run(path, formats, image)["y"].ravel().tolist() == [14]
    constants = {"w": np.full((1, 1, 1, 1), 4.0), "beta": np.array([1.0])}
    assert run(path, formats, image, constants=constants)["y"].ravel().tolist() == [21]


@BOTH
def test_batch_normalization_has_the_default_epsilon_of_onnx(run: Run, tmp_path: Path) -> None:
    path = build(
        tmp_path,
        [
            helper.make_node("Conv", ["x", "w"], ["conv"]),
            helper.make_node(
                "BatchNormalization", ["conv", "gamma", "zero", "zero", "zero"], ["y"]
            ),
        ],
        {
            "w": np.ones((1, 1, 1, 1), np.float32),
            "gamma": np.array([1000.0], np.float32),
            "zero": np.zeros(1, np.float32),
        },
        input_shape=(1, 1, 1),
    )
    wide = {"bits": 24, "frac_bits": 0, "signed": True}
    formats = {"x": wide, "w": wide, "zero": wide, "y": wide}
    # 1000 / sqrt(1e-5) = 316227.77
    assert run(path, formats, np.ones((1, 1, 1, 1)))["y"].item() == 316228


@BOTH
def test_weights_and_added_constants_round_ties_to_even_and_inputs_as_told(
    run: Run, tmp_path: Path
) -> None:
    path = build(
        tmp_path,
        [
            helper.make_node("MatMul", ["x", "w"], ["product"]),
            helper.make_node("Relu", ["product"], ["relu"]),
            helper.make_node("Add", ["c", "relu"], ["y"]),
        ],
        {"w": np.array([[0.5, 1.5]], np.float32), "c": np.array([2.5, 4.5], np.float32)},
        input_shape=(1,),
    )
    formats = {name: s8(0) for name in ("x", "w", "c", "relu", "y")}
    # Weights 0 and 2, constants 2 and 4; the input 8.5 becomes 9 or 8.
    assert run(path, formats, np.array([[8.5]]), "ties_pos")["y"].tolist() == [[2, 22]]
    assert run(path, formats, np.array([[8.5]]), "ties_even")["y"].tolist() == [[2, 20]]


@BOTH
def test_a_maximum_merges_and_its_number_is_rounded_as_a_bound(run: Run, tmp_path: Path) -> None:
    path = build(
        tmp_path,
        [
            helper.make_node("MatMul", ["x", "w"], ["product"]),
            helper.make_node("Max", ["low", "product"], ["raised"]),
            helper.make_node("Flatten", ["raised"], ["moved"]),
            helper.make_node("Min", ["moved", "high"], ["y"]),
        ],
        {
            "w": np.array([[1.0]], np.float32),
            "low": np.array([-0.625], np.float32),
            "high": np.array(0.375, np.float32),
        },
        input_shape=(1,),
    )
    formats = {"x": s8(2), "w": s8(0), "raised": s8(2)}
    # The bounds are -2.5 and 1.5 steps. The Min reads what is stored.
    tensors = run(path, formats, np.array([[9.0], [0.0], [-9.0]]))
    assert "product" not in tensors
    assert tensors["raised"].ravel().tolist() == [36, 0, -2]
    assert tensors["y"].ravel().tolist() == [2, 0, -2]
    tensors = run(path, formats, np.array([[9.0], [0.0], [-9.0]]), "to_neg")
    assert tensors["y"].ravel().tolist() == [1, 0, -3]


@BOTH
def test_a_division_multiplies_by_the_reciprocal_in_float32(run: Run, tmp_path: Path) -> None:
    path = build(
        tmp_path,
        [helper.make_node("Div", ["x", "c"], ["y"])],
        {"c": np.array(3.0, np.float32)},
        input_shape=(1,),
    )
    wide = {"bits": 31, "frac_bits": 30, "signed": True}
    tensors = run(path, {"x": s8(0), "c": wide, "y": wide}, np.array([[1.0]]))
    # The float32 next to 1/3 is 11184811 / 2**25; a third of 2**30 were 357913941.
    assert tensors["y"].item() == 11184811 << 5


@BOTH
def test_a_division_after_a_product_scales_its_weights_and_bias(run: Run, tmp_path: Path) -> None:
    path = build(
        tmp_path,
        [
            helper.make_node("Conv", ["x", "w", "b"], ["product"]),
            helper.make_node("Div", ["product", "c"], ["y"]),
        ],
        {
            "w": np.ones((2, 1, 1, 1), np.float32),
            "b": np.array([1.0, 3.0], np.float32),
            "c": np.array([0.5, -0.25], np.float32).reshape(2, 1, 1),
        },
        input_shape=(1, 1, 1),
    )
    formats = {"x": s8(0), "w": s8(0), "b": s8(0), "y": s8(0)}
    tensors = run(path, formats, np.full((1, 1, 1, 1), 5.0))
    assert tensors["y"].ravel().tolist() == [12, -32]


@BOTH
@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax"])
def test_a_network_ends_before_a_final_softmax(operator: str, run: Run, tmp_path: Path) -> None:
    path = build(
        tmp_path,
        [
            helper.make_node("Relu", ["x"], ["relu"]),
            helper.make_node(operator, ["relu"], ["y"], axis=1),
        ],
        {},
        input_shape=(2,),
    )
    tensors = run(path, {"x": s8(0)}, np.array([[-3.0, 4.0]]))
    assert {name: raw.tolist() for name, raw in tensors.items()} == {
        "x": [[-3, 4]],
        "relu": [[0, 4]],
    }


@BOTH
@pytest.mark.parametrize("name", ["joined", "copied", "y"])
def test_the_format_of_a_concat_may_be_that_of_its_copy(
    name: str, run: Run, tmp_path: Path
) -> None:
    path = build(
        tmp_path,
        [
            helper.make_node("Concat", ["x", "x"], ["joined"], axis=1),
            helper.make_node("Identity", ["joined"], ["copied"]),
            helper.make_node("Dropout", ["copied"], ["y"]),
        ],
        {},
        input_shape=(1,),
    )
    tensors = run(path, {"x": s8(1), name: s8(0)}, np.array([[2.5]]))
    assert tensors["y"].tolist() == [[3, 3]]
