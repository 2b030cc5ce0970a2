"""LLVM vector code that adds products in a machine's order, one after another."""

from functools import reduce
from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import cgutils

from accel_sim.kernels.micro_chain_code import TileChains
from accel_sim.kernels.micro_kernels import RUNS
from accel_sim.kernels.micro_sums import AVX2, I8, I16, I32, I64, QUADS

_NOTED_PRODUCTS = 32
"""A power of two."""
_BITS = 4
"""Registers that bits of sums are collected in."""


class Products(NamedTuple):
    """Operands of some products: where runs start, and the rest as of `add_products`."""

    runs: list[Any]
    pixel_step: Any
    weights: Any
    offsets: Any
    span: tuple[Any, Any]


class TileProducts(TileChains):
    """Writes the code of one micro-kernel whose lanes hold one product each."""

    def add_products(self, *, products, shift, is_tense, bits, has_above, levels, counted):
        """Take as many pixels at a time as registers hold."""
        b = self._b
        lowest = b.load(bits)
        tallies = [cgutils.alloca_once_value(b, ir.Constant(I64, 0)) for _ in range(2)]

        def add_groups(vector, add, bounds):
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
                    products._replace(runs=runs), vector, add, bounds, is_tense, bits, has_above,
                    acc, b.gep(counted, [pixel]), tallies,
                )  # fmt: skip

        low, high = self._bounds(lowest, self._lanes)
        span = b.sub(high, low)

        def add_above_low(total, x, w):
            # One comparison finds those below too: unsigned, they are the largest.
            exact = self._dot(total, x, w)
            return self._clamp(exact, self._zeros(self._vector), span), b.icmp_unsigned(
                ">", exact, span
            )

        def add_shifted(total, x, w):
            # The weight in the upper half, times 2**15.
            sixteen, one = (ir.Constant(self._vector, [n] * self._lanes) for n in (16, 1))
            product = self._dot(b.ashr(b.shl(w, sixteen), one), x, w)
            held = self._clamp(self._add_saturated(total, product), low, high)
            return held, b.icmp_signed("!=", b.add(total, product), held)

        def add_others():
            add_groups(self._vector, add_above_low, (low, span))

        def add_words():
            add_groups(self._vector, self._add_product_to_word, None)

        if self._kind in QUADS:
            is_16_bits = b.icmp_signed("==", lowest, ir.Constant(I64, 16))
            with b.if_else(is_16_bits) as (is_16, is_other):
                with is_16:
                    halves = ir.VectorType(I16, min(2 * self._lanes, self._filters))
                    add_groups(halves, self._add_product_to_half, None)
                with is_other:
                    add_others()
        else:
            is_shifted = b.icmp_signed("!=", shift, ir.Constant(I64, 0))
            with b.if_else(is_shifted) as (shifted, as_it_is):
                with shifted:
                    add_groups(self._vector, add_shifted, None)
                with as_it_is:
                    self._choose_adder(lowest, add_words, add_others)
        return [b.load(tally) for tally in tallies]

    def _add_group(
        self, products, vector, add, bounds, is_tense, bits, has_above, acc, counted, tallies
    ):  # fmt: skip
        """Add products to the sums of some pixels, and these to the level above.

        `bounds` are the lowest sum, and from there to the highest; `add` then takes sums as they
        are above the lowest. If there are none, `add` finds the clamps alone.
        """
        b = self._b
        n_sums = len(products.runs) * self._run_pixels * (self._filters // vector.count)
        memory = ir.VectorType(I32, vector.count)
        places = [self._vector_at(acc, i, memory) for i in range(n_sums)]

        def load_starts():
            # Zeros, if there is a level above.
            sums = [self._load(place, memory, 4) for place in places]
            if bounds is not None:
                return [b.sub(total, bounds[0]) for total in sums]
            return sums if memory == vector else [b.trunc(total, vector) for total in sums]

        clamped, done = b.append_basic_block("clamped"), b.append_basic_block("finish")
        probed = []
        if bounds is not None:
            low, span = bounds
            probing = b.append_basic_block("probe")
            b.cbranch(is_tense, clamped, probing)
            b.position_at_end(probing)
            probed, is_out = self._probe(products, load_starts(), span)
            probing = b.block
            b.cbranch(is_out, clamped, done)
        else:
            b.branch(clamped)
        b.position_at_end(clamped)
        # Sums are loaded again: kept through the probe, they would take its registers.
        b.asm(ir.FunctionType(ir.VoidType(), []), "", "~{memory}", [], side_effect=True)
        sums, clamps = self._add_clamped(products, vector, add, load_starts(), counted)
        b.store(b.add(b.load(tallies[0]), clamps), tallies[0])
        clamped = b.block
        b.branch(done)
        b.position_at_end(done)
        if bounds is not None:
            phis = [b.phi(vector) for _ in sums]
            for phi, one, other in zip(phis, probed, sums, strict=True):
                phi.add_incoming(one, probing)
                phi.add_incoming(other, clamped)
            sums = [b.add(phi, low) for phi in phis]
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
        """Loop over products; `add` makes values of those before, the operands and a number.

        Give the place of the next weights, and the values.
        """
        b = self._b
        vectors = self._filters // vector.count
        runs, steps = self._cut_runs(products.runs, products.pixel_step)

        def step(product, values):
            w, *values = values
            places = self._find_places(runs, products.offsets, product)
            columns = [
                self._widen_weights(self._after(w, v * vector.count * self.weight_bytes), vector)
                for v in range(vectors)
            ]
            number = 0
            for place in places:
                for to_pixel in steps:
                    pixel = b.gep(place, [to_pixel])
                    for v in range(vectors):
                        add(product, values, number, self._read_value(pixel, v, vector), columns[v])
                        number += 1
            return [self._after(w, self.product_bytes), *values]

        return self._loop(products.span, [products.weights, *starts], step)

    def _probe(self, products, starts, span):
        """Add without clamps; tell too whether there should have been one."""
        b = self._b

        def add(_, values, number, x, w):
            values[number] = self._dot(values[number], x, w)
            # Two sums are one instruction; all, one after another, would be waited for.
            bits = len(starts) + number // 2 % _BITS
            values[bits] = b.or_(values[bits], values[number])

        nothing = [self._zeros(self._vector)] * _BITS
        _, *values = self._loop_products(products, self._vector, [*starts, *nothing], add)
        bits = reduce(b.or_, values[len(starts) :])
        # Sums in range have no bits that the highest has not.
        return values[: len(starts)], self._is_any(b.icmp_unsigned(">", bits, span))

    def _add_clamped(self, products, vector, add_one, starts, counted):
        """Clamp after every addition; give sums and clamps.

        What clamps is noted in memory, a bit each, and counted some products later: so the only
        instruction that it takes of the vector units is to compare.
        """
        b = self._b
        per_pixel = self._filters // vector.count
        bits = ir.IntType(vector.count)
        room = 1 << (len(starts) * vector.count - 1).bit_length()
        words = ir.VectorType(I64, room // 64)
        # Numba's own way to get such room fills it with zeros, tile by tile.
        with b.goto_entry_block():
            notes, counts = (b.alloca(ir.ArrayType(words, rows)) for rows in (_NOTED_PRODUCTS, 1))

        def row(notes, product):
            index = b.and_(product, ir.Constant(I64, _NOTED_PRODUCTS - 1))
            return b.gep(notes, [ir.Constant(I64, 0), index])

        def note(row, number, clamped):
            b.store(clamped, b.gep(b.bitcast(row, bits.as_pointer()), [ir.Constant(I64, number)]))

        counts = row(counts, ir.Constant(I64, 0))
        b.store(self._zeros(words), counts)
        for pixel, counts_all in enumerate(self._load_counts(counted, len(starts) // per_pixel)):
            for v in range(per_pixel):
                note(counts, pixel * per_pixel + v, b.trunc(counts_all, bits))
        is_counted = b.load(counts)

        def add(product, values, number, x, w):
            values[number], is_clamped = add_one(values[number], x, w)
            note(row(notes, product), number, b.bitcast(is_clamped, bits))

        def add_some(first, values):
            weights, total, *sums = values
            last = b.add(first, ir.Constant(I64, _NOTED_PRODUCTS))
            is_more = b.icmp_signed("<", last, products.span[1])
            span = (first, b.select(is_more, last, products.span[1]))
            some = products._replace(weights=weights, span=span)
            weights, *sums = self._loop_products(some, vector, sums, add)

            def count(product, totals):
                noted = b.and_(b.load(row(notes, product)), is_counted)
                return [b.add(totals[0], b.call(popcount, [noted]))]

            return [weights, *self._loop(span, [total], count), *sums]

        popcount = cgutils.get_or_insert_function(
            b.module, ir.FunctionType(words, [words]), f"llvm.ctpop.v{words.count}i64"
        )
        values = [products.weights, self._zeros(words), *starts]
        _, total, *sums = self._loop(products.span, values, add_some, _NOTED_PRODUCTS)
        add_up = cgutils.get_or_insert_function(
            b.module, ir.FunctionType(I64, [words]), f"llvm.vector.reduce.add.v{words.count}i64"
        )
        return sums, b.call(add_up, [total])

    def _widen_weights(self, place, vector):
        """Give a weight in each lane, followed by zeros."""
        narrow = ir.VectorType(ir.IntType(8 * self.weight_bytes), vector.count)
        return self._b.zext(self._load(place, narrow), vector)

    def _read_value(self, place, v, vector):
        """Give a value of the map in every lane; what follows it meets weights of zero."""
        if self._is_depthwise:
            return self._load_channels(place, v)
        return self._splat(self._load(place, vector.element), vector)

    def _add_product_to_word(self, total, x, w):
        """Add in 32 bits, where the processor may clamp."""
        b = self._b
        if self._kind in AVX2:
            return self._add_saturating(total, self._dot(self._zeros(self._vector), x, w))
        held = self._dot_pairs("vpdpwssds", total, x, w)
        return held, b.icmp_signed("!=", self._dot(total, x, w), held)

    def _add_product_to_half(self, total, x, w):
        """Multiply 8-bit operands into 16 bits, which hold the product."""
        b, vector = self._b, total.type
        pairs = ir.VectorType(I8, 2 * vector.count)
        name = {16: "avx2.pmadd.ub.sw", 32: "avx512.pmaddubs.w.512"}[vector.count]
        multiply = cgutils.get_or_insert_function(
            b.module, ir.FunctionType(vector, [pairs, pairs]), f"llvm.x86.{name}"
        )
        product = b.call(multiply, [b.bitcast(x, pairs), b.bitcast(w, pairs)])
        return self._add_saturating(total, product)
