"""Functions that onnxruntime would take apart, kept whole through its optimisation.

It has no kernel for some of the standard's functions of one value, and puts their
definition, several nodes, in their place as it loads a model. So what stands for such a node
meanwhile is another function of one value, which it has.
"""

from collections.abc import Mapping

from onnx import GraphProto, NodeProto, helper

_WITHOUT_KERNEL = ("HardSwish", "Mish", "Swish")


def hide_functions(graph: GraphProto) -> Mapping[str, NodeProto]:
    """Put stand-ins for functions of the input, in place.

    Functions of constants alone are left: they are computed, and that by their own rule.

    Parameters
    ----------
    graph
        Its nodes are in an order in which they can run.

    Returns
    -------
    Mapping
        The nodes that were replaced, by the names of what stands for them.
    """
    live = {value.name for value in graph.input}
    hidden: dict[str, NodeProto] = {}
    nodes = []
    for node in graph.node:
        if live.intersection(node.input):
            live.update(node.output)
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


def restore_functions(graph: GraphProto, hidden: Mapping[str, NodeProto]) -> None:
    """Put the functions back in the place of their stand-ins."""
    for node in graph.node:
        if (original := hidden.get(node.name)) is not None:
            node.op_type = original.op_type
            node.name = original.name
            del node.attribute[:]
            node.attribute.extend(original.attribute)
