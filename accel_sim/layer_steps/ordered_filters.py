"""Sums in the order of an accumulation plan, for those filters to which it may matter."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel_sim.accumulation import AccumulationPlan
from accel_sim.accumulator_range import find_proven_channels
from accel_sim.kernels import ordered_sums
from accel_sim.kernels.ordered_sums import Sums
from accel_sim.layer_steps.planned_sums import PlannedSums, plan_sums
from quantizer.network.layers import MacLayer
from quantizer.quantized import QuantizedNetwork

Indices = NDArray[np.int64]

GATHERED_VALUES = 1 << 20
"""Operands that are laid out at a time: 4 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taps:
    """The filters of a layer, and where each tap finds its operand in a map of flat rows.

    Attributes
    ----------
    weights
        int32[K, C/groups, taps].
    phases, offsets
        int64[taps]: row of a channel, and the pixel in it that output 0 reads.
    window
        Rows and columns of the filter, of which there are ``taps``.
    groups
        Divides K and the channels of the map.
    """

    weights: NDArray[np.int32]
    phases: Indices
    offsets: Indices
    window: tuple[int, int]
    groups: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFilters:
    """Filters of one layer of which some sum might saturate.

    Attributes
    ----------
    is_open
        bool[K].
    """

    sums: PlannedSums
    is_open: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderedFilters:
    """Filters of one layer that are added up in order.

    Attributes
    ----------
    filters
        int64[f], ascending, by group.
    weights
        int32[f, n] of each group, in the order of the products; the other way round where
        filters run side by side.
    channels, phases, offsets
        int64[n]: where each product finds its operand; channels within a group.
    pixels
        int64[m]: place of every output in a row of accumulators, and what it adds to offsets.
    """

    sums: PlannedSums
    filters: tuple[Indices, ...]
    weights: tuple[NDArray[np.int32], ...]
    channels: Indices
    phases: Indices
    offsets: Indices
    pixels: Indices
    has_filters_in_lanes: bool

    @property
    def count(self) -> int:
        """Number of filters."""
        return sum(len(filters) for filters in self.filters)

    def run(self, ifm: NDArray[np.int32], acc: Sums) -> int:
        """Overwrite the sums of these filters; return how many additions clamped.

        Parameters
        ----------
        ifm : int32[C, phases, pixels]
        acc : [K, L]
        """
        group_channels = len(ifm) // len(self.filters)
        block = max(1, GATHERED_VALUES // self.offsets.size)
        clamps = 0
        for group, (filters, weights) in enumerate(zip(self.filters, self.weights, strict=True)):
            if not filters.size:
                continue
            channels = self.channels + group * group_channels
            for first in range(0, self.pixels.size, block):
                places = self.pixels[first : first + block]
                operands = np.empty((self.offsets.size, places.size), np.int32)
                ordered_sums.gather(ifm, channels, self.phases, self.offsets, places, operands)
                start = np.zeros((len(filters), places.size), np.int32)
                if self.has_filters_in_lanes:
                    operands = np.ascontiguousarray(operands.T)
                    sums, its_clamps = self.sums.run(weights, operands, start.T)
                    sums = sums.T
                else:
                    sums, its_clamps = self.sums.run(operands, weights, start)
                acc[filters[:, None], places] = sums
                clamps += its_clamps
        return clamps


def find_open_filters(
    network: QuantizedNetwork, layer: MacLayer, plan: AccumulationPlan, window: tuple[int, int]
) -> OpenFilters | None:
    """Find the filters of which some sum might saturate.

    Gives None if there are none: if no level of the plan saturates, or if all are proven
    not to.

    Parameters
    ----------
    window
        Rows and columns of the filter, as the plan sees them.

    Raises
    ------
    ValueError
        The plan's accumulator is not that of the network's rules.
    """
    if plan.levels[-1].bits != network.rules.accumulator_bits:
        raise ValueError("the plan ends in another accumulator than that of the rules")
    if not any(level.saturates for level in plan.levels):
        return None
    ifm, weights = network.formats[layer.ifm], network.weights[layer.weights].raw
    largest_weight = max(-int(weights.min()), int(weights.max()))
    largest_product = max(-ifm.raw_min, ifm.raw_max) * largest_weight
    sums = plan_sums(plan, (weights.shape[1], *window), largest_product)
    is_open = ~find_proven_channels(network, layer, sums.narrowest_bits)
    return OpenFilters(sums=sums, is_open=is_open) if is_open.any() else None


def arrange_filters(found: OpenFilters, taps: Taps, pixels: Indices) -> OrderedFilters:
    """Lay out operands of filters for the kernel, the longer side along its lanes.

    Parameters
    ----------
    pixels
        int64[m]: place of every output in a row of accumulators.
    """
    sums, is_open = found.sums, found.is_open
    channel, tap = np.divmod(sums.order.products, taps.offsets.size)
    group_filters = len(taps.weights) // taps.groups
    filters = tuple(
        first + np.flatnonzero(is_open[first : first + group_filters])
        for first in range(0, len(taps.weights), group_filters)
    )
    has_filters_in_lanes = max(map(len, filters)) > pixels.size
    weights = (taps.weights[of_group][:, channel, tap] for of_group in filters)
    return OrderedFilters(
        sums=sums,
        filters=filters,
        weights=tuple(
            np.ascontiguousarray(of_group.T if has_filters_in_lanes else of_group)
            for of_group in weights
        ),
        channels=channel,
        phases=taps.phases[tap],
        offsets=taps.offsets[tap],
        pixels=pixels,
        has_filters_in_lanes=has_filters_in_lanes,
    )
