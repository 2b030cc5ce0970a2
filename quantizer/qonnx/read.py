"""A QONNX file as a float network and the formats of its tensors.

Its Quant nodes fix formats as a formats file does: what they leave out is chosen from
calibration images, and refused where there are none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from onnx import GraphProto, ModelProto

from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import Rounding
from quantizer.formats_file import GivenFormat
from quantizer.network.graph import Network
from quantizer.network.images import ImageSet
from quantizer.network.layers import ElementwiseLayer, MovingLayer, Shape
from quantizer.network.onnx_file import read_model
from quantizer.network.onnx_import import import_model
from quantizer.network.onnx_reader import QONNX_DOMAINS
from quantizer.network.onnx_structure import keep_needed_nodes
from quantizer.qonnx.bypass import has_quant_nodes, take_out_quant_nodes
from quantizer.qonnx.constants import find_constant_formats, model_of_steps, moved_tensors
from quantizer.qonnx.feature_maps import Step, find_map_formats, map_format
from quantizer.qonnx.metadata import Facts, read_facts
from quantizer.qonnx.quant_node import QuantNode
from quantizer.quantize import quantize
from quantizer.quantized import BitWidths, NumericRules, QuantizedNetwork

METHOD_OF_OTHERS = "file"
"""Method of a network whose formats others chose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QonnxFile:
    """What is in a QONNX file.

    Attributes
    ----------
    where
        The file, for messages.
    digest
        SHA-256 of its bytes, in hexadecimal; the network has that of the float file.
    network
        The float network: the graph without its Quant nodes.
    formats
        Of constants, and of maps that have a format of their own.
    open
        Tensors that need a format and have none.
    roundings
        Without the steps that the file says nothing about.
    facts
        None if others wrote it.
    """

    where: str
    digest: str
    network: Network
    formats: Mapping[str, GivenFormat]
    open: tuple[str, ...]
    roundings: Mapping[Step, Rounding]
    facts: Facts | None


def load_qonnx(
    path: Path | str,
    calibration: ImageSet | None = None,
    bits: BitWidths | None = None,
    rules: NumericRules | None = None,
    *,
    input_shape: Shape | None = None,
) -> QuantizedNetwork:
    """Read a QONNX file as a quantized network.

    Parameters
    ----------
    path
        The file.
    calibration, bits
        Images, and word lengths, for tensors that have no Quant node.
    rules
        Of the machine that will run it; None is what the file says, and the defaults where
        it says nothing.
    input_shape
        Shape of the network input without the batch dimension, for files that leave it
        open.

    Raises
    ------
    InputError
        The file cannot be read, holds something that this project has no equal of, or rounds
        otherwise than `rules`; or a tensor has no format and there are no calibration images.
    """
    path = Path(path)
    model, digest = read_model(path)
    if not has_quant_nodes(model):
        raise InputError(str(path), "holds no Quant nodes; read it with load_onnx, and quantize it")
    file = read_qonnx(path, model, digest, input_shape)
    rules = give_rules(file, rules)
    require_formats(file, has_images=calibration is not None)
    network = quantize(file.network, calibration, bits or BitWidths(), rules, formats=file.formats)
    return restore_facts(file, network)


def read_qonnx(
    path: Path, model: ModelProto, digest: str, input_shape: Shape | None = None
) -> QonnxFile:
    """Take a model that was read from a QONNX file apart; the model is changed.

    Raises
    ------
    InputError
        As `load_qonnx`, but for tensors without a format.
    """
    keep_needed_nodes(path, model, QONNX_DOMAINS)
    facts = read_facts(path, model)
    quants = take_out_quant_nodes(path, model)
    of_steps = model_of_steps(model, quants.constants)
    moved, sources = moved_tensors(model.graph), _sources(model.graph)
    network = import_model(path, model, digest, input_shape, stored=quants.maps)
    steps = None
    if of_steps is not None:
        steps = import_model(path, of_steps, digest, input_shape, stored=quants.maps)
    _check_kept(sources, network, quants.maps)
    maps = find_map_formats(network, quants.maps)
    constants = find_constant_formats(network, steps, quants.constants, moved)
    formats = {name: _given(node) for name, node in maps.nodes.items()} | constants
    if facts is not None:
        network = replace(network, notes=facts.notes + network.notes, digest=facts.digest)
    return QonnxFile(
        where=str(path),
        digest=digest,
        network=network,
        formats=formats,
        open=maps.open + tuple(name for name in network.constants if name not in constants),
        roundings=maps.roundings,
        facts=facts,
    )


