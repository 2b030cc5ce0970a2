"""Layers as loop nests: the shape of the work, with the names of tensors taken away."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from accel_sim.hardware.choices import Along
from accel_sim.hardware.precision import MultiplierMode

MapOperand = Literal["ifm", "residual", "ofm"]
"""Operands that are feature maps."""


class Kind(StrEnum):
    """What the innermost body of a loop nest does."""

    MAC = "mac"
    """Multiply and accumulate, on the array."""
    POOL = "pool"
    """Maximum or sum over a window, on the lanes."""
    ADD = "add"
    """Sum of two operands, on the lanes."""
    MULTIPLY = "multiply"
    """Product of two operands, or scale and offset per group, on the lanes."""
    LOOKUP = "lookup"
    """An entry of a table for each value, on the lanes."""
    REQUANTIZE = "requantize"
    """Another format or range for the same values, on the lanes."""
    COPY = "copy"
    """The same values in another place, through the lanes."""
    LAYOUT = "layout"
    """Nothing: the same values under another shape or name."""
    HOST = "host"
    """Nothing on the machine: the host computes."""

    @property
    def is_free(self) -> bool:
        """Whether the machine does nothing."""
        return self in (Kind.LAYOUT, Kind.HOST)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopNest:
    """One layer as loops ``N, G, K, C, R, S, P, Q`` over operands of known widths.

    Output ``[n, k, p, q]`` reads ifm rows ``p*stride + r*dilation - pad``, cols likewise.
    Off the array there is no arithmetic across groups, so that any elements may be a group.

    Attributes
    ----------
    batch, groups
        ``N`` and ``G``. Groups share nothing. Kinds other than MAC treat each channel
        as a group, where windows or operands per channel do not ask for another cut.
    filters, channels
        ``K`` and ``C`` of one group. Off the array, a value is written ``K`` times.
    blocks
        Groups of the layer that lie side by side in one group of the loops, as one dense
        layer whose weights are zero off the diagonal; ``K`` and ``C`` count all of them.
    blocks_are_apart
        Whether each of the blocks has an ifm of its own on the array, so that there are no
        zeros.
    pads
        (top, left) only; bottom and right follow from the extents.
    bias_bits
        0 without a bias.
    weight_bits
        None without weights. Of the entries, where the lanes look values up in a table.
    group_weights
        Weights that each group has on the lanes: one scale or slope, the entries of a table.
    residual_bits
        Of the second operand of a sum or product; 0 where there is none.
    shares_residual
        Whether all outputs of a group read one element of the second operand.
    mode
        In which the multipliers work; None as the whole that they are built as.
    resident_bytes
        Of whole feature maps that stay in the memory of ifm and ofm while the layer runs.
    ifm_stays, residual_stays, ofm_stays
        Whether an operand is one of these, so that DRAM moves nothing of it.
    """

    layer: str
    op: str
    kind: Kind
    batch: int
    groups: int
    filters: int
    channels: int
    filter_rows: int
    filter_cols: int
    output_rows: int
    output_cols: int
    input_rows: int
    input_cols: int
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pads: tuple[int, int]
    ifm_bits: int
    weight_bits: int | None
    bias_bits: int
    ofm_bits: int
    residual_bits: int
    blocks: int = 1
    blocks_are_apart: bool = False
    group_weights: int = 0
    shares_residual: bool = False
    mode: MultiplierMode | None = None
    resident_bytes: int = 0
    ifm_stays: bool = False
    residual_stays: bool = False
    ofm_stays: bool = False

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the whole batch; those in the padding count.

        Of a transposed convolution those of its zero taps, too; zeros off a diagonal not.
        """
        return self.outputs * self.reduction // self.blocks if self.kind is Kind.MAC else 0

    @property
    def off_diagonal_macs(self) -> int:
        """Products with zeros off a diagonal, beside `macs`."""
        return 0 if self.blocks_are_apart else self.macs * (self.blocks - 1)

    @property
    def filters_per_pe(self) -> int:
        """Filters of one block that a processing element works on at once."""
        if self.mode is None or self.mode.along is not Along.FILTERS:
            return 1
        return min(self.mode.macs_per_pe, self.filters // self.blocks)

    @property
    def outputs(self) -> int:
        """Elements of the output, of the whole batch."""
        pixels = self.batch * self.output_rows * self.output_cols
        return pixels * self.groups * self.filters

    @property
    def residual_elements(self) -> int:
        """Elements of the second operand, of the whole batch; what has none is 0 bits wide."""
        return self.groups if self.shares_residual else self.outputs

    @property
    def reads_residual(self) -> bool:
        """Whether DRAM moves an element of the second operand for every output."""
        return self.residual_bits > 0 and not self.shares_residual and not self.residual_stays

    @property
    def resident_operands(self) -> tuple[MapOperand, ...]:
        """Operands that stay on chip."""
        flags: dict[MapOperand, bool] = {
            "ifm": self.ifm_stays,
            "residual": self.residual_stays,
            "ofm": self.ofm_stays,
        }
        return tuple(operand for operand, stays in flags.items() if stays)

    @property
    def reduction(self) -> int:
        """Operands that meet in one output; those of all `blocks`."""
        return self.channels * self.filter_rows * self.filter_cols

    @property
    def channel_weights(self) -> int:
        """Weights that a filter has for a channel; of `blocks` filters, one has them."""
        return self.filter_rows * self.filter_cols if self.kind is Kind.MAC else self.group_weights

    @property
    def has_weights(self) -> bool:
        """Whether anything passes the weights buffer."""
        return self.channel_weights > 0
