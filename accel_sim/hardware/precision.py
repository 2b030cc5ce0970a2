"""What the datapath is built for: widths, numeric rules, and modes of its multipliers."""

from typing import Annotated

from pydantic import Field, model_validator

from accel_sim.hardware.choices import Activations, Along, RoundingName
from accel_sim.hardware.section import Section
from quantizer.fixedpoint.qformat import Overflow


class MultiplierMode(Section):
    """A way in which one wide multiplier works as several narrow ones.

    Attributes
    ----------
    weight_bits, activation_bits
        Widest operands that it holds, signed or not as the datapath takes them.
    macs_per_pe
        Products of each processing element in one cycle.
    """

    weight_bits: Annotated[int, Field(ge=2, le=16)]
    activation_bits: Annotated[int, Field(ge=2, le=16)]
    macs_per_pe: Annotated[int, Field(ge=2, le=64)]
    along: Along

    def holds(self, weight_bits: int, activation_bits: int) -> bool:
        """Whether operands of these widths fit."""
        return weight_bits <= self.weight_bits and activation_bits <= self.activation_bits


class Precision(Section):
    """Widths the datapath is built for, and its numeric rules.

    Attributes
    ----------
    psum_storage_bits
        Of a partial sum in memory, on chip and off; None for those of the accumulator. With
        fewer, the machine cuts bits off between two folds, in a way that is not simulated: such
        a machine has costs, but no values.
    """

    weight_bits: Annotated[int, Field(ge=2, le=16)]
    activation_bits: Annotated[int, Field(ge=2, le=16)]
    activations: Activations
    accumulator_bits: Annotated[int, Field(ge=8, le=48)]
    accumulator_overflow: Overflow
    psum_storage_bits: Annotated[int, Field(ge=8, le=48)] | None = None
    requantize_rounding: RoundingName
    average_pool_rounding: RoundingName
    modes: tuple[MultiplierMode, ...] = ()

    @model_validator(mode="after")
    def _composes_modes(self) -> "Precision":
        whole = self.weight_bits * self.activation_bits
        seen = set()
        for number, mode in enumerate(self.modes):
            its_widths = f"{mode.weight_bits} x {mode.activation_bits} bits"
            if mode.weight_bits > self.weight_bits or mode.activation_bits > self.activation_bits:
                raise ValueError(
                    f"modes: [{number}] takes {its_widths}, the datapath "
                    f"{self.weight_bits} x {self.activation_bits}; a mode is no wider"
                )
            parts = mode.macs_per_pe * mode.weight_bits * mode.activation_bits
            if parts > whole:
                most = whole // (mode.weight_bits * mode.activation_bits)
                remedy = f"macs_per_pe: at most {most}" if most > 1 else "leave it out"
                raise ValueError(
                    f"modes: [{number}] makes {mode.macs_per_pe} multipliers of {its_widths} from "
                    f"one of {self.weight_bits} x {self.activation_bits}, which has no parts for "
                    f"them; {remedy}"
                )
            its_place = (mode.weight_bits, mode.activation_bits, mode.along)
            if its_place in seen:
                raise ValueError(
                    f"modes: [{number}] is a second one of {its_widths} along {mode.along}; "
                    "expected one"
                )
            seen.add(its_place)
        return self

    @model_validator(mode="after")
    def _stores_what_it_adds(self) -> "Precision":
        if (self.psum_storage_bits or 0) > self.accumulator_bits:
            raise ValueError(
                f"psum_storage_bits: expected at most the {self.accumulator_bits} bits of the "
                f"accumulator, got {self.psum_storage_bits}"
            )
        return self

    @property
    def stored_psum_bits(self) -> int:
        """Width of a partial sum in memory."""
        return self.psum_storage_bits or self.accumulator_bits

    @property
    def keeps_psums_exact(self) -> bool:
        """Whether a partial sum is stored as the accumulator holds it."""
        return self.stored_psum_bits == self.accumulator_bits

    @property
    def activation_port_bits(self) -> int:
        """Width of the multiplier's activation input."""
        return self.port_bits(self.activation_bits)

    def port_bits(self, activation_bits: int) -> int:
        """Width of an activation input, whole or of a mode: a bit more if it takes both signs."""
        return activation_bits + (self.activations is Activations.EITHER)
