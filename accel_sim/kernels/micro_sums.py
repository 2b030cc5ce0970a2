"""Micro-kernels that sum: one tile of pixels times filters, in registers.

Emitted as LLVM vector code. Accumulators of a whole tile stay in registers, so that a loaded
lane of the map meets every vector of weights, and the reverse. Sums are modulo ``2**32``,
which no order of additions changes: right wherever the exact sum fits, or is carried in time.
"""

from typing import Any

from llvmlite import binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from accel_sim.kernels.micro_kernels import (
    RUNS,
    Avx2,
    Avx2Depthwise,
    Avx2Row,
    Plain,
    PlainDepthwise,
    PlainRow,
    Vnni8,
    Vnni8Depthwise,
    Vnni8Narrow,
    Vnni8Row,
    Vnni16Depthwise,
)

llvm.initialize_native_asmparser()

I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
BYTES = I8.as_pointer()

QUADS = (Vnni8, Vnni8Narrow, Vnni8Row)
AVX2 = (Avx2, Avx2Row, Avx2Depthwise)
_PLAIN = (Plain, PlainRow, PlainDepthwise)
_DEPTHWISE = (Vnni8Depthwise, Vnni16Depthwise, Avx2Depthwise, PlainDepthwise)
_PIECE_PIXELS = 7
"""Whose addresses the general registers hold."""


@intrinsic
def _multiply(
    typingctx, kernel, ifm, starts, pixel_step, weights, weight, lanes, segments, acc, upper
):
    """Sum the products of one tile, on the micro-kernel that the type of `kernel` says.

    ``acc[i, k] = sum over s, l, v of ifm[pixel(i) + segments[s] + l*V + v] * w[s, l, k, v]``
    with V the values of a lane; of depthwise kernels, ``ifm[pixel(i) + segments[s] + k] *
    w[s, k]``. Modulo ``2**32``.

    Parameters
    ----------
    kernel : MicroKernel
    ifm : uint8, int16 or int32[values]
        A packed map.
    starts : (int64, int64)
        Where both runs of pixels start in it; the next pixels follow by `pixel_step`.
    weights : int8 or int16[values]
        Packed filters.
    weight : int64
        Where those of these filters and segments start.
    lanes : int64 or None
        Of every segment; None where `segments` tells.
    segments : int64[n] or int64[n, 3]
        What the pixels read, from where they start; with the number of lanes, and whether sums
        are carried behind them.
    acc : int32[runs * run_pixels, filters]
        Every element is overwritten.
    upper : int32[runs * run_pixels, filters] or None
        What has been carried of sums: all but their low 16 bits, which were left; in units of
        ``2**16``. Every element is overwritten. None where nothing is carried.
    """
    signature = types.void(
        kernel, ifm, starts, types.int64, weights, types.int64, lanes, segments, acc, upper
    )
    is_carried = not isinstance(upper, types.NoneType)

    def codegen(context, builder, signature, args):
        def data(position):
            array = context.make_array(signature.args[position])(context, builder, args[position])
            return builder.bitcast(array.data, BYTES)

        emit = TileSums(
            builder, kernel.instance_class, ifm.dtype.bitwidth // 8, weights.dtype.bitwidth // 8
        )
        of_segments = context.make_array(segments)(context, builder, args[7])
        emit.run(
            ifm=data(1),
            starts=[builder.extract_value(args[2], run) for run in range(RUNS)],
            pixel_step=args[3],
            weights=emit.at(data(4), args[5], emit.weight_bytes),
            lanes=args[6],
            segments=of_segments.data,
            segment_count=builder.extract_value(of_segments.shape, 0),
            acc=data(8),
            upper=data(9) if is_carried else None,
        )
        return context.get_dummy_value()

    return signature, codegen


multiply: Any = _multiply
"""As its callers see it, without the typing context."""


