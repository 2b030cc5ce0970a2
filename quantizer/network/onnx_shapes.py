"""Shapes of the feature maps of an ONNX model, as running it gives them."""

import math
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto

from quantizer.errors import InputError
from quantizer.network.layers import Shape
from quantizer.network.onnx_runtime import reason, start_session

_MAX_VALUES = 1 << 28
"""Values of all feature maps of one image, 1 GiB as float32. Four copies are kept at times."""


def find_shapes(path: Path, model: ModelProto, nodes: Sequence[NodeProto]) -> dict[str, Shape]:
    """Shapes of all feature maps, batch included, as one run on zeros gives them.

    The standard's own shape inference has gaps (old operator sets, reshapes by computed
    sizes); what runs has a shape.

    Raises
    ------
    InputError
        If the model does not run, or its maps are empty or too large.
    """
    names = [name for node in nodes for name in node.output if name]
    exposed = ModelProto()
    exposed.CopyFrom(model)
    del exposed.graph.output[:]
    exposed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    (source,) = model.graph.input
    shape = tuple(dim.dim_value for dim in source.type.tensor_type.shape.dim)
    _refuse_huge(path, exposed, {source.name, *names})
    try:
        session = start_session(exposed, optimise=False)
        results = session.run(names, {source.name: np.zeros(shape, np.float32)})
    except Exception as error:  # onnxruntime raises several unrelated types
        raise InputError(
            str(path), f"onnxruntime cannot run this model ({reason(error)})"
        ) from None
    shapes = {source.name: shape, **{n: r.shape for n, r in zip(names, results, strict=True)}}
    for name, sizes in shapes.items():
        if 0 in sizes:
            raise InputError(
                f"{path}: feature map {name!r}",
                f"has no values, its shape is {list(sizes)}; expected one or more",
            )
    return shapes


def _refuse_huge(path: Path, model: ModelProto, maps: Collection[str]) -> None:
    """Refuse feature maps that would fill the memory, as far as their sizes are known."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info, *graph.output)
        if value.name in maps
    }
    # A window larger than its map leaves a size below zero here; running it says so.
    values = sum(math.prod(max(0, size) for size in shape) for shape in shapes.values())
    if values > _MAX_VALUES:
        raise InputError(
            str(path),
            f"its feature maps hold {values:,} values per image; expected at most {_MAX_VALUES:,}",
        )
