"""An ONNX file, its external data included, as a model that may be looked at safely."""

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import onnx
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto
from onnx.defs import OpSchema

from quantizer.errors import InputError
from quantizer.input_file import read_input
from quantizer.network.onnx_reader import STANDARD_DOMAINS
from quantizer.network.onnx_runtime import reason

_MAX_FILE_BYTES = 1 << 31
"""Limit of the format itself; larger models keep their weights in files of their own."""


def read_model(path: Path) -> tuple[ModelProto, str]:
    """Read an ONNX file.

    Returns
    -------
    tuple
        The model with all its weights, and the SHA-256 of the file (and of the weights
        that it keeps elsewhere) in hexadecimal.

    Raises
    ------
    InputError
        If it cannot be read, is no ONNX model, holds names that are no text or lists of
        tensors with gaps, or keeps weights outside its folder.
    """
    content = read_input(path, "an .onnx file", limit_bytes=_MAX_FILE_BYTES)
    digest = hashlib.sha256(content)
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's errors share no base class
        raise InputError(str(path), f"not a valid ONNX model ({reason(error)})") from None
    if not model.graph.node:
        raise InputError(str(path), "not a valid ONNX model (it has no graph)")
    external = []
    for message in _messages(model):
        _check_texts(path, message)
        if isinstance(message, NodeProto):
            _check_lists(path, message)
        if isinstance(message, TensorProto) and message.data_location == TensorProto.EXTERNAL:
            external.append(message)
    for tensor in _with_values(path, external):
        digest.update(tensor.raw_data)
    return model, digest.hexdigest()


def _messages(message: Any) -> Iterator[Any]:
    """Walk through a protobuf message and all within it."""
    yield message
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for part in [value] if hasattr(value, "ListFields") else value:
                yield from _messages(part)


def _check_texts(path: Path, message: Any) -> None:
    """Refuse names, and words as attributes, that are no text."""
    for field, value in message.ListFields():
        is_name = field.type == field.TYPE_STRING and field.name != "doc_string"
        is_word = field.type == field.TYPE_BYTES and isinstance(message, AttributeProto)
        if is_name or is_word:
            for found in [value] if isinstance(value, str | bytes) else value:
                if not _is_text(found):
                    raise InputError(str(path), f"not a valid ONNX model ({found!r} is no text)")


def _is_text(found: str | bytes) -> bool:
    """Whether it is UTF-8 without NUL, which ends a name in an .npz file."""
    try:
        # protobuf gives words as bytes, and names that it cannot decode.
        text = found if isinstance(found, str) else found.decode()
    except UnicodeDecodeError:
        return False
    return "\0" not in text


def _check_lists(path: Path, node: NodeProto) -> None:
    """Refuse gaps where an operator takes or gives any number: onnxruntime crashes on one."""
    if node.domain not in STANDARD_DOMAINS or not onnx.defs.has(node.op_type):
        return
    schema = onnx.defs.get_schema(node.op_type)
    for what, names, formal in (
        ("inputs", node.input, schema.inputs),
        ("outputs", node.output, schema.outputs),
    ):
        is_list = formal and formal[-1].option == OpSchema.FormalParameterOption.Variadic
        if is_list and not all(names[len(formal) - 1 :]):
            name = node.name or next(filter(None, node.output), "")
            raise InputError(
                f"{path}: node {name!r} ({node.op_type})",
                f"has {what} without a name; expected one for each",
            )


def _with_values(path: Path, tensors: list[TensorProto]) -> list[TensorProto]:
    """Fill in the values of tensors that are kept in other files, once all can be."""
    places = [_place(path, tensor) for tensor in tensors]
    total_bytes = sum(size_bytes for _, _, size_bytes in places)
    if total_bytes > _MAX_FILE_BYTES:
        raise InputError(
            str(path),
            f"keeps {total_bytes / 2**30:.1f} GiB of weights in other files; "
            f"expected at most {_MAX_FILE_BYTES >> 30} GiB",
        )
    for tensor, (file, offset, size_bytes) in zip(tensors, places, strict=True):
        with file.open("rb") as content:
            content.seek(offset)
            tensor.raw_data = content.read(size_bytes)
        del tensor.external_data[:]
        tensor.data_location = TensorProto.DEFAULT
    return tensors


def _place(path: Path, tensor: TensorProto) -> tuple[Path, int, int]:
    """File, offset and number of bytes of a tensor's values; all of them are there."""
    where = f"{path}: constant {tensor.name!r}"
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    folder = path.parent.resolve()
    is_local = not any(
        pure(location).anchor or ".." in pure(location).parts
        for pure in (PurePosixPath, PureWindowsPath)
    )
    file = (folder / location).resolve()
    if not location or not is_local or not file.is_relative_to(folder):
        raise InputError(
            where, f"keeps its values in {location!r}; expected a file in the model's folder"
        )
    if not file.is_file():
        raise InputError(
            where, f"keeps its values in {location!r}, which is no file; put it next to the model"
        )
    try:
        size_bytes = (
            math.prod(tensor.dims) * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        )
        offset, length = (int(entries.get(key, 0)) for key in ("offset", "length"))
    except (KeyError, ValueError):
        raise InputError(
            where, f"has no proper type, or place in {location!r}; export the model again"
        ) from None
    found_bytes = file.stat().st_size
    if offset < 0 or length not in (0, size_bytes) or offset + size_bytes > found_bytes:
        raise InputError(
            where,
            f"needs {size_bytes:,} bytes from {offset:,} on of {location!r}, "
            f"which has {found_bytes:,}; copy the file that belongs to the model",
        )
    return file, offset, size_bytes
