"""Do both whole-network oracles refuse what they would otherwise get wrong?"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.oracles import integer_network
from tests.oracles_self_tests.both_networks import BOTH, Run
from tests.oracles_self_tests.small_networks import build, s8

LEGAL = {"x": s8(2), "w": s8(2), "b": s8(4), "relu": s8(2)}


def dense_and_copy(folder: Path) -> Path:
    """A Gemm with bias 1, a Relu that fuses and an Identity."""
    return build(
        folder,
        [
            helper.make_node("Gemm", ["x", "w", "b"], ["product"]),
            helper.make_node("Relu", ["product"], ["relu"]),
            helper.make_node("Identity", ["relu"], ["y"]),
        ],
        {"w": np.array([[1.0]], np.float32), "b": np.array([1.0], np.float32)},
        input_shape=(1,),
    )


@BOTH
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        # 1.0 with seven fraction bits needs raw 128, one too many.
        ({"w": s8(5), "b": s8(7)}, "b: a bias does not fit its format"),
        ({"b": s8(5)}, "b: more fraction bits than the accumulator's"),
        ({"y": s8(3)}, "y: its format must be that of relu"),
    ],
)
def test_formats_that_the_contract_does_not_allow_are_refused(
    change: dict[str, Any], complaint: str, run: Run, tmp_path: Path
) -> None:
    path = dense_and_copy(tmp_path)
    image = np.array([[1.0]])
    assert run(path, LEGAL, image)["y"].tolist() == [[8]]
    with pytest.raises(ValueError, match=f"^{complaint}$"):
        run(path, {**LEGAL, **change}, image)


@BOTH
def test_a_stored_map_needs_a_format(run: Run, tmp_path: Path) -> None:
    formats = {name: LEGAL[name] for name in ("x", "w", "b")}
    with pytest.raises(ValueError, match=r"^y: no format is given"):
        run(dense_and_copy(tmp_path), formats, np.array([[1.0]]))


def test_what_stays_in_the_accumulator_has_no_format(tmp_path: Path) -> None:
    formats = {**LEGAL, "product": s8(2)}
    with pytest.raises(ValueError, match=r"^product: has a format but stays in the accumulator$"):
        integer_network.run(dense_and_copy(tmp_path), formats, np.array([[1.0]]))


@BOTH
@pytest.mark.parametrize(
    ("node", "complaint"),
    [
        (helper.make_node("Cos", ["x"], ["y"]), "y: operator Cos is not supported"),
        (helper.make_node("Concat", ["x", "x"], ["y"], axis=0), "y: Concat must not join images"),
        (helper.make_node("Flatten", ["x"], ["y"], axis=2), "y: Flatten must keep the batch"),
        (helper.make_node("Gemm", ["x", "w"], ["y"], transA=1), "y: Gemm with transA"),
        (helper.make_node("Max", ["x", "w"], ["y"]), "y: operator Max is not supported"),
        (helper.make_node("Min", ["x", "x"], ["y"]), "y: operator Min is not supported"),
        (helper.make_node("Div", ["w", "x"], ["y"]), "y: Div must be by a constant"),
        (
            helper.make_node("Upsample", ["x"], ["y"], scales=[1.0, 1.0, 1.5, 2.0]),
            "y: Upsample must repeat each value equally often",
        ),
        (
            helper.make_node("Upsample", ["x"], ["y"], scales=[1.0] * 4, mode="linear"),
            "y: Upsample must take the nearest",
        ),
    ],
)
def test_what_an_oracle_cannot_interpret_is_refused(
    node: onnx.NodeProto, complaint: str, run: Run, tmp_path: Path
) -> None:
    constants = {"w": np.ones((2, 2), np.float32)}
    path = build(tmp_path, [node], constants, input_shape=(2, 2, 2))
    with pytest.raises(ValueError, match=f"^{complaint}"):
        run(path, {"x": s8(0), "w": s8(0), "y": s8(0)}, np.ones((1, 2, 2, 2)))


@BOTH
def test_a_divisor_that_another_node_reads_is_refused(run: Run, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Div", ["x", "c"], ["quotient"]),
        helper.make_node("Add", ["quotient", "c"], ["y"]),
    ]
    path = build(tmp_path, nodes, {"c": np.array(2.0, np.float32)}, input_shape=(1,))
    formats = dict.fromkeys(("x", "c", "quotient", "y"), s8(2))
    with pytest.raises(ValueError, match=r"^y: a constant it reads is a divisor, too$"):
        run(path, formats, np.array([[1.0]]))
