"""Do the rounding and overflow names mean what they mean elsewhere?

APyTypes (Wahlström and Gustafsson) uses the same names; the reference data lists what each
mode makes of eight numbers, with its names in ap_fixed, fxpmath, qonnx and others.
"""

import json
from pathlib import Path

import numpy as np
from apytypes import APyFixed, OverflowMode, QuantizationMode

from quantizer.fixedpoint.arith import requantize, round_divided, wrap
from quantizer.fixedpoint.qformat import QFormat, Rounding, round_real
from tests.fixedpoint.versions import ROUNDINGS


@ROUNDINGS
def test_requantizing_equals_a_saturating_cast_of_apytypes(rounding: Rounding) -> None:
    mode = QuantizationMode[rounding.name]
    fmt = QFormat(bits=6, frac_bits=0)
    for shift in range(-4, 13):
        for acc in range(-128, 128):
            fixed = APyFixed(acc, bits=8, frac_bits=shift)
            cast = fixed.cast(
                bits=fmt.bits, frac_bits=0, quantization=mode, overflow=OverflowMode.SAT
            )
            found = requantize(acc, shift, int(rounding), fmt.raw_min, fmt.raw_max)
            assert found == float(cast), f"{acc} * 2**-{shift}"


@ROUNDINGS
def test_encoding_equals_a_saturating_cast_of_apytypes(rounding: Rounding) -> None:
    mode = QuantizationMode[rounding.name]
    fmt = QFormat(bits=5, frac_bits=2)
    reals = np.arange(-256, 256) / 32
    casts = [
        APyFixed.from_float(real, bits=16, frac_bits=8).cast(
            bits=fmt.bits, frac_bits=fmt.frac_bits, quantization=mode, overflow=OverflowMode.SAT
        )
        for real in reals.tolist()
    ]
    assert fmt.decode(fmt.encode(reals, rounding)).tolist() == [float(cast) for cast in casts]


def test_wrapping_equals_a_wrapping_cast_of_apytypes() -> None:
    for bits in (8, 9, 31, 32, 48):
        half = 2 ** (bits - 1)
        for total in (0, half - 1, half, half + 1, -half, -half - 1, 3 * half, 5 * half - 7):
            fixed = APyFixed(total, bits=56, frac_bits=0)
            cast = fixed.cast(bits=bits, frac_bits=0, overflow=OverflowMode.WRAP)
            assert wrap(total, bits) == float(cast), f"{total} to {bits} bits"


@ROUNDINGS
def test_the_published_table_of_modes_is_obeyed(rounding: Rounding, reference_data: Path) -> None:
    table = json.loads((reference_data / "references" / "rounding_modes.json").read_text())
    (mode,) = (mode for mode in table["modes"] if mode["apytypes"] == rounding.name)
    numbers = table["ties"]
    assert round_real(np.array(numbers), rounding).tolist() == mode["values"]
    tenths = [round(number * 10) for number in numbers]
    assert [round_divided(tenth, 10, int(rounding)) for tenth in tenths] == mode["values"]
