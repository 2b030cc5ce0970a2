"""What layers do, counted, as far as energy goes."""

from dataclasses import dataclass

from accel_sim.mapping.loop_nest import Kind, LoopNest
from accel_sim.mapping.traffic import BufferAccesses, DramBytes

ADDS_PER_OUTPUT = 3
"""Additions of 32 bits that an output costs: bias, rounding, and the comparison that clips.

An entry of a table costs as much.
"""
ADDS_PER_OPERAND = 1
"""An element that is pooled or added: a comparison or an addition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerActivity:
    """What the exact run measured of a layer's operands.

    Attributes
    ----------
    zero_ifm_fraction, zero_weight_fraction
        Of the elements of the input feature maps, over all images, and of the weights.
    """

    zero_ifm_fraction: float
    zero_weight_fraction: float = 0.0

    def __post_init__(self) -> None:
        for fraction in (self.zero_ifm_fraction, self.zero_weight_fraction):
            if not 0 <= fraction <= 1:
                raise ValueError(f"expected a fraction, got {fraction}")


UNKNOWN_ACTIVITY = LayerActivity(zero_ifm_fraction=0.0)
"""Taken where nothing was measured: no operand is zero, so nothing is gated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MacCounts:
    """Products on the array by what their operands cost; those with zeros off a diagonal included.

    Attributes
    ----------
    busy
        Both operands are other than zero.
    zero
        An operand is zero, and nothing stops the multiplier.
    gated
        A zero activation stops the multiplier.
    """

    busy: float
    zero: float
    gated: float

    @property
    def computed(self) -> float:
        """Those that nothing stops."""
        return self.busy + self.zero


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerEvents:
    """What a layer did, as far as energy goes.

    Attributes
    ----------
    drained_psums
        Sums that left the array.
    additions, multiplications
        On the post-processing lanes: of 32 bits, and as wide as those of the array.
    """

    macs: MacCounts
    drained_psums: int
    additions: int
    multiplications: int
    dram_bytes: DramBytes
    buffer_accesses: BufferAccesses
    cycles: int


def count_macs(nest: LoopNest, activity: LayerActivity, *, zero_gating: bool) -> MacCounts:
    """Part the products of a layer; zeros of ifm and weights meet as if by chance."""
    zero_ifms = nest.macs * activity.zero_ifm_fraction
    zero_weights = (nest.macs - zero_ifms) * activity.zero_weight_fraction
    stopped = zero_ifms + nest.off_diagonal_macs
    return MacCounts(
        busy=nest.macs - zero_ifms - zero_weights,
        zero=zero_weights + (0.0 if zero_gating else stopped),
        gated=stopped if zero_gating else 0.0,
    )


def count_additions(nest: LoopNest) -> int:
    """Count the 32-bit additions of a layer outside the array."""
    return _requantized_outputs(nest) * ADDS_PER_OUTPUT + _lane_operands(nest) * ADDS_PER_OPERAND


def count_multiplications(nest: LoopNest) -> int:
    """Count the products of a layer outside the array; an offset rides on its product."""
    return nest.outputs if nest.kind is Kind.MULTIPLY else 0


def _requantized_outputs(nest: LoopNest) -> int:
    """Count the outputs that pass the output stage; a maximum keeps its format."""
    keeps_format = nest.kind.is_free or nest.kind is Kind.COPY or nest.op == "MaxPool"
    return 0 if keeps_format else nest.outputs


def _lane_operands(nest: LoopNest) -> int:
    """Count the elements pooled or added on the post-processing lanes."""
    return nest.outputs * nest.reduction if nest.kind in (Kind.POOL, Kind.ADD) else 0
