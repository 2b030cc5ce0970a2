"""Are the rules found by the names that users give?"""

import pytest

from quantizer.errors import InputError
from quantizer.estimators import Estimator
from quantizer.step_rules import find_step_rule, step_rules

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
    known = ", ".join(rule.name for rule in step_rules(Estimator.MOMENTS))
    assert str(error.value) == (
        f"--method: unknown method 'ggd:lamber'; expected one of {known}; "
        "did you mean 'ggd:lambert'?"
    )
