"""Micro-kernels that add in a machine's order, through accumulators that saturate.

Sums of a tile are loaded into registers, go on from there and are stored again; every addition
that clamps is counted. Where bounds prove that none can, products meet as the processor likes
best.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from accel_sim.kernels.micro_chain_code import Arguments, TileChains
from accel_sim.kernels.micro_product_code import Products, TileProducts
from accel_sim.kernels.micro_sums import I64


@intrinsic
def _add_chunks(
    typingctx, kernel, ifm, starts, pixel_step, weights, offsets, ends, corrections, chunks, guards,
    block, levels,
):  # fmt: skip
    """Add chunks of products to the highest sums of a tile, unless an addition might clamp.

    A chunk may be added if the sum before it lies within the filter's guards. If one may not,
    nothing changes.

    Parameters
    ----------
    kernel, ifm, starts, pixel_step
        As of `micro_sums.multiply`.
    weights, offsets, ends, corrections
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
        kernel, ifm, starts, types.int64, weights, offsets, ends, corrections, span, guards,
        types.int64, levels,
    )  # fmt: skip

    def codegen(context, builder, signature, args):
        read = Arguments(context, builder, signature, args)
        emit = TileChains(builder, kernel, ifm, weights)
        first, last = read.pair(8)
        before = builder.sub(first, ir.Constant(I64, 1))
        is_later = builder.icmp_signed(">", first, ir.Constant(I64, 0))
        # The first chunk begins with lane 0.
        place = builder.select(is_later, before, ir.Constant(I64, 0))
        lane = builder.load(builder.gep(read.array(6).data, [place]))
        lane = builder.select(is_later, lane, ir.Constant(I64, 0))
        return emit.add_chunks(
            runs=emit.find_runs(read.data(1), args[2]),
            pixel_step=args[3],
            weights=read.weights_of(4, args[10], read.length(5), lane, emit.lane_bytes),
            lane=lane,
            offsets=read.array(5).data,
            ends=read.array(6).data,
            corrections=read.row(7, args[10]),
            chunks=(first, last),
            guards=read.row(9, args[10]),
            acc=read.row(11, builder.sub(read.length(11), ir.Constant(I64, 1))),
        )

    return signature, codegen


@intrinsic
def _add_products(
    typingctx, kernel, ifm, starts, pixel_step, weights, offsets, span, block, shift, is_tense,
    bits, levels, counted,
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
    shift : int64
        What values of the map lack: 0, or ``2**15``.
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
        kernel, ifm, starts, types.int64, weights, offsets, pair, types.int64, types.int64,
        types.boolean, bits, levels, counted,
    )  # fmt: skip

    def codegen(context, builder, signature, args):
        read = Arguments(context, builder, signature, args)
        emit = TileProducts(builder, kernel, ifm, weights)
        first, last = read.pair(6)
        clamps = emit.add_products(
            products=Products(
                runs=emit.find_runs(read.data(1), args[2]),
                pixel_step=args[3],
                weights=read.weights_of(4, args[7], read.length(5), first, emit.product_bytes),
                offsets=read.array(5).data,
                span=(first, last),
            ),
            shift=args[8],
            is_tense=args[9],
            bits=read.array(10).data,
            has_above=builder.icmp_signed(">", read.length(10), ir.Constant(I64, 1)),
            levels=read.data(11),
            counted=read.array(12).data,
        )
        return context.make_tuple(builder, pair, clamps)

    return signature, codegen


@intrinsic
def _add_lanes(
    typingctx, kernel, ifm, starts, pixel_step, weights, offsets, corrections, number, span, block,
    bits, levels, counted,
):  # fmt: skip
    """Add products in any order to a sum, and that to the second level of a tile, clamped.

    Parameters
    ----------
    kernel, ifm, starts, pixel_step
        As of `micro_sums.multiply`.
    weights, offsets, corrections
        See `micro_order.Lanes`.
    number : int64
        Of the part.
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
        kernel, ifm, starts, types.int64, weights, offsets, corrections, types.int64, pair,
        types.int64, bits, levels, counted,
    )  # fmt: skip

    def codegen(context, builder, signature, args):
        read = Arguments(context, builder, signature, args)
        emit = TileChains(builder, kernel, ifm, weights)
        first, last = read.pair(8)
        return emit.add_lanes(
            runs=emit.find_runs(read.data(1), args[2]),
            pixel_step=args[3],
            weights=read.weights_of(4, args[9], read.length(5), first, emit.lane_bytes),
            corrections=read.row(6, args[9]),
            number=args[7],
            offsets=read.array(5).data,
            span=(first, last),
            bits=builder.load(builder.gep(read.array(10).data, [ir.Constant(I64, 1)])),
            acc=read.row(11, ir.Constant(I64, 1)),
            counted=read.array(12).data,
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
        read = Arguments(context, builder, signature, args)
        above = builder.add(args[1], ir.Constant(I64, 1))
        return TileChains(builder, kernel).add_sums(
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
