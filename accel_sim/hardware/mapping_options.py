"""What schedules are chosen for, and what of them is given."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from accel_sim.hardware.choices import Objective, Reduction
from accel_sim.hardware.section import Section


class PinnedTile(Section):
    """Extents of the largest tile that are not searched for; None is searched for."""

    batch: Annotated[int, Field(ge=1)] | None = None
    groups: Annotated[int, Field(ge=1)] | None = None
    filters: Annotated[int, Field(ge=1)] | None = None
    channels: Annotated[int, Field(ge=1)] | None = None
    output_rows: Annotated[int, Field(ge=1)] | None = None
    output_cols: Annotated[int, Field(ge=1)] | None = None


class Pin(Section):
    """What of a layer's schedule is not searched for.

    Attributes
    ----------
    layer
        Its name in the network.
    tile, loop_order
        As a report shows them under ``mapping``; an empty order is searched for.
    """

    layer: str
    tile: PinnedTile = PinnedTile()
    loop_order: tuple[Literal["groups", "pixels", "filters", "channels"], ...] = ()

    @model_validator(mode="after")
    def _is_an_order(self) -> "Pin":
        if self.loop_order and (
            self.loop_order[0] != "groups"
            or not len(self.loop_order) == len({*self.loop_order}) == 4
        ):
            raise ValueError(
                "loop_order: expected groups first, then pixels, filters and channels in any order"
            )
        return self


class MappingOptions(Section):
    """What the schedule is chosen for.

    Attributes
    ----------
    reduction
        How the search may cut the reduction into tiles.
    residency
        ``auto``: a map stays on chip where its consumer can read the memory and the objective
        does not suffer. With separate ifm and ofm buffers none can, so every map passes through
        DRAM, as all do with ``none``.
    batch
        Images that the machine works on together.
    pin
        Layers whose schedule is given, in part or as a whole.
    """

    objective: Objective
    reduction: Reduction = Reduction.FREE
    residency: Literal["auto", "none"] = "auto"
    batch: Annotated[int, Field(ge=1, le=4096)] = 1
    pin: tuple[Pin, ...] = ()

    @model_validator(mode="after")
    def _pins_layers_once(self) -> "MappingOptions":
        names = [pin.layer for pin in self.pin]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"pin: layer {twice[0]!r} is pinned twice; expected one entry for it")
        return self
