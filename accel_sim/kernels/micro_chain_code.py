"""LLVM vector code that adds sums in a machine's order, and products whose order is free."""

from llvmlite import ir
from numba.core import cgutils

from accel_sim.kernels.micro_kernels import RUNS
from accel_sim.kernels.micro_sums import BYTES, I32, I64, QUADS, TileSums


class Arguments:
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


class TileChains(TileSums):
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
        b = self._b
        tally = cgutils.alloca_once(b, I64)
        low, high = self._bounds(bits, sums[0].type.count)

        def add_within(total, other):
            exact = b.add(total, other)
            held = self._clamp(exact, low, high)
            return held, b.icmp_signed("!=", exact, held)

        def give(add):
            b.store(self._give_each(sums, acc, add, counted), tally)

        self._choose_adder(bits, lambda: give(self._add_saturating), lambda: give(add_within))
        return b.load(tally)

    def _give_each(self, sums, acc, add, counted):
        b, vector = self._b, sums[0].type
        vectors = self._filters // vector.count
        counts = self._load_counts(counted, len(sums) // vectors)
        clamps = ir.Constant(I64, 0)
        for i, total in enumerate(sums):
            place = self._vector_at(acc, i, vector)
            held, is_clamped = add(total, self._load(place, vector, 4))
            b.store(held, place).align = 4
            clamps = b.add(clamps, self._count(is_clamped, counts[i // vectors]))
        return clamps

    def _choose_adder(self, bits, of_words, of_others):
        """Write code for accumulators of 32 bits, and for narrower ones.

        Sums of 8-bit operands that would need the first are not run here.
        """
        if self._kind in QUADS:
            of_others()
            return
        is_word = self._b.icmp_signed("==", bits, ir.Constant(I64, 32))
        with self._b.if_else(is_word) as (is_32, is_other):
            with is_32:
                of_words()
            with is_other:
                of_others()

    def _add_saturating(self, total, other):
        """Clamp to the width of the elements; tell which are clamped."""
        held = self._add_saturated(total, other)
        return held, self._b.icmp_signed("!=", self._b.add(total, other), held)

    def _add_saturated(self, total, other):
        """Clamp to the width of the elements."""
        vector = total.type
        name = f"llvm.sadd.sat.v{vector.count}i{vector.element.width}"
        two = ir.FunctionType(vector, [vector] * 2)
        add = cgutils.get_or_insert_function(self._b.module, two, name)
        return self._b.call(add, [total, other])

    def _loop(self, span, starts, step, stride=1):
        """Loop from the first index to before the last, at least once; give the last values.

        `step` makes the values of a round from its index and those of the round before.
        """
        b = self._b
        first, last = span
        entry, body, done = b.block, b.append_basic_block("body"), b.append_basic_block("done")
        b.branch(body)
        b.position_at_end(body)
        index = b.phi(I64)
        phis = [b.phi(start.type) for start in starts]
        values = step(index, phis)
        following = b.add(index, ir.Constant(I64, stride))
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
        runs, steps = self._cut_runs(runs, pixel_step)

        def step(lane, values):
            w, *totals = values
            places = self._find_places(runs, offsets, lane)
            return [self._after(w, self.lane_bytes), *self._add_lane(places, steps, w, totals)]

        w, *totals = self._loop(span, [weights, *sums], step)
        return w, totals

    def _find_places(self, runs, offsets, lane):
        """Where the runs read a lane."""
        b = self._b
        offset = b.mul(b.load(b.gep(offsets, [lane])), ir.Constant(I64, self.map_bytes))
        return [b.gep(run, [offset]) for run in runs]

    def _load_corrections(self, corrections, number):
        """Load those of a part; there are none for maps of 8 bits, which are never shifted."""
        if self.map_bytes == 1:
            return [self._zeros(self._vector)] * self._vectors
        row = self._b.mul(number, ir.Constant(I64, self._filters * 4))
        place = self._b.gep(corrections, [row])
        return [
            self._load(self._vector_at(place, v, self._vector), self._vector, 4)
            for v in range(self._vectors)
        ]

    def add_lanes(
        self, *, runs, pixel_step, weights, corrections, number, offsets, span, bits, acc, counted
    ):  # fmt: skip
        """Loop over lanes, then give the sums to the next level."""
        starts = self._load_corrections(corrections, number) * self._pixels
        _, sums = self._loop_lanes(runs, pixel_step, weights, offsets, span, starts)
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

    def add_chunks(
        self, *, runs, pixel_step, weights, lane, offsets, ends, corrections, chunks, guards, acc
    ):  # fmt: skip
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
            # Behind the lanes, they would need a second copy of all sums.
            peaks = self._compute_here(peaks)
            added = self._load_corrections(corrections, chunk) * self._pixels
            totals = [b.add(total, more) for total, more in zip(totals, added, strict=True)]
            end = b.load(b.gep(ends, [chunk]))
            w, totals = self._loop_lanes(runs, pixel_step, w, offsets, (first, end), totals)
            return [w, end, *peaks, *totals]

        starts = [weights, lane, *[self._zeros(vector)] * self._vectors, *sums]
        _, _, *values = self._loop(chunks, starts, step)
        peaks, sums = values[: self._vectors], values[self._vectors :]
        is_out = b.icmp_unsigned(">", peaks[0], limits[0])
        for peak, limit in zip(peaks[1:], limits[1:], strict=True):
            is_out = b.or_(is_out, b.icmp_unsigned(">", peak, limit))
        may_add = b.not_(self._is_any(is_out))
        with b.if_then(may_add):
            for i, place in enumerate(places):
                b.store(b.sub(sums[i], biases[i % self._vectors]), place).align = 4
        return may_add
