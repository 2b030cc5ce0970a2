"""Every row of docs/operators.md: its integers, and cycles and DRAM bytes worked out by hand.

The machine has 4 x 4 output-stationary PEs that drain row by row, 4 lanes, and a DRAM and
ports that never make anyone wait. So an array layer takes, for each fold of 4 pixels by 4
filters, its reduction + 4 + 4 - 2 cycles and 4 of drain; all others take one cycle for 4
elements. All operands have 8 bits, biases 16.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, helper

import accel_sim
from accel_sim.functional import ExactNetwork
from accel_sim.hardware.load import load_hardware
from accel_sim.operators import LAYERS, operator_page
from accel_sim.performance import LayerPerformance
from accel_sim.simulation import simulate
from quantizer.formats_file import formats_to_json
from quantizer.network.float_run import FloatRunner
from quantizer.network.images import ImageSet, Preprocessing
from quantizer.network.layers import Layer, LocalResponseNorm
from quantizer.network.onnx_import import load_onnx
from quantizer.network.operators import OPERATORS
from quantizer.quantize import quantize
from quantizer.quantized import BitWidths, NumericRules
from tests.network.onnx_models import model
from tests.oracles import integer_network

ROOT = Path(accel_sim.__file__).parent.parent
CALM_MACHINE = (
    "mac_array.tile_overhead_cycles=0",
    "dram.bandwidth_GBps=100000",  # less than a cycle for all of these
    "dram.latency_ns=0",
    "buffers.ifm.port_bits=256",
    "buffers.weights.port_bits=256",
    "buffers.ofm.port_bits=256",
)
RNG = np.random.default_rng(2)
MAP = (4, 6, 6)  # 144 elements


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A network of one operator and what its layers cost together.

    Attributes
    ----------
    shape
        Of the input, without the batch.
    before
        Nodes that make the operator's inputs, from ``x``.
    layers
        Kinds of the layers that the operator becomes.
    bytes
        Over the DRAM bus: ifm, weights and biases, second operand, ofm.
    """

    nodes: tuple[NodeProto, ...]
    constants: dict[str, NDArray[Any]]
    shape: tuple[int, ...]
    outputs: tuple[str, ...]
    opset: int
    layers: tuple[str, ...]
    cycles: int
    bytes: tuple[int, int, int, int]

    @property
    def operator(self) -> str:
        return self.nodes[-1].op_type


def case(
    operator: str,
    cycles: int,
    bytes: tuple[int, int, int, int],
    *layers: str,
    inputs: tuple[str, ...] = ("x",),
    before: tuple[NodeProto, ...] = (),
    shape: tuple[int, ...] = MAP,
    outputs: tuple[str, ...] = ("y",),
    opset: int = 17,
    constants: dict[str, NDArray[Any]] | None = None,
    attributes: dict[str, Any] | None = None,
) -> Case:
    node = helper.make_node(operator, list(inputs), list(outputs), **(attributes or {}))
    return Case(
        nodes=(*before, node), constants=constants or {}, shape=shape, outputs=outputs,
        opset=opset, layers=layers, cycles=cycles, bytes=bytes,
    )  # fmt: skip


def normal(*shape: int) -> NDArray[np.float64]:
    return RNG.normal(size=shape) / 4


def positive(*shape: int) -> NDArray[np.float64]:
    return np.abs(normal(*shape)) + 0.1


RELU = (helper.make_node("Relu", ["x"], ["r"]),)
NORM = {"scale": positive(4), "B": normal(4), "mean": normal(4), "var": positive(4)}
FUNCTIONS = (
    "Abs", "Celu", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "Mish", "Neg", "Selu",
    "Sigmoid", "Softplus", "Softsign", "Swish", "Tanh", "ThresholdedRelu",
)  # fmt: skip
SINCE = {"Gelu": 20, "Mish": 18, "Swish": 24}

