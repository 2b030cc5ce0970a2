"""Run-length codes of zeros: how feature maps lie in DRAM where a machine codes them.

A code is a row of pairs, each a run of zeros and a level, the value that comes next. A run is
as long as its field of bits allows at most, ``2**run_bits - 1``; behind a longest one, and at the
end of a map, the level may be a zero as well. So a pair stands for one element more than its run,
and a map ends where its elements do.

Source: Chen, Krishna, Emer and Sze, "Eyeriss: an energy-efficient reconfigurable accelerator for
deep convolutional neural networks", JSSC 2017, with 5 bits for a run and 16 for a level.
"""

import numpy as np
from numpy.typing import NDArray

from quantizer.fixedpoint.jit import jit


def encode(values: NDArray[np.int32], run_bits: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Give runs and levels of a map, int32[pairs] each.

    Parameters
    ----------
    values
        int32[n], a map in the order of its addresses.
    run_bits
        Of a run, 1 to 16.
    """
    runs, levels = np.empty((2, len(values)), np.int32)
    n_pairs = _encode(values, (1 << run_bits) - 1, runs, levels)
    return runs[:n_pairs], levels[:n_pairs]


@jit
def _encode(values, longest, runs, levels):
    """Write all pairs; return how many.

    Parameters
    ----------
    values : int32[n]
    longest : int
        Zeros in a run at most.
    runs, levels : int32[n]
        Overwritten as far as there are pairs.
    """
    n_pairs, run = 0, 0
    for i in range(values.size):
        if values[i] == 0 and run < longest:
            run += 1
        else:
            runs[n_pairs], levels[n_pairs] = run, values[i]
            n_pairs, run = n_pairs + 1, 0
    if run > 0:
        runs[n_pairs], levels[n_pairs] = run - 1, 0
        n_pairs += 1
    return n_pairs
