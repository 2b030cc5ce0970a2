"""Does the QONNX oracle equal the interpreter, and refuse what float32 could get wrong?"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.oracles import integer_network, qonnx_network
from tests.oracles.fixed_point import ROUNDINGS
from tests.oracles.network_blocks import QONNX_BLOCKS
from tests.oracles.networks import random_network
from tests.oracles.onnx_graph import AVERAGES
from tests.oracles.qonnx_network import NotExpressible
from tests.oracles_self_tests.both_networks import assert_equal
from tests.oracles_self_tests.float_reference import NARROW, random_formats
from tests.oracles_self_tests.small_networks import build, s8, save


def averages(seed: int) -> bool:
    """Whether a network averages: mostly over a number that float32 cannot divide by."""
    nodes = random_network(seed, QONNX_BLOCKS).graph.node
    return any(node.op_type in AVERAGES for node in nodes)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [seed for seed in range(36) if not averages(seed)])
def test_random_networks_equal_the_interpreter(seed: int, tmp_path: Path) -> None:
    model = random_network(seed, QONNX_BLOCKS)
    path = save(model, tmp_path)
    rng = np.random.default_rng(seed)
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim[1:]]
    images = rng.normal(size=(2, *shape))
    formats = random_formats(path, images, rng, NARROW)
    roundings = ROUNDINGS[seed % 5], ROUNDINGS[seed // 5 % 5]
    got = qonnx_network.run(path, formats, images, *roundings)
    assert_equal(got, integer_network.run(path, formats, images, *roundings))


@pytest.mark.parametrize("mode", ROUNDINGS)
def test_means_of_a_power_of_two_of_values_equal_the_interpreter(mode: str, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("AveragePool", ["x"], ["pool"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["x"], ["mean"]),
        helper.make_node("Add", ["pool", "mean"], ["y"]),
    ]
    path = build(tmp_path, nodes, {}, input_shape=(2, 4, 8))
    formats = {"x": s8(4), "pool": s8(4), "mean": s8(5), "y": s8(3)}
    images = np.random.default_rng(5).normal(0, 3, (3, 2, 4, 8))
    got = qonnx_network.run(path, formats, images, "ties_pos", mode)
    assert_equal(got, integer_network.run(path, formats, images, "ties_pos", mode))


def dense(folder: Path, weights: list[float], bias: list[float]) -> Path:
    return build(
        folder,
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"])],
        {"w": np.array([weights], np.float32).T, "b": np.array(bias, np.float32)},
        input_shape=(len(weights),),
    )


@pytest.mark.parametrize("mode", ROUNDINGS)
def test_ties_are_rounded_as_told(mode: str, tmp_path: Path) -> None:
    path = dense(tmp_path, [1.0], [0.0])
    formats = {"x": s8(2), "w": s8(0), "b": s8(0), "y": s8(0)}
    images = np.arange(-12, 13)[:, None] / 4
    got = qonnx_network.run(path, formats, images, mode)
    assert_equal(got, integer_network.run(path, formats, images, mode))


def wide(bits: int, frac_bits: int) -> dict[str, Any]:
    return {"bits": bits, "frac_bits": frac_bits, "signed": True}


def test_a_sum_is_refused_from_two_to_the_24_on(tmp_path: Path) -> None:
    """Twice ``2**15 * 2**8`` are too much; a quarter less fits with the half step of 2**7."""
    formats = {"x": wide(16, 0), "w": wide(11, 0), "b": wide(16, 0)}
    fits = dense(tmp_path, [255.0, 128.0], [0.0])
    images = np.array([[-32768.0, -32768.0], [32767.0, -1.0]])
    coarse = {**formats, "y": wide(16, -8)}
    assert_equal(qonnx_network.run(fits, coarse, images), integer_network.run(fits, coarse, images))
    too_wide = dense(tmp_path, [256.0, 256.0], [0.0])
    with pytest.raises(NotExpressible, match=r"^y: float32 has too few bits$"):
        qonnx_network.run(too_wide, coarse, images)


def test_what_could_leave_the_accumulator_is_refused(tmp_path: Path) -> None:
    path = dense(tmp_path, [100.0, 100.0], [0.0])
    formats = {"x": s8(0), "w": s8(0), "b": s8(0), "y": s8(-8)}
    images = np.ones((1, 2))
    qonnx_network.run(path, formats, images, accumulator_bits=16)
    with pytest.raises(NotExpressible, match=r"^y: a sum could leave the accumulator$"):
        qonnx_network.run(path, formats, images, accumulator_bits=15)


@pytest.mark.parametrize(
    ("node", "complaint"),
    [
        (helper.make_node("Sigmoid", ["x"], ["y"]), "y: QONNX has no Sigmoid"),
        (helper.make_node("LRN", ["x"], ["y"], size=3), "y: QONNX has no LRN"),
        (helper.make_node("LeakyRelu", ["x"], ["y"]), "y: QONNX has no LeakyRelu"),
        (helper.make_node("GlobalAveragePool", ["x"], ["y"]), "y: a mean of 6 values"),
        (
            helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[2, 2], pads=[1, 1, 1, 1]),
            "y: windows at the border",
        ),
    ],
)
def test_what_qonnx_cannot_promise_is_refused(
    node: onnx.NodeProto, complaint: str, tmp_path: Path
) -> None:
    path = build(tmp_path, [node], {}, input_shape=(1, 2, 3))
    with pytest.raises(NotExpressible, match=f"^{complaint}"):
        qonnx_network.run(path, {"x": s8(0), "y": s8(0)}, np.ones((1, 1, 2, 3)))
