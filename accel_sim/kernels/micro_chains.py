"""Micro-kernels that add in a machine's order, through accumulators that saturate.

Emitted as LLVM vector code, as those of `micro_sums`. Sums of a tile are loaded into
registers, go on from there and are stored again; every addition that clamps is counted. Where
bounds prove that none can, products meet as the processor likes best.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from accel_sim.kernels.micro_kernels import RUNS
from accel_sim.kernels.micro_sums import BYTES, I8, I16, I32, I64, QUADS, TileSums

_MOST_SUMS = 16
"""Vectors of sums that leave registers for what a clamped addition needs besides."""


@intrinsic
def _add_chunks(
    typingctx, kernel, ifm, starts, pixel_step, weights, weight, lane, ends, offsets, guards, acc
):
    """Add chunks of products to the sums of a tile, unless an addition might clamp.

    A chunk may be added if the sum before it lies within the filter's guards. If one may not,
    nothing changes.

    Parameters
    ----------
    kernel, ifm, starts, pixel_step, weights, weight
        As of `micro_sums.multiply`.
    lane : int64
        Number of the first lane.
    ends : int64[n]
        Number of the lane behind each chunk.
    offsets : int64[lanes]
        What each lane reads, from where the pixels start.
    guards : int32[2, filters]
        What is added to a sum modulo ``2**32``, and what it may then be at most, unsigned.
    acc : int32[runs * run_pixels, filters]

    Returns
    -------
    bool
        Whether the chunks have been added.
    """
    signature = types.boolean(
        kernel, ifm, starts, types.int64, weights, types.int64, types.int64, ends, offsets,
        guards, acc,
    )  # fmt: skip

    def codegen(context, builder, signature, args):
        read = _Arguments(context, builder, signature, args)
        emit = _TileChains(builder, kernel, ifm, weights)
        return emit.add_chunks(
            runs=emit.find_runs(read.data(1), args[2]),
            pixel_step=args[3],
            weights=emit.at(read.data(4), args[5], emit.weight_bytes),
            lane=args[6],
            ends=read.array(7),
            offsets=read.array(8).data,
            guards=read.data(9),
            acc=read.data(10),
        )

    return signature, codegen


@intrinsic
def _add_products(
    typingctx, kernel, ifm, starts, pixel_step, weights, weight, offsets, bits, acc, clamps
):
    """Add one product after another to the sums of a tile, and clamp each time.

    Parameters
    ----------
    kernel, ifm, starts, pixel_step
        As of `micro_sums.multiply`.
    weights : int8 or int16[values]
        One of every filter for each product, one product behind the other.
    weight : int64
        Where those of the first product start.
    offsets : int64[n]
        What each product reads, from where the pixels start.
    bits : int64
        Of the accumulator; with a product, its range does not leave 32 bits.
    acc : int32[runs * run_pixels, filters]
    clamps : int64[runs * run_pixels]
        To which the clamps at each pixel are added.
    """
    signature = types.void(
        kernel, ifm, starts, types.int64, weights, types.int64, offsets, types.int64, acc, clamps
    )

    def codegen(context, builder, signature, args):
        read = _Arguments(context, builder, signature, args)
        emit = _TileChains(builder, kernel, ifm, weights)
        emit.add_products(
            runs=emit.find_runs(read.data(1), args[2]),
            pixel_step=args[3],
            weights=emit.at(read.data(4), args[5], emit.weight_bytes),
            offsets=read.array(6),
            bits=args[7],
            acc=read.data(8),
            clamps=read.array(9).data,
        )
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def _add_sums(typingctx, kernel, lower, bits, upper, clamps):
    """Add the sums of a tile to those of the level above, and clamp; empty the lower ones.

    Parameters
    ----------
    kernel : MicroKernel
    lower : int32[runs * run_pixels, filters]
    bits : int64
        Of the level above.
    upper : int32[runs * run_pixels, filters]
    clamps : int64[runs * run_pixels]
        To which the clamps at each pixel are added.
    """
    signature = types.void(kernel, lower, types.int64, upper, clamps)

    def codegen(context, builder, signature, args):
        read = _Arguments(context, builder, signature, args)
        emit = _TileChains(builder, kernel)
        emit.add_sums(
            lower=read.data(1), bits=args[2], upper=read.data(3), clamps=read.array(4).data
        )
        return context.get_dummy_value()

    return signature, codegen


add_chunks: Any = _add_chunks
add_products: Any = _add_products
add_sums: Any = _add_sums
"""As their callers see them, without the typing context."""


class _Arguments:
    """Arrays among the arguments of an intrinsic."""

    def __init__(self, context, builder, signature, args):
        self._context, self._builder = context, builder
        self._signature, self._args = signature, args

    def array(self, position):
        """Fields of an array."""
        make = self._context.make_array(self._signature.args[position])
        return make(self._context, self._builder, self._args[position])

    def data(self, position):
        """Address of an array's bytes."""
        return self._builder.bitcast(self.array(position).data, BYTES)


