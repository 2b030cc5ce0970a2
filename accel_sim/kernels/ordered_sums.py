"""Sums of products in a machine's order, through accumulators that saturate.

Every addition of an accumulation plan happens, one after another, in the width of its
level. What runs side by side is outputs: they are the lanes of vector registers.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantizer.fixedpoint.arith import wrap
from quantizer.fixedpoint.jit import jit

BLOCK_LANES = 512
"""Sums of so many outputs stay in the first-level cache."""

Sums = NDArray[np.int32 | np.int64]


class Levels(NamedTuple):
    """How the products of a sum are added; see `accel_sim.accumulation`.

    Attributes
    ----------
    closes : int64[n]
        Levels, from the lowest, that end a sum behind each product.
    bits : int64[levels]
        From the lowest level.
    saturates : bool[levels]
        Whether additions clamp to ``bits``; otherwise sums are wrapped when they end.
    tree_rows : int64[levels]
        First row of ``Workspace.terms`` for a tree that saturates; -1 for chains, and for
        other trees: there the order cannot matter.
    """

    closes: NDArray[np.int64]
    bits: NDArray[np.int64]
    saturates: NDArray[np.bool_]
    tree_rows: NDArray[np.int64]


class Workspace(NamedTuple):
    """Memory for a block of outputs: int32 if no addition leaves it, else int64.

    Attributes
    ----------
    sums : [levels, BLOCK_LANES]
    terms : [rows, BLOCK_LANES]
        Of all trees, one behind the other.
    counts : int64[levels]
        Terms that a tree holds.
    """

    sums: Sums
    terms: Sums
    counts: NDArray[np.int64]


@jit
def gather(ifm, channels, phases, offsets, pixels, operands):
    """Lay out what each product reads: ``operands[i, j] = ifm[channels[i], phases[i], ...]``.

    Parameters
    ----------
    ifm : int32[C, phases, pixels]
    channels, phases, offsets : int64[n]
        Of each product; the offset is the pixel that output 0 reads.
    pixels : int64[m]
        Of each output, added to the offsets.
    operands : int32[n, m]
        Every element is overwritten.
    """
    for i in range(operands.shape[0]):
        row = ifm[channels[i], phases[i]]
        for j in range(operands.shape[1]):
            operands[i, j] = row[offsets[i] + pixels[j]]


@jit
def _find_bounds(bits):
    half = np.int64(1) << np.int64(bits - 1)
    return -half, half - np.int64(1)


@jit
def _add_clamped(x, y, low, high, sums):
    """Add ``x * y`` to sums and clamp each; return how many that changed."""
    if sums.itemsize == 4:
        # Every step is cast: int32 with int32 is int64 in Numba, which would halve the lanes.
        low32, high32, y32, clamps32 = np.int32(low), np.int32(high), np.int32(y), np.int32(0)
        for i in range(sums.size):
            exact32 = np.int32(sums[i] + np.int32(x[i] * y32))
            held32 = min(max(exact32, low32), high32)
            clamps32 = np.int32(clamps32 + np.int32(held32 != exact32))
            sums[i] = held32
        return np.int64(clamps32)
    clamps = np.int64(0)
    for i in range(sums.size):
        exact = np.int64(sums[i]) + np.int64(x[i]) * np.int64(y)
        held = min(max(exact, low), high)
        clamps += np.int64(held != exact)
        sums[i] = held
    return clamps


@jit
def _add_four_clamped_narrow(x0, x1, x2, x3, y, low, high, sums):
    """Four in a row cost one load and one store of the sums."""
    y0, y1, y2, y3 = y
    clamps = np.int32(0)
    for i in range(sums.size):
        exact = np.int32(sums[i] + np.int32(x0[i] * y0))
        held = min(max(exact, low), high)
        clamps = np.int32(clamps + np.int32(held != exact))
        exact = np.int32(held + np.int32(x1[i] * y1))
        held = min(max(exact, low), high)
        clamps = np.int32(clamps + np.int32(held != exact))
        exact = np.int32(held + np.int32(x2[i] * y2))
        held = min(max(exact, low), high)
        clamps = np.int32(clamps + np.int32(held != exact))
        exact = np.int32(held + np.int32(x3[i] * y3))
        held = min(max(exact, low), high)
        clamps = np.int32(clamps + np.int32(held != exact))
        sums[i] = held
    return np.int64(clamps)


@jit
def _chain_narrow(vectors, scalars, first, last, start, bits, sums):
    bounds = _find_bounds(bits)
    low, high = np.int32(bounds[0]), np.int32(bounds[1])
    stop = start + sums.size
    clamps = np.int64(0)
    i = first
    while i + 4 <= last:
        y = (scalars[i], scalars[i + 1], scalars[i + 2], scalars[i + 3])
        # Rows are cut here: a cut of the whole matrix would have no unit stride.
        clamps += _add_four_clamped_narrow(
            vectors[i, start:stop],
            vectors[i + 1, start:stop],
            vectors[i + 2, start:stop],
            vectors[i + 3, start:stop],
            y,
            low,
            high,
            sums,
        )
        i += 4
    while i < last:
        clamps += _add_clamped(vectors[i, start:stop], scalars[i], bounds[0], bounds[1], sums)
        i += 1
    return clamps


@jit
def _add_exactly(x, y, sums):
    for i in range(sums.size):
        sums[i] += np.int64(x[i]) * np.int64(y)


@jit
def _add_products(vectors, scalars, first, last, start, levels, work, size):
    """Give consecutive products, all of one sum, to the lowest level."""
    stop = start + size
    sums, row = work.sums[0, :size], levels.tree_rows[0]
    if row >= 0:
        for i in range(first, last):
            term = work.terms[row + work.counts[0], :size]
            term[:] = 0
            _add_exactly(vectors[i, start:stop], scalars[i], term)
            work.counts[0] += 1
        return np.int64(0)
    if not levels.saturates[0]:
        for i in range(first, last):
            _add_exactly(vectors[i, start:stop], scalars[i], sums)
        return np.int64(0)
    if work.sums.itemsize == 4:
        return _chain_narrow(vectors, scalars, first, last, start, levels.bits[0], sums)
    low, high = _find_bounds(levels.bits[0])
    clamps = np.int64(0)
    for i in range(first, last):
        clamps += _add_clamped(vectors[i, start:stop], scalars[i], low, high, sums)
    return clamps


@jit
def _add_tree(count, row, low, high, terms, sums):
    """Add neighbours, from a row on, until one is left, which goes to `sums`."""
    clamps, size = np.int64(0), sums.size
    while count > 1:
        for pair in range(count // 2):
            # What stood in this row has gone to an earlier one.
            if pair > 0:
                terms[row + pair, :size] = terms[row + 2 * pair, :size]
            other = terms[row + 2 * pair + 1, :size]
            clamps += _add_clamped(other, np.int32(1), low, high, terms[row + pair, :size])
        if count % 2:
            terms[row + count // 2, :size] = terms[row + count - 1, :size]
        count = count // 2 + count % 2
    sums[:] = terms[row, :size]
    return clamps


@jit
def _end_sum(level, levels, work, size):
    """Leave in ``work.sums`` what a level has added up."""
    sums, row = work.sums[level, :size], levels.tree_rows[level]
    low, high = _find_bounds(levels.bits[level])
    if row >= 0:
        clamps = _add_tree(work.counts[level], row, low, high, work.terms, sums)
        work.counts[level] = 0
        return clamps
    if not levels.saturates[level]:
        for i in range(size):
            sums[i] = wrap(np.int64(sums[i]), levels.bits[level])
    return np.int64(0)


@jit
def _add_sum(level, levels, work, size):
    """Give what the level below has added up to a level, and empty the level below."""
    below, sums, row = work.sums[level - 1, :size], work.sums[level, :size], levels.tree_rows[level]
    clamps = np.int64(0)
    if row >= 0:
        work.terms[row + work.counts[level], :size] = below
        work.counts[level] += 1
    elif levels.saturates[level]:
        low, high = _find_bounds(levels.bits[level])
        clamps = _add_clamped(below, np.int32(1), low, high, sums)
    else:
        _add_exactly(below, np.int32(1), sums)
    below[:] = 0
    return clamps


@jit
def accumulate(vectors, scalars, levels, begin, end, work, acc):
    """Add up some consecutive products by a plan.

    ``acc[j, l]`` goes on from what it holds by adding ``scalars[j, i] * vectors[i, l]``, the
    products ``begin <= i < end`` in their order and as `levels` says. A tree at the highest
    level does not go on: it starts from its terms.

    Parameters
    ----------
    vectors : int32[n, m]
        Operands of the outputs that run side by side.
    scalars : int32[k, n]
        The other operands.
    levels, work
        See `Levels` and `Workspace`.
    begin, end : int
        Where every level but the highest begins, and ends, a sum.
    acc : [k, m]
        Of the type of the workspace.

    Returns
    -------
    int64
        Additions that clamped.
    """
    clamps = np.int64(0)
    top = levels.bits.size - 1
    work.counts[:] = 0
    for start in range(0, acc.shape[1], BLOCK_LANES):
        size = min(BLOCK_LANES, acc.shape[1] - start)
        for j in range(acc.shape[0]):
            work.sums[:] = 0
            work.sums[top, :size] = acc[j, start : start + size]
            first = begin
            for i in range(begin, end):
                if levels.closes[i] == 0 and i + 1 < end:
                    continue
                clamps += _add_products(
                    vectors, scalars[j], first, i + 1, start, levels, work, size
                )
                first = i + 1
                for level in range(levels.closes[i]):
                    clamps += _end_sum(level, levels, work, size)
                    clamps += _add_sum(level + 1, levels, work, size)
            clamps += _end_sum(top, levels, work, size)
            acc[j, start : start + size] = work.sums[top, :size]
    return clamps
