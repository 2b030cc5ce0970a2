"""Does every method give every map a format, however strange, and the one that it says?"""

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from quantizer.baselines.ranges import min_max_step
from quantizer.calibrate import CalibratedMap
from quantizer.errors import InputError
from quantizer.estimators import Estimator
from quantizer.fixedpoint.qformat import QFormat, Rounding
from quantizer.ggd_steps import ChosenStep
from quantizer.grid import Grid
from quantizer.map_formats import FormatMethod, choose_format, grid_error_ratio
from quantizer.map_sums import sum_up
from quantizer.quantized import MapChoice
from quantizer.step_rules import NamedRule, StepRounding, find_step_rule, step_rules

NAMES = [rule.name for rule in step_rules(Estimator.MOMENTS)]


def calibrated(values: NDArray[np.float64]) -> CalibratedMap:
    sums = sum_up(values.astype(np.float32), Rounding.TIES_POS)
    return CalibratedMap(statistics=sums.statistics(), errors=sums.errors())


def method(
    name: str = "ggd",
    rounding: StepRounding = StepRounding.SAMPLE_ERROR,
    *,
    headroom_bits: int = 0,
    estimator: Estimator = Estimator.MOMENTS,
) -> FormatMethod:
    rule = find_step_rule(name, estimator)
    return FormatMethod(rule=rule, rounding=rounding, headroom_bits=headroom_bits)


def fixed(step: float | None, rounding: StepRounding, headroom_bits: int = 0) -> FormatMethod:
    """A method whose step is given."""
    rule = replace(find_step_rule("mse", Estimator.MOMENTS), rule=lambda *_: ChosenStep(step=step))
    return FormatMethod(rule=rule, rounding=rounding, headroom_bits=headroom_bits)


def normal(count: int = 4000) -> NDArray[np.float64]:
    return np.random.default_rng(3).normal(size=count)


def test_the_methods_are_these_and_the_default_is_the_first() -> None:
    assert NAMES == [
        "ggd", "ggd:leading", "ggd:loglog", "ggd:lambert", "ggd:hui_neuhoff", "max_range",
        "min_max", "percentile_99_9", "percentile_99_99", "lin_gaussian", "lin_laplacian",
        "lin_gamma", "aciq_laplace", "aciq_gauss", "tensorrt_kl", "octav", "mse",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("octv", "unknown method 'octv'; did you mean 'octav'?"),
        ("xyz", "unknown method 'xyz'; give a name of: accel-sim list methods"),
    ],
)
def test_an_unknown_method_is_refused_with_the_nearest(name: str, problem: str) -> None:
    with pytest.raises(InputError) as error:
        find_step_rule(name, Estimator.MOMENTS)
    assert str(error.value) == f"--method: {problem}"


def hostile(kind: str) -> NDArray[np.float64]:
    rng = np.random.default_rng(5)
    return {
        "empty": np.zeros(0),
        "all zero": np.zeros(50),
        "one value": np.array([0.7]),
        "one negative value": np.array([-0.7]),
        "a handful": np.array([0.1, 0.5, -0.2]),
        "constant": np.full(1000, 3.3),
        "two constants": rng.choice([-2.0, 2.0], 100),
        "nearly constant": 1 + 1e-6 * rng.random(1000),
        "two clusters": np.append(rng.random(500), np.full(500, 1000.0)),
        "one huge outlier": np.append(rng.normal(size=2000), 1e7),
        "denormals among others": np.append(np.full(500, 1e-44), rng.random(20)),
        "all scales": 2.0 ** rng.uniform(-60, 60, 500),
    }[kind]


HOSTILE = (
    "empty", "all zero", "one value", "one negative value", "a handful", "constant",
    "two constants", "nearly constant", "two clusters", "one huge outlier",
    "denormals among others", "all scales",
)  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("name", NAMES)
def test_every_method_finds_a_format_for_strange_maps(name: str, kind: str) -> None:
    known = calibrated(hostile(kind))
    own = find_step_rule(name, Estimator.MOMENTS).own_rounding
    for rounding in {StepRounding.SAMPLE_ERROR, StepRounding.MODEL_ERROR, own}:
        for bits, is_signed in ((2, True), (8, False), (16, True)):
            fmt, choice = choose_format("m", known, bits, is_signed, method(name, rounding), ())
            assert (fmt.bits, fmt.signed) == (bits, is_signed)
            assert choice.step is None or 0 < choice.step < math.inf
            predicted = choice.predicted_sqnr_dB
            assert predicted is None or math.isfinite(predicted)


@pytest.mark.parametrize("estimator", Estimator)
@pytest.mark.parametrize("kind", HOSTILE)
def test_every_estimator_falls_back_where_nothing_fits(kind: str, estimator: Estimator) -> None:
    how = method(estimator=estimator)
    for bits, is_signed in ((3, False), (8, True)):
        fmt, _ = choose_format("m", calibrated(hostile(kind)), bits, is_signed, how, ())
        assert fmt.bits == bits


