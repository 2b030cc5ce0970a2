"""Valid files with something wrong, or at least odd, in them; all drawn by a generator."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
import yaml
from numpy.random import Generator
from onnx import TensorProto, helper, numpy_helper

HOSTILE = (
    0, -1, 1, 2, 3, 7, 1 << 31, 1 << 63, 10**30, -0.0, 0.5, 1e-300, 1e300, float("nan"),
    float("inf"), "", "x", "none", "1e3", "\x1b[2J", "../x", True, False, None, [], {}, [[]],
    {"x": 1}, ["x", 1],
)  # fmt: skip
"""What a field may hold instead."""


def leaves(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to all values of a tree, sections included."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from leaves(value, (*path, key))


def find(tree: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def mutate_tree(tree: Any, rng: Generator, *, is_mild: bool) -> Any:
    """Change, drop, rename, repeat or swap one to three values of a tree.

    Mild mutants have other numbers, of the same kind and not far off.
    """
    tree = copy.deepcopy(tree)
    for _ in range(int(rng.integers(1, 4))):
        paths = list(leaves(tree))
        if not paths:
            break
        if is_mild:
            paths = [path for path in paths if type(find(tree, path)) in (int, float)] or paths
        *above, key = paths[int(rng.integers(len(paths)))]
        section = find(tree, tuple(above))
        value = section[key]
        if is_mild and type(value) in (int, float):
            changes: list[Callable[[], Any]] = [
                lambda v=value: v * 2, lambda v=value: v // 2 or v, lambda v=value: v + 1,
                lambda v=value: max(v - 1, 1), lambda v=value: v * 3,
            ]  # fmt: skip
            section[key] = changes[int(rng.integers(len(changes)))]()
            continue
        _mutate_value(section, key, rng)
    return tree


def _mutate_value(section: Any, key: Any, rng: Generator) -> None:
    kind = int(rng.integers(5))
    if kind == 0:
        del section[key]
    elif kind == 1 and isinstance(section, dict):
        section[f"{key}{'x' * int(rng.integers(1, 3))}"] = section.pop(key)
    elif kind == 2 and isinstance(section, dict):
        other = list(section)[int(rng.integers(len(section)))]
        section[key], section[other] = section[other], section[key]
    elif kind == 3 and isinstance(section, list):
        section.insert(key, copy.deepcopy(section[key]))
    else:
        section[key] = copy.deepcopy(HOSTILE[int(rng.integers(len(HOSTILE)))])


def mutate_bytes(content: bytes, rng: Generator) -> bytes:
    """Cut, flip bits, repeat, remove, or write something over a part."""
    kind, size = int(rng.integers(5)), len(content)
    if kind == 0:
        return content[: int(rng.integers(size))]
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        place = int(rng.integers(size))
        end = min(place + int(rng.integers(1, 9)), len(changed))
        if kind == 1:
            changed[place % len(changed)] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            changed[place:place] = changed[place:end]
        elif kind == 3 and len(changed) > 16:
            del changed[place:end]
        else:
            changed[place:end] = rng.integers(0, 256, end - place, dtype=np.uint8).tobytes()
    return bytes(changed)


def mutate_yaml(text: str, rng: Generator) -> bytes:
    """Mutate the tree of a file seven times out of eight, mildly five times, else its bytes."""
    kind = int(rng.integers(8))
    if kind == 7:
        return mutate_bytes(text.encode(), rng)
    tree = mutate_tree(yaml.safe_load(text), rng, is_mild=kind < 5)
    return yaml.safe_dump(tree, sort_keys=False).encode()


def mutate_json(text: str, rng: Generator) -> bytes:
    """The same for JSON."""
    kind = int(rng.integers(4))
    if kind == 3:
        return mutate_bytes(text.encode(), rng)
    return json.dumps(mutate_tree(json.loads(text), rng, is_mild=kind == 0)).encode()


def mutate_onnx(model: onnx.ModelProto, rng: Generator) -> bytes:
    """Mutate the graph of a model three times out of four, else its bytes."""
    if rng.integers(4) == 3:
        return mutate_bytes(model.SerializeToString(), rng)
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for _ in range(int(rng.integers(1, 3))):
        change = GRAPH_CHANGES[int(rng.integers(len(GRAPH_CHANGES)))]
        change(changed.graph, rng)
    if rng.integers(16) == 0:
        changed.opset_import[0].version = int(rng.choice([0, 1, 7, 12, 21, 99, -1]))
    return changed.SerializeToString()


def _pick(items: Any, rng: Generator) -> Any:
    return items[int(rng.integers(len(items)))]


def _other_name(graph: Any, rng: Generator) -> str:
    names = [name for node in graph.node for name in (*node.input, *node.output)]
    return str(_pick([*names, "", "nowhere", "</script>"], rng))


def _change_weights(graph: Any, rng: Generator) -> None:
    tensor = _pick(graph.initializer, rng)
    values = numpy_helper.to_array(tensor).copy()
    if values.dtype != np.float32 or not values.size:
        return
    values.flat[int(rng.integers(values.size))] = _pick(
        [np.nan, np.inf, -np.inf, 0, 1e38, 1e-42, -1, 0.5], rng
    )
    tensor.CopyFrom(
        numpy_helper.from_array(values * _pick([1, 1, 0, 1e20, 1e-20], rng), tensor.name)
    )


def _change_shape(graph: Any, rng: Generator) -> None:
    tensor = _pick(graph.initializer, rng)
    values = numpy_helper.to_array(tensor)
    kind = int(rng.integers(4))
    if kind == 0:
        values = values.reshape(-1)
    elif kind == 1:
        values = values[..., :0]
    elif kind == 2:
        values = np.concatenate([values, values], axis=0) if values.ndim else values
    else:
        tensor.dims[:] = [int(_pick([0, 1, 3, -1, 1 << 40], rng)) for _ in tensor.dims]
        return
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _change_type(graph: Any, rng: Generator) -> None:
    tensor = _pick(graph.initializer, rng)
    tensor.data_type = int(_pick([TensorProto.INT64, TensorProto.DOUBLE, 0, 99], rng))


def _make_external(graph: Any, rng: Generator) -> None:
    tensor = _pick(graph.initializer, rng)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (
        ("location", _pick(["../x", "/etc/passwd", "nothing.bin", "", "."], rng)),
        ("offset", _pick(["0", "-1", "x", "99999999999"], rng)),
        ("length", _pick(["4", "-4", "99999999999"], rng)),
    ):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value


def _drop_constant(graph: Any, rng: Generator) -> None:
    del graph.initializer[int(rng.integers(len(graph.initializer)))]


def _drop_node(graph: Any, rng: Generator) -> None:
    del graph.node[int(rng.integers(len(graph.node)))]


def _swap_nodes(graph: Any, rng: Generator) -> None:
    one, two = (int(rng.integers(len(graph.node))) for _ in range(2))
    nodes = list(graph.node)
    nodes[one], nodes[two] = nodes[two], nodes[one]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _rewire(graph: Any, rng: Generator) -> None:
    node = _pick(graph.node, rng)
    ends = node.input if rng.integers(2) and node.input else node.output
    ends[int(rng.integers(len(ends)))] = _other_name(graph, rng)


def _rename_operator(graph: Any, rng: Generator) -> None:
    node = _pick(graph.node, rng)
    node.op_type = str(
        _pick(["Relu", "Conv", "Softmax", "Nothing", "", "Loop", "LSTM", "MaxPool", "Add"], rng)
    )


def _change_attribute(graph: Any, rng: Generator) -> None:
    nodes = [node for node in graph.node if node.attribute]
    if not nodes:
        return
    attribute = _pick(_pick(nodes, rng).attribute, rng)
    value = _pick([0, -1, 1, 2, 3, 1 << 40], rng)
    if attribute.ints:
        attribute.ints[int(rng.integers(len(attribute.ints)))] = value
    elif rng.integers(2):
        attribute.i = value
    else:
        attribute.CopyFrom(helper.make_attribute(attribute.name, "text"))


def _change_input(graph: Any, rng: Generator) -> None:
    dims = graph.input[0].type.tensor_type.shape.dim
    if len(dims):
        dims[int(rng.integers(len(dims)))].dim_value = int(
            _pick([0, -1, 1, 2, 5, 7, 16, 1 << 20, 1 << 40], rng)
        )


def _change_names(graph: Any, rng: Generator) -> None:
    name = str(
        _pick(["", "x" * 5000, "a\nb", "\x1b[31m", "</script><script>", graph.node[0].name], rng)
    )
    _pick(graph.node, rng).name = name


def _change_output(graph: Any, rng: Generator) -> None:
    graph.output[0].name = _other_name(graph, rng)


GRAPH_CHANGES = (
    _change_weights, _change_weights, _change_weights, _change_names, _change_input,
    _change_attribute, _change_attribute, _change_shape, _change_type, _make_external,
    _drop_constant, _drop_node, _swap_nodes, _rewire, _rename_operator, _change_output,
)  # fmt: skip
