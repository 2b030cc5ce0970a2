"""Does a comparison fail where it should, and is a wrong condition told?"""

import pytest

from accel_sim.report.gate import check_condition, parse_condition
from quantizer.errors import InputError
from tests.report.sample import with_values, without_values


def other(**totals):
    report = with_values().to_document()
    return report.model_copy(update={"totals": report.totals.model_copy(update=totals)})


def failures(text, *reports):
    first = with_values().to_document()
    return list(
        check_condition(parse_condition(text), "abc"[: len(reports) + 1], [first, *reports])
    )


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        # 6 us against 6.3: 5 % more.
        ("latency_us>+4%", True), ("latency_us>+5.1%", False), ("latency_us>+0.2", True),
        ("latency_us>+0.4", False), ("latency_us>6.2", True), ("latency_us>6.4", False),
        ("latency_us<-1%", False), ("latency_us >= 6.3", True), ("latency_us<=6.3", True),
        ("latency_us<6.3", False), ("latency_us>=+0.25", True),
    ],
)  # fmt: skip
def test_a_condition_is_of_the_value_or_of_its_change(text, holds):
    assert bool(failures(text, other(latency_us=6.3))) is holds


def test_a_failure_names_report_value_and_condition():
    assert failures("latency_us>+4%", other(latency_us=6.3)) == [
        "b: latency_us +5 % against a; fails latency_us>+4%"
    ]
    assert failures("sqnr_dB<-0.5", other(sqnr_dB=29.0)) == [
        "b: sqnr_dB -1.25 against a; fails sqnr_dB<-0.5"
    ]
    assert failures("cycles>1e3", other()) == ["b: cycles 3000; fails cycles>1e3"]


def test_every_other_report_is_checked_and_the_first_is_not():
    found = failures("latency_us>5", other(latency_us=4.0), other(latency_us=7.0))
    assert found == ["c: latency_us 7; fails latency_us>5"]


def test_numbers_of_components_have_dotted_keys():
    text = "energy_uJ_by_component.mac>+1%"
    assert failures(text, with_values().to_document()) == []


NO_CONDITION = "is no condition; write KEY, a relation and a limit, as in 'energy_uJ>+2%'"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("latency_us", NO_CONDITION), ("latency_us>", NO_CONDITION),
        ("latency_us=>3", NO_CONDITION),
        ("latency_us>2%", "a share is one of the change; write +2%"),
    ],
)  # fmt: skip
def test_what_is_no_condition_is_refused(text, problem):
    with pytest.raises(InputError) as caught:
        parse_condition(text)
    assert str(caught.value) == f"--fail-if {text}: {problem}"


def test_a_number_that_a_report_lacks_is_refused():
    with pytest.raises(InputError) as caught:
        failures("latency_u>+1%", other())
    assert str(caught.value) == (
        "--fail-if latency_u>+1%: a has no number 'latency_u' among its totals; did you mean "
        "'latency_us'?"
    )
    with pytest.raises(InputError, match=r"b has no number 'sqnr_dB' among its totals"):
        failures("sqnr_dB<-1", without_values().to_document())


def test_there_is_no_share_of_nothing():
    first = other(utilization_fraction=0.0)
    condition = parse_condition("utilization_fraction<-1%")
    with pytest.raises(InputError) as caught:
        list(check_condition(condition, ["a", "b"], [first, other()]))
    assert str(caught.value) == (
        "--fail-if utilization_fraction<-1%: utilization_fraction of a is 0, of which there is no "
        "share"
    )