def _given(node: QuantNode) -> GivenFormat:
    fmt = map_format(node)
    return GivenFormat(
        bits=fmt.bits, frac_bits=(fmt.frac_bits,), signed=fmt.signed, where=node.where
    )


def _sources(graph: GraphProto) -> dict[str, tuple[str, ...]]:
    """Tensors that each tensor is made of."""
    return {name: tuple(node.input) for node in graph.node for name in node.output}


def _check_kept(
    sources: Mapping[str, tuple[str, ...]], network: Network, maps: Mapping[str, QuantNode]
) -> None:
    """Refuse a Quant node of a tensor that the import left out, unless no output needs it."""
    needed: set[str] = set()
    pending = list(network.outputs)
    while pending:
        name = pending.pop()
        if name not in needed:
            needed.add(name)
            pending += sources.get(name, ())
    for name, node in maps.items():
        if name in needed and name not in network.shapes:
            raise InputError(
                node.where, f"quantizes {name!r}, which is no feature map here; leave it out"
            )


def give_rules(file: QonnxFile, machine: NumericRules | None) -> NumericRules:
    """Give the rules of a file: its own roundings, and a machine's (or the default) accumulators.

    Raises
    ------
    InputError
        The machine rounds in another way than the file says.
    """
    given = machine or NumericRules()
    own = replace(
        given,
        requantize_rounding=file.roundings.get(Step.REQUANTIZE, given.requantize_rounding),
        average_pool_rounding=file.roundings.get(Step.AVERAGE, given.average_pool_rounding),
    )
    for key in ("requantize_rounding", "average_pool_rounding"):
        said, found = (getattr(rules, key).name.lower() for rules in (own, given))
        if machine is not None and said != found:
            raise InputError(
                file.where,
                f"is quantized for {key} {said}, the machine has {found}; quantize the network "
                f"with --machine, or build another with --set precision.{key}={said}",
            )
    return own


def require_formats(file: QonnxFile, *, has_images: bool) -> None:
    """Refuse a file that leaves a format open, unless there are images to choose it from.

    Raises
    ------
    InputError
        Naming the tensor.
    """
    if not file.open or has_images:
        return
    name = file.open[0]
    kind = "constant" if name in file.network.constants else "feature map"
    raise InputError(
        f"{file.where}: {kind} {name!r}",
        "has no Quant node; give --calibration to have its format chosen",
    )


def restore_facts(file: QonnxFile, network: QuantizedNetwork) -> QuantizedNetwork:
    """Tell of a network from a file how it came to its formats, if all of them are from there."""
    if file.open:
        return network
    if file.facts is None:
        return replace(network, method=METHOD_OF_OTHERS, bits=_widest(network))
    facts = file.facts
    return replace(
        network,
        method=facts.method,
        bits=facts.bits,
        choices=facts.choices,
        per_channel=facts.per_channel,
        tuning=facts.tuning,
    )


def _widest(network: QuantizedNetwork) -> BitWidths:
    """Widths of a network that nobody asked for: the widest of each kind."""
    graph, otherwise = network.network, BitWidths()
    operands = {layer.constant for layer in graph.layers if isinstance(layer, ElementwiseLayer)}
    weights = [value.bits for name, value in network.weights.items() if name not in operands]
    maps = [
        network.formats[layer.ofm].bits
        for layer in graph.layers
        if not isinstance(layer, MovingLayer)
    ]
    biases = [bias.bits for bias in network.biases.values()]
    return BitWidths(
        weights=max(weights, default=otherwise.weights),
        activations=max(maps, default=otherwise.activations),
        inputs=network.formats[graph.input].bits,
        biases=max(biases, default=otherwise.biases),
    )
