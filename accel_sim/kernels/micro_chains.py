"""Micro-kernels that add in a machine's order, through accumulators that saturate.

Emitted as LLVM vector code, as those of `micro_sums`. Sums of a tile are loaded into
registers, go on from there and are stored again; every addition that clamps is counted. Where
bounds prove that none can, products meet as the processor likes best.
"""

from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from accel_sim.kernels.micro_kernels import RUNS
from accel_sim.kernels.micro_sums import BYTES, I8, I16, I32, I64, QUADS, TileSums


@intrinsic
def _add_chunks(
    typingctx, kernel, ifm, starts, pixel_step, weights, offsets, ends, chunks, guards, block,
    levels,
):  # fmt: skip
    """Add chunks of products to the highest sums of a tile, unless an addition might clamp.

    A chunk may be added if the sum before it lies within the filter's guards. If one may not,
    nothing changes.

    Parameters
    ----------
    kernel, ifm, starts, pixel_step
        As of `micro_sums.multiply`.
    weights, offsets, ends
        See `micro_order.Lanes`.
    chunks : (int64, int64)
        The first, and the one behind the last.
    guards : int32[blocks, 2, filters]
        What is added to a sum modulo ``2**32``, and what it may then be at most, unsigned.
    block : int64
    levels : int32[levels, runs * run_pixels, filters]

    Returns
    -------
    bool
        Whether the chunks have been added.
    """
    span = types.UniTuple(types.int64, 2)
    signature = types.boolean(
        kernel, ifm, starts, types.int64, weights, offsets, ends, span, guards, types.int64, levels
    )

    def codegen(context, builder, signature, args):
        read = _Arguments(context, builder, signature, args)
        emit = _TileChains(builder, kernel, ifm, weights)
        first, last = read.pair(7)
        before = builder.sub(first, ir.Constant(I64, 1))
        is_later = builder.icmp_signed(">", first, ir.Constant(I64, 0))
        # The first chunk begins with lane 0.
        place = builder.select(is_later, before, ir.Constant(I64, 0))
        lane = builder.load(builder.gep(read.array(6).data, [place]))
        lane = builder.select(is_later, lane, ir.Constant(I64, 0))
        return emit.add_chunks(
            runs=emit.find_runs(read.data(1), args[2]),
            pixel_step=args[3],
            weights=read.weights_of(4, args[9], read.length(5), lane, emit.lane_bytes),
            lane=lane,
            offsets=read.array(5).data,
            ends=read.array(6).data,
            chunks=(first, last),
            guards=read.row(8, args[9]),
            acc=read.row(10, builder.sub(read.length(10), ir.Constant(I64, 1))),
        )

    return signature, codegen


@intrinsic
def _add_products(
    typingctx, kernel, ifm, starts, pixel_step, weights, offsets, span, block, is_tense, bits,
    levels, counted,
):  # fmt: skip
    """Add one product after another to sums of the lowest level of a tile, clamped each time.

    If there is a level above, sums start from zero and are added to that in the end.

    Parameters
    ----------
    kernel, ifm, starts, pixel_step
        As of `micro_sums.multiply`.
    weights, offsets
        See `micro_order.Lanes`.
    span : (int64, int64)
        The first product, and the one behind the last.
    block : int64
    is_tense : bool
        Whether clamps are expected; otherwise to find that there are none takes less time.
    bits : int64[levels]
        Of sums; with what is added to them, their range does not leave 32 bits.
    levels : int32[levels, runs * run_pixels, filters]
    counted : int64[runs * run_pixels]
        All bits set where clamps of a pixel count, else none.

    Returns
    -------
    tuple of int64
        Clamps of the lowest level, and of the one above.
    """
    pair = types.UniTuple(types.int64, 2)
    signature = pair(
        kernel, ifm, starts, types.int64, weights, offsets, pair, types.int64, types.boolean,
        bits, levels, counted,
    )  # fmt: skip

    def codegen(context, builder, signature, args):
        read = _Arguments(context, builder, signature, args)
        emit = _TileChains(builder, kernel, ifm, weights)
        first, last = read.pair(6)
        clamps = emit.add_products(
            products=_Products(
                runs=emit.find_runs(read.data(1), args[2]),
                pixel_step=args[3],
                weights=read.weights_of(4, args[7], read.length(5), first, emit.product_bytes),
                offsets=read.array(5).data,
                span=(first, last),
            ),
            is_tense=args[8],
            bits=read.array(9).data,
            has_above=builder.icmp_signed(">", read.length(9), ir.Constant(I64, 1)),
            levels=read.data(10),
            counted=read.array(11).data,
        )
        return context.make_tuple(builder, pair, clamps)

    return signature, codegen