class TileSums:
    """Writes the code of one micro-kernel."""

    def __init__(self, builder, kind, map_bytes, weight_bytes):
        kernel = kind()
        self._b = builder
        self._kind = kind
        self._lanes = 8 if kind in AVX2 else 16
        self._vector = ir.VectorType(I32, self._lanes)
        self._run_pixels = kernel.run_pixels
        self._vectors = kernel.filters // self._lanes
        self._lane_values = kernel.lane_values
        self._is_depthwise = kind in _DEPTHWISE
        self.map_bytes = map_bytes
        self.weight_bytes = weight_bytes

    def at(self, pointer, index, size):
        """Address of an element of `size` bytes."""
        return self._b.gep(pointer, [self._b.mul(index, ir.Constant(I64, size))])

    def _after(self, pointer, n_bytes):
        return self._b.gep(pointer, [ir.Constant(I64, n_bytes)])

    def _load(self, pointer, kind, align=1):
        loaded = self._b.load(self._b.bitcast(pointer, kind.as_pointer()))
        loaded.align = align
        return loaded

    def run(self, *, ifm, starts, pixel_step, weights, lanes, segments, segment_count, acc, upper):
        """Loop over segments, in them over lanes; then store."""
        b = self._b
        zero, one = ir.Constant(I64, 0), ir.Constant(I64, 1)
        runs = [self.at(ifm, start, self.map_bytes) for start in starts]
        runs, steps = self._cut_runs(runs, pixel_step)
        n_sums = RUNS * self._run_pixels * self._vectors
        zeros = [ir.Constant(self._vector, [0] * self._lanes)] * n_sums
        if upper is not None:
            self._store_tile(zeros, upper)
        entry = b.block
        outer, inner = b.append_basic_block("segment"), b.append_basic_block("lane")
        next_segment, done = b.append_basic_block("next"), b.append_basic_block("done")
        b.branch(outer)

        b.position_at_end(outer)
        s, w_outer = b.phi(I64), b.phi(BYTES)
        sums_outer = [b.phi(self._vector) for _ in range(n_sums)]
        s.add_incoming(zero, entry)
        w_outer.add_incoming(weights, entry)
        for total, start in zip(sums_outer, zeros, strict=True):
            total.add_incoming(start, entry)
        if upper is not None:
            row = b.gep(segments, [b.mul(s, ir.Constant(I64, 3))])
            lanes, is_carried = (b.load(b.gep(row, [ir.Constant(I64, i)])) for i in (1, 2))
        else:
            row = b.gep(segments, [s])
        offset = b.mul(b.load(row), ir.Constant(I64, self.map_bytes))
        places = [b.gep(run, [offset]) for run in runs]
        b.branch(inner)

        b.position_at_end(inner)
        lane, w = b.phi(I64), b.phi(BYTES)
        x = [b.phi(BYTES) for _ in places]
        sums = [b.phi(self._vector) for _ in range(n_sums)]
        lane.add_incoming(zero, outer)
        w.add_incoming(w_outer, outer)
        for phi, start in zip([*x, *sums], [*places, *sums_outer], strict=True):
            phi.add_incoming(start, outer)
        new_sums = self._add_lane(x, steps, w, sums)
        next_lane = b.add(lane, one)
        next_w = self._after(w, self._vectors * self._weights_size)
        lane.add_incoming(next_lane, inner)
        w.add_incoming(next_w, inner)
        next_x = [self._after(place, self._lane_values * self.map_bytes) for place in x]
        for phi, value in zip([*x, *sums], [*next_x, *new_sums], strict=True):
            phi.add_incoming(value, inner)
        b.cbranch(b.icmp_signed("<", next_lane, lanes), inner, next_segment)

        b.position_at_end(next_segment)
        if upper is not None:
            new_sums = self._carry_where(is_carried, new_sums, upper)
        next_s = b.add(s, one)
        s.add_incoming(next_s, b.block)
        w_outer.add_incoming(next_w, b.block)
        for phi, value in zip(sums_outer, new_sums, strict=True):
            phi.add_incoming(value, b.block)
        b.cbranch(b.icmp_signed("<", next_s, segment_count), outer, done)

        b.position_at_end(done)
        self._store_tile(new_sums, acc)

    def _place(self, pointer, index):
        """Address of a vector of a tile."""
        place = self._after(pointer, index * self._lanes * 4)
        return self._b.bitcast(place, self._vector.as_pointer())

    def _store_tile(self, values, pointer):
        for index, value in enumerate(values):
            self._b.store(value, self._place(pointer, index)).align = 4

    def _carry_where(self, is_carried, sums, upper):
        """Where told, add all but the low 16 bits of sums to `upper`, and keep these alone."""
        b = self._b
        before, carry, after = b.block, *(b.append_basic_block(name) for name in ("carry", "kept"))
        b.cbranch(b.icmp_unsigned("!=", is_carried, ir.Constant(I64, 0)), carry, after)
        b.position_at_end(carry)
        # One after another: registers hold no other tile.
        for index, total in enumerate(sums):
            place = self._place(upper, index)
            b.store(self._add_upper(self._load(place, self._vector, 4), total), place).align = 4
        low = ir.Constant(self._vector, [0xFFFF] * self._lanes)
        rests = [b.and_(total, low) for total in sums]
        b.branch(after)
        b.position_at_end(after)
        kept = [b.phi(self._vector) for _ in sums]
        for phi, total, rest in zip(kept, sums, rests, strict=True):
            phi.add_incoming(total, before)
            phi.add_incoming(rest, carry)
        return kept

    def _add_upper(self, upper, total):
        if self._kind in AVX2 or self._kind in _PLAIN:
            sixteen = ir.Constant(self._vector, [16] * self._lanes)
            return self._b.add(upper, self._b.ashr(total, sixteen))
        # Both in one instruction: halves of the sum, times zero and one.
        return self._dot_pairs(
            "vpdpwssd", upper, total, ir.Constant(self._vector, [1 << 16] * self._lanes)
        )

    def _cut_runs(self, runs, pixel_step):
        """Cut runs into pieces; give where they start, and steps from there to all pixels."""
        b = self._b
        pieces = -(-self._run_pixels // _PIECE_PIXELS)
        pixels = self._run_pixels // pieces
        steps = [
            b.mul(pixel_step, ir.Constant(I64, pixel * self.map_bytes))
            for pixel in range(self._run_pixels)
        ]
        return [b.gep(run, [step]) for run in runs for step in steps[::pixels]], steps[:pixels]

    @property
    def _weights_size(self):
        """Bytes of one vector of weights."""
        return self._lanes * self._lane_values * self.weight_bytes

    def _add_lane(self, places, steps, w, sums):
        """Add the products of one lane to all sums."""
        weights = [
            self._load_weights(self._after(w, v * self._weights_size)) for v in range(self._vectors)
        ]
        new_sums: list[Any] = []
        for place in places:
            for step in steps:
                pixel = self._b.gep(place, [step])
                shared = None if self._is_depthwise else self._spread(pixel)
                of_pixel = []
                for v in range(self._vectors):
                    x = self._load_channels(pixel, v) if shared is None else shared
                    of_pixel.append(self._dot(sums[len(new_sums) + v], x, weights[v]))
                # Values of all pixels, loaded first, would take the registers of sums.
                new_sums += of_pixel if self._is_depthwise else self._compute_here(of_pixel)
        return new_sums

    def _compute_here(self, values):
        """Let the compiler compute values here, and read nothing before that is read later."""
        kind = ir.FunctionType(values[0].type, [values[0].type])
        code = "=v,0,~{memory}"
        return [self._b.asm(kind, "", code, [value], side_effect=True) for value in values]

    def _load_weights(self, place):
        if self._kind in _PLAIN:
            narrow = ir.VectorType(ir.IntType(8 * self.weight_bytes), self._lanes)
            return self._b.sext(self._load(place, narrow), self._vector)
        if not self._is_depthwise:
            return self._load(place, self._vector)
        # A pair whose second weight is zero.
        return self._b.zext(self._load(place, ir.VectorType(I16, self._lanes)), self._vector)

    def _spread(self, pixel):
        """One lane of the map beside all filters."""
        undefined = ir.Constant(self._vector, ir.Undefined)
        first = self._b.insert_element(undefined, self._load(pixel, I32), ir.Constant(I32, 0))
        return self._b.shuffle_vector(
            first, undefined, ir.Constant(self._vector, [0] * self._lanes)
        )

    def _load_channels(self, pixel, v):
        """As many channels as a vector has lanes; what is above 16 bits meets weights of zero."""
        place = self._after(pixel, v * self._lanes * self.map_bytes)
        narrow = ir.VectorType(ir.IntType(8 * self.map_bytes), self._lanes)
        widen = self._b.zext if self.map_bytes == 1 else self._b.sext
        return widen(self._load(place, narrow), self._vector)

    def _dot(self, total, x, w):
        b = self._b
        if self._kind in _PLAIN:
            return b.add(total, b.mul(x, w))
        if self._kind in AVX2:
            pairs = ir.VectorType(I16, 2 * self._lanes)
            name = "llvm.x86.avx2.pmadd.wd"
            madd = cgutils.get_or_insert_function(
                b.module, ir.FunctionType(self._vector, [pairs, pairs]), name
            )
            return b.add(total, b.call(madd, [b.bitcast(x, pairs), b.bitcast(w, pairs)]))
        three = ir.FunctionType(self._vector, [self._vector] * 3)
        if self._kind in QUADS:
            name = "llvm.x86.avx512.vpdpbusd.512"
            return b.call(cgutils.get_or_insert_function(b.module, three, name), [total, x, w])
        return self._dot_pairs("vpdpwssd", total, x, w)

    def _dot_pairs(self, instruction, total, x, w):
        """Write an instruction that LLVM, as an intrinsic, takes apart into two."""
        three = ir.FunctionType(self._vector, [self._vector] * 3)
        code = f"{instruction} $2, $1, $0"
        return self._b.asm(three, code, "=v,v,v,0", [x, w, total], side_effect=False)
