"""Raw integers of every feature map, in an .npz file."""

import json
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import QFormat
from quantizer.quantized import QuantizedNetwork

FORMATS = "formats"
"""Name of the array that holds the formats, as one JSON string."""

_MAX_NAME_BYTES = 0xFFFF - len(".npy")
"""A .zip file counts the bytes of a name in 16 bits."""


class TensorStore:
    """Collects feature maps image by image.

    Parameters
    ----------
    network
        What will be run.
    count
        Number of images.
    formats
        By tensor name: feature maps, weights and biases.

    Raises
    ------
    InputError
        If a feature map has the name that the formats need, or one that is too long.
    """

    def __init__(self, network: QuantizedNetwork, count: int, formats: Mapping[str, Any]) -> None:
        if FORMATS in network.formats:
            raise InputError(
                "--save-tensors",
                f"a feature map is called {FORMATS!r}, as the formats in the file are; rename it",
            )
        for name in network.formats:
            if len(name.encode()) > _MAX_NAME_BYTES:
                raise InputError(
                    "--save-tensors",
                    f"feature map {name[:20]!r}... has a name of {len(name.encode()):,} bytes; "
                    f"an .npz file holds at most {_MAX_NAME_BYTES:,}",
                )
        self._formats = json.dumps(formats)
        self._tensors = {
            name: np.empty((count, *network.network.shapes[name]), smallest_type(fmt))
            for name, fmt in network.formats.items()
        }

    def save(self, index: int, tensors: Mapping[str, NDArray[np.int32]]) -> None:
        """Keep the feature maps of one image."""
        for name, stored in self._tensors.items():
            stored[index] = tensors[name]

    def write(self, file: BinaryIO) -> None:
        """Write all images and the formats; the same bytes for the same integers."""
        arrays = {**self._tensors, FORMATS: np.array(self._formats)}
        with zipfile.ZipFile(file, "w") as archive:
            for name, array in arrays.items():
                # numpy.savez takes no array called "file" and stamps the time of day.
                with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)


def smallest_type(fmt: QFormat) -> np.dtype[np.integer[Any]]:
    """Narrowest integer type of NumPy that holds every raw value of a format."""
    size = 8 if fmt.bits <= 8 else 16
    return np.dtype(f"{'int' if fmt.signed else 'uint'}{size}")
