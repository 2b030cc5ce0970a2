"""Is every file that has no equal here refused in one sentence that names the node?"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto

from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import Rounding
from quantizer.network.onnx_import import load_onnx
from quantizer.qonnx.metadata import KEY
from quantizer.qonnx.read import load_qonnx
from quantizer.quantized import NumericRules, Tuning
from tests.qonnx.cases import CASES, FLOAT_FILTERS, INPUT, PADS, SQUARE
from tests.qonnx.files import DOMAIN, load, model, node, quant, save

CONV = node("Conv", ["xq", "wq"], "c", "conv")
WEIGHTS = quant("w", "wq", 2**-5, 6.0)
OUTPUT = quant("c", "y", 2**-4)
VECTOR = np.array([0.5, 0.25])


def refused(folder: Path, made: ModelProto) -> str:
    with pytest.raises(InputError) as error:
        load(folder, made)
    return str(error.value).removeprefix(f"{folder}/net.q.onnx: ")


def on_input(**given: Any) -> list[Any]:
    parameters: dict[str, Any] = {"scale": 2**-5, **given}
    return [quant("x", "xq", **parameters), node("Relu", ["xq"], "y")]


NODES: dict[str, tuple[Sequence[Any], str]] = {
    "a scale that is no power of two": (
        on_input(scale=0.1), "has scale 0.100000001; expected powers of two",
    ),
    "scale 0": (on_input(scale=0.0), "has scale 0; expected powers of two"),
    "a negative scale": (on_input(scale=-0.5), "has scale -0.5; expected powers of two"),
    "scale NaN": (on_input(scale=np.nan), "has scale nan; expected powers of two"),
    "scale inf": (on_input(scale=np.inf), "has scale inf; expected powers of two"),
    "one of several scales": (
        on_input(scale=[[[[0.5]], [[0.75]]]]), "has scale 0.75; expected powers of two",
    ),
    "a tiny scale": (
        on_input(scale=2.0**-65), "has scale 2**-65; expected one from 2**-64 to 2**64",
    ),
    "a huge scale": (
        on_input(scale=2.0**65), "has scale 2**65; expected one from 2**-64 to 2**64",
    ),
    "scales per channel": (
        on_input(scale=[[[[0.5]], [[0.25]]]]),
        "has scales that differ; a feature map has one format",
    ),
    "no scale": (
        on_input(scale=np.zeros(0)), "scale 'xq.scale' holds no number; expected one or more",
    ),
    "an offset": (on_input(zero_point=3.0), "has zero point 3; expected 0"),
    "one bit": (on_input(bits=1.0), "has bit width 1; expected an integer from 2 to 16"),
    "17 bits": (on_input(bits=17.0), "has bit width 17; expected an integer from 2 to 16"),
    "half a bit": (on_input(bits=7.5), "has bit width 7.5; expected an integer from 2 to 16"),
    "many bits": (on_input(bits=1e30), "has bit width 1e+30; expected an integer from 2 to 16"),
    "NaN bits": (on_input(bits=np.nan), "has bit width nan; expected an integer from 2 to 16"),
    "two widths": (
        on_input(bits=[4.0, 8.0]), "has more than one bit width; expected one for the tensor",
    ),
    "a flag": (on_input(signed=2), "has signed 2; expected 0 or 1"),
    "a flag that is no integer": (on_input(signed=1.0), "has signed 1.0; expected 0 or 1"),
    "a word for a flag": (on_input(narrow="no"), "has narrow b'no'; expected 0 or 1"),
    "a narrow map": (
        on_input(narrow=1), "has narrow=1, a range that no feature map has; expected narrow=0",
    ),
    "a rounding": (
        on_input(rounding_mode="CEIL"),
        "rounds by 'CEIL'; expected one of ROUND, HALF_EVEN, HALF_UP, FLOOR, DOWN",
    ),
    "a number for a rounding": (
        on_input(rounding_mode=3),
        "rounds by '3'; expected one of ROUND, HALF_EVEN, HALF_UP, FLOOR, DOWN",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NODES)
def test_a_quant_node_without_an_equal_is_refused(name: str, tmp_path: Path) -> None:
    nodes, problem = NODES[name]
    assert refused(tmp_path, model(nodes, {})) == f"node 'xq' (Quant): {problem}"


@pytest.mark.parametrize("op", ["BipolarQuant", "Trunc", "FloatQuant", "MultiThreshold"])
def test_other_nodes_of_qonnx_are_refused(op: str, tmp_path: Path) -> None:
    nodes = [INPUT, node(op, ["xq", "scale"], "y", "odd", domain=DOMAIN)]
    assert refused(tmp_path, model(nodes, {"scale": 0.5})) == (
        f"node 'odd' ({op}): is not supported; of QONNX's nodes, Quant alone is"
    )


Edit = Callable[[ModelProto], object]
EDITS: dict[str, tuple[Edit, str]] = {
    "too few inputs": (
        lambda made: made.graph.node[0].input.pop(),
        "node 'xq' (Quant): expected four inputs and one output, none of them left out",
    ),
    "an input left out": (
        lambda made: made.graph.node[0].input.__setitem__(2, ""),
        "node 'xq' (Quant): expected four inputs and one output, none of them left out",
    ),
    "a dynamic scale": (
        lambda made: made.graph.node[0].input.__setitem__(1, "x"),
        "node 'xq' (Quant): scale 'x' is computed; expected a constant (qonnx-cleanup makes one)",
    ),
    "a missing scale": (
        lambda made: made.graph.node[0].input.__setitem__(1, "gone"),
        "node 'xq' (Quant): reads 'gone', which nothing writes",
    ),
    "a scale cut short": (
        lambda made: setattr(made.graph.initializer[0], "raw_data", b"\0"),
        "constant 'xq.scale': holds other values than its shape and type say",
    ),
    "a scale of an unknown type": (
        lambda made: setattr(made.graph.initializer[0], "data_type", 77),
        "constant 'xq.scale': holds other values than its shape and type say",
    ),
    "a cycle": (
        lambda made: made.graph.node[0].input.__setitem__(0, "y"),
        "node 'y' (Relu): depends on its own output; expected a graph without cycles",
    ),
    "a tensor written twice": (
        lambda made: made.graph.node.append(made.graph.node[0]),
        "node 'xq' (Quant): writes 'xq', which is there already",
    ),
    "a domain of nobody": (
        lambda made: setattr(made.graph.node[1], "domain", "my.domain"),
        "node 'y' (Relu): operator 'Relu' is not supported here; "
        "`accel-sim list operators` shows those that are",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_broken_file_is_refused(name: str, tmp_path: Path) -> None:
    edit, problem = EDITS[name]
    made = model(on_input(), {})
    edit(made)
    assert refused(tmp_path, made) == problem


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, model(*CASES["Brevitas, dynamo"]))
    content = path.read_bytes()
    for length in range(0, len(content) - 1, 97):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=f"^{path}: "):
            load_qonnx(path)


def test_a_missing_opset_import_of_qonnx_changes_nothing(tmp_path: Path) -> None:
    made = model(*CASES["Brevitas, dynamo"])
    expected = load(tmp_path, made)
    del made.opset_import[1]
    assert load(tmp_path, made).formats == expected.formats


GRAPHS: dict[str, tuple[Sequence[Any], dict[str, Any], str]] = {
    "two formats of a map": (
        [INPUT, WEIGHTS, CONV, quant("c", "p", 2**-4), quant("c", "q", 2**-3),
         node("Add", ["p", "q"], "s"), quant("s", "y", 2**-3)], {"w": FLOAT_FILTERS},
        "node 'q' (Quant): quantizes 'c' in another way than 'p' is; "
        "expected one format for a tensor",
    ),
    "a second, coarser format": (
        [INPUT, WEIGHTS, CONV, quant("c", "p", 2**-4), quant("p", "y", 2**-3)],
        {"w": FLOAT_FILTERS},
        "node 'y' (Quant): quantizes 'c' in another way than 'p' is; "
        "expected one format for a tensor",
    ),
    "a reader before the node": (
        [INPUT, WEIGHTS, CONV, quant("c", "p", 2**-4), node("Add", ["p", "c"], "s", "sum"),
         quant("s", "y", 2**-3)], {"w": FLOAT_FILTERS},
        "node 'p' (Quant): quantizes 'c', which Add 'sum' reads without it; "
        "expected all readers behind it",
    ),
    "a scale that is computed": (
        [node("Neg", ["k"], "s"), node("Quant", ["x", "s", "k", "k"], "xq", domain=DOMAIN),
         node("Relu", ["xq"], "y")], {"k": -1.0},
        "node 'xq' (Quant): scale 's' is computed; "
        "expected a constant (qonnx-cleanup makes one)",
    ),
    "weights that are computed": (
        [INPUT, node("Neg", ["w"], "n"), quant("n", "wq", 2**-5), CONV, OUTPUT],
        {"w": FLOAT_FILTERS},
        "node 'wq' (Quant): quantizes 'n', which is computed from constants; "
        "expected a constant (qonnx-cleanup makes one)",
    ),
    "a move to another format": (
        [INPUT, WEIGHTS, CONV, quant("c", "p", 2**-4),
         node("MaxPool", ["p"], "m", "pool", kernel_shape=[2, 2]), quant("m", "y", 2**-3)],
        {"w": FLOAT_FILTERS},
        "node 'y' (Quant): makes s8f3 of what MaxPool 'pool' moves in s8f4; "
        "expected the same format",
    ),
    "a map seen in two formats": (
        [INPUT, WEIGHTS, CONV, node("MaxPool", ["c"], "m", kernel_shape=[2, 2]),
         node("MaxPool", ["c"], "n", kernel_shape=[2, 2]), quant("m", "mq", 2**-3),
         quant("n", "nq", 2**-4), node("Add", ["mq", "nq"], "s"), quant("s", "y", 2**-3)],
        {"w": FLOAT_FILTERS},
        "node 'mq' (Quant): is not how all that read 'c' see it; "
        "expected one format and rounding of a map",
    ),
    "a map seen in two roundings": (
        [INPUT, WEIGHTS, CONV, node("MaxPool", ["c"], "m", kernel_shape=[2, 2]),
         node("MaxPool", ["c"], "n", kernel_shape=[2, 2]), quant("m", "mq", 2**-4),
         quant("n", "nq", 2**-4, rounding_mode="FLOOR"), node("Add", ["mq", "nq"], "s"),
         quant("s", "y", 2**-3)], {"w": FLOAT_FILTERS},
        "node 'mq' (Quant): is not how all that read 'c' see it; "
        "expected one format and rounding of a map",
    ),
    "a map seen with a format and without": (
        [INPUT, WEIGHTS, CONV, node("MaxPool", ["c"], "m", kernel_shape=[2, 2]),
         quant("m", "mq", 2**-3), node("GlobalAveragePool", ["c"], "a"),
         node("Add", ["mq", "a"], "s"), quant("s", "y", 2**-3)], {"w": FLOAT_FILTERS},
        "node 'mq' (Quant): is not how all that read 'c' see it; "
        "expected one format and rounding of a map",
    ),
    "two roundings": (
        [INPUT, WEIGHTS, CONV, quant("c", "y", 2**-4, rounding_mode="DOWN")],
        {"w": FLOAT_FILTERS},
        "node 'y' (Quant): rounds to_zero, 'xq' is rounded ties_even; "
        "expected one way, as a machine requantizes",
    ),
    "two roundings of means": (
        [INPUT, node("AveragePool", ["xq"], "a", kernel_shape=[2, 2]),
         quant("a", "aq", 2**-4, rounding_mode="DOWN"), node("GlobalAveragePool", ["aq"], "b"),
         quant("b", "y", 2**-4)], {},
        "node 'y' (Quant): rounds ties_even, 'aq' is rounded to_zero; "
        "expected one way, as a machine averages",
    ),
    "a bound in another rounding": (
        [INPUT, node("Clip", ["xq", "", "high"], "c"),
         quant("c", "y", 2**-5, rounding_mode="DOWN")],
        {"high": 1.01},
        "node 'y' (Quant): rounds to_zero, 'xq' is rounded ties_even; "
        "expected one way, as a machine requantizes",
    ),
    "half a step with another reader": (
        [INPUT, WEIGHTS, CONV, node("Add", ["c", "h"], "s", "half"),
         quant("s", "sq", 2**-3, rounding_mode="FLOOR"), node("Add", ["sq", "s"], "t", "sum"),
         quant("t", "y", 2**-3)], {"w": FLOAT_FILTERS, "h": 2**-4},
        "node 'sq' (Quant): quantizes 's', which Add 'sum' reads without it; "
        "expected all readers behind it",
    ),
    "an output with and without": (
        [INPUT, WEIGHTS, CONV, quant("c", "y", 2**-4)], {"w": FLOAT_FILTERS},
        "node 'y' (Quant): quantizes 'c', which is an output with and without it, or twice; "
        "expected one output of a tensor",
    ),
    "a map that goes": (
        [INPUT, node("Cast", ["xq"], "a", to=1), quant("a", "b", 2**-4), node("Relu", ["b"], "y")],
        {}, "node 'b' (Quant): quantizes 'b', which is no feature map here; leave it out",
    ),
    "scales of another shape": (
        [INPUT, quant("w", "wq", [0.5, 0.25]), CONV, OUTPUT], {"w": FLOAT_FILTERS},
        "node 'wq' (Quant): has scales of shape [2] for a constant of shape [4, 2, 3, 3]; "
        "expected one, or one per output channel",
    ),
    "scales per input channel": (
        [INPUT, quant("w", "wq", [[[[0.5]], [[0.25]]]]), CONV, OUTPUT], {"w": FLOAT_FILTERS},
        "node 'wq' (Quant): has scales that differ within an output channel; "
        "expected one for each",
    ),
    "scales per channel of an operand": (
        [INPUT, quant("k", "kq", [[[0.5]], [[0.25]]]), node("Mul", ["xq", "kq"], "c"), OUTPUT],
        {"k": np.ones((2, 1, 1))},
        "node 'kq' (Quant): frac_bits: slopes and constants that are added or multiplied have "
        "one fraction length, got 2",
    ),
    "unsigned weights": (
        [INPUT, quant("w", "wq", 0.5, signed=0), CONV, OUTPUT], {"w": FLOAT_FILTERS},
        "node 'wq' (Quant): signed: constants are signed, got false",
    ),
    "weights divided by": (
        [INPUT, quant("k", "kq", 2**-3), node("Div", ["xq", "kq"], "c"), OUTPUT],
        {"k": np.full((1, 1, 1), 0.75)},
        "node 'kq' (Quant): quantizes what 'k' is computed from (by alpha, beta, a division or "
        "a normalization); expected what the layer multiplies by or adds",
    ),
    "weights times alpha": (
        [INPUT, node("Flatten", ["xq"], "f"), quant("m", "mq", 2**-5),
         node("Gemm", ["f", "mq"], "c", alpha=0.5), OUTPUT], {"m": np.full((72, 2), 0.25)},
        "node 'mq' (Quant): quantizes what 'm' is computed from (by alpha, beta, a division or "
        "a normalization); expected what the layer multiplies by or adds",
    ),
    "a narrow range that clips": (
        [INPUT, quant("w", "wq", 2**-3, 2.0, narrow=1), CONV, OUTPUT],
        {"w": np.full((4, 2, 3, 3), -0.25)},
        "node 'wq' (Quant): makes -1 of -0.25 in 'w', a rounding to even in the whole range -2; "
        "expected rounding_mode=ROUND and narrow=0",
    ),
    "weights rounded down": (
        [INPUT, quant("w", "wq", 2**-3, rounding_mode="FLOOR"), CONV, OUTPUT],
        {"w": np.full((4, 2, 3, 3), 0.2)},
        "node 'wq' (Quant): makes 1 of 0.200000003 in 'w', a rounding to even in the whole "
        "range 2; expected rounding_mode=ROUND and narrow=0",
    ),
    "a bound": (
        [INPUT, quant("k", "kq", 2**-3), node("Clip", ["xq", "kq"], "y")], {"k": 0.5},
        "node 'kq' (Quant): quantizes 'k', which is neither weights, bias, slopes nor an "
        "operand; expected one of them",
    ),
    "a bias finer than its accumulator": (
        [INPUT, WEIGHTS, quant("b", "bq", 2**-11), node("Conv", ["xq", "wq", "bq"], "c", "conv"),
         OUTPUT], {"w": SQUARE, "b": VECTOR / 64},
        "node 'bq' (Quant): frac_bits 11 is finer than the accumulator of layer 'conv'; "
        "expected at most 10",
    ),
    "no format of the input": (
        [WEIGHTS, node("Conv", ["x", "wq"], "c"), OUTPUT], {"w": FLOAT_FILTERS},
        "feature map 'x': has no Quant node; give --calibration to have its format chosen",
    ),
    "no format of the output": (
        [INPUT, WEIGHTS, node("Conv", ["xq", "wq"], "y")], {"w": FLOAT_FILTERS},
        "feature map 'y': has no Quant node; give --calibration to have its format chosen",
    ),
    "no format of an operand of a sum": (
        [INPUT, WEIGHTS, node("Conv", ["xq", "wq"], "c", **PADS), node("Add", ["c", "xq"], "s"),
         quant("s", "y", 2**-3)], {"w": SQUARE},
        "feature map 'c': has no Quant node; give --calibration to have its format chosen",
    ),
    "no format of weights": (
        [INPUT, node("Conv", ["xq", "w"], "c"), OUTPUT], {"w": FLOAT_FILTERS},
        "constant 'w': has no Quant node; give --calibration to have its format chosen",
    ),
    "no format of a bias": (
        [INPUT, WEIGHTS, node("Conv", ["xq", "wq", "b"], "c"), OUTPUT],
        {"w": SQUARE, "b": VECTOR},
        "constant 'b': has no Quant node; give --calibration to have its format chosen",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_that_no_network_here_equals_is_refused(name: str, tmp_path: Path) -> None:
    nodes, constants, problem = GRAPHS[name]
    outputs = ("y", "c") if name == "an output with and without" else ("y",)
    assert refused(tmp_path, model(nodes, constants, outputs=outputs)) == problem


def facts(**wrong: Any) -> str:
    right = {
        "method": "ggd",
        "per_channel": True,
        "tuning": {"measure": "sqnr", "passes": 3, "budget": None},
        "bits": {},
        "choices": {},
        "notes": [],
        "digest": "",
    }
    return json.dumps(right | wrong)


def test_what_a_file_says_about_its_making_is_read(tmp_path: Path) -> None:
    made = model(on_input(), {})
    made.metadata_props.add(key=KEY, value=facts())
    network = load(tmp_path, made)
    assert network.per_channel
    assert network.tuning == Tuning(passes=3)


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", "[" * 10_000, '{"method": 3}',
        facts(per_channel=1), facts(tuning=True), facts(tuning={"measure": "sqnr", "passes": 0}),
        facts(tuning={"measure": "top5"}), facts(bits={"layers": {"a": {"weights": 8.0}}}),
        facts(bits={"layers": ["a"]}), facts(bits={"layers": {"a": {"inputs": 8}}}),
        facts(bits={"weights": 99}), facts(bits={"weights": 8.0}),
        facts(bits={"height": 8}), facts(notes="abc"), facts(method="a\u001b[31m"),
        facts(method="\ud800"), facts(choices=[]), facts(choices={"x": {"step": 1.0}}),
        facts(choices={"x": {"shapes": [1], "step": None, "predicted_sqnr_dB": None}}),
        facts(choices={"x": {"shapes": [], "step": "one", "predicted_sqnr_dB": None}}),
    ],
)  # fmt: skip
def test_what_a_file_says_about_its_making_must_be_as_it_is_written(
    text: str, tmp_path: Path
) -> None:
    made = model(on_input(), {})
    made.metadata_props.add(key=KEY, value=text)
    assert refused(tmp_path, made) == (
        "property 'accel_sim': is not as accel-sim writes it; quantize the network again"
    )


@pytest.mark.parametrize(
    ("key", "rules", "said", "given"),
    [
        ("requantize_rounding", NumericRules(), "ties_even", "ties_pos"),
        (
            "average_pool_rounding",
            NumericRules(requantize_rounding=Rounding.TIES_EVEN),
            "to_zero",
            "ties_pos",
        ),
    ],
)
def test_a_machine_that_rounds_otherwise_is_refused(
    key: str, rules: NumericRules, said: str, given: str, tmp_path: Path
) -> None:
    path = save(tmp_path, model(*CASES["a mean, its own rounding"]))
    with pytest.raises(InputError) as error:
        load_qonnx(path, rules=rules)
    assert str(error.value) == (
        f"{path}: is quantized for {key} {said}, the machine has {given}; quantize the network "
        f"with --machine, or build another with --set precision.{key}={said}"
    )


def test_the_rounding_of_means_is_free_where_there_are_none(tmp_path: Path) -> None:
    path = save(tmp_path, model(on_input(), {}))
    rules = NumericRules(
        requantize_rounding=Rounding.TIES_EVEN, average_pool_rounding=Rounding.TO_ZERO
    )
    assert load_qonnx(path, rules=rules).rules == rules


def test_a_float_file_is_refused(tmp_path: Path) -> None:
    made = model([node("Relu", ["x"], "y")], {})
    assert refused(tmp_path, made) == (
        "holds no Quant nodes; read it with load_onnx, and quantize it"
    )


def test_a_quantized_file_is_no_float_file(tmp_path: Path) -> None:
    path = save(tmp_path, model(on_input(), {}))
    with pytest.raises(InputError) as error:
        load_onnx(path)
    assert str(error.value) == (
        f"{path}: node 'xq' (Quant): is of QONNX; read the file with load_qonnx"
    )
