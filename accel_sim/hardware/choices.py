"""The words that a machine's YAML chooses from."""

from enum import StrEnum

from quantizer.fixedpoint.qformat import Rounding


class Dataflow(StrEnum):
    """Which operand stays in the array."""

    OUTPUT_STATIONARY = "output_stationary"
    """Sums stay; pixels on the rows, filters on the columns, the reduction in time."""
    WEIGHT_STATIONARY = "weight_stationary"
    """Weights stay; the reduction on the rows, filters on the columns, pixels in time."""
    INPUT_STATIONARY = "input_stationary"
    """The ifm stays; the reduction on the rows, pixels on the columns, filters in time."""
    CHANNEL_PARALLEL = "channel_parallel"
    """Weights stay, tap by tap; channels on the rows, which a tree adds up, filters on the
    columns, pixels in time."""
    ROW_STATIONARY = "row_stationary"
    """Rows of filters stay; filter rows on the rows, output rows on the columns, images and
    output columns in time, in passes over filters and channels."""


class Along(StrEnum):
    """What a processing element does several of at once, where its multiplier is composed."""

    REDUCTION = "reduction"
    """Products of one sum, which a tree adds up without loss before the accumulator."""
    FILTERS = "filters"
    """Filters for one activation, each with an accumulator of its own."""


class Activations(StrEnum):
    """Which feature maps the multipliers accept."""

    SIGNED = "signed"
    UNSIGNED = "unsigned"
    EITHER = "either"
    """A sign flag per layer; the multiplier is one bit wider than the operand."""


class RoundingName(StrEnum):
    """A `Rounding`, as the YAML spells it."""

    TIES_POS = "ties_pos"
    TIES_EVEN = "ties_even"
    TIES_AWAY = "ties_away"
    TO_NEG = "to_neg"
    TO_ZERO = "to_zero"

    @property
    def rounding(self) -> Rounding:
        """The same rule as the fixed-point package knows it."""
        return Rounding[self.name]


class SramCell(StrEnum):
    """Transistors of the buffers: low standby power, or high performance."""

    LSTP = "lstp"
    HP = "hp"


class Drain(StrEnum):
    """How finished sums leave the array; `ROWS` is for output-stationary arrays only."""

    ROWS = "rows"
    """One row per cycle, while the array waits."""
    HIDDEN = "hidden"
    """Through registers of their own, while the next fold computes."""


class FoldOverlap(StrEnum):
    """What of the next fold overlaps the present one."""

    NONE = "none"
    WEIGHT_PRELOAD = "weight_preload"
    """Loading of the operand that stays: weights, or the ifm if that is stationary."""
    FULL = "full"
    """That, and the next fold enters while the present one runs out."""


class EdgeTiles(StrEnum):
    """How much skew a fold pays that leaves rows or columns idle."""

    FULL_SKEW = "full_skew"
    USED_SKEW = "used_skew"


class Depthwise(StrEnum):
    """How a grouped convolution uses the array."""

    SERIAL = "serial"
    """Each group takes folds of its own."""
    BLOCK_DIAGONAL = "block_diagonal"
    """As many groups as fit one fold lie side by side, with zeros off the diagonal."""
    NATIVE = "native"
    """As many groups as fit the columns lie side by side, each with an ifm of its own; for
    channel-parallel arrays only."""


class Ports(StrEnum):
    """Ports of one SRAM bank."""

    ONE_SHARED = "1rw"
    """One access per cycle, read or write."""
    READ_AND_WRITE = "1r1w"
    """One read and one write per cycle."""


class Packing(StrEnum):
    """How operands narrower than their container are stored, on chip and in DRAM."""

    DENSE = "dense"
    BYTE = "byte"


class Objective(StrEnum):
    """What the search for tiles minimises."""

    LATENCY = "latency"
    ENERGY = "energy"
    ENERGY_DELAY = "energy_delay"
    DRAM_BYTES = "dram_bytes"


class Reduction(StrEnum):
    """How the search for tiles may cut the sum that makes an output."""

    FREE = "free"
    """Anywhere. Where accumulators wrap, that never changes a bit."""
    FIXED = "fixed"
    """Only where the order of additions stays that of the uncut sum, so that no result
    depends on what the search looks for, nor on the size of a buffer."""
