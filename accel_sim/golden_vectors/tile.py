"""One tile of the array: operands as it takes them, the sums it gives, and the cycles."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel_sim.hardware.choices import Dataflow
from accel_sim.hardware.config import MacArray
from accel_sim.layer_steps.planned_sums import PlannedSums
from accel_sim.timing import adder_tree, mac_array
from accel_sim.timing.mac_array import Extents, array_rules

Integers = NDArray[np.int32 | np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Axes of the arrays of a tile, slowest first; `psum` is that of sums in and out."""

    ifm: tuple[str, ...]
    weights: tuple[str, ...]
    psum: tuple[str, ...]


LAYOUTS: Mapping[Dataflow, Layout] = {
    Dataflow.OUTPUT_STATIONARY: Layout(
        ifm=("steps", "rows"), weights=("steps", "cols"), psum=("rows", "cols")
    ),
    Dataflow.WEIGHT_STATIONARY: Layout(
        ifm=("steps", "rows"), weights=("rows", "cols"), psum=("steps", "cols")
    ),
    Dataflow.INPUT_STATIONARY: Layout(
        ifm=("rows", "cols"), weights=("steps", "rows"), psum=("steps", "cols")
    ),
    Dataflow.CHANNEL_PARALLEL: Layout(
        ifm=("outputs", "steps", "rows"),
        weights=("steps", "rows", "cols"),
        psum=("outputs", "cols"),
    ),
}
"""A step is a cycle in which the array takes operands; with adder trees, one of each output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenTile:
    """What goes into the array for one tile, and what must come out.

    Attributes
    ----------
    ifm, weights, psum_in, psum_out
        Raw integers; axes as in `LAYOUTS`. ``psum_in`` is None where sums begin.
    clamped_additions
        On the way from ``psum_in`` to ``psum_out``.
    compute_cycles, fill_drain_cycles
        Of this tile alone, from its start to its end.
    """

    dataflow: Dataflow
    ifm: NDArray[np.int32]
    weights: NDArray[np.int32]
    psum_in: NDArray[np.int64] | None
    psum_out: NDArray[np.int64]
    clamped_additions: int
    compute_cycles: int
    fill_drain_cycles: int

    @property
    def extents(self) -> Mapping[str, int]:
        """Rows and columns in use, steps, and sums that leave each column (outputs)."""
        layout = LAYOUTS[self.dataflow]
        sizes: dict[str, int] = {}
        for axes, array in ((layout.ifm, self.ifm), (layout.weights, self.weights)):
            sizes |= dict(zip(axes, array.shape, strict=True))
        return {**sizes, "outputs": len(self.psum_out)}

    @property
    def cycles(self) -> int:
        """From start to end."""
        return self.compute_cycles + self.fill_drain_cycles


def make_tile(
    array: MacArray,
    sums: PlannedSums,
    ifm: NDArray[np.int32],
    weights: NDArray[np.int32],
    psum_in: NDArray[np.int64] | None,
) -> GoldenTile:
    """Work out what a tile gives.

    Parameters
    ----------
    sums
        How the tile adds: a plan laid out over the reduction of the tile alone.
    ifm, weights, psum_in
        As in `GoldenTile`; the dataflow is that of the array.
    """
    dataflow = array.dataflow
    scalars, vectors = _as_matrices(dataflow, ifm, weights)
    start = np.zeros((len(scalars), vectors.shape[1]), np.int64) if psum_in is None else psum_in
    found, clamps = sums.run(
        np.ascontiguousarray(vectors, np.int32), np.ascontiguousarray(scalars, np.int32), start
    )
    compute, fill_drain = count_cycles(array, ifm, weights)
    return GoldenTile(
        dataflow=dataflow,
        ifm=ifm,
        weights=weights,
        psum_in=psum_in,
        psum_out=found.astype(np.int64),
        clamped_additions=clamps,
        compute_cycles=compute,
        fill_drain_cycles=fill_drain,
    )


def _as_matrices(
    dataflow: Dataflow, ifm: NDArray[np.int32], weights: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Operands [outputs, reduction] and [reduction, cols]."""
    match dataflow:
        case Dataflow.OUTPUT_STATIONARY:
            return ifm.T, weights
        case Dataflow.INPUT_STATIONARY:
            return weights, ifm
        case Dataflow.CHANNEL_PARALLEL:
            return ifm.reshape(len(ifm), -1), weights.reshape(-1, weights.shape[-1])
        case _:
            return ifm, weights


def count_cycles(
    array: MacArray, ifm: NDArray[np.int32], weights: NDArray[np.int32]
) -> tuple[int, int]:
    """Cycles of one tile by itself in which the array takes operands, and others."""
    match array.dataflow:
        case Dataflow.CHANNEL_PARALLEL:
            return ifm.shape[0] * ifm.shape[1], adder_tree.fill_drain_cycles(array)
        case Dataflow.OUTPUT_STATIONARY:
            extents = Extents(ifm.shape[1], weights.shape[1], len(ifm))
        case Dataflow.INPUT_STATIONARY:
            extents = Extents(ifm.shape[0], ifm.shape[1], len(weights))
        case _:
            extents = Extents(weights.shape[0], weights.shape[1], len(ifm))
    rules = array_rules(array)
    return (
        int(mac_array.compute_cycles(rules, 1, extents)),
        int(mac_array.fill_drain_cycles(rules, 1, extents)),
    )
