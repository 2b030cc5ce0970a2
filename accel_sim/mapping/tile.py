"""A mapping: how much of each loop is on chip at once, and in which order the rest runs."""

from dataclasses import dataclass
from enum import StrEnum

from accel_sim.hardware.choices import Dataflow
from accel_sim.hardware.precision import MultiplierMode


class Loop(StrEnum):
    """A loop over tiles. `PIXELS` is batch, output rows and output columns, in that order."""

    GROUPS = "groups"
    PIXELS = "pixels"
    FILTERS = "filters"
    CHANNELS = "channels"


LOOP_NUMBERS = {loop: number for number, loop in enumerate(Loop)}
"""Loops as compiled code numbers them."""

LoopOrder = tuple[Loop, Loop, Loop, Loop]
"""From outermost to innermost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """Extent of the largest tile in each dimension; filter rows and columns are whole.

    Attributes
    ----------
    filters, channels
        Of one group.
    """

    batch: int
    groups: int
    filters: int
    channels: int
    output_rows: int
    output_cols: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PassMapping:
    """How the passes of a layer use a row-stationary array.

    Attributes
    ----------
    filter_rows, strip_rows
        Processing elements (PEs) of a set: rows of a filter by rows of the output.
    row_sets, filter_sets, channel_sets
        Sets side by side, for further output rows, filters and channels.
    filters_per_pe, channels_per_pe
        What each PE keeps a row of, for a whole pass.
    mapped_pes
        PEs at work while all sets are in use.
    """

    filter_rows: int
    strip_rows: int
    row_sets: int
    filters_per_pe: int
    filter_sets: int
    channels_per_pe: int
    channel_sets: int
    mapped_pes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerMapping:
    """The schedule of one layer.

    Attributes
    ----------
    dataflow
        None where the layer runs on the post-processing lanes, not on the array.
    loop_order
        The loops over tiles, outermost first. Groups share nothing and stand first.
    passes
        Of a row-stationary array; None on others.
    mode
        Of the multipliers; None where they work as the whole that they are built as.
    """

    dataflow: Dataflow | None
    tile: Tile
    loop_order: LoopOrder
    passes: PassMapping | None = None
    mode: MultiplierMode | None = None

    @property
    def macs_per_pe(self) -> int:
        """Products of a processing element in one cycle at most."""
        return 1 if self.mode is None else self.mode.macs_per_pe
