"""Translation of single ONNX nodes to layers: which operator is read by what."""

from collections.abc import Callable, Mapping

from onnx import NodeProto

from quantizer.network.layers import FunctionKind, Layer
from quantizer.network.onnx_array_layers import (
    read_batch_normalization,
    read_conv,
    read_conv_transpose,
    read_gemm,
    read_matmul,
)
from quantizer.network.onnx_elementwise import (
    read_add,
    read_clip,
    read_function,
    read_leaky_relu,
    read_lrn,
    read_mul,
    read_prelu,
)
from quantizer.network.onnx_moves import (
    read_concat,
    read_depth_to_space,
    read_pad,
    read_reshape,
    read_resize,
    read_slice,
    read_space_to_depth,
    read_split,
    read_transpose,
)
from quantizer.network.onnx_pools import (
    read_average_pool,
    read_global_average_pool,
    read_global_max_pool,
    read_max_pool,
    read_reduction,
)
from quantizer.network.onnx_reader import QONNX_DOMAINS, STANDARD_DOMAINS, NodeReader
from quantizer.network.operators import OPERATORS

_ReadOne = Callable[[NodeReader, NodeProto], Layer]
_ReadSome = Callable[[NodeReader, NodeProto], tuple[Layer, ...]]

_ONE_LAYER: Mapping[str, _ReadOne] = {
    "Conv": read_conv,
    "ConvTranspose": read_conv_transpose,
    "Gemm": read_gemm,
    "MatMul": read_matmul,
    "BatchNormalization": read_batch_normalization,
    "Relu": read_clip,
    "Clip": read_clip,
    "Max": read_clip,
    "Min": read_clip,
    "Add": read_add,
    "Sub": read_add,
    "Mul": read_mul,
    "Div": read_mul,
    "AveragePool": read_average_pool,
    "GlobalAveragePool": read_global_average_pool,
    "MaxPool": read_max_pool,
    "GlobalMaxPool": read_global_max_pool,
    "PRelu": read_prelu,
    "LeakyRelu": read_leaky_relu,
    **{kind.value: read_function for kind in FunctionKind if kind != FunctionKind.GELU_TANH},
    "LRN": read_lrn,
    "Concat": read_concat,
    "Flatten": read_reshape,
    "Reshape": read_reshape,
    "Squeeze": read_reshape,
    "Unsqueeze": read_reshape,
    "Identity": read_reshape,
    "Dropout": read_reshape,
    "Transpose": read_transpose,
    "DepthToSpace": read_depth_to_space,
    "SpaceToDepth": read_space_to_depth,
    "Slice": read_slice,
    "Pad": read_pad,
    "Resize": read_resize,
    "Upsample": read_resize,
}
_SOME_LAYERS: Mapping[str, _ReadSome] = {
    "ReduceMean": read_reduction,
    "ReduceMax": read_reduction,
    "Split": read_split,
}


def read_node(reader: NodeReader, node: NodeProto) -> tuple[Layer, ...]:
    """Translate one node of the optimised model.

    Raises
    ------
    InputError
        This use of the operator is not supported.
    """
    if read_some := _SOME_LAYERS.get(node.op_type):
        return read_some(reader, node)
    return (_ONE_LAYER[node.op_type](reader, node),)


def is_read(node: NodeProto) -> bool:
    """Whether there is a translation of a node's operator, and values for its attributes."""
    is_known = node.op_type in _ONE_LAYER or node.op_type in _SOME_LAYERS
    return is_known and node.domain in STANDARD_DOMAINS and _reference(node) is None


def why_not_read(node: NodeProto) -> str:
    """Problem of a node that `is_read` denies, for the user."""
    if (name := _reference(node)) is not None:
        return f"takes attribute {name!r} from a function around it; expected a value of its own"
    if node.domain in QONNX_DOMAINS:
        return "is of QONNX; read the file with load_qonnx"
    if node.domain in STANDARD_DOMAINS:
        for entry in OPERATORS:
            if entry.operator == node.op_type:
                return f"cannot be here; it is supported {entry.limits}"
    return (
        f"operator {node.op_type!r} is not supported here; "
        "`accel-sim list operators` shows those that are"
    )


def _reference(node: NodeProto) -> str | None:
    """Name of an attribute that has no value but refers to one of a function's."""
    return next((one.name for one in node.attribute if one.ref_attr_name), None)