@intrinsic
def _add_lanes(
    typingctx, kernel, ifm, starts, pixel_step, weights, offsets, span, block, bits, levels, counted
):
    """Add products in any order to a sum, and that to the second level of a tile, clamped.

    Parameters
    ----------
    kernel, ifm, starts, pixel_step
        As of `micro_sums.multiply`.
    weights, offsets
        See `micro_order.Lanes`.
    span : (int64, int64)
        The first lane, and the one behind the last.
    block, bits, levels, counted
        As of `add_products`.

    Returns
    -------
    int64
        Clamps.
    """
    pair = types.UniTuple(types.int64, 2)
    signature = types.int64(
        kernel, ifm, starts, types.int64, weights, offsets, pair, types.int64, bits, levels, counted
    )

    def codegen(context, builder, signature, args):
        read = _Arguments(context, builder, signature, args)
        emit = _TileChains(builder, kernel, ifm, weights)
        first, last = read.pair(6)
        return emit.add_lanes(
            runs=emit.find_runs(read.data(1), args[2]),
            pixel_step=args[3],
            weights=read.weights_of(4, args[7], read.length(5), first, emit.lane_bytes),
            offsets=read.array(5).data,
            span=(first, last),
            bits=builder.load(builder.gep(read.array(8).data, [ir.Constant(I64, 1)])),
            acc=read.row(9, ir.Constant(I64, 1)),
            counted=read.array(10).data,
        )

    return signature, codegen


@intrinsic
def _add_sums(typingctx, kernel, level, bits, levels, counted):
    """Add the sums of a level of a tile to those of the next, clamped; empty the lower ones.

    Parameters
    ----------
    kernel : MicroKernel
    level : int64
        The lower one.
    bits, levels, counted
        As of `add_products`.

    Returns
    -------
    int64
        Clamps.
    """
    signature = types.int64(kernel, types.int64, bits, levels, counted)

    def codegen(context, builder, signature, args):
        read = _Arguments(context, builder, signature, args)
        above = builder.add(args[1], ir.Constant(I64, 1))
        return _TileChains(builder, kernel).add_sums(
            lower=read.row(3, args[1]),
            bits=builder.load(builder.gep(read.array(2).data, [above])),
            upper=read.row(3, above),
            counted=read.array(4).data,
        )

    return signature, codegen


add_chunks: Any = _add_chunks
add_products: Any = _add_products
add_lanes: Any = _add_lanes
add_sums: Any = _add_sums
"""As their callers see them, without the typing context."""


class _Arguments:
    """Arrays and pairs among the arguments of an intrinsic."""

    def __init__(self, context, builder, signature, args):
        self._context, self._b = context, builder
        self._signature, self._args = signature, args

    def array(self, position):
        """Fields of an array."""
        make = self._context.make_array(self._signature.args[position])
        return make(self._context, self._b, self._args[position])

    def length(self, position):
        """Of the first axis of an array."""
        return self._b.extract_value(self.array(position).shape, 0)

    def data(self, position):
        """Address of an array's bytes."""
        return self._b.bitcast(self.array(position).data, BYTES)

    def row(self, position, index):
        """Address of an element along the first axis."""
        stride = self._b.extract_value(self.array(position).strides, 0)
        return self._b.gep(self.data(position), [self._b.mul(index, stride)])

    def pair(self, position):
        """Both values."""
        return [self._b.extract_value(self._args[position], i) for i in range(2)]

    def weights_of(self, position, block, lanes, lane, size):
        """Address of a lane's weights, of `size` bytes each, so many lanes per block."""
        index = self._b.add(self._b.mul(block, lanes), lane)
        return self._b.gep(self.data(position), [self._b.mul(index, ir.Constant(I64, size))])


