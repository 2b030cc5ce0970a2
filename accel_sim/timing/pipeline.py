"""Cycles of one layer under a mapping: load, compute and store of tiles, overlapped."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from accel_sim.mapping.array_counts import cut_evenly
from accel_sim.mapping.loop_nest import LoopNest
from accel_sim.mapping.tile import Loop, LoopOrder
from accel_sim.mapping.tile_space import TileSpace
from accel_sim.timing.layer_cycles import LayerCycles
from accel_sim.timing.schedule_kernel import N_CAUSES, N_LOOPS, N_SCRATCH, run_schedule
from accel_sim.timing.schedule_rules import ScheduleRules

LOOP_NUMBERS = {loop: number for number, loop in enumerate(Loop)}
"""Loops as the kernel numbers them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TileSizes:
    """Extent of each tile along each loop, in the order in which they run; int64[n] each.

    Attributes
    ----------
    pixels, inputs
        Output positions, and input positions of one channel, of each tile of pixels.
    """

    groups: NDArray[np.int64]
    pixels: NDArray[np.int64]
    inputs: NDArray[np.int64]
    filters: NDArray[np.int64]
    channels: NDArray[np.int64]


def tile_sizes(nest: LoopNest, space: TileSpace, candidate: int) -> TileSizes:
    """Cut a layer as one of the tiles of its space says."""
    groups, batch, rows, cols, filters, channels = space.feasible[candidate]
    images = cut_evenly(nest.batch, space.batch[batch])
    row_cut, col_cut = space.rows[rows], space.cols[cols]

    def combine(of_rows: NDArray[np.int64], of_cols: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.multiply.outer(images, np.multiply.outer(of_rows, of_cols)).ravel()

    return TileSizes(
        groups=cut_evenly(nest.groups, space.groups[groups]),
        pixels=combine(row_cut.outputs, col_cut.outputs),
        inputs=combine(row_cut.touched, col_cut.span),
        filters=cut_evenly(nest.filters, space.filters[filters]),
        channels=cut_evenly(nest.channels, space.channels[channels]),
    )


def layer_cycles(rules: ScheduleRules, sizes: TileSizes, loop_order: LoopOrder) -> LayerCycles:
    """Cycles of a layer by cause.

    Parameters
    ----------
    rules
        From `schedule_rules`, of the layer and the machine.
    """
    causes = np.zeros(N_CAUSES, np.int64)
    trips = (sizes.groups, sizes.pixels, sizes.filters, sizes.channels)
    run_schedule(
        rules,
        np.array([LOOP_NUMBERS[loop] for loop in loop_order], np.int64),
        np.array([len(tiles) for tiles in trips], np.int64),
        sizes.groups,
        sizes.pixels,
        sizes.inputs,
        sizes.filters,
        sizes.channels,
        np.zeros((N_SCRATCH, N_LOOPS), np.int64),
        causes,
    )
    names = (field.name for field in fields(LayerCycles))
    return LayerCycles(**dict(zip(names, causes.tolist(), strict=True)))