class _TileChains(TileSums):
    """Writes the code of one micro-kernel.

    Of the sums of a tile, ``[pixels, filters]`` in memory, registers hold some pixels.
    """

    def __init__(self, builder, kernel, ifm=None, weights=None):
        super().__init__(
            builder,
            kernel.instance_class,
            0 if ifm is None else ifm.dtype.bitwidth // 8,
            0 if weights is None else weights.dtype.bitwidth // 8,
        )
        self._filters = self._vectors * self._lanes

    def find_runs(self, ifm, starts):
        """Addresses where the runs of pixels start."""
        places = (self._b.extract_value(starts, run) for run in range(RUNS))
        return [self.at(ifm, place, self.map_bytes) for place in places]

    def _splat(self, value, vector):
        undefined = ir.Constant(vector, ir.Undefined)
        first = self._b.insert_element(undefined, value, ir.Constant(I32, 0))
        lanes = ir.VectorType(I32, vector.count)
        return self._b.shuffle_vector(first, undefined, ir.Constant(lanes, [0] * vector.count))

    def _bounds(self, bits):
        """Lowest and highest number of so many bits, in all lanes."""
        one = ir.Constant(I32, 1)
        half = self._b.shl(one, self._b.sub(self._b.trunc(bits, I32), one))
        low, high = self._b.neg(half), self._b.sub(half, one)
        return self._splat(low, self._vector), self._splat(high, self._vector)

    def _place(self, acc, index):
        """Address of a vector of sums, counted through pixels."""
        place = self._after(acc, index * self._lanes * 4)
        return self._b.bitcast(place, self._vector.as_pointer())

    def _load_row(self, base, number):
        """Vectors of a row of [rows, filters]."""
        return [
            self._load(self._after(base, (number * self._vectors + v) * self._lanes * 4),
                       self._vector, 4)
            for v in range(self._vectors)
        ]  # fmt: skip

    # Chunks: as many lanes as there are, then one look at the sums.

    def add_chunks(self, *, runs, pixel_step, weights, lane, ends, offsets, guards, acc):
        """Loop over chunks, in them over lanes; store if all were within the guards."""
        b = self._b
        n_sums = RUNS * self._run_pixels * self._vectors
        steps = self._steps(pixel_step)
        biases, limits = self._load_row(guards, 0), self._load_row(guards, 1)
        first_sums = [
            b.add(self._load(self._place(acc, i), self._vector, 4), biases[i % self._vectors])
            for i in range(n_sums)
        ]
        n_chunks = b.extract_value(ends.shape, 0)
        entry = b.block
        outer, inner, after, done = map(b.append_basic_block, ("chunk", "lane", "after", "done"))
        b.branch(outer)

        b.position_at_end(outer)
        chunk, outer_lane, outer_w = b.phi(I64), b.phi(I64), b.phi(BYTES)
        outer_sums = [b.phi(self._vector) for _ in range(n_sums)]
        outer_peaks = [b.phi(self._vector) for _ in range(self._vectors)]
        chunk.add_incoming(ir.Constant(I64, 0), entry)
        outer_lane.add_incoming(lane, entry)
        outer_w.add_incoming(weights, entry)
        for phi, start in zip(outer_sums, first_sums, strict=True):
            phi.add_incoming(start, entry)
        for phi in outer_peaks:
            phi.add_incoming(ir.Constant(self._vector, [0] * self._lanes), entry)
        peaks = list(outer_peaks)
        for i, total in enumerate(outer_sums):
            v = i % self._vectors
            peaks[v] = b.select(b.icmp_unsigned(">", total, peaks[v]), total, peaks[v])
        end = b.load(b.gep(ends.data, [chunk]))
        b.branch(inner)

        b.position_at_end(inner)
        inner_lane, w = b.phi(I64), b.phi(BYTES)
        sums = [b.phi(self._vector) for _ in range(n_sums)]
        for phi, start in zip(
            [inner_lane, w, *sums], [outer_lane, outer_w, *outer_sums], strict=True
        ):
            phi.add_incoming(start, outer)
        places = self._read_places(runs, offsets, inner_lane)
        new_sums = self._add_lane(places, steps, w, sums)
        next_lane = b.add(inner_lane, ir.Constant(I64, 1))
        next_w = self._after(w, self._vectors * self._weights_size)
        for phi, value in zip([inner_lane, w, *sums], [next_lane, next_w, *new_sums], strict=True):
            phi.add_incoming(value, inner)
        b.cbranch(b.icmp_signed("<", next_lane, end), inner, after)

        b.position_at_end(after)
        next_chunk = b.add(chunk, ir.Constant(I64, 1))
        for phi, value in zip(
            [chunk, outer_lane, outer_w, *outer_sums, *outer_peaks],
            [next_chunk, next_lane, next_w, *new_sums, *peaks],
            strict=True,
        ):
            phi.add_incoming(value, after)
        b.cbranch(b.icmp_signed("<", next_chunk, n_chunks), outer, done)

        b.position_at_end(done)
        is_out = [
            b.icmp_unsigned(">", peak, limit) for peak, limit in zip(peaks, limits, strict=True)
        ]
        any_out = is_out[0]
        for other in is_out[1:]:
            any_out = b.or_(any_out, other)
        mask = ir.IntType(self._lanes)
        may_add = b.icmp_unsigned("==", b.bitcast(any_out, mask), ir.Constant(mask, 0))
        with b.if_then(may_add):
            for i, total in enumerate(new_sums):
                b.store(b.sub(total, biases[i % self._vectors]), self._place(acc, i)).align = 4
        return may_add

    def _read_places(self, runs, offsets, lane):
        """Where the runs read a lane."""
        offset = self._b.mul(
            self._b.load(self._b.gep(offsets, [lane])), ir.Constant(I64, self.map_bytes)
        )
        return [self._b.gep(run, [offset]) for run in runs]

    # Products: one per lane and addition.

    def add_products(self, *, runs, pixel_step, weights, offsets, bits, acc, clamps):
        """Loop over products, for as many pixels at a time as registers hold."""
        b = self._b
        wide = (self._vector, self._clamp_wide(*self._bounds(bits)))
        if self._kind not in QUADS:
            self._add_products(runs, pixel_step, weights, offsets, acc, clamps, *wide)
            return
        with b.if_else(b.icmp_signed("==", bits, ir.Constant(I64, 16))) as (is_16, is_other):
            with is_16:
                half = ir.VectorType(I16, 2 * self._lanes)
                self._add_products(
                    runs, pixel_step, weights, offsets, acc, clamps, half, self._saturate
                )
            with is_other:
                self._add_products(runs, pixel_step, weights, offsets, acc, clamps, *wide)

    def _add_products(self, runs, pixel_step, weights, offsets, acc, clamps, vector, add):
        vectors = self._filters // vector.count
        pixels = [(run, pixel) for run in range(RUNS) for pixel in range(self._run_pixels)]
        at_once = len(pixels)
        while at_once * vectors > _MOST_SUMS and at_once % 2 == 0:
            at_once //= 2
        for first in range(0, len(pixels), at_once):
            self._loop_products(
                runs, pixel_step, weights, offsets, acc, clamps, vector, add, first,
                pixels[first : first + at_once],
            )  # fmt: skip

    def _loop_products(
        self, runs, pixel_step, weights, offsets, acc, clamps, vector, add, first, pixels
    ):
        b = self._b
        vectors = self._filters // vector.count
        steps = self._steps(pixel_step)
        memory = ir.VectorType(I32, vector.count)
        rows = [
            [
                b.bitcast(
                    self._after(acc, ((first + i) * vectors + v) * vector.count * 4),
                    memory.as_pointer(),
                )
                for v in range(vectors)
            ]
            for i in range(len(pixels))
        ]
        first_sums = [self._narrow(self._load(place, memory, 4), vector) for row in rows
                      for place in row]  # fmt: skip
        first_counts = [b.load(b.gep(clamps, [ir.Constant(I64, first + i)]))
                        for i in range(len(pixels))]  # fmt: skip
        n_products = b.extract_value(offsets.shape, 0)
        entry = b.block
        loop, done = b.append_basic_block("product"), b.append_basic_block("done")
        b.branch(loop)

        b.position_at_end(loop)
        product, w = b.phi(I64), b.phi(BYTES)
        sums = [b.phi(vector) for _ in first_sums]
        counts = [b.phi(I64) for _ in first_counts]
        phis = [product, w, *sums, *counts]
        for phi, start in zip(
            phis, [ir.Constant(I64, 0), weights, *first_sums, *first_counts], strict=True
        ):
            phi.add_incoming(start, entry)
        places = self._read_places(runs, offsets.data, product)
        columns = [
            self._widen_weights(self._after(w, v * vector.count * self.weight_bytes), vector)
            for v in range(vectors)
        ]
        new_sums, new_counts = [], []
        for i, (run, pixel) in enumerate(pixels):
            place = b.gep(places[run], [steps[pixel]])
            count = counts[i]
            for v in range(vectors):
                x = self._read_value(place, v, vector)
                exact, held = add(sums[i * vectors + v], x, columns[v])
                count = b.add(count, self._count(b.icmp_signed("!=", exact, held)))
                new_sums.append(held)
            new_counts.append(count)
        next_product = b.add(product, ir.Constant(I64, 1))
        next_w = self._after(w, self._filters * self.weight_bytes)
        for phi, value in zip(phis, [next_product, next_w, *new_sums, *new_counts], strict=True):
            phi.add_incoming(value, loop)
        b.cbranch(b.icmp_signed("<", next_product, n_products), loop, done)

        b.position_at_end(done)
        for i, row in enumerate(rows):
            for v, place in enumerate(row):
                total = new_sums[i * vectors + v]
                b.store(total if vector == memory else b.sext(total, memory), place).align = 4
            b.store(new_counts[i], b.gep(clamps, [ir.Constant(I64, first + i)]))

    def _narrow(self, loaded, vector):
        return loaded if loaded.type == vector else self._b.trunc(loaded, vector)

    def _widen_weights(self, place, vector):
        """A weight in each lane, followed by zeros."""
        narrow = ir.VectorType(ir.IntType(8 * self.weight_bytes), vector.count)
        return self._b.zext(self._load(place, narrow), vector)

    def _read_value(self, place, v, vector):
        """A value of the map in every lane; what follows it meets weights of zero."""
        if self._is_depthwise:
            return self._load_channels(place, v)
        return self._splat(self._load(place, vector.element), vector)

    def _clamp_wide(self, low, high):
        def add(total, x, w):
            exact = self._dot(total, x, w)
            return exact, self._clamp(exact, low, high)

        return add

    def _clamp(self, exact, low, high):
        b = self._b
        above = b.select(b.icmp_signed("<", exact, low), low, exact)
        return b.select(b.icmp_signed(">", above, high), high, above)

    def _saturate(self, total, x, w):
        """Add in 16 bits, where the processor clamps."""
        b, vector = self._b, total.type
        pairs = ir.VectorType(I8, 2 * vector.count)
        multiply = cgutils.get_or_insert_function(
            b.module, ir.FunctionType(vector, [pairs, pairs]), "llvm.x86.avx512.pmaddubs.w.512"
        )
        product = b.call(multiply, [b.bitcast(x, pairs), b.bitcast(w, pairs)])
        saturate = cgutils.get_or_insert_function(
            b.module, ir.FunctionType(vector, [vector] * 2), f"llvm.sadd.sat.v{vector.count}i16"
        )
        return b.add(total, product), b.call(saturate, [total, product])

    def _count(self, mask):
        """How many lanes of a mask are set: counted beside the vector units."""
        b = self._b
        bits = b.zext(b.bitcast(mask, ir.IntType(mask.type.count)), I64)
        return b.call(
            cgutils.get_or_insert_function(
                b.module, ir.FunctionType(I64, [I64]), "llvm.ctpop.i64"
            ),
            [bits],
        )

    # Sums of a level.

    def add_sums(self, *, lower, bits, upper, clamps):
        """Loop over pixels."""
        b = self._b
        low, high = self._bounds(bits)
        row_bytes = ir.Constant(I64, self._filters * 4)
        pixels = ir.Constant(I64, RUNS * self._run_pixels)
        with cgutils.for_range(b, pixels) as loop:
            below, above = (b.gep(base, [b.mul(loop.index, row_bytes)]) for base in (lower, upper))
            place = b.gep(clamps, [loop.index])
            count = b.load(place)
            for v in range(self._vectors):
                exact = b.add(
                    self._load(self._place(below, v), self._vector, 4),
                    self._load(self._place(above, v), self._vector, 4),
                )
                held = self._clamp(exact, low, high)
                count = b.add(count, self._count(b.icmp_signed("!=", exact, held)))
                b.store(held, self._place(above, v)).align = 4
                zeros = ir.Constant(self._vector, [0] * self._lanes)
                b.store(zeros, self._place(below, v)).align = 4
            b.store(count, place)
