"""The output stage of a tile: wrap, bias, rounding shift, clamp, narrow store, counts."""

from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

_I64 = ir.IntType(64)
_BYTES = ir.IntType(8).as_pointer()
LANES = 16
"""Filters that are finished together."""

START, BIAS, HALF, SHIFT, SIGN, ODD, TOGETHER = range(7)
"""Rows of `Stage.constants`."""
LOW, HIGH, CLIP_LOW, CLIP_HIGH, UNUSED_BITS = range(5)
"""Places in `Stage.limits`."""


class Stage(NamedTuple):
    """The output stage of a layer, in integers of 32 or 64 bits that hold all it computes.

    With ``t = wrap(acc + start)`` and ``u = t + bias``, the raw value is ``clip((u + half +
    (u < 0 ? sign : 0) + (u >> shift & odd)) >> shift)``. Any rounding is such a sum: what is
    added before the shift decides which values it carries over an integer.

    Attributes
    ----------
    constants : int32 or int64[blocks, 7, filters]
        By filter: start, bias, half, shift, sign and odd as above, and the sum of start, bias
        and half.
    limits : int32 or int64[5]
        Lowest and highest raw value that is stored; values below and above which count as
        clipped by the format; and the bits that the accumulator has not.
    is_simple
        Whether nothing wraps and the rounding needs `half` alone.
    """

    constants: NDArray[Any]
    limits: NDArray[Any]
    is_simple: bool


@intrinsic
def _finish(
    typingctx, kernel, acc, rows, filters, constants, limits, is_simple, size, ofm, place, step
):
    """Turn the sums of some pixels of a tile into outputs.

    Parameters
    ----------
    kernel : MicroKernel
    acc : int32 or int64[pixels, filters]
    rows : (int64, int64)
        The first pixel, and the one behind the last; one at least.
    filters : int64
        How many of each pixel: a multiple of `LANES`.
    constants, limits, is_simple
        Of the `Stage`, for these filters.
    size : int64
        Bytes of an output, 1, 2 or 4; as many low bits of it are stored.
    ofm : uint8[bytes]
    place, step : int64
        Where the first pixel goes, and how far the next is, in bytes.

    Returns
    -------
    tuple of int64
        Sums that left the accumulator, and outputs that the format clipped.
    """
    counts = types.UniTuple(types.int64, 2)
    pair = types.UniTuple(types.int64, 2)
    signature = counts(
        kernel, acc, pair, types.int64, constants, limits, types.boolean, types.int64, ofm,
        types.int64, types.int64,
    )  # fmt: skip

    def codegen(context, builder, signature, args):
        def array(position):
            return context.make_array(signature.args[position])(context, builder, args[position])

        emit = _TileStage(builder, acc.dtype)
        operands = {
            "acc": array(1).data,
            "rows": [builder.extract_value(args[2], end) for end in range(2)],
            "row_length": builder.extract_value(array(1).shape, 1),
            "filters": args[3],
            "constants": array(4).data,
            "limits": array(5).data,
            "size": args[7],
            "ofm": array(8).data,
            "place": args[9],
            "step": args[10],
        }
        simple, general, done = (
            builder.append_basic_block(name) for name in ("simple", "general", "done")
        )
        builder.cbranch(args[6], simple, general)
        found = []
        for begin, is_simple_one in ((simple, True), (general, False)):
            builder.position_at_end(begin)
            results = emit.run(is_simple=is_simple_one, **operands)
            found.append((builder.block, results))
            builder.branch(done)
        builder.position_at_end(done)
        merged = []
        for which in range(2):
            phi = builder.phi(_I64)
            for origin, results in found:
                phi.add_incoming(results[which], origin)
            merged.append(phi)
        return context.make_tuple(builder, signature.return_type, merged)

    return signature, codegen


finish: Any = _finish
"""As its callers see it, without the typing context."""


