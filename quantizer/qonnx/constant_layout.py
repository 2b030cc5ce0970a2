"""Order of axes of constants: as an ONNX operator wants them, and output channel first."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def to_transposed_conv(filters: NDArray[Any], groups: int) -> NDArray[Any]:
    """``[K, C/groups, R, S]`` as ConvTranspose wants it, ``[C, K/groups, R, S]``."""
    count, channels, *taps = filters.shape
    grouped = filters.reshape(groups, count // groups, channels, *taps)
    return grouped.swapaxes(1, 2).reshape(groups * channels, count // groups, *taps)


def channels_first(op: str, values: NDArray[Any], *, groups: int, is_turned: bool) -> NDArray[Any]:
    """See the second input of a Conv, ConvTranspose, Gemm or MatMul as ``[K, ...]``.

    Parameters
    ----------
    groups
        Of a ConvTranspose.
    is_turned
        Whether the matrix of a Gemm has its output channels first (transB).
    """
    match op:
        case "ConvTranspose":
            channels, count, *taps = values.shape
            grouped = values.reshape(groups, channels // groups, count, *taps)
            return grouped.swapaxes(1, 2).reshape(groups * count, channels // groups, *taps)
        case "MatMul":
            return np.swapaxes(values, 0, -1)
        case "Gemm" if not is_turned:
            return np.swapaxes(values, 0, -1)
        case _:
            return values