CASES = (
    # 4 x 4 outputs of 4 filters: 4 folds of 4 * 9 products.
    case("Conv", 4 * (36 + 6 + 4), (144, 144 + 8, 0, 64), "Conv", inputs=("x", "w", "b"),
         constants={"w": normal(4, 4, 3, 3), "b": normal(4)}),
    # 10 outputs in a row: 3 folds of 4 * 3 products.
    case("Conv", 3 * (12 + 6 + 4), (48, 48, 0, 40), "Conv", inputs=("x", "w"), shape=(4, 12),
         constants={"w": normal(4, 4, 3)}),
    # Depthwise: each channel folds alone, 4 folds of 9 products.
    case("Conv", 4 * 4 * (9 + 6 + 4), (144, 36, 0, 64), "Conv", inputs=("x", "w"),
         constants={"w": normal(4, 1, 3, 3)}, attributes={"group": 4}),
    # As 1 x 1 convolution to 2 * 4 filters: 9 folds of pixels by 2 of filters, 4 products.
    case("ConvTranspose", 18 * (4 + 6 + 4), (144, 32, 0, 288), "ConvTranspose",
         inputs=("x", "w"), constants={"w": normal(4, 2, 2, 2)}, attributes={"strides": [2, 2]}),
    # One pixel, 10 filters: 3 folds of 16 products.
    case("Gemm", 3 * (16 + 6 + 4), (16, 160 + 20, 0, 10), "Dense", inputs=("x", "w", "b"),
         shape=(16,), constants={"w": normal(16, 10), "b": normal(10)}),
    case("MatMul", 3 * (16 + 6 + 4), (16, 160, 0, 10), "Dense", inputs=("x", "w"), shape=(16,),
         constants={"w": normal(16, 10)}),
    # Off the array: 144 outputs by 4 lanes. A scale of 1 byte and an offset of 2 per channel.
    case("BatchNormalization", 36, (144, 12, 0, 144), "BatchNorm",
         inputs=("x", "scale", "B", "mean", "var"), constants=NORM),
    case("Relu", 36, (144, 0, 0, 144), "Clip"),
    case("Clip", 36, (144, 0, 0, 144), "Clip", inputs=("x", "low", "high"),
         constants={"low": np.array(-0.5), "high": np.array(0.5)}),
    case("Max", 36, (144, 0, 0, 144), "Clip", inputs=("x", "c"), constants={"c": np.array(0.2)}),
    case("Min", 36, (144, 0, 0, 144), "Clip", inputs=("x", "c"), constants={"c": np.array(0.2)}),
    case("Add", 36, (144, 0, 144, 144), "Add", inputs=("x", "x")),
    case("Add", 36, (144, 0, 4, 144), "Add", inputs=("x", "c"), constants={"c": normal(4, 1, 1)}),
    case("Sub", 36, (144, 0, 144, 144), "Add", inputs=("x", "c"),
         constants={"c": normal(1, *MAP)}),
    case("Mul", 36, (144, 0, 144, 144), "Mul", inputs=("x", "x")),
    case("Mul", 36, (144, 0, 1, 144), "Mul", inputs=("x", "c"), constants={"c": normal(1)}),
    case("Div", 36, (144, 0, 4, 144), "Mul", inputs=("x", "c"),
         constants={"c": positive(4, 1, 1)}),
    case("PRelu", 36, (144, 4, 0, 144), "PRelu", inputs=("x", "s"),
         constants={"s": normal(4, 1, 1)}),
    case("LeakyRelu", 36, (144, 0, 0, 144), "PRelu"),
    # A table of 2**8 bytes.
    *(
        case(name, 36, (144, 256, 0, 144), "Lookup", opset=SINCE.get(name, 17))
        for name in FUNCTIONS
    ),
    case("Sqrt", 36, (144, 256, 0, 144), "Lookup", inputs=("a",),
         before=(helper.make_node("Abs", ["x"], ["a"]),)),
    case("LRN", 0, (0, 0, 0, 0), "LocalResponseNorm", inputs=("r",), before=RELU,
         attributes={"size": 3}),
    # 144 elements of windows by 4 lanes.
    case("AveragePool", 36, (144, 0, 0, 36), "AveragePool",
         attributes={"kernel_shape": [2, 2], "strides": [2, 2]}),
    case("GlobalAveragePool", 36, (144, 0, 0, 4), "AveragePool"),
    case("ReduceMean", 36, (144, 0, 0, 24), "AveragePool", attributes={"axes": [3]}),
    case("MaxPool", 36, (144, 0, 0, 16), "MaxPool",
         attributes={"kernel_shape": [3, 3], "strides": [3, 3]}),
    case("GlobalMaxPool", 36, (144, 0, 0, 4), "MaxPool"),
    case("ReduceMax", 36, (144, 0, 0, 4), "MaxPool", attributes={"axes": [2, 3], "keepdims": 0}),
    # The network's input has a format of its own: it is requantized, the Relu's too.
    case("Concat", 72, (288, 0, 0, 288), "Concat", inputs=("x", "r"), before=RELU,
         attributes={"axis": 1}),
    # What the layers before write in place costs nothing more.
    case("Concat", 0, (0, 0, 0, 0), "Concat", inputs=("s", "t"), attributes={"axis": 1},
         before=(helper.make_node("Sigmoid", ["x"], ["s"]),
                 helper.make_node("Tanh", ["x"], ["t"]))),
    # Shape only: free.
    case("Flatten", 0, (0, 0, 0, 0), "Reshape", inputs=("r",), before=RELU),
    case("Reshape", 0, (0, 0, 0, 0), "Reshape", inputs=("r", "shape"), before=RELU,
         constants={"shape": np.array([1, 36, 4])}),
    case("Squeeze", 0, (0, 0, 0, 0), "Reshape", inputs=("r", "axes"), before=RELU,
         shape=(4, 1, 6), constants={"axes": np.array([2])}),
    case("Unsqueeze", 0, (0, 0, 0, 0), "Reshape", inputs=("r", "axes"), before=RELU,
         shape=(4, 6), constants={"axes": np.array([2])}),
    case("Transpose", 0, (0, 0, 0, 0), "Reshape", inputs=("r",), before=RELU, shape=(4, 1, 6),
         attributes={"perm": [0, 2, 1, 3]}),
    # Every other move writes each output once and reads what it needs once.
    case("Transpose", 36, (144, 0, 0, 144), "Transpose", attributes={"perm": [0, 2, 3, 1]}),
    case("DepthToSpace", 36, (144, 0, 0, 144), "Transpose", attributes={"blocksize": 2}),
    case("SpaceToDepth", 36, (144, 0, 0, 144), "Transpose", attributes={"blocksize": 2}),
    case("Slice", 18, (72, 0, 0, 72), "Slice", inputs=("x", "from", "to", "axes"),
         constants={"from": np.array([1]), "to": np.array([3]), "axes": np.array([1])}),
    case("Split", 36, (144, 0, 0, 144), "Slice", "Slice", outputs=("y", "z"), inputs=("x", "n"),
         constants={"n": np.array([1, 3])}, attributes={"axis": 1}),
    case("Pad", 64, (144, 0, 0, 256), "Pad", inputs=("x", "pads"),
         constants={"pads": np.array([0, 0, 1, 1, 0, 0, 1, 1])}),
    case("Resize", 144, (144, 0, 0, 576), "Upsample", inputs=("x", "", "scales"),
         constants={"scales": np.array([1.0, 1.0, 2.0, 2.0])}, attributes={"mode": "nearest"}),
    case("Upsample", 144, (144, 0, 0, 576), "Upsample", inputs=("x", "scales"), opset=9,
         constants={"scales": np.array([1.0, 1.0, 2.0, 2.0])}, attributes={"mode": "nearest"}),
    # Left out where it is last.
    case("Softmax", 0, (0, 0, 0, 0), inputs=("r",), before=RELU, attributes={"axis": 1}),
    case("LogSoftmax", 0, (0, 0, 0, 0), inputs=("r",), before=RELU, attributes={"axis": 1}),
)  # fmt: skip

