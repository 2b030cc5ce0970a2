"""Functions of one value, from tables over the raw values of the input."""

import numpy as np

from quantizer.fixedpoint.arith import shift_right_rounded
from quantizer.fixedpoint.jit import jit


@jit
def look_up(ifm, raw_min, table, clips, ofm):
    """Replace each value by its entry: ``ofm = table[ifm - raw_min]``.

    Parameters
    ----------
    ifm : integers[n]
    raw_min : int
        Raw value of the first entry.
    table : int32[entries]
    clips : int32[entries]
        1 where the format clipped the entry.
    ofm : integers[n]
        Every element is overwritten.

    Returns
    -------
    int
        Outputs whose entry is clipped.
    """
    saturations = np.int64(0)
    for i in range(ofm.size):
        entry = np.int64(ifm[i]) - raw_min
        ofm[i] = table[entry]
        saturations += clips[entry]
    return saturations


@jit
def interpolate(ifm, raw_min, rest_bits, table, clips, rounding, ofm):
    """Interpolate between entries that stand ``2**rest_bits`` raw values apart.

    With ``ifm - raw_min = entry * 2**rest_bits + rest``::

        ofm = round((table[entry] * (2**rest_bits - rest) + table[entry + 1] * rest)
                    / 2**rest_bits)

    Parameters
    ----------
    rest_bits : int
        At least 1.
    rounding : int
        A `Rounding` value.
    ifm, raw_min, table, clips, ofm
        As in `look_up`; one entry more than the ifm can reach.

    Returns
    -------
    int
        Outputs that a clipped entry has a part in.
    """
    span = np.int64(1) << rest_bits
    saturations = np.int64(0)
    for i in range(ofm.size):
        place = np.int64(ifm[i]) - raw_min
        entry = place >> rest_bits
        rest = place - (entry << rest_bits)
        total = np.int64(table[entry]) * (span - rest) + np.int64(table[entry + 1]) * rest
        ofm[i] = shift_right_rounded(total, rest_bits, rounding)
        saturations += clips[entry] | (clips[entry + 1] & np.int32(rest > 0))
    return saturations
