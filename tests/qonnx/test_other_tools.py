"""Do files of other tools give the integers that qonnx's executor gives for them?

The float reference of a file is held against onnxruntime, with Identity for Quant.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from accel_sim.functional import ExactNetwork
from quantizer.fixedpoint.qformat import Rounding
from quantizer.network.float_run import FloatRunner
from quantizer.qonnx.write import to_qonnx
from quantizer.quantized import QuantizedNetwork
from tests.network.onnx_models import run_untouched
from tests.qonnx.cases import CASES, FLOAT_FILTERS, INPUT, MATRIX, PADS, RNG, SQUARE
from tests.qonnx.files import Quant, execute, load, model, node, quant, save


def image_of(network: QuantizedNetwork) -> NDArray[np.float64]:
    """Some values are beyond the format, some are ties."""
    shape = network.network.shapes[network.network.input]
    image = np.random.default_rng(3).normal(0, 2, shape)
    return np.round(image * 64) / 64


def assert_executes_alike(made: ModelProto, network: QuantizedNetwork) -> None:
    image = image_of(network)
    expected = execute(made, network, image)
    found = ExactNetwork(network).run(image).tensors
    compared = [name for name in found if name in {*targets(made), *network.network.outputs}]
    assert compared
    for name in compared:
        real = network.formats[name].decode(found[name])
        np.testing.assert_array_equal(real, expected[name][0], err_msg=name)


def targets(made: ModelProto) -> set[str]:
    return {one.output[0] for one in made.graph.node if one.domain}


HALF_STEP = "half a step before a floor"


@pytest.mark.parametrize("name", CASES)
def test_a_file_gives_the_integers_that_qonnx_executes(name: str, tmp_path: Path) -> None:
    made = model(*CASES[name])
    assert_executes_alike(made, load(tmp_path, made))


@pytest.mark.parametrize("name", CASES)
def test_a_file_that_is_written_again_gives_the_same_integers(name: str, tmp_path: Path) -> None:
    network = load(tmp_path, model(*CASES[name]))
    assert_executes_alike(onnx.load_from_string(to_qonnx(network)), network)


@pytest.mark.parametrize("name", sorted(CASES.keys() - {HALF_STEP}))
def test_the_float_reference_is_the_file_without_its_quant_nodes(name: str, tmp_path: Path) -> None:
    nodes, constants = CASES[name]
    network = load(tmp_path, model(nodes, constants)).network
    bypassed = [
        node("Identity", [one.ifm], one.ofm) if isinstance(one, Quant) else one for one in nodes
    ]
    image = np.random.default_rng(4).normal(size=network.shapes["x"])
    expected = run_untouched(save(tmp_path, model(bypassed, constants)), image)
    np.testing.assert_allclose(
        FloatRunner(network).run(image)[network.output],
        expected["y"],
        # Sums are in another order here than there.
        rtol=2e-5,
        atol=2e-6,
    )


def test_half_a_step_is_rounding_and_no_part_of_the_float_reference(tmp_path: Path) -> None:
    network = load(tmp_path, model(*CASES[HALF_STEP]))
    assert network.rules.requantize_rounding is Rounding.TIES_POS
    assert [layer.op for layer in network.network.layers] == ["Add"]
    image = np.full((2, 6, 6), 0.25)
    assert (FloatRunner(network.network).run(image)["y"] == 0.5).all()


def test_a_sharing_of_weights_and_of_biases_is_kept(tmp_path: Path) -> None:
    """Two layers, each behind a Quant node of its own that says the same."""
    nodes = [
        INPUT, quant("w", "w1", 2**-5, 6.0), quant("w", "w2", 2**-5, 6.0),
        quant("b", "b1", 2**-6), quant("b", "b2", 2**-6),
        node("Conv", ["xq", "w1", "b1"], "c", "one", **PADS), quant("c", "cq", 2**-4),
        node("Conv", ["cq", "w2", "b2"], "d", "two", **PADS), quant("d", "y", 2**-4),
    ]  # fmt: skip
    made = model(nodes, {"w": SQUARE, "b": np.array([0.3, -0.2])})
    network = load(tmp_path, made)
    assert list(network.network.constants) == ["w", "b"]
    assert_executes_alike(made, network)


def test_the_quantizer_of_qonnx_itself_is_read(tmp_path: Path) -> None:
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.quantize_graph import QuantizeGraph
    from qonnx.util.cleanup import cleanup_model

    made = model(
        [
            node("Conv", ["x", "w", "b"], "c", "Conv_0", **PADS),
            node("Relu", ["c"], "r", "Relu_0"),
            node("MaxPool", ["r"], "p", "MaxPool_0", kernel_shape=[2, 2], strides=[2, 2]),
            node("Flatten", ["p"], "f", "Flatten_0"),
            node("Gemm", ["f", "m", "d"], "y", "Gemm_0", transB=1),
        ],
        {"w": FLOAT_FILTERS, "b": RNG.normal(size=4), "m": MATRIX, "d": RNG.normal(size=5)},
    )
    del made.graph.output[:]
    made.graph.output.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 5)))

    def says(scale: float, bits: int, signed: int = 1) -> tuple[Any, ...]:
        return scale, 0, bits, 0, signed, "ROUND"

    wrapped = cleanup_model(ModelWrapper(made))
    quantized = wrapped.transform(
        QuantizeGraph(
            {
                "name": {
                    "Conv_0": [
                        (("input", 0), says(2**-5, 8)),
                        (("input", 1), says(2**-5, 5)),
                        (("input", 2), says(2**-8, 12)),
                    ],
                    "Relu_0": [(("output", 0), says(2**-4, 7, 0))],
                    "Gemm_0": [
                        (("input", 1), says(2**-6, 6)),
                        (("input", 2), says(2**-8, 12)),
                        (("output", 0), says(2**-3, 8)),
                    ],
                }
            }
        )
    ).model
    network = load(tmp_path, quantized)
    assert [layer.op for layer in network.network.layers] == ["Conv", "MaxPool", "Reshape", "Dense"]
    assert_executes_alike(quantized, network)
