"""What the oracles are compared with in floating point, and formats made from it."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper

from tests.oracles.onnx_file import read_graph
from tests.oracles.onnx_graph import ARITHMETIC, PRODUCTS, Graph, Node

FormatEntry = dict[str, Any]


def run_float(model_path: Path, images: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
    """Every feature map of the file as it stands, by onnxruntime without optimization."""
    model = onnx.load(str(model_path))
    made = [
        name
        for node in model.graph.node
        for name in (node.output if node.op_type == "Split" else node.output[:1])
        if node.op_type != "Constant"
    ]
    already = {value.name for value in model.graph.output}
    model.graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in made
        if name not in already
    )
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feed = {session.get_inputs()[0].name: images.astype(np.float32)}
    names = [value.name for value in session.get_outputs()]
    maps = dict(zip(names, session.run(names, feed), strict=True))
    return {**feed, **maps}


@dataclass(frozen=True, slots=True, kw_only=True)
class Widths:
    """Widths to draw from, and by how many bits a range may differ from what fits exactly."""

    maps: tuple[int, ...] = (4, 6, 8, 8, 11, 16)
    weights: tuple[int, ...] = (3, 4, 8, 8, 16)
    excess: tuple[int, ...] = (-1, 0, 1)
    are_all_signed: bool = False


WIDE = Widths(maps=(16,), weights=(16,), excess=(-1,), are_all_signed=True)
NARROW = Widths(maps=(4, 5, 6), weights=(3, 4, 5))


def random_formats(
    model_path: Path,
    images: NDArray[Any],
    rng: np.random.Generator,
    widths: Widths = Widths(),
) -> dict[str, FormatEntry]:
    """Formats near the ranges of the float network, of random widths, some of them clipping.

    Some weights have a fraction length per output channel; parts of a concat mostly share its
    format; what inherits is not named.
    """
    maps = run_float(model_path, images)
    # Without named tensors, every constant that can be a bias is read as one.
    graph = read_graph(model_path, constants={}, named_tensors=())
    formats: dict[str, FormatEntry] = {}
    shared: dict[str, FormatEntry] = {}
    for node in reversed(graph.nodes):
        if node.operator == "Concat":
            entry = shared.get(node.output) or _map_format(maps[node.output], rng, widths)
            formats[node.output] = entry
            shared.update({name: entry for name in node.inputs if rng.uniform() < 0.7})
    stored_as = {}
    for node in graph.nodes:
        if node.operator in ARITHMETIC:
            stored = _stored_name(graph, node)
            stored_as[node.output] = stored
            formats[stored] = shared.get(stored) or _map_format(maps[stored], rng, widths)
    formats[graph.input_name] = _map_format(maps[graph.input_name], rng, widths)

    frac_bits_of = {name: entry["frac_bits"] for name, entry in formats.items()}
    for node in graph.nodes:
        if node.operator in PRODUCTS:
            given = graph.product_constants(node)
            weights = _weights_format(given.weights, rng, widths)
            formats[given.weights_name] = weights
            if given.bias_name is not None and given.bias is not None:
                acc_frac_bits = frac_bits_of[node.inputs[0]] + np.array(weights["frac_bits"])
                formats[given.bias_name] = _bias_format(given.bias, acc_frac_bits)
        elif node.operator == "BatchNormalization":
            scale, added = node.inputs[1:3]
            formats[scale] = _weights_format(graph.constants[scale], rng, widths)
            acc_frac_bits = frac_bits_of[node.inputs[0]] + np.array(formats[scale]["frac_bits"])
            formats[added] = _bias_format(graph.constants[added], acc_frac_bits)
        elif node.operator in ("PRelu", "LeakyRelu"):
            name, slopes = graph.slopes(node)
            formats[name] = _constant_format(slopes, rng, widths)
        elif node.operator in ("Add", "Sub", "Mul"):
            for name in node.inputs:
                if name in graph.constants:
                    formats[name] = _constant_format(graph.constants[name], rng, widths)
        for output in node.outputs:
            source = stored_as.get(node.inputs[0], node.inputs[0])
            if source in frac_bits_of:
                frac_bits_of.setdefault(output, frac_bits_of[source])
    return formats


def _stored_name(graph: Graph, node: Node) -> str:
    """Name of what a node writes, behind what is merged into it.

    An activation that is the sole reader is merged, as is a Clip behind a Relu; copies before
    either are looked through, and one behind that writes an output gives it its name.
    """
    stored = node.output
    follower = graph.sole_consumer(node.output)
    while follower is not None and follower.operator in ("Relu", "Clip", "Identity"):
        name = follower.output
        if follower.operator != "Identity" or name in graph.output_names:
            stored = name
        follower = graph.sole_consumer(name)
    return stored


def _fitting_frac_bits(array: NDArray[Any], bits: int, signed: bool) -> int:
    """Most fraction bits with which the largest magnitude still fits."""
    largest = float(abs(array).max())
    return bits - signed - (math.frexp(largest)[1] if largest > 0 else 0)


def _map_format(array: NDArray[Any], rng: np.random.Generator, widths: Widths) -> FormatEntry:
    signed = widths.are_all_signed or bool(array.min() < 0 or rng.uniform() < 0.2)
    bits = int(rng.choice(widths.maps))
    frac_bits = _fitting_frac_bits(array, bits, signed) + int(rng.choice(widths.excess))
    return {"bits": bits, "frac_bits": frac_bits, "signed": signed}


def _constant_format(
    constant: NDArray[Any], rng: np.random.Generator, widths: Widths
) -> FormatEntry:
    return _map_format(constant, rng, replace(widths, are_all_signed=True))


def _weights_format(weights: NDArray[Any], rng: np.random.Generator, widths: Widths) -> FormatEntry:
    bits = int(rng.choice(widths.weights))
    frac_bits: int | list[int] = _fitting_frac_bits(weights, bits, True)
    if rng.uniform() < 0.4:
        frac_bits = [_fitting_frac_bits(channel, bits, True) for channel in weights]
    return {"bits": bits, "frac_bits": frac_bits, "signed": True}


def _bias_format(bias: NDArray[Any], acc_frac_bits: NDArray[Any]) -> FormatEntry:
    finest = _fitting_frac_bits(bias, 16, True) - 1
    return {"bits": 16, "frac_bits": np.minimum(finest, acc_frac_bits).tolist(), "signed": True}
