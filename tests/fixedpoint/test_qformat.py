"""Does a stored integer mean what its format says, both ways?"""

import re
from fractions import Fraction

import numpy as np
import pytest

from quantizer.fixedpoint.qformat import QFormat, Rounding
from tests.fixedpoint.versions import ROUNDINGS, oracle_name
from tests.oracles import fixed_point

FRAC_BITS = (-64, -3, 0, 5, 8, 64)
SMALL = pytest.mark.parametrize("bits", range(1, 9))
SIGNED_OR_NOT = pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
S8 = QFormat(bits=8, frac_bits=4)


@SIGNED_OR_NOT
@SMALL
@ROUNDINGS
def test_encoding_undoes_decoding_for_every_raw_value(
    bits: int, signed: bool, rounding: Rounding
) -> None:
    for frac_bits in FRAC_BITS:
        fmt = QFormat(bits=bits, frac_bits=frac_bits, signed=signed)
        raw = np.arange(fmt.raw_min, fmt.raw_max + 1)
        assert len(raw) == 2**bits
        assert fmt.encode(fmt.decode(raw), rounding).tolist() == raw.tolist()


@SIGNED_OR_NOT
@SMALL
@ROUNDINGS
def test_encoding_equals_exact_arithmetic_all_over_the_range(
    bits: int, signed: bool, rounding: Rounding
) -> None:
    """Every quarter of a step, from well below the range to well above it."""
    for frac_bits in (-3, 4):
        fmt = QFormat(bits=bits, frac_bits=frac_bits, signed=signed)
        quarters = np.arange(4 * fmt.raw_min - 10, 4 * fmt.raw_max + 11)
        reals = quarters / 4 * fmt.step
        assert fmt.encode(reals, rounding).tolist() == [
            fixed_point.encode(real, frac_bits, bits, signed, oracle_name(rounding))
            for real in reals.tolist()
        ]


@ROUNDINGS
def test_a_number_just_off_a_tie_is_no_tie(rounding: Rounding) -> None:
    ties = [(raw + 0.5) * S8.step for raw in range(-130, 130)]
    reals = [float(np.nextafter(tie, towards)) for tie in ties for towards in (-9e9, 9e9)]
    assert S8.encode(reals, rounding).tolist() == [
        fixed_point.encode(real, 4, 8, True, oracle_name(rounding)) for real in reals
    ]


@SIGNED_OR_NOT
@pytest.mark.parametrize("frac_bits", FRAC_BITS)
def test_decoding_is_exact(frac_bits: int, signed: bool) -> None:
    for bits in (1, 8, 16, 32):
        fmt = QFormat(bits=bits, frac_bits=frac_bits, signed=signed)
        ends = [fmt.raw_min, fmt.raw_min + 1, 0, fmt.raw_max - 1, fmt.raw_max]
        expected = [raw * fixed_point.power_of_two(-frac_bits) for raw in ends]
        assert [Fraction(real) for real in fmt.decode(ends).tolist()] == expected
        assert Fraction(fmt.step) == fixed_point.power_of_two(-frac_bits)


@SIGNED_OR_NOT
@pytest.mark.parametrize("bits", range(1, 33))
def test_a_format_ends_where_its_bits_end(bits: int, signed: bool) -> None:
    fmt = QFormat(bits=bits, frac_bits=0, signed=signed)
    expected = fixed_point.Format(bits=bits, frac_bits=0, signed=signed)
    assert (fmt.raw_min, fmt.raw_max) == (expected.raw_min, expected.raw_max)


@ROUNDINGS
@pytest.mark.parametrize("beyond", [np.inf, 1e308, 8.0])
def test_what_lies_beyond_the_range_saturates(beyond: float, rounding: Rounding) -> None:
    assert S8.encode([beyond, -beyond - 1.0], rounding).tolist() == [127, -128]
    finest = QFormat(bits=8, frac_bits=64, signed=False)
    assert finest.encode([beyond, -beyond], rounding).tolist() == [255, 0]


def test_a_scalar_and_any_shape_can_be_encoded() -> None:
    assert S8.encode(1.5, Rounding.TIES_EVEN) == 24
    assert S8.encode(np.full((2, 0, 3), 1.5), Rounding.TIES_EVEN).shape == (2, 0, 3)


@pytest.mark.parametrize(
    ("fmt", "name"),
    [
        (S8, "s8f4"),
        (QFormat(bits=16, frac_bits=-2, signed=False), "u16f-2"),
    ],
)
def test_a_format_has_a_short_name(fmt: QFormat, name: str) -> None:
    assert str(fmt) == name


def test_nan_cannot_be_encoded() -> None:
    with pytest.raises(ValueError, match=r"^cannot encode NaN as s8f4$"):
        S8.encode([0.0, np.nan], Rounding.TIES_POS)


@pytest.mark.parametrize(
    ("bits", "frac_bits", "sentence"),
    [
        (0, 0, "bits must be between 1 and 32, got 0"),
        (33, 0, "bits must be between 1 and 32, got 33"),
        (8, -65, "frac_bits must be between -64 and 64, got -65"),
        (8, 65, "frac_bits must be between -64 and 64, got 65"),
    ],
)
def test_a_format_out_of_range_is_refused(bits: int, frac_bits: int, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        QFormat(bits=bits, frac_bits=frac_bits)