@pytest.mark.parametrize(
    ("values", "step"),
    [
        ([1e30], "2**92"),
        ([3e38, 1.0], "2**120"),
        ([1e-41, -3e-41], "2**-144"),
    ],
)
def test_values_that_no_format_holds_are_one_clear_error(values: list[float], step: str) -> None:
    with pytest.raises(InputError) as error:
        choose_format("m", calibrated(np.array(values)), 8, False, method("min_max"), ())
    assert str(error.value) == (
        f"feature map 'm': its values need a step of {step}; formats reach from 2**-64 to 2**64"
    )


def test_where_only_one_of_both_powers_of_two_is_a_format_it_is_taken() -> None:
    known = calibrated(np.array([2.0**-56.5]))
    fmt, _ = choose_format("m", known, 8, False, method("min_max"), ())
    assert fmt.frac_bits == 64


@pytest.mark.parametrize(
    ("values", "is_signed", "frac_bits"),
    [([], False, 8), ([], True, 7), ([-2.0], False, 8), ([0.0, -0.0], True, 7)],
)
def test_a_map_that_shows_a_grid_nothing_but_zeros_has_all_bits_behind_the_point(
    values: list[float], is_signed: bool, frac_bits: int
) -> None:
    fmt, choice = choose_format("m", calibrated(np.array(values)), 8, is_signed, method(), ())
    assert fmt.frac_bits == frac_bits
    assert choice == MapChoice(shapes=(), step=None, predicted_sqnr_dB=None)


def test_a_constant_is_held_as_well_as_any_format_can() -> None:
    for value in (3.0, 3.3, 1e-3):
        known = calibrated(np.full(1000, value))
        fmt, _ = choose_format("m", known, 8, False, method(), ())
        errors = {
            n: known.errors.of(QFormat(bits=8, frac_bits=n, signed=False)).total
            for n in range(-8, 30)
        }
        assert errors[fmt.frac_bits] == min(errors.values())


def test_the_two_powers_of_two_around_a_step_are_compared_on_the_samples() -> None:
    known = calibrated(np.array([0.26] * 100 + [0.99]))
    unsigned = {"bits": 2, "is_signed": False, "operands": ()}
    for step in (0.3, 0.45):  # between 1/4 and 1/2: levels to 3/4, or to 3/2
        fmt, _ = choose_format(
            "m", known, method=fixed(step, StepRounding.SAMPLE_ERROR), **unsigned
        )
        assert fmt.frac_bits == 2


def test_of_equal_errors_the_coarser_format_is_taken() -> None:
    known = calibrated(np.array([1.0, 2.0, 3.0]))
    fmt, _ = choose_format("m", known, 8, False, fixed(0.03, StepRounding.SAMPLE_ERROR), ())
    assert fmt.frac_bits == 5


@pytest.mark.parametrize(
    ("rounding", "step", "frac_bits"),
    [
        (StepRounding.NEAREST, 2**-4.49, 4),
        (StepRounding.NEAREST, 2**-4.51, 5),
        (StepRounding.COARSER, 2**-4.99, 4),
        (StepRounding.COARSER, 2**-4.01, 4),
        (StepRounding.COARSER, 2**-4, 4),
        (StepRounding.NEAREST, 2**-4, 4),
        (StepRounding.SAMPLE_ERROR, 2**-4, 4),
    ],
)
def test_other_roundings_do_not_look_at_the_samples(
    rounding: StepRounding, step: float, frac_bits: int
) -> None:
    fmt, choice = choose_format("m", calibrated(normal()), 8, True, fixed(step, rounding), ())
    assert fmt.frac_bits == frac_bits
    assert choice.step == step


def test_the_model_chooses_without_the_samples() -> None:
    """Other samples behind the same statistics: the model does not see them."""
    known = calibrated(normal())
    other = CalibratedMap(statistics=known.statistics, errors=calibrated(1e-3 * normal()).errors)
    for bits in (4, 8):
        one, two = (
            choose_format("m", maps, bits, True, method("ggd", rounding), ())[0]
            for maps, rounding in (
                (known, StepRounding.MODEL_ERROR),
                (other, StepRounding.MODEL_ERROR),
            )
        )
        assert one == two


