"""Are tables of functions what the standard and the contract say, entry by entry?"""

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from tests.oracles import integer_network
from tests.oracles.fixed_point import ROUNDINGS, Format
from tests.oracles.function_tables import exact_value, function, look_up
from tests.oracles.network_builder import FIRST_OPSET
from tests.oracles.onnx_graph import FUNCTIONS
from tests.oracles_self_tests.float_reference import run_float
from tests.oracles_self_tests.small_networks import build, s8

ATTRIBUTES: dict[str, dict[str, Any]] = {
    "HardSigmoid": {"alpha": 0.3, "beta": 0.4},
    "Elu": {"alpha": 0.7},
    "Celu": {"alpha": 1.3},
    "Selu": {"alpha": 1.5, "gamma": 1.1},
    "Swish": {"alpha": 1.2},
    "ThresholdedRelu": {"alpha": 0.3},
    "Gelu": {"approximate": "tanh"},
}
WITH_ATTRIBUTES = [(operator, {}) for operator in FUNCTIONS] + list(ATTRIBUTES.items())


def raw_table(operator: str, ifm: Format, ofm: Format, mode: str = "ties_pos") -> list[int]:
    raw = np.arange(ifm.raw_min, ifm.raw_max + 1)
    return look_up(function(operator, {}), raw, ifm, ofm, mode).raw.tolist()


def s(bits: int, frac_bits: int) -> Format:
    return Format(bits=bits, frac_bits=frac_bits, signed=True)


def u(bits: int, frac_bits: int) -> Format:
    return Format(bits=bits, frac_bits=frac_bits, signed=False)


@pytest.mark.parametrize(("operator", "attributes"), WITH_ATTRIBUTES)
def test_a_function_is_the_one_of_onnxruntime(
    operator: str, attributes: dict[str, Any], tmp_path: Path
) -> None:
    node = helper.make_node(operator, ["x"], ["y"], **attributes)
    path = build(tmp_path, [node], {}, input_shape=(161,), opset=FIRST_OPSET.get(operator, 11))
    x = np.arange(0 if operator == "Sqrt" else -80, 81) / 16
    x = np.pad(x, (161 - len(x), 0))
    expected = run_float(path, x[None])["y"][0]
    as_read = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    of = function(operator, as_read)
    found = [float(exact_value(of, Fraction(value))) for value in x]
    # onnxruntime's float32 approximations of exp, tanh and erf err by some 2**-22 of values of 5.
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("operator", "x", "expected"),
    [
        # Abramowitz and Stegun, Handbook of Mathematical Functions, tables 4.4, 4.15 and 7.1.
        ("Exp", 1, "2.71828182845904523536"),
        ("Exp", -1, "0.36787944117144232160"),
        ("Tanh", 1, "0.76159415595576488812"),
        ("Erf", 1, "0.84270079294971486934"),
        ("Erf", Fraction(1, 2), "0.52049987781304653768"),
        ("Sqrt", 2, "1.41421356237309504880"),
        # ln 2 and 1 / (1 + 1/e) follow from the same tables.
        ("Softplus", 0, "0.69314718055994530942"),
        ("Sigmoid", 1, "0.73105857863000487926"),
    ],
)
def test_published_values(operator: str, x: Fraction, expected: str) -> None:
    found = exact_value(function(operator, {}), Fraction(x))
    assert abs(found - Fraction(expected)) < Fraction(1, 10**19)


def test_gelu_is_x_times_the_normal_distribution() -> None:
    for x in (-3.0, -0.5, 0.25, 2.0):
        found = float(exact_value(function("Gelu", {}), Fraction(x)))
        assert found == pytest.approx(x * 0.5 * (1 + math.erf(x / math.sqrt(2))), rel=1e-14)


def test_hard_swish_meets_ties_exactly() -> None:
    # 1.5 * (1.5 + 3) / 6 = 1.125, a tie of steps of 1/4; -1.5 * 1.5 / 6 = -0.375, another.
    ofm = s(8, 2)
    for mode, up, down in (
        ("ties_pos", 5, -1),
        ("ties_even", 4, -2),
        ("ties_away", 5, -2),
        ("to_neg", 4, -2),
        ("to_zero", 4, -1),
    ):
        looked = look_up(function("HardSwish", {}), np.array([3, -3]), s(8, 1), ofm, mode)
        assert looked.raw.tolist() == [up, down], mode


def test_a_limit_that_is_never_reached_is_not_rounded_to() -> None:
    """Sigmoid of 2**70 is still below 1, and tanh of it, too."""
    far = np.array([127])
    for operator, limit in (("Sigmoid", 64), ("Tanh", 64), ("Erf", 64)):
        of = function(operator, {})
        assert look_up(of, far, s(8, -64), s(8, 6), "to_neg").raw.item() == limit - 1
        assert look_up(of, far, s(8, -64), s(8, 6), "ties_even").raw.item() == limit
    below = look_up(function("Elu", {}), -far, s(8, -64), s(8, 6), "to_zero").raw.item()
    assert below == -63
    tiny = look_up(function("Exp", {}), -far, s(8, -64), s(8, 64), "to_neg").raw.item()
    assert tiny == 0
    assert look_up(function("Softplus", {}), -far, s(8, -64), u(8, 64), "ties_even").raw == 0


