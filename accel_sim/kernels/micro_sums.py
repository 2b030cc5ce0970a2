"""Micro-kernels that sum: one tile of pixels times filters, in registers.

Emitted as LLVM vector code. Accumulators of a whole tile stay in registers, so that a loaded
lane of the map meets every vector of weights, and the reverse. Sums are modulo ``2**32``,
which no order of additions changes: right wherever the exact sum fits.
"""

from typing import Any

import numpy as np
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
_PIECE_PIXELS = 7
"""Whose addresses the general registers hold."""
_DEPTHWISE = (Vnni8Depthwise, Vnni16Depthwise, Avx2Depthwise)


def _multiply_plain(kernel, ifm, starts, pixel_step, weights, weight, lanes, segments, acc):
    """`multiply` in loops: a weight of every filter beside values of four pixels."""
    acc[:] = 0
    for segment in segments:
        for lane in range(lanes):
            column = weights[weight : weight + acc.shape[1]]
            weight += acc.shape[1]
            for run in range(RUNS):
                place = starts[run] + segment + lane
                x0 = np.int32(ifm[place])
                x1 = np.int32(ifm[place + pixel_step])
                x2 = np.int32(ifm[place + 2 * pixel_step])
                x3 = np.int32(ifm[place + 3 * pixel_step])
                first = run * kernel.run_pixels
                row0, row1 = acc[first], acc[first + 1]
                row2, row3 = acc[first + 2], acc[first + 3]
                for k in range(column.size):
                    w = np.int32(column[k])
                    row0[k] += x0 * w
                    row1[k] += x1 * w
                    row2[k] += x2 * w
                    row3[k] += x3 * w


def _multiply_plain_depthwise(
    kernel, ifm, starts, pixel_step, weights, weight, lanes, segments, acc
):
    """`multiply` in loops: filters beside their channels."""
    acc[:] = 0
    for segment in segments:
        column = weights[weight : weight + acc.shape[1]]
        weight += acc.shape[1]
        for i in range(acc.shape[0]):
            place = starts[i // kernel.run_pixels] + i % kernel.run_pixels * pixel_step + segment
            x, row = ifm[place : place + acc.shape[1]], acc[i]
            for k in range(row.size):
                row[k] += x[k] * column[k]


_PLAIN = {Plain: _multiply_plain, PlainDepthwise: _multiply_plain_depthwise}


@intrinsic
def _multiply(typingctx, kernel, ifm, starts, pixel_step, weights, weight, lanes, segments, acc):
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
    lanes : int64
        Of every segment.
    segments : int64[n]
        What the pixels read, from where they start.
    acc : int32[runs * run_pixels, filters]
        Every element is overwritten.
    """
    signature = types.void(
        kernel, ifm, starts, types.int64, weights, types.int64, types.int64, segments, acc
    )

    def codegen(context, builder, signature, args):
        if kernel.instance_class in _PLAIN:
            loops = _PLAIN[kernel.instance_class]
            return context.compile_internal(builder, loops, signature, args)

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

    def run(self, *, ifm, starts, pixel_step, weights, lanes, segments, segment_count, acc):
        """Loop over segments, in them over lanes; then store."""
        b = self._b
        zero, one = ir.Constant(I64, 0), ir.Constant(I64, 1)
        runs = [self.at(ifm, start, self.map_bytes) for start in starts]
        runs, steps = self._cut_runs(runs, pixel_step)
        n_sums = RUNS * self._run_pixels * self._vectors
        entry = b.block
        outer, inner = b.append_basic_block("segment"), b.append_basic_block("lane")
        next_segment, done = b.append_basic_block("next"), b.append_basic_block("done")
        b.branch(outer)

        b.position_at_end(outer)
        s, w_outer = b.phi(I64), b.phi(BYTES)
        sums_outer = [b.phi(self._vector) for _ in range(n_sums)]
        s.add_incoming(zero, entry)
        w_outer.add_incoming(weights, entry)
        for total in sums_outer:
            total.add_incoming(ir.Constant(self._vector, [0] * self._lanes), entry)
        offset = b.mul(b.load(b.gep(segments, [s])), ir.Constant(I64, self.map_bytes))
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
        next_s = b.add(s, one)
        s.add_incoming(next_s, next_segment)
        w_outer.add_incoming(next_w, next_segment)
        for phi, value in zip(sums_outer, new_sums, strict=True):
            phi.add_incoming(value, next_segment)
        b.cbranch(b.icmp_signed("<", next_s, segment_count), outer, done)

        b.position_at_end(done)
        for index, total in enumerate(new_sums):
            place = self._after(acc, index * self._lanes * 4)
            b.store(total, b.bitcast(place, self._vector.as_pointer())).align = 4

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
