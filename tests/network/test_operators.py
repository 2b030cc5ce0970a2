"""Does every operator mean, in every opset, what onnxruntime makes of the untouched file?

One-node networks for the most part. A case holds for the opsets between two; where a later
opset writes the same thing differently there is a case for each.
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from quantizer.network import layers
from quantizer.network.float_run import FloatRunner
from quantizer.network.layers import Function, FunctionKind
from quantizer.network.onnx_import import load_onnx
from quantizer.network.operators import OPERATORS
from tests.network.onnx_models import assert_equals_onnxruntime, model, node, save
from tests.network.operator_cases import elementwise, moves, pools, products
from tests.network.operator_cases.case import Case, drawn, one, positive

CASES = {
    name: made
    for group in (products, elementwise, pools, moves)
    for name, made in group.CASES.by_name.items()
}


def newest_opset() -> int:
    """Find the newest opset that onnx and onnxruntime both know."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    for opset in range(onnx.defs.onnx_opset_version(), 21, -1):
        made = model([node("Relu", ["x"], "y")], {}, opset=opset).SerializeToString()
        try:
            ort.InferenceSession(made, options, providers=["CPUExecutionProvider"])
        except Exception:  # onnxruntime raises several unrelated types
            continue
        return opset
    raise AssertionError("onnxruntime knows no opset beyond 21")


OPSETS = (11, 13, 15, 17, 18, 19, 20, 21, newest_opset())


RUNS = [
    pytest.param(made, opset, id=f"{name}, opset {opset}")
    for name, made in CASES.items()
    for opset in dict.fromkeys((*OPSETS, made.since))
    if made.since <= opset <= made.until
]


@pytest.mark.parametrize(("made", "opset"), RUNS)
def test_an_operator_equals_onnxruntime_on_the_untouched_file(
    tmp_path: Path, made: Case, opset: int
) -> None:
    dims = ("N", *made.dims)
    path = save(tmp_path, model(made.nodes, made.constants, input_dims=dims, opset=opset))
    network = load_onnx(path)
    assert [type(layer) for layer in network.layers] == list(made.becomes)
    assert_equals_onnxruntime(path, network)


def test_every_operator_of_the_table_has_a_case() -> None:
    read = {one.op_type for made in CASES.values() for one in made.nodes}
    # Those of test_onnx_import; Upsample is older than opset 11, a Softmax is left out.
    elsewhere = {"Gemm", "Clip", "Flatten", "Dropout", "Upsample", "Softmax", "LogSoftmax"}
    assert {entry.operator for entry in OPERATORS} - elsewhere <= read
    assert len({entry.operator for entry in OPERATORS}) == len(OPERATORS)


def test_an_operator_becomes_what_the_table_says() -> None:
    table = {entry.operator: entry.layers for entry in OPERATORS}
    for made in CASES.values():
        expected = {layer for one in made.nodes for layer in table[one.op_type]}
        assert set(made.becomes) <= expected


def test_parameters_of_functions_are_the_float32_of_the_standard(tmp_path: Path) -> None:
    expected = {
        "Celu": Function(kind=FunctionKind.CELU, alpha=1.0),
        "Elu": Function(kind=FunctionKind.ELU, alpha=1.0),
        "HardSigmoid": Function(
            kind=FunctionKind.HARD_SIGMOID, alpha=0.20000000298023224, beta=0.5
        ),
        "HardSwish": Function(kind=FunctionKind.HARD_SWISH),
        "Selu": Function(kind=FunctionKind.SELU, alpha=1.6732631921768188, beta=1.0507010221481323),
        "Swish": Function(kind=FunctionKind.SWISH, alpha=1.0),
        "ThresholdedRelu": Function(kind=FunctionKind.THRESHOLDED_RELU, alpha=1.0),
        "Gelu": Function(kind=FunctionKind.GELU),
    }
    for op, function in expected.items():
        (layer,) = load_onnx(save(tmp_path, model(one(op), {}, opset=24))).layers
        assert isinstance(layer, layers.Lookup)
        assert layer.function == function
    (layer,) = load_onnx(save(tmp_path, model(one("Elu", alpha=0.1), {}))).layers
    assert isinstance(layer, layers.Lookup)
    assert layer.function.alpha == 0.10000000149011612


def test_a_swish_is_read_where_onnxruntime_cannot_run_it(tmp_path: Path) -> None:
    network = load_onnx(save(tmp_path, model(one("Swish", alpha=1.5), {}, opset=25)))
    image = drawn(3, 8, 8)
    found = FloatRunner(network).run(image)["y"]
    np.testing.assert_allclose(found, image / (1 + np.exp(-1.5 * image)), rtol=1e-5, atol=1e-6)


def test_an_upsample_of_old_opsets_repeats(tmp_path: Path) -> None:
    made = model(one("Upsample", "f"), {"f": np.array([1, 1, 2, 3.0])}, opset=9)
    path = save(tmp_path, made)
    network = load_onnx(path)
    assert [type(layer) for layer in network.layers] == [layers.Upsample]
    assert_equals_onnxruntime(path, network)


def test_constants_of_operators_have_the_names_of_the_file(tmp_path: Path) -> None:
    nodes = [
        node("BatchNormalization", ["x", *"somv"], "n"),
        node("PRelu", ["n", "slopes"], "p"),
        node("LeakyRelu", ["p"], "l", alpha=0.25),
        node("Mul", ["l", "factor"], "q"),
        node("Add", ["q", "offset"], "r"),
        node("ConvTranspose", ["r", "turned", "bias"], "y", group=3, strides=[2, 2]),
    ]
    turned = drawn(3, 2, 2, 2)
    norm = {"s": positive(3), "o": drawn(3), "m": drawn(3, seed=1), "v": positive(3)}
    constants = {
        **norm, "slopes": drawn(3, 1, 1), "factor": drawn(3, 1, 1), "offset": drawn(1, 3, 1, 1),
        "turned": turned, "bias": drawn(6),
    }  # fmt: skip
    network = load_onnx(save(tmp_path, model(nodes, constants)))
    assert {name: value.shape for name, value in network.constants.items()} == {
        "s": (3,), "o": (3,), "slopes": (3, 1, 1), "l.alpha": (1, 1, 1), "factor": (3, 1, 1),
        "offset": (3, 1, 1), "turned": (6, 1, 2, 2), "bias": (6,),
    }  # fmt: skip
    factor = norm["s"] / np.sqrt(norm["v"].astype(np.float32).astype(np.float64) + 1e-5)
    np.testing.assert_allclose(network.constants["s"], factor, rtol=1e-6)
    np.testing.assert_allclose(network.constants["o"], norm["o"] - norm["m"] * factor, rtol=1e-5)
    assert network.constants["l.alpha"].item() == 0.25
    np.testing.assert_array_equal(
        network.constants["turned"], turned.reshape(6, 1, 2, 2).astype(np.float32)
    )