def test_functions_of_tiny_values_lie_on_their_side_of_the_tangent() -> None:
    tiny = np.array([1, -1])
    # tanh(x) is a little nearer to 0 than x, and so is its rounding towards 0.
    assert look_up(function("Tanh", {}), tiny, s(8, 64), s(8, 64), "to_zero").raw.tolist() == [0, 0]
    # exp(x) - 1 is a little above x.
    assert look_up(function("Elu", {}), tiny, s(8, 64), s(8, 64), "to_neg").raw.tolist() == [1, -1]


@pytest.mark.parametrize("mode", ROUNDINGS)
def test_square_roots_of_squares_are_exact(mode: str) -> None:
    raw = np.arange(16) ** 2
    looked = look_up(function("Sqrt", {}), raw, u(8, 4), u(8, 2), mode)
    assert looked.raw.tolist() == list(range(16))


def test_a_square_root_is_zero_below_zero() -> None:
    looked = look_up(function("Sqrt", {}), np.array([4, 0, -1]), s(8, 0), s(8, 0), "ties_pos")
    assert looked.raw.tolist() == [2, 0, 0]


def test_tables_by_hand() -> None:
    assert raw_table("Neg", s(3, 0), s(3, 0)) == [4, 3, 2, 1, 0, -1, -2, -3]
    assert raw_table("Abs", s(3, 0), u(3, 0)) == [4, 3, 2, 1, 0, 1, 2, 3]
    # x / (1 + |x|) in steps of 1/12 would be exact: in steps of 1/4 it is rounded.
    assert raw_table("Softsign", s(3, 0), s(4, 2)) == [-3, -3, -3, -2, 0, 2, 3, 3]
    assert raw_table("ThresholdedRelu", s(3, 0), u(3, 0)) == [0, 0, 0, 0, 0, 0, 2, 3]


def test_what_an_entry_would_be_beyond_the_format_is_one_beyond() -> None:
    looked = look_up(function("Neg", {}), np.array([-4, 3]), s(3, 0), s(3, 0), "ties_pos")
    assert looked.raw.tolist() == [4, -3]
    assert looked.above.tolist() == [True, False]
    assert looked.below.tolist() == [False, False]


def test_between_entries_by_hand() -> None:
    # 14 bits: an entry for every fourth raw value. |x| is exact but for the kink, of which 0
    # is an entry, so only the rounding of the output is left.
    raw = np.array([-8192, -7, -3, 0, 1, 2, 3, 8191])
    looked = look_up(function("Abs", {}), raw, s(14, 0), u(14, 0), "ties_pos")
    assert looked.raw.tolist() == abs(raw).tolist()
    # Squashed by 4, entries are 0, 1, 2: halfway between two of them is a tie.
    for mode, expected in (
        ("ties_pos", [0, 1, 1]),
        ("ties_even", [0, 0, 1]),
        ("to_neg", [0, 0, 0]),
    ):
        looked = look_up(function("Abs", {}), np.array([1, 2, 3]), s(14, 2), s(14, 0), mode)
        assert looked.raw.tolist() == expected


def test_the_last_entry_stands_one_step_beyond_the_largest_value() -> None:
    # Entry 4096 of 16 unsigned bits stands for 65536, where exp is clipped, as at 65520.
    top = np.array([65520, 65535])
    looked = look_up(function("Exp", {}), top, u(16, 13), s(8, -4), "ties_pos")
    assert math.exp(65520 / 8192) / 16 > 127
    assert looked.above.tolist() == [True, True]
    assert looked.raw.tolist() == [127, 127]
    # With room for both, 15 of 16 steps lie between the two: 2979.78 * 2**-1 and 2980.96 / 2.
    looked = look_up(function("Exp", {}), top, u(16, 13), s(13, 0), "ties_pos")
    entries = [round(math.exp(raw / 8192)) for raw in (65520, 65536)]
    assert looked.raw.tolist() == [
        entries[0],
        math.floor((entries[0] + 15 * entries[1]) / 16 + 0.5),
    ]


def test_interpolation_takes_clipped_entries_and_says_so() -> None:
    # |x| at 0 is 0 and at 4 it is 4, clipped to 3: 3 of 4 steps to it are 9/4.
    raw = np.array([0, 1, 3, 4])
    looked = look_up(function("Abs", {}), raw, s(14, 0), u(2, 0), "ties_pos")
    assert looked.raw.tolist() == [0, 1, 2, 3]
    assert looked.above.tolist() == [False, True, True, True]


@pytest.mark.parametrize(
    ("upper", "raw", "saturations"), [(None, [-128, 127], 2), (100.0, [-128, 100], 1)]
)
def test_saturations_of_a_table_are_those_no_clip_holds(
    upper: float | None, raw: list[int], saturations: int, tmp_path: Path
) -> None:
    nodes = [helper.make_node("Neg", ["x"], ["y" if upper is None else "neg"])]
    constants: dict[str, Any] = {}
    if upper is not None:
        nodes.append(helper.make_node("Clip", ["neg", "", "upper"], ["y"]))
        constants["upper"] = np.array(upper, np.float32)
    path = build(tmp_path, nodes, constants, input_shape=(1,))
    formats = {"x": {"bits": 12, "frac_bits": 0, "signed": True}, "y": s8(0)}
    got = integer_network.interpret(path, formats, np.array([[200.0], [-200.0]]))
    assert got.tensors["y"].ravel().tolist() == raw
    assert got.output_saturations == {"y": saturations}
