"""One tile of the array: operands as it takes them, the sums it gives, and the cycles."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel_sim.hardware.choices import Dataflow
from accel_sim.hardware.config import MacArray
from accel_sim.layer_steps.planned_sums import PlannedSums
from accel_sim.timing import mac_array
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
        ifm=("steps", "rows"), weights=("rows", "cols"), psum=("steps", "cols")
    ),
}
"""A step is a cycle in which the array takes operands."""

OWN_IFM_LAYOUT = Layout(
    ifm=("steps", "rows", "cols"), weights=("rows", "cols"), psum=("steps", "cols")
)
"""That of a channel-parallel array whose columns have an ifm each."""


def find_layout(dataflow: Dataflow, *, has_own_ifm: bool) -> Layout:
    """Give the axes of a tile's arrays, where columns share the ifm or have each its own."""
    return OWN_IFM_LAYOUT if has_own_ifm else LAYOUTS[dataflow]


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenTile:
    """What goes into the array for one tile, and what must come out.

    Attributes
    ----------
    ifm, weights, psum_in, psum_out
        Raw integers; axes as in `find_layout`. ``psum_in`` is None where sums begin.
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
        layout = find_layout(self.dataflow, has_own_ifm=has_own_ifm(self.ifm))
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
    found: list[NDArray[np.int64]] = []
    clamps = 0
    for columns in _as_columns(ifm, weights):
        scalars, vectors = _as_matrices(dataflow, *columns)
        shape = (len(scalars), vectors.shape[1])
        first = sum(part.shape[1] for part in found)
        start = np.zeros(shape, np.int64)
        if psum_in is not None:
            start = np.ascontiguousarray(psum_in[:, first : first + shape[1]])
        part, its_clamps = sums.run(
            np.ascontiguousarray(vectors, np.int32), np.ascontiguousarray(scalars, np.int32), start
        )
        found.append(part.astype(np.int64))
        clamps += its_clamps
    compute, fill_drain = count_cycles(array, ifm, weights)
    return GoldenTile(
        dataflow=dataflow,
        ifm=ifm,
        weights=weights,
        psum_in=psum_in,
        psum_out=np.concatenate(found, axis=1),
        clamped_additions=clamps,
        compute_cycles=compute,
        fill_drain_cycles=fill_drain,
    )


def has_own_ifm(ifm: NDArray[np.int32]) -> bool:
    """Whether every column of a tile takes an ifm of its own."""
    return ifm.ndim == len(OWN_IFM_LAYOUT.ifm)


def _as_columns(
    ifm: NDArray[np.int32], weights: NDArray[np.int32]
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """Operands of all columns, or of each by itself where these share none."""
    if not has_own_ifm(ifm):
        yield ifm, weights
        return
    for col in range(weights.shape[1]):
        yield ifm[:, :, col], weights[:, col : col + 1]


def _as_matrices(
    dataflow: Dataflow, ifm: NDArray[np.int32], weights: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Operands [outputs, reduction] and [reduction, cols]."""
    match dataflow:
        case Dataflow.OUTPUT_STATIONARY:
            return ifm.T, weights
        case Dataflow.INPUT_STATIONARY:
            return weights, ifm
        case _:
            return ifm, weights


def count_cycles(
    array: MacArray, ifm: NDArray[np.int32], weights: NDArray[np.int32]
) -> tuple[int, int]:
    """Cycles of one tile by itself in which the array takes operands, and others."""
    match array.dataflow:
        case Dataflow.OUTPUT_STATIONARY:
            extents = Extents(ifm.shape[1], weights.shape[1], len(ifm), 1)
        case Dataflow.INPUT_STATIONARY:
            extents = Extents(ifm.shape[0], ifm.shape[1], len(weights), 1)
        case _:
            extents = Extents(weights.shape[0], weights.shape[1], len(ifm), 1)
    rules = array_rules(array)
    return (
        int(mac_array.compute_cycles(rules, 1, extents)),
        int(mac_array.fill_drain_cycles(rules, 1, extents)),
    )
