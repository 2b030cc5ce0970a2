"""Fixed-point number formats: what a stored integer means.

A Q-format maps a stored integer ``raw`` to the real number ``raw * 2**-frac_bits``.
Every rounding and saturation rule in the project is defined in this package and
nowhere else, so the quantizer and the simulator cannot disagree by one LSB.
"""

import math
from dataclasses import dataclass
from enum import IntEnum, StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Rounding(IntEnum):
    """How a real number becomes an integer, named by what happens to a tie.

    The values are part of the jitted kernels' interface.
    """

    TIES_POS = 0
    """To nearest, ties towards +infinity: ``floor(x + 1/2)``. One adder in hardware."""
    TIES_EVEN = 1
    """To nearest, ties to the even neighbour (IEEE 754 default)."""
    TIES_AWAY = 2
    """To nearest, ties away from zero."""
    TO_NEG = 3
    """Towards -infinity: the bits are dropped."""
    TO_ZERO = 4
    """Towards zero."""


class Overflow(StrEnum):
    """What an accumulator does with a sum outside its range."""

    WRAP = "wrap"
    """Keeps the low bits (two's complement)."""
    SAT = "saturate"
    """Stays at the nearest representable value, at every addition."""


def round_real(real: NDArray[np.float64], rounding: Rounding) -> NDArray[np.float64]:
    """Round finite numbers to integers, held in float64.

    Works on ``x - floor(x)``, so that 0.49999999999999994 does not become 1 through
    ``x + 0.5``. That difference is exact but for x between -1/2 and 0, where it is
    rounded and stays at least 1/2: enough for `TIES_POS`. `TIES_AWAY` must know more,
    and works on the magnitude.
    """
    match rounding:
        case Rounding.TO_NEG:
            return np.floor(real)
        case Rounding.TO_ZERO:
            return np.trunc(real)
        case Rounding.TIES_EVEN:
            return np.rint(real)
        case Rounding.TIES_POS:
            below = np.floor(real)
            return np.asarray(below + (real - below >= 0.5))
        case Rounding.TIES_AWAY:
            magnitude = np.abs(real)
            below = np.floor(magnitude)
            return np.asarray(np.copysign(below + (magnitude - below >= 0.5), real))


@dataclass(frozen=True, slots=True, kw_only=True)
class QFormat:
    """Word length, binary point and signedness of a fixed-point number.

    Integer bits are deliberately not a field: gemmlowp counts them without the
    sign bit and APyTypes with it. ``bits`` and ``frac_bits`` are unambiguous.

    Attributes
    ----------
    bits
        Word length including any sign bit, 1 to 32.
    frac_bits
        Weight of the least significant bit is ``2**-frac_bits``. May be negative
        (step above 1) or exceed ``bits`` (all leading bits are implied zeros).
    signed
        Two's complement if true, plain binary otherwise.
    """

    bits: int
    frac_bits: int
    signed: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 32:
            raise ValueError(f"bits must be between 1 and 32, got {self.bits}")
        if not MIN_FRAC_BITS <= self.frac_bits <= MAX_FRAC_BITS:
            raise ValueError(
                f"frac_bits must be between {MIN_FRAC_BITS} and {MAX_FRAC_BITS}, "
                f"got {self.frac_bits}"
            )

    @property
    def step(self) -> float:
        """Weight of the least significant bit; exact in float64."""
        return math.ldexp(1.0, -self.frac_bits)

    @property
    def raw_min(self) -> int:
        """Smallest stored integer."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def raw_max(self) -> int:
        """Largest stored integer."""
        return (1 << (self.bits - self.signed)) - 1

    def encode(self, real: ArrayLike, rounding: Rounding) -> NDArray[np.int64]:
        """Round by the given tie rule; saturate at ``raw_min`` and ``raw_max``.

        Raises
        ------
        ValueError
            If any element is NaN. Infinities saturate.
        """
        values = np.asarray(real)
        raw = np.empty(values.shape, np.int64)
        flat, encoded = values.reshape(-1), raw.reshape(-1)
        for start in range(0, flat.size, _BLOCK):
            block = slice(start, start + _BLOCK)
            with np.errstate(over="ignore"):  # an infinity made by scaling saturates too
                scaled = np.ldexp(flat[block].astype(np.float64), self.frac_bits)
            if np.isnan(scaled).any():
                raise ValueError(f"cannot encode NaN as {self}")
            # Rounding never carries a number over an integer, so the clip may come first; it
            # takes the infinities.
            np.clip(scaled, self.raw_min, self.raw_max, out=scaled)
            encoded[block] = round_real(scaled, rounding)
        return raw

    def decode(self, raw: ArrayLike) -> NDArray[np.float64]:
        """Real values of stored integers; exact in float64."""
        return np.ldexp(np.asarray(raw, np.float64), -self.frac_bits)

    def __str__(self) -> str:
        return f"{'s' if self.signed else 'u'}{self.bits}f{self.frac_bits}"


_BLOCK = 1 << 16
"""Values encoded at a time: of large tensors, no copies in float64 that leave the cache."""

MIN_FRAC_BITS = -64
MAX_FRAC_BITS = 64
