"""Are functions of one value read from their tables, and counted as the contract says?"""

import math
from fractions import Fraction

import numpy as np
import pytest

from accel_sim.layer_steps.step import Events
from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import QFormat, Rounding
from quantizer.network.layers import Clamp, Function, FunctionKind, LocalResponseNorm, Lookup
from quantizer.quantized import NumericRules, QuantizedNetwork
from tests.fixedpoint.versions import ROUNDINGS
from tests.functional.by_hand import RELU, exactly, quantized, real, run, signed, unsigned
from tests.oracles.fixed_point import round_fraction


def lookup(
    kind: FunctionKind,
    ifm: QFormat,
    ofm: QFormat,
    size: int,
    *,
    clamp: Clamp | None = None,
    rounding: Rounding = Rounding.TIES_POS,
) -> QuantizedNetwork:
    return quantized(
        Lookup(name="f", ifm="x", ofm="y", function=Function(kind=kind), clamp=clamp),
        maps={"x": (ifm, (size,)), "y": (ofm, (size,))},
        rules=NumericRules(requantize_rounding=rounding),
    )


def test_sigmoids_by_hand() -> None:
    network = lookup(FunctionKind.SIGMOID, signed(8, 4), unsigned(8, 8), 5)
    # sigmoid(-8), (-1), (0), (1), (7.9375) are 0.000335, 0.268941, 1/2, 0.731059, 0.999643.
    trace = run(network, [-128, -16, 0, 16, 127])
    assert trace.tensors["y"].tolist() == [0, 69, 128, 187, 255]
    # 255.9 rounds to 256, which 8 bits do not hold.
    assert trace.events["f"] == Events(output_saturations=1)


@ROUNDINGS
@pytest.mark.parametrize("clamp", [None, RELU, Clamp(low=-1.0, high=2.0)])
@pytest.mark.parametrize("bits", [2, 8, 12])
def test_up_to_12_bits_every_raw_value_has_its_entry(
    bits: int, clamp: Clamp | None, rounding: Rounding
) -> None:
    """Neg: its values are plain to see."""
    ifm, ofm = signed(bits, 3), signed(7, 2)
    raw = range(ifm.raw_min, ifm.raw_max + 1)
    network = lookup(FunctionKind.NEG, ifm, ofm, len(raw), clamp=clamp, rounding=rounding)
    trace = run(network, list(raw))
    expected = [exactly(-real(x, ifm), ofm, rounding, clamp) for x in raw]
    assert trace.tensors["y"].tolist() == [stored for stored, _ in expected]
    assert trace.events["f"] == Events(output_saturations=sum(clip for _, clip in expected))


@ROUNDINGS
@pytest.mark.parametrize("ifm", [signed(13, 4), unsigned(16, 9), signed(16, 12)])
def test_beyond_12_bits_values_lie_between_two_entries(ifm: QFormat, rounding: Rounding) -> None:
    """Softsign, so that fractions give the entries; every rest, at both ends and around zero."""
    ofm, mode = signed(6, 5), rounding.name.lower()
    span = 1 << (ifm.bits - 12)
    raw = [
        x
        for centre in (ifm.raw_min, -1, 1000, ifm.raw_max)
        for x in range(centre - 40, centre + 40)
        if ifm.raw_min <= x <= ifm.raw_max
    ]
    network = lookup(FunctionKind.SOFTSIGN, ifm, ofm, len(raw), rounding=rounding)

    def entry(index: int) -> tuple[int, int]:
        x = real(ifm.raw_min + index * span, ifm)
        return exactly(x / (1 + abs(x)), ofm, rounding)

    values, saturations = [], 0
    for x in raw:
        index, rest = divmod(x - ifm.raw_min, span)
        (low, low_clips), (high, high_clips) = entry(index), entry(index + 1)
        values.append(round_fraction(Fraction(low * (span - rest) + high * rest, span), mode))
        saturations += low_clips or (high_clips if rest else 0)
    trace = run(network, raw)
    assert trace.tensors["y"].tolist() == values
    assert trace.events["f"] == Events(output_saturations=saturations)


def test_the_entry_behind_a_value_counts_only_where_it_has_a_part() -> None:
    # Entries every 2: -f(63) = -63 fits 7 bits, -f(-64) = 64 does not.
    network = lookup(FunctionKind.NEG, signed(13, 0), signed(7, 0), 3)
    trace = run(network, [-62, -63, -64])
    assert trace.tensors["y"].tolist() == [62, 63, 63]
    # -63 lies between 62 and 63 (64, clipped): 62.5, a tie.
    assert trace.events["f"] == Events(output_saturations=2)


def norm(
    *, alpha: float = 2.0, beta: float = 0.5, bias: float = 1.0, size: int = 3
) -> LocalResponseNorm:
    return LocalResponseNorm(
        name="lrn", ifm="x", ofm="y", size=size, alpha=alpha, beta=beta, bias=bias, clamp=None
    )


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 9])
def test_a_local_response_norm_is_that_of_the_standard(size: int) -> None:
    """Channels ``c - floor((size - 1) / 2)`` to ``c + ceil((size - 1) / 2)``, inside the map."""
    rng = np.random.default_rng(0)
    raw = rng.integers(-128, 128, (5, 2, 2))
    network = quantized(
        norm(size=size),
        maps={"x": (signed(8, 4), raw.shape), "y": (signed(16, 14), raw.shape)},
    )
    found = run(network, raw).tensors["y"]
    for (c, row, col), value in np.ndenumerate(raw):
        first, last = max(0, c - (size - 1) // 2), min(4, c + math.ceil((size - 1) / 2))
        squares = sum((int(x) / 16) ** 2 for x in raw[first : last + 1, row, col])
        expected = value / 16 / math.sqrt(1 + 2 / size * squares)
        # No value of this map is so close to a tie that float64 could err.
        assert found[c, row, col] == math.floor(expected * 2**14 + 0.5)


def test_a_local_response_norm_saturates_and_counts() -> None:
    network = quantized(
        norm(alpha=0.0, size=1), maps={"x": (signed(8, 0), (4,)), "y": (signed(4, 0), (4,))}
    )
    trace = run(network, [-9, -8, 7, 100])
    assert trace.tensors["y"].tolist() == [-8, -8, 7, 7]
    assert trace.events["lrn"] == Events(output_saturations=2)


def test_a_local_response_norm_that_is_not_a_number_is_refused() -> None:
    network = quantized(
        norm(alpha=-8.0, size=1), maps={"x": (signed(8, 0), (1,)), "y": (signed(8, 0), (1,))}
    )
    with pytest.raises(InputError) as error:
        run(network, [1])
    assert str(error.value) == (
        "layer 'lrn': its result is not a number; expected bias and alpha that keep the base of "
        "its power above 0"
    )
