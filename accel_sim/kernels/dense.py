"""Integer matrix-vector products, exact."""

import numpy as np

from quantizer.fixedpoint.jit import jit


@jit
def _dot(ifm, weights):
    total = np.int64(0)
    for c in range(ifm.size):
        total += np.int64(ifm[c]) * np.int64(weights[c])
    return total


@jit
def accumulate(ifm, weights, acc):
    """Multiply vectors by a matrix, without bias.

    ``acc[k, m] = sum over c of weights[k, c] * ifm[m, c]``. Exact as long as no sum
    leaves int64.

    Parameters
    ----------
    ifm : int32[M, C]
        One vector per position.
    weights : int16[K, C]
        Raw filters.
    acc : int64[K, M]
        Every element is overwritten.
    """
    for m in range(ifm.shape[0]):
        for k in range(weights.shape[0]):
            acc[k, m] = _dot(ifm[m], weights[k])
