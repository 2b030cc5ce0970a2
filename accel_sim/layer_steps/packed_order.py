"""Layers whose additions may clamp, on micro-kernels: their order, cut, bounded and packed."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel_sim.kernels.micro_bands import Band, Shape, cut_bands
from accel_sim.kernels.micro_kernels import Family, MicroKernel, Path
from accel_sim.kernels.micro_layout import (
    Layout,
    arrange,
    find_offset,
    pack_filters,
)
from accel_sim.kernels.micro_order import Lanes, Order
from accel_sim.layer_steps.feature_map import storage
from accel_sim.layer_steps.ordered_chunks import (
    Chunking,
    Flags,
    choose_chunks,
    find_guards,
    find_reaches,
    propose_chunks,
)
from accel_sim.layer_steps.ordered_lanes import (
    Indices,
    LaneCut,
    Places,
    cut_lanes,
    find_ends,
    number_chunks,
)
from accel_sim.layer_steps.output_stage import prepare_output_stage
from accel_sim.layer_steps.packed_stage import arrange_stage, fits_32_bits
from accel_sim.layer_steps.packed_sums import PackedBand, PackedLayer, Rooms, find_farthest
from accel_sim.layer_steps.planned_sums import PlannedSums
from quantizer.fixedpoint.qformat import QFormat
from quantizer.network.layers import MacLayer
from quantizer.quantized import QuantizedNetwork

PART_PRODUCTS = 128
"""So many of a chain have their clamps counted, or are found to have none."""


def pack_in_order(
    network: QuantizedNetwork, layer: MacLayer, shape: Shape, sums: PlannedSums, path: Path
) -> PackedLayer | None:
    """Prepare a layer of which some sum might saturate.

    Parameters
    ----------
    shape
        As of `pack_layer`.
    path
        Whose micro-kernels to use; the plain one has none for this.

    Returns
    -------
    PackedLayer or None
        None where sums need more than 32 bits, the output stage shifts left, or the order
        matters to trees or to sums that wrap.
    """
    raw = network.weights[layer.weights].raw.astype(np.int16, copy=False)
    ifm = network.formats[layer.ifm]
    rules = prepare_output_stage(network, layer)
    family = _find_family(path, ifm, raw, sums.is_narrow)
    if family is None or not sums.is_word or (rules.shift < 0).any():
        return None
    # An accumulator that saturates may hold what one that wraps may: any sum counts for that.
    fits = fits_32_bits(rules, True, rules.bias, rules.bias)
    weights = raw.reshape(len(raw), -1)[:, sums.order.products]
    shape, bands = cut_bands(family, shape)
    places = _find_places(shape, sums)
    lane_values = bands[0].kernel.lane_values
    chunkings = propose_chunks(places, lane_values, sums)
    partitions = [*sums.order.sums, *(chunking.numbers for chunking in chunkings)]
    reaches = find_reaches(weights, ifm, [find_ends(numbers) for numbers in partitions])
    levels = sums.levels
    of_levels, of_chunks = reaches[: len(levels.bits)], reaches[len(levels.bits) :]
    stays = np.array(
        [
            reach.stays_within(bits)
            for reach, bits in zip(of_levels, levels.bits.tolist(), strict=True)
        ]
    )
    only_chains_clamp = levels.saturates & (levels.tree_rows < 0)
    if not stays[~only_chains_clamp].all():
        return None
    chosen = choose_chunks(chunkings, of_chunks, places, lane_values, int(levels.bits[-1]))
    guards = find_guards(of_chunks[chosen], int(levels.bits[-1]), stays[-1])
    offset = find_offset(family.maps, ifm.raw_min, ifm.raw_max)
    ofm = storage(network.formats[layer.ofm])
    packed = []
    for band in bands:
        layout, order = _lay_out(
            family, band, shape, places, sums, weights, chunkings[chosen], guards, stays, -offset
        )
        starts = np.zeros((len(layout.filters.blocks), layout.kernel.filters), np.int32)
        stage = arrange_stage(layout, rules, False, starts, np.int32 if fits else np.int64)
        rooms = Rooms(layout.kernel, stage, order, False, ofm.itemsize)
        packed.append(
            PackedBand(layout=layout, stage=stage, order=order, carries=None, rooms=rooms)
        )
    return PackedLayer(
        bands=tuple(packed), layout=find_farthest(packed), offset=offset, ifm=storage(ifm), ofm=ofm
    )


def _find_family(
    path: Path, ifm: QFormat, raw: NDArray[np.int16], is_narrow: bool
) -> Family | None:
    """Find micro-kernels that hold the operands; unsigned maps of 16 bits are shifted."""
    if not path.features:
        return None
    # Those of 8-bit operands have no additions that leave 32 bits.
    for family in path.families if is_narrow else path.families[-1:]:
        is_shifted = find_offset(family.maps, ifm.raw_min, ifm.raw_max) != 0
        if family.holds(ifm.bits, raw) and (family.maps is np.int16 or not is_shifted):
            return family
    return None


def _find_places(shape: Shape, sums: PlannedSums) -> Places:
    rows, cols = (
        np.arange(taps) * dilation
        for taps, dilation in zip(shape.window, shape.dilation, strict=True)
    )
    offsets = (rows[:, None] * shape.touched[1] + cols) * shape.ifm[0]
    channels, taps = np.divmod(sums.order.products, offsets.size)
    return Places(channels=channels, taps=taps, offsets=offsets.reshape(-1))


def _lay_out(
    family: Family,
    band: Band,
    shape: Shape,
    places: Places,
    sums: PlannedSums,
    weights: NDArray[np.int16],
    chunking: Chunking,
    guards: NDArray[np.int64],
    stays: Flags,
    shift: int,
) -> tuple[Layout, Order]:
    """Pack the products of a layer in all ways that its tiles may need."""
    bits, closes, kernel = sums.levels.bits, sums.levels.closes, band.kernel
    n_values = kernel.lane_values
    span_ends, chunk_numbers = chunking.span_ends, chunking.numbers
    chunks = cut_lanes(places, chunk_numbers, n_values)
    if len(bits) == 1:
        # One sum, which may be added in parts.
        sum_numbers = number_chunks(span_ends, PART_PRODUCTS)
    else:
        sum_numbers = np.cumsum(np.concatenate([[0], closes[:-1] > 0]))
    sum_ends = find_ends(sum_numbers)
    of_sums = cut_lanes(places, sum_numbers, n_values)
    products = places.of_products

    read = int(products.max()) + (kernel.filters if shape.is_depthwise else n_values)
    layout = arrange(family, band, shape, chunks.offsets, _spread(weights, chunks, n_values), read)
    blocks = layout.filters.blocks
    is_plain = _of_blocks(blocks, stays[0]) & (len(bits) > 1)
    dtype = layout.filters.weights.dtype.type

    def pack(cut: LaneCut, values: int, is_needed: bool) -> Lanes:
        packed = np.empty(0, dtype)
        if is_needed:
            like = kernel._replace(lane_values=values)
            packed = pack_filters(like, blocks, _spread(weights, cut, values), dtype).reshape(-1)
        return Lanes(packed, cut.offsets, cut.ends, correct(sum_ends))

    def correct(ends: Indices) -> NDArray[np.int32]:
        if family.maps is np.uint8:
            return np.empty((len(blocks), 0, 0), np.int32)
        packed = np.zeros((len(blocks), ends.size, kernel.filters), np.int32)
        if shift:
            totals = np.cumsum(weights, axis=1, dtype=np.int64)[:, ends - 1]
            lacking = shift * np.diff(totals, axis=1, prepend=0)
            for block, (first, count, _) in enumerate(blocks.tolist()):
                packed[block, :, :count] = lacking[first : first + count].T.astype(np.int32)
        return packed

    one_by_one = LaneCut(
        lanes=np.arange(products.size), values=np.zeros_like(products), offsets=products,
        ends=sum_ends,
    )  # fmt: skip
    order = Order(
        products=pack(one_by_one, 1, not is_plain.all()),
        sums=pack(of_sums, n_values, bool(is_plain.any())),
        chunks=Lanes(
            layout.filters.weights, chunks.offsets, chunks.ends, correct(find_ends(chunk_numbers))
        ),
        spans=1 + np.stack([numbers[span_ends - 1] for numbers in (sum_numbers, chunk_numbers)], 1),
        closes=closes[sum_ends - 1],
        # Sums that cannot leave their bits never leave 32.
        bits=np.where(sums.levels.saturates, bits, 32),
        shift=shift,
        guards=_pack_guards(blocks, kernel, guards),
        is_plain=is_plain,
        is_quick=_of_blocks(blocks, stays[:-1].all(axis=0) & (guards[1] >= 0)),
    )
    return layout, order


def _pack_guards(
    blocks: NDArray[np.int64], kernel: MicroKernel, guards: NDArray[np.int64]
) -> NDArray[np.int32]:
    """By blocks of filters, as `micro_chains.add_chunks` takes them."""
    packed = np.zeros((len(blocks), 2, kernel.filters), np.int64)
    for block, (first, count, _) in enumerate(blocks.tolist()):
        packed[block, 0, :count] = -guards[0, first : first + count]
        packed[block, 1, :count] = guards[1, first : first + count]
    return packed.astype(np.uint32).view(np.int32)


def _of_blocks(blocks: NDArray[np.int64], flags: Flags) -> Flags:
    """Whether a flag is set for all filters of each block."""
    return np.array([flags[first : first + count].all() for first, count, _ in blocks.tolist()])


def _spread(weights: NDArray[np.int16], cut: LaneCut, lane_values: int) -> NDArray[Any]:
    """Weights as [1, K, lanes, values]."""
    spread = np.zeros((1, len(weights), cut.offsets.size, lane_values), np.int16)
    spread[0][:, cut.lanes, cut.values] = weights
    return spread