class _TileStage:
    """Writes the loop over the pixels of a tile, and over vectors of its filters."""

    def __init__(self, builder, wide):
        self._b = builder
        self._element = ir.IntType(wide.bitwidth)
        self._vector = ir.VectorType(self._element, LANES)

    def _load(self, pointer, index):
        place = self._b.bitcast(self._b.gep(pointer, [index]), self._vector.as_pointer())
        loaded = self._b.load(place)
        loaded.align = self._element.width // 8
        return loaded

    def _spread(self, scalar):
        undefined = ir.Constant(self._vector, ir.Undefined)
        first = self._b.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return self._b.shuffle_vector(first, undefined, mask)

    def _sum_up(self, vector):
        reduce = cgutils.get_or_insert_function(
            self._b.module,
            ir.FunctionType(self._element, [self._vector]),
            f"llvm.vector.reduce.add.v{LANES}i{self._element.width}",
        )
        total = self._b.call(reduce, [vector])
        return total if self._element.width == 64 else self._b.sext(total, _I64)

    def run(
        self, *, acc, rows, row_length, filters, constants, limits, size, ofm, place, step,
        is_simple,
    ):  # fmt: skip
        """Loop over vectors of filters, in them over pixels; return both counts."""
        b = self._b
        zero, one = ir.Constant(_I64, 0), ir.Constant(_I64, 1)
        bounds = [
            self._spread(b.load(b.gep(limits, [ir.Constant(_I64, index)])))
            for index in range(UNUSED_BITS + 1)
        ]
        entry = b.block
        outer, inner, stored, next_vector, done = (
            b.append_basic_block(name) for name in ("filters", "pixel", "more", "next", "end")
        )
        b.branch(outer)

        b.position_at_end(outer)
        k = b.phi(_I64)
        outer_counts = [b.phi(self._vector) for _ in range(2)]
        k.add_incoming(zero, entry)
        for count in outer_counts:
            count.add_incoming(ir.Constant(self._vector, [0] * LANES), entry)
        of_filters = [
            self._load(constants, b.add(k, b.mul(row_length, ir.Constant(_I64, index))))
            for index in range(TOGETHER + 1)
        ]
        first_out = b.add(place, b.mul(k, size))
        b.branch(inner)

        b.position_at_end(inner)
        row, out = b.phi(_I64), b.phi(_I64)
        counts = [b.phi(self._vector) for _ in range(2)]
        starts = [rows[0], first_out, *outer_counts]
        for phi, start in zip([row, out, *counts], starts, strict=True):
            phi.add_incoming(start, outer)
        total = self._load(acc, b.add(k, b.mul(row, row_length)))
        rounded, events = self._round(total, of_filters, bounds, is_simple)
        new_counts = [b.sub(count, event) for count, event in zip(counts, events, strict=True)]
        raw = self._clip(rounded, bounds[LOW], bounds[HIGH])
        self._store(raw, b.gep(ofm, [out]), size, stored)

        b.position_at_end(stored)
        next_row = b.add(row, one)
        nexts = [next_row, b.add(out, step), *new_counts]
        for phi, after in zip([row, out, *counts], nexts, strict=True):
            phi.add_incoming(after, stored)
        b.cbranch(b.icmp_signed("<", next_row, rows[1]), inner, next_vector)

        b.position_at_end(next_vector)
        next_k = b.add(k, ir.Constant(_I64, LANES))
        k.add_incoming(next_k, next_vector)
        for count, after in zip(outer_counts, new_counts, strict=True):
            count.add_incoming(after, next_vector)
        b.cbranch(b.icmp_signed("<", next_k, filters), outer, done)

        b.position_at_end(done)
        return [self._sum_up(count) for count in new_counts]

    def _store(self, raw, place, size, after):
        b = self._b
        blocks = {width: b.append_basic_block(f"bytes{width}") for width in (4, 2, 1)}
        switch = b.switch(size, blocks[4])
        for width, block in blocks.items():
            switch.add_case(ir.Constant(_I64, width), block)
            b.position_at_end(block)
            narrow = ir.VectorType(ir.IntType(8 * width), LANES)
            stored = raw if narrow == self._vector else b.trunc(raw, narrow)
            b.store(stored, b.bitcast(place, narrow.as_pointer())).align = 1
            b.branch(after)

    def _round(self, total, constants, bounds, is_simple):
        """Give the rounded value, and -1 where a sum overflows or an output is clipped."""
        b = self._b
        if is_simple:
            overflow = ir.Constant(self._vector, [0] * LANES)
            rounded = b.ashr(b.add(total, constants[TOGETHER]), constants[SHIFT])
        else:
            unused, shift = bounds[UNUSED_BITS], constants[SHIFT]
            total = b.add(total, constants[START])
            wrapped = b.ashr(b.shl(total, unused), unused)
            overflow = b.sext(b.icmp_signed("!=", wrapped, total), self._vector)
            value = b.add(wrapped, constants[BIAS])
            width = ir.Constant(self._vector, [self._element.width - 1] * LANES)
            of_sign = b.and_(b.ashr(value, width), constants[SIGN])
            of_odd = b.and_(b.ashr(value, shift), constants[ODD])
            added = b.add(b.add(value, constants[HALF]), b.add(of_sign, of_odd))
            rounded = b.ashr(added, shift)
        # As distances above the lower bound, modulo the width, one comparison is enough.
        span = b.sub(bounds[CLIP_HIGH], bounds[CLIP_LOW])
        is_clipped = b.icmp_unsigned(">", b.sub(rounded, bounds[CLIP_LOW]), span)
        return rounded, (overflow, b.sext(is_clipped, self._vector))

    def _clip(self, value, low, high):
        b = self._b
        value = b.select(b.icmp_signed("<", value, low), low, value)
        return b.select(b.icmp_signed(">", value, high), high, value)
