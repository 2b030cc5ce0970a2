"""Functions that onnxruntime would take apart, kept whole through its optimisation.

It has no kernel for some of the standard's operators, and puts their definition, several
nodes, in their place as it loads a model. For the functions of one value among them something
else stands meanwhile: a function of one value that it has a kernel for. The others are refused
here, while they still have their name.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
from onnx import GraphProto, ModelProto, NodeProto, helper

from quantizer.network.onnx_nodes import is_read, why_not_read
from quantizer.network.onnx_reader import STANDARD_DOMAINS
from quantizer.network.onnx_structure import opset_of, refuse

_WITHOUT_KERNEL = ("HardSwish", "Mish", "Swish")


_LAST = ("Softmax", "LogSoftmax")
"""Left out where they are final; refused elsewhere, when it is known that they are not."""

_SIZES = ("Shape", "Size")
"""What these give of a map is constant."""


def hide_functions(path: Path, model: ModelProto) -> Mapping[str, NodeProto]:
    """Put stand-ins for functions of the input, in place.

    Functions of constants alone are left: they are computed, and that by their own rule.

    Parameters
    ----------
    model
        Its nodes are in an order in which they can run.

    Returns
    -------
    Mapping
        The nodes that were replaced, by the names of what stands for them.

    Raises
    ------
    InputError
        An operator that is not supported computes something from the input, and is one of
        those that the standard defines by others.
    """
    graph = model.graph
    opset = opset_of(model)
    live = {value.name for value in graph.input}
    hidden: dict[str, NodeProto] = {}
    nodes = []
    for node in graph.node:
        if live.intersection(node.input) and node.op_type not in _SIZES:
            live.update(node.output)
            if not is_read(node) and _is_defined_by_others(node, opset):
                raise refuse(path, node, why_not_read(node))
            if node.op_type in _WITHOUT_KERNEL:
                # The optimisation keeps a node's name, not always the name of its output;
                # none from a file holds a NUL.
                name = f"{len(hidden)}\0"
                hidden[name] = node
                node = helper.make_node("Softsign", node.input, node.output, name=name)
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    return hidden


def _is_defined_by_others(node: NodeProto, opset: int) -> bool:
    if node.domain not in STANDARD_DOMAINS or node.op_type in _LAST:
        return False
    # Any, because the types that onnx ships do not tell of what is asked here.
    schema: Any = onnx.defs.get_schema(node.op_type, opset, "")
    return bool(schema.has_function or schema.has_context_dependent_function)


def restore_functions(graph: GraphProto, hidden: Mapping[str, NodeProto]) -> None:
    """Put the functions back in the place of their stand-ins."""
    for node in graph.node:
        if (original := hidden.get(node.name)) is not None:
            node.op_type = original.op_type
            node.name = original.name
            del node.attribute[:]
            node.attribute.extend(original.attribute)
