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
    """Widths the datapath is built for, and its numeric rules."""

    weight_bits: Annotated[int, Field(ge=2, le=16)]
    activation_bits: Annotated[int, Field(ge=2, le=16)]
    activations: Activations
    accumulator_bits: Annotated[int, Field(ge=8, le=48)]
    accumulator_overflow: Overflow
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

    @property
    def activation_port_bits(self) -> int:
        """Width of the multiplier's activation input."""
        return self.port_bits(self.activation_bits)

    def port_bits(self, activation_bits: int) -> int:
        """Width of an activation input, whole or of a mode: a bit more if it takes both signs."""
        return activation_bits + (self.activations is Activations.EITHER)