def test_a_rule_without_an_answer_clips_nothing() -> None:
    known = calibrated(normal())
    fmt, choice = choose_format("m", known, 8, True, fixed(None, StepRounding.SAMPLE_ERROR), ())
    assert choice.step == min_max_step(known.statistics, 8, Grid.TWOS_COMPLEMENT)
    assert fmt.frac_bits in (4, 5)


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("ggd")])
def test_no_ggd_step_is_coarser_than_the_one_that_clips_nothing(name: str) -> None:
    rule = find_step_rule(name, Estimator.MOMENTS).rule
    for values in (normal(60), normal(4000), np.abs(normal(500))):
        statistics = calibrated(values).statistics
        for bits in (4, 8, 12, 16):
            for grid in Grid:
                step = rule(statistics, bits, grid).step
                covering = min_max_step(statistics, bits, grid)
                assert covering is not None
                assert step is None or 0 < step <= covering
    # So many levels that clipping gains nothing: the clamp itself.
    step = rule(calibrated(np.abs(normal(60))).statistics, 16, Grid.UNSIGNED).step
    assert step == pytest.approx(np.float32(np.abs(normal(60)).max()) / 65535, rel=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_zeros_change_no_step_but_where_a_source_counts_them(name: str) -> None:
    """A grid with a level at zero has no error there."""
    counts_zeros = name.startswith(("percentile", "aciq"))
    rule = find_step_rule(name, Estimator.MOMENTS).rule
    alone = rule(calibrated(np.abs(normal())).statistics, 6, Grid.UNSIGNED).step
    among = rule(
        calibrated(np.append(np.abs(normal()), np.zeros(9000))).statistics, 6, Grid.UNSIGNED
    ).step
    assert (among != alone) == counts_zeros


@pytest.mark.parametrize("name", NAMES)
def test_twice_the_samples_take_twice_the_step(name: str) -> None:
    for bits, is_signed in ((4, True), (8, False)):
        values = normal() if is_signed else np.abs(normal())
        one, two = (
            choose_format("m", calibrated(scale * values), bits, is_signed, method(name), ())
            for scale in (1.0, 2.0)
        )
        assert two[0].frac_bits == one[0].frac_bits - 1
        assert one[1].step is not None
        assert two[1].step == pytest.approx(2 * one[1].step, rel=1e-6)


@pytest.mark.parametrize("bits", [8, 11, 12, 16])
def test_headroom_is_one_bit_from_twelve_bits_on(bits: int) -> None:
    known = calibrated(normal())
    without, _ = choose_format("m", known, bits, True, method(), ())
    with_it, _ = choose_format("m", known, bits, True, method(headroom_bits=1), ())
    assert without.frac_bits - with_it.frac_bits == (bits >= 12)


def test_headroom_of_two_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="headroom_bits must be 0 or 1, got 2"):
        method(headroom_bits=2)


def test_headroom_that_no_format_has_is_an_error() -> None:
    known = calibrated(np.array([2.0**76]))
    with pytest.raises(InputError) as error:
        choose_format("m", known, 12, False, method("max_range", headroom_bits=1), ())
    assert str(error.value) == (
        "feature map 'm': its values need a step of 2**65; formats reach from 2**-64 to 2**64"
    )


def test_a_choice_says_what_was_fitted_and_expected() -> None:
    values = np.random.default_rng(0).normal(size=200_000)
    known = calibrated(values)
    fmt, choice = choose_format("m", known, 8, True, method(), ())
    # Half-normal on both sides: (k, p) = (1/2, 2).
    assert len(choice.shapes) == 2
    for k, p in choice.shapes:
        assert (k, p) == pytest.approx((0.5, 2.0), rel=0.1)
    measured = 10 * math.log10(float(np.sum(values**2)) / known.errors.of(fmt).total)
    # Both are of the same 200,000 samples; what is left is the fit.
    assert choice.predicted_sqnr_dB == pytest.approx(measured, abs=0.1)
    _, rival = choose_format("m", known, 8, True, method("octav"), ())
    assert (rival.shapes, rival.predicted_sqnr_dB) == ((), None)


def test_each_rival_goes_to_a_power_of_two_as_its_source_does() -> None:
    own = {rule.name: rule.own_rounding for rule in step_rules(Estimator.MOMENTS)}
    samples, nearest, coarser = (
        StepRounding.SAMPLE_ERROR,
        StepRounding.NEAREST,
        StepRounding.COARSER,
    )
    assert own == {
        **dict.fromkeys(NAMES[:5], samples), "max_range": nearest, "min_max": coarser,
        "percentile_99_9": nearest, "percentile_99_99": nearest, "lin_gaussian": coarser,
        "lin_laplacian": coarser, "lin_gamma": coarser, "aciq_laplace": nearest,
        "aciq_gauss": nearest, "tensorrt_kl": nearest, "octav": nearest, "mse": samples,
    }  # fmt: skip


def test_which_methods_an_estimator_serves() -> None:
    rules: list[NamedRule] = list(step_rules(Estimator.LOG_CUMULANTS))
    assert [rule.name for rule in rules if rule.fits_distribution] == NAMES[:5]


@pytest.mark.parametrize("rounding", Rounding)
def test_the_error_of_dropping_bits_is_that_of_the_integers(rounding: Rounding) -> None:
    """Against all integers of a range, dropped by shifting and comparing."""
    for places in (1, 2, 3, 5):
        raw = np.arange(2 ** (places + 4))
        kept = QFormat(bits=32, frac_bits=-places).encode(raw, rounding) * 2.0**places
        dropped = float(np.mean((kept - raw) ** 2)) / 4.0**places
        continuous = 1 / 12 if rounding.name.startswith("TIES") else 1 / 3
        assert grid_error_ratio(places, rounding) == pytest.approx(dropped / continuous, rel=1e-12)
    assert grid_error_ratio(0, rounding) == grid_error_ratio(-3, rounding) == 0.0
    assert grid_error_ratio(9, rounding) == 1.0
