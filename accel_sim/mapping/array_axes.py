"""Which loop of a layer runs along which axis of the array."""

from dataclasses import dataclass

from accel_sim.hardware.choices import Dataflow
from accel_sim.mapping.tile import Loop


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayAxes:
    """Loops along rows, along columns and in time; channels stand for the whole reduction."""

    rows: Loop
    cols: Loop
    time: Loop

    @property
    def keeps_sums(self) -> bool:
        """Whether a sum stays in the array for its fold, or runs down a column.

        In the latter case the array holds an operand that is loaded before the fold.
        """
        return self.time is Loop.CHANNELS


def array_axes(dataflow: Dataflow) -> ArrayAxes:
    """Axes of a systolic array.

    Raises
    ------
    ValueError
        The dataflow is not that of a systolic array; no machine loads with it.
    """
    match dataflow:
        case Dataflow.OUTPUT_STATIONARY:
            return ArrayAxes(rows=Loop.PIXELS, cols=Loop.FILTERS, time=Loop.CHANNELS)
        case Dataflow.WEIGHT_STATIONARY:
            return ArrayAxes(rows=Loop.CHANNELS, cols=Loop.FILTERS, time=Loop.PIXELS)
        case Dataflow.INPUT_STATIONARY:
            return ArrayAxes(rows=Loop.CHANNELS, cols=Loop.PIXELS, time=Loop.FILTERS)
        case _:
            raise ValueError(f"{dataflow} is not systolic")