class _Products(NamedTuple):
    """Operands of some products: where runs start, and the rest as of `add_products`."""

    runs: list[Any]
    pixel_step: Any
    weights: Any
    offsets: Any
    span: tuple[Any, Any]


class _TileChains(TileSums):
    """Writes the code of one micro-kernel."""

    def __init__(self, builder, kernel, ifm=None, weights=None):
        super().__init__(
            builder,
            kernel.instance_class,
            0 if ifm is None else ifm.dtype.bitwidth // 8,
            0 if weights is None else weights.dtype.bitwidth // 8,
        )
        self._filters = self._vectors * self._lanes
        self.lane_bytes = self._vectors * self._weights_size
        self.product_bytes = self._filters * self.weight_bytes
        self._pixels = RUNS * self._run_pixels

    def find_runs(self, ifm, starts):
        """Addresses where the runs of pixels start."""
        places = (self._b.extract_value(starts, run) for run in range(RUNS))
        return [self.at(ifm, place, self.map_bytes) for place in places]

    def _splat(self, value, vector):
        undefined = ir.Constant(vector, ir.Undefined)
        first = self._b.insert_element(undefined, value, ir.Constant(I32, 0))
        lanes = ir.VectorType(I32, vector.count)
        return self._b.shuffle_vector(first, undefined, ir.Constant(lanes, [0] * vector.count))

    def _zeros(self, vector):
        return ir.Constant(vector, [0] * vector.count)

    def _bounds(self, bits, lanes):
        """Lowest and highest number of so many bits, in all lanes."""
        one = ir.Constant(I32, 1)
        half = self._b.shl(one, self._b.sub(self._b.trunc(bits, I32), one))
        vector = ir.VectorType(I32, lanes)
        low, high = self._b.neg(half), self._b.sub(half, one)
        return self._splat(low, vector), self._splat(high, vector)

    def _clamp(self, exact, low, high):
        b = self._b
        above = b.select(b.icmp_signed("<", exact, low), low, exact)
        return b.select(b.icmp_signed(">", above, high), high, above)

    def _count(self, mask, counts):
        """Count the lanes that are set, beside the vector units, if the pixel counts."""
        b = self._b
        bits = b.zext(b.bitcast(mask, ir.IntType(mask.type.count)), I64)
        one = ir.FunctionType(I64, [I64])
        count = b.call(cgutils.get_or_insert_function(b.module, one, "llvm.ctpop.i64"), [bits])
        return b.and_(count, counts)

    def _load_counts(self, counted, pixels):
        """Whether each pixel counts."""
        return [self._b.load(self._b.gep(counted, [ir.Constant(I64, i)])) for i in range(pixels)]

    def _is_any(self, mask):
        bits = ir.IntType(mask.type.count)
        return self._b.icmp_unsigned("!=", self._b.bitcast(mask, bits), ir.Constant(bits, 0))

    def _vector_at(self, acc, index, vector):
        """Address of the vector of sums with that number, counted through pixels."""
        return self._b.bitcast(self._after(acc, index * vector.count * 4), vector.as_pointer())

    def _give(self, sums, acc, bits, counted):
        """Add the sums of some pixels to those in memory, and clamp; give the clamps."""
        b, vector = self._b, sums[0].type
        low, high = self._bounds(bits, vector.count)
        vectors = self._filters // vector.count
        counts = self._load_counts(counted, len(sums) // vectors)
        clamps = ir.Constant(I64, 0)
        for i, total in enumerate(sums):
            place = self._vector_at(acc, i, vector)
            exact = b.add(total, self._load(place, vector, 4))
            held = self._clamp(exact, low, high)
            b.store(held, place).align = 4
            is_clamped = b.icmp_signed("!=", exact, held)
            clamps = b.add(clamps, self._count(is_clamped, counts[i // vectors]))
        return clamps

    def _loop(self, first, last, starts, step):
        """Loop over `first <= index < last`, at least once; give the values of the last round.

        `step` makes the values of a round from its index and those of the round before.
        """
        b = self._b
        entry, body, done = b.block, b.append_basic_block("body"), b.append_basic_block("done")
        b.branch(body)
        b.position_at_end(body)
        index = b.phi(I64)
        phis = [b.phi(start.type) for start in starts]
        values = step(index, phis)
        following = b.add(index, ir.Constant(I64, 1))
        for phi, start, value in zip(
            [index, *phis], [first, *starts], [following, *values], strict=True
        ):
            phi.add_incoming(start, entry)
            phi.add_incoming(value, b.block)
        b.cbranch(b.icmp_signed("<", following, last), body, done)
        b.position_at_end(done)
        return values

    def _loop_lanes(self, runs, pixel_step, weights, offsets, span, sums):
        """Add lanes of products to the sums of a tile; give the place of the next weights too."""
        steps = self._steps(pixel_step)

        def step(lane, values):
            w, *totals = values
            places = self._find_places(runs, offsets, lane)
            return [self._after(w, self.lane_bytes), *self._add_lane(places, steps, w, totals)]

        w, *totals = self._loop(*span, [weights, *sums], step)
        return w, totals

    def _find_places(self, runs, offsets, lane):
        """Where the runs read a lane."""
        b = self._b
        offset = b.mul(b.load(b.gep(offsets, [lane])), ir.Constant(I64, self.map_bytes))
        return [b.gep(run, [offset]) for run in runs]

    def add_lanes(self, *, runs, pixel_step, weights, offsets, span, bits, acc, counted):
        """Loop over lanes, then give the sums to the next level."""
        zeros = [self._zeros(self._vector)] * (self._pixels * self._vectors)
        _, sums = self._loop_lanes(runs, pixel_step, weights, offsets, span, zeros)
        return self._give(sums, acc, bits, counted)

    def add_sums(self, *, lower, bits, upper, counted):
        """Loop over pixels."""
        b = self._b
        tally = cgutils.alloca_once_value(b, ir.Constant(I64, 0))
        row_bytes = ir.Constant(I64, self._filters * 4)
        with cgutils.for_range(b, ir.Constant(I64, self._pixels)) as loop:
            below, above = (b.gep(base, [b.mul(loop.index, row_bytes)]) for base in (lower, upper))
            places = [self._vector_at(below, v, self._vector) for v in range(self._vectors)]
            sums = [self._load(place, self._vector, 4) for place in places]
            clamps = self._give(sums, above, bits, b.gep(counted, [loop.index]))
            b.store(b.add(b.load(tally), clamps), tally)
            for place in places:
                b.store(self._zeros(self._vector), place).align = 4
        return b.load(tally)

    # Chunks: as many lanes as there are, then one look at the sums.

    def add_chunks(self, *, runs, pixel_step, weights, lane, offsets, ends, chunks, guards, acc):
        """Loop over chunks, in them over lanes; store if all were within the guards."""
        b, vector = self._b, self._vector
        n_sums = self._pixels * self._vectors
        places = [self._vector_at(acc, i, vector) for i in range(n_sums)]
        biases, limits = (
            [
                self._load(self._vector_at(guards, row * self._vectors + v, vector), vector, 4)
                for v in range(self._vectors)
            ]
            for row in range(2)
        )
        sums = [
            b.add(self._load(place, vector, 4), biases[i % self._vectors])
            for i, place in enumerate(places)
        ]

        def step(chunk, values):
            w, first, peaks, totals = (
                values[0], values[1], values[2 : 2 + self._vectors], values[2 + self._vectors :],
            )  # fmt: skip
            for i, total in enumerate(totals):
                v = i % self._vectors
                is_peak = b.icmp_unsigned(">", total, peaks[v])
                peaks[v] = b.select(is_peak, total, peaks[v])
            end = b.load(b.gep(ends, [chunk]))
            w, totals = self._loop_lanes(runs, pixel_step, w, offsets, (first, end), totals)
            return [w, end, *peaks, *totals]

        starts = [weights, lane, *[self._zeros(vector)] * self._vectors, *sums]
        _, _, *values = self._loop(*chunks, starts, step)
        peaks, sums = values[: self._vectors], values[self._vectors :]
        is_out = b.icmp_unsigned(">", peaks[0], limits[0])
        for peak, limit in zip(peaks[1:], limits[1:], strict=True):
            is_out = b.or_(is_out, b.icmp_unsigned(">", peak, limit))
        may_add = b.not_(self._is_any(is_out))
        with b.if_then(may_add):
            for i, place in enumerate(places):
                b.store(b.sub(sums[i], biases[i % self._vectors]), place).align = 4
        return may_add

    # Products: one per lane and addition.

    def add_products(self, *, products, is_tense, bits, has_above, levels, counted):
        """Take as many pixels at a time as registers hold."""
        b = self._b
        lowest = b.load(bits)
        tallies = [cgutils.alloca_once_value(b, ir.Constant(I64, 0)) for _ in range(2)]

        def add_groups(vector, add, probe):
            vectors = self._filters // vector.count
            # Half of the registers are for what a clamped addition needs besides.
            groups = RUNS if self._pixels * vectors > self._lanes else 1
            with cgutils.for_range(b, ir.Constant(I64, groups)) as loop:
                runs = products.runs
                if groups > 1:
                    is_first = b.icmp_signed("==", loop.index, ir.Constant(I64, 0))
                    runs = [b.select(is_first, *runs)]
                pixel = b.mul(loop.index, ir.Constant(I64, self._run_pixels))
                acc = b.gep(levels, [b.mul(pixel, ir.Constant(I64, self._filters * 4))])
                self._add_group(
                    products._replace(runs=runs), vector, add, probe, is_tense, bits, has_above,
                    acc, b.gep(counted, [pixel]), tallies,
                )  # fmt: skip

        def add_wide():
            low, high = self._bounds(lowest, self._lanes)
            add_groups(self._vector, self._adder(low, high), (low, high))

        if self._kind in QUADS:
            is_16_bits = b.icmp_signed("==", lowest, ir.Constant(I64, 16))
            with b.if_else(is_16_bits) as (is_16, is_other):
                with is_16:
                    add_groups(ir.VectorType(I16, 2 * self._lanes), self._add_saturated, None)
                with is_other:
                    add_wide()
        else:
            add_wide()
        return [b.load(tally) for tally in tallies]

    def _add_group(
        self, products, vector, add, probe, is_tense, bits, has_above, acc, counted, tallies
    ):  # fmt: skip
        """Add products to the sums of some pixels, and these to the level above."""
        b = self._b
        n_sums = len(products.runs) * self._run_pixels * (self._filters // vector.count)
        memory = ir.VectorType(I32, vector.count)
        places = [self._vector_at(acc, i, memory) for i in range(n_sums)]
        starts = [
            b.select(has_above, self._zeros(memory), self._load(place, memory, 4))
            for place in places
        ]
        if memory != vector:
            starts = [b.trunc(start, vector) for start in starts]
        clamped, done = b.append_basic_block("clamped"), b.append_basic_block("finish")
        probed = []
        if probe is not None:
            probing = b.append_basic_block("probe")
            b.cbranch(is_tense, clamped, probing)
            b.position_at_end(probing)
            probed, is_out = self._probe(products, starts, *probe)
            probing = b.block
            b.cbranch(is_out, clamped, done)
        else:
            b.branch(clamped)
        b.position_at_end(clamped)
        sums, clamps = self._add_clamped(products, vector, add, starts, counted)
        b.store(b.add(b.load(tallies[0]), clamps), tallies[0])
        clamped = b.block
        b.branch(done)
        b.position_at_end(done)
        if probe is not None:
            phis = [b.phi(vector) for _ in sums]
            for phi, one, other in zip(phis, probed, sums, strict=True):
                phi.add_incoming(one, probing)
                phi.add_incoming(other, clamped)
            sums = phis
        if memory != vector:
            sums = [b.sext(total, memory) for total in sums]
        with b.if_else(has_above) as (is_fold, is_last):
            with is_fold:
                above = self._after(acc, self._pixels * self._filters * 4)
                next_bits = b.load(b.gep(bits, [ir.Constant(I64, 1)]))
                clamps = self._give(sums, above, next_bits, counted)
                b.store(b.add(b.load(tallies[1]), clamps), tallies[1])
            with is_last:
                for total, place in zip(sums, places, strict=True):
                    b.store(total, place).align = 4

    def _loop_products(self, products, vector, starts, add):
        """Loop over products; `add` makes values of those before, the operands and a number."""
        b = self._b
        vectors = self._filters // vector.count
        steps = self._steps(products.pixel_step)

        def step(product, values):
            w, *values = values
            places = self._find_places(products.runs, products.offsets, product)
            columns = [
                self._widen_weights(self._after(w, v * vector.count * self.weight_bytes), vector)
                for v in range(vectors)
            ]
            number = 0
            for place in places:
                for to_pixel in steps:
                    pixel = b.gep(place, [to_pixel])
                    for v in range(vectors):
                        add(values, number, self._read_value(pixel, v, vector), columns[v])
                        number += 1
            return [self._after(w, self.product_bytes), *values]

        return self._loop(*products.span, [products.weights, *starts], step)[1:]

    def _probe(self, products, starts, low, high):
        """Add without clamps; tell too whether there should have been one."""
        b = self._b

        def add(values, number, x, w):
            values[number] = self._dot(values[number], x, w)
            values[-1] = b.or_(values[-1], values[number])

        # Counted from the lowest, sums in range have no bits above it.
        shifted = [b.sub(start, low) for start in starts]
        *sums, bits = self._loop_products(
            products, self._vector, [*shifted, self._zeros(self._vector)], add
        )
        is_out = self._is_any(b.icmp_unsigned(">", bits, b.sub(high, low)))
        return [b.add(total, low) for total in sums], is_out

    def _add_clamped(self, products, vector, add_one, starts, counted):
        """Clamp after every addition; give sums and clamps."""
        b = self._b
        vectors = self._filters // vector.count
        counts = self._load_counts(counted, len(starts) // vectors)

        def add(values, number, x, w):
            exact, held = add_one(values[number], x, w)
            values[number] = held
            clamps = self._count(b.icmp_signed("!=", exact, held), counts[number // vectors])
            values[-1] = b.add(values[-1], clamps)

        *sums, clamps = self._loop_products(products, vector, [*starts, ir.Constant(I64, 0)], add)
        return sums, clamps

    def _widen_weights(self, place, vector):
        """Give a weight in each lane, followed by zeros."""
        narrow = ir.VectorType(ir.IntType(8 * self.weight_bytes), vector.count)
        return self._b.zext(self._load(place, narrow), vector)

    def _read_value(self, place, v, vector):
        """Give a value of the map in every lane; what follows it meets weights of zero."""
        if self._is_depthwise:
            return self._load_channels(place, v)
        return self._splat(self._load(place, vector.element), vector)

    def _adder(self, low, high):
        def add(total, x, w):
            exact = self._dot(total, x, w)
            return exact, self._clamp(exact, low, high)

        return add

    def _add_saturated(self, total, x, w):
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
