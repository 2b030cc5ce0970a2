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
class OrderedFilters:
    """Filters of one layer that are added up in order.

    Attributes
    ----------
    filters
        int64[f], ascending.
    weights
        int32[K, n], of all filters, in the order of the products.
    channels, phases, offsets
        int64[n]: where each product finds its operand; channels within a group.
    """

    sums: PlannedSums
    filters: Indices
    weights: NDArray[np.int32]
    channels: Indices
    phases: Indices
    offsets: Indices
    groups: int

    def run(self, ifm: NDArray[np.int32], pixels: Indices, acc: Sums) -> int:
        """Overwrite the sums of these filters; return how many additions clamped.

        Parameters
        ----------
        ifm : int32[C, phases, pixels]
        pixels : int64[m]
            Place of every output in a row of `acc`, and what it adds to the offsets.
        acc : [K, L]
        """
        group_channels = len(ifm) // self.groups
        group_filters = len(self.weights) // self.groups
        block = max(1, GATHERED_VALUES // self.offsets.size)
        clamps = 0
        for group in range(self.groups):
            filters = self.filters[self.filters // group_filters == group]
            if not filters.size:
                continue
            weights = self.weights[filters]
            channels = self.channels + group * group_channels
            for first in range(0, pixels.size, block):
                places = pixels[first : first + block]
                operands = np.empty((self.offsets.size, places.size), np.int32)
                ordered_sums.gather(ifm, channels, self.phases, self.offsets, places, operands)
                sums, its_clamps = self._multiply(operands, weights)
                acc[filters[:, None], places] = sums
                clamps += its_clamps
        return clamps

    def _multiply(
        self, operands: NDArray[np.int32], weights: NDArray[np.int32]
    ) -> tuple[Sums, int]:
        """Multiply with the longer side along the lanes; sums are [filters, pixels]."""
        start = np.zeros((len(weights), operands.shape[1]), np.int32)
        if operands.shape[1] >= len(weights):
            return self.sums.run(operands, weights, start)
        sums, clamps = self.sums.run(
            np.ascontiguousarray(weights.T), np.ascontiguousarray(operands.T), start.T
        )
        return sums.T, clamps


def order_filters(
    network: QuantizedNetwork, layer: MacLayer, plan: AccumulationPlan | None, taps: Taps
) -> OrderedFilters | None:
    """Find the filters of which some sum might saturate.

    Gives None if there are none: without a plan, if no level of it saturates, or if all
    are proven not to.

    Raises
    ------
    ValueError
        The plan's accumulator is not that of the network's rules.
    """
    if plan is None:
        return None
    if plan.levels[-1].bits != network.rules.accumulator_bits:
        raise ValueError("the plan ends in another accumulator than that of the rules")
    if not any(level.saturates for level in plan.levels):
        return None
    ifm = network.formats[layer.ifm]
    largest_weight = int(np.abs(taps.weights).max())
    sums = plan_sums(
        plan,
        (taps.weights.shape[1], *taps.window),
        max(-ifm.raw_min, ifm.raw_max) * largest_weight,
    )
    filters = np.flatnonzero(~find_proven_channels(network, layer, sums.narrowest_bits))
    if not filters.size:
        return None
    channel, tap = np.divmod(sums.order.products, taps.offsets.size)
    return OrderedFilters(
        sums=sums,
        filters=filters,
        weights=np.ascontiguousarray(taps.weights[:, channel, tap]),
        channels=channel,
        phases=taps.phases[tap],
        offsets=taps.offsets[tap],
        groups=taps.groups,
    )