# Removed without a trace by onnxruntime, unless they are the whole network.
INVISIBLE = ("Identity", "Dropout")
EACH = pytest.mark.parametrize("case", CASES, ids=[f"{one.operator}-{one.layers}" for one in CASES])


def save(case: Case, folder: Path) -> Path:
    made = model(
        case.nodes, case.constants, input_dims=("N", *case.shape), output=case.outputs[0],
        opset=case.opset,
    )  # fmt: skip
    for name in case.outputs[1:]:
        made.graph.output.add().CopyFrom(helper.make_tensor_value_info(name, 1, None))
    path = folder / "net.onnx"
    onnx.save(made, path)
    return path


def images(shape: tuple[int, ...], count: int) -> ImageSet:
    return ImageSet(
        images=np.random.default_rng(count).normal(size=(count, *shape)).astype(np.float32),
        labels=None, preprocessing=Preprocessing(), source="noise",
    )  # fmt: skip


def own_layers(case: Case, layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """Layers that are the operator's and not those before it."""
    made_before = {name for node in case.nodes[:-1] for name in node.output}
    return tuple(layer for layer in layers if layer.ofm not in made_before)


def test_every_operator_has_a_case_and_every_layer_a_row() -> None:
    assert {one.operator for one in CASES} | set(INVISIBLE) == {one.operator for one in OPERATORS}
    named = {layer for operator in OPERATORS for layer in operator.layers}
    assert [one.layer for one in LAYERS] == list(dict.fromkeys(one.layer for one in LAYERS))
    assert named == {one.layer for one in LAYERS}


@EACH
def test_an_operator_costs_what_is_worked_out_by_hand(case: Case, tmp_path: Path) -> None:
    network = load_onnx(save(case, tmp_path))
    own = own_layers(case, network.layers)
    assert tuple(layer.op for layer in own) == case.layers
    operator = next(one for one in OPERATORS if one.operator == case.operator)
    assert set(case.layers) <= {layer.__name__ for layer in operator.layers}
    report = simulate(load_hardware("mcu_4x4", CALM_MACHINE), network)
    names = {layer.name for layer in own}
    costs = [one.performance for one in report.layers if one.name in names]
    assert sum(cost.cycles.total for cost in costs) == case.cycles
    assert tuple(sum_bytes(costs)) == case.bytes
    assert all((cost.energy.total.value_pJ > 0) == (case.cycles > 0) for cost in costs)


def sum_bytes(costs: list[LayerPerformance]) -> list[int]:
    moved = [cost.dram_bytes for cost in costs]
    return [
        sum(one.ifm_read for one in moved),
        sum(one.weights_read for one in moved),
        sum(one.residual_read for one in moved),
        sum(one.ofm_write for one in moved),
    ]


@EACH
def test_an_operator_gives_the_integers_of_the_interpreter(case: Case, tmp_path: Path) -> None:
    path = save(case, tmp_path)
    graph = load_onnx(path)
    network = quantize(graph, images(case.shape, 4), BitWidths(), NumericRules())
    test_images = images(case.shape, 3)
    reals = [test_images.real(index) for index in range(3)]
    found = [ExactNetwork(network).run(image).tensors for image in reals]
    if any(isinstance(layer, LocalResponseNorm) for layer in graph.layers):
        # The host's float64: within half a step of the encoded float network.
        runner, fmt = FloatRunner(graph), network.formats[graph.output]
        for tensors in found:
            shown = network.formats["x"].decode(tensors["x"])
            expected = runner.run(shown)[graph.output].clip(
                fmt.decode(fmt.raw_min), fmt.decode(fmt.raw_max)
            )
            np.testing.assert_allclose(
                fmt.decode(tensors[graph.output]), expected, atol=fmt.step * 0.5001
            )
        return
    integers = integer_network.run(path, formats_to_json(network), np.stack(reals))
    for layer in graph.layers:
        np.testing.assert_array_equal(
            np.stack([tensors[layer.ofm] for tensors in found]), integers[layer.ofm]
        )


def test_the_page_of_operators_is_the_table() -> None:
    assert (ROOT / "docs" / "operators.md").read_text() == operator_page()
