"""Are the rules found by the names that users give?"""

import pytest

from quantizer.errors import InputError
from quantizer.estimators import Estimator
from quantizer.step_rules import StepRounding, find_step_rule, step_rules

NAMES = [
    "ggd", "ggd:leading", "ggd:loglog", "ggd:lambert", "ggd:hui_neuhoff", "max_range", "min_max",
    "percentile_99_9", "percentile_99_99", "lin_gaussian", "lin_laplacian", "lin_gamma",
    "aciq_laplace", "aciq_gauss", "tensorrt_kl", "octav", "mse",
]  # fmt: skip


@pytest.mark.parametrize("estimator", Estimator)
def test_all_rules_have_a_name_and_a_summary_and_the_default_comes_first(estimator):
    rules = step_rules(estimator)
    assert sorted(rule.name for rule in rules) == sorted(NAMES)
    assert rules[0].name == "ggd"
    assert all(rule.summary for rule in rules)
    for name in NAMES:
        assert find_step_rule(name, estimator).name == name


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(InputError) as error:
        find_step_rule("ggd:lamber", Estimator.MOMENTS)
    assert str(error.value) == (
        "--method: unknown method 'ggd:lamber'; did you mean 'ggd:lambert'?"
    )


def test_a_name_like_none_is_refused_with_where_they_are_listed():
    with pytest.raises(InputError) as error:
        find_step_rule("x", Estimator.MOMENTS)
    assert str(error.value) == (
        "--method: unknown method 'x'; give a name of: accel-sim list methods"
    )


def test_each_source_has_its_own_way_to_a_power_of_two():
    own = {entry.name: entry.own_rounding for entry in step_rules(Estimator.MOMENTS)}
    coarser = {name for name, rounding in own.items() if rounding is StepRounding.COARSER}
    assert coarser == {"min_max", "lin_gaussian", "lin_laplacian", "lin_gamma"}
    by_samples = {name for name, rounding in own.items() if rounding is StepRounding.SAMPLE_ERROR}
    assert by_samples == {"mse"} | {name for name in NAMES if name.startswith("ggd")}
