"""Do conditions, orders and names of columns mean what they say?"""

import pytest

from accel_sim.report.point_selection import (
    known_columns,
    order_records,
    parse_columns,
    parse_condition,
    short_names,
    sort_records,
    varied_columns,
)
from quantizer.errors import InputError

RECORDS = [
    {"name": "a", "rows": 8, "sqnr_dB": 30.5, "exact": False, "modes": []},
    {"name": "b", "rows": 16, "sqnr_dB": None, "exact": True, "modes": [{"bits": 4}]},
    {"name": "c", "rows": 8, "sqnr_dB": -1.0, "exact": None, "more": 1},
]
COLUMNS = known_columns(RECORDS)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("rows=8", "ac"),
        ("rows = 8.0", "ac"),
        ("rows!=8", "b"),
        ("rows>8", "b"),
        ("rows>=8", "abc"),
        ("rows<16", "ac"),
        ("sqnr_dB<=30.5", "ac"),
        ("sqnr_dB=null", "b"),
        ("sqnr_dB!=null", "ac"),
        ("sqnr_dB!=30.5", "bc"),
        ("exact=true", "b"),
        ("exact=false", "a"),
        ("name=b", "b"),
        ("name!=b", "ac"),
        ("modes=[]", "a"),
        ("more=1", "c"),
        ("name=", ""),
    ],
)
def test_a_condition_keeps_what_it_holds_of(text, names):
    holds = parse_condition(text, COLUMNS)
    assert "".join(record["name"] for record in RECORDS if holds(record)) == names


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("rows", "is no condition; write it as in mac_array.rows=8"),
        ("=8", "is no condition; write it as in mac_array.rows=8"),
        ("row=8", "no column 'row'; did you mean 'rows'?"),
        ("rows=many", "rows is a number, 'many' is none; give one"),
        ("rows>many", "rows is a number, 'many' is none; give one"),
        ("name>a", "name is no number; compare it with = or !="),
        ("exact<1", "exact is no number; compare it with = or !="),
    ],
)
def test_what_is_no_condition_is_refused(text, problem):
    with pytest.raises(InputError) as caught:
        list(map(parse_condition(text, COLUMNS), RECORDS))
    assert str(caught.value) == f"--where {text}: {problem}"


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("rows", "acb"),
        ("-rows", "bac"),
        ("sqnr_dB", "cab"),
        ("-sqnr_dB", "acb"),
        ("-name", "cba"),
        ("modes", "abc"),
        ("more", "cab"),
    ],
)
def test_records_sort_by_any_column_with_nothing_last(key, names):
    assert "".join(record["name"] for record in sort_records(RECORDS, key, COLUMNS)) == names


def test_a_sort_by_no_column_suggests_the_nearest():
    with pytest.raises(InputError) as caught:
        sort_records(RECORDS, "-row", COLUMNS)
    assert str(caught.value) == "--sort: no column 'row'; did you mean 'rows'?"
    with pytest.raises(InputError) as caught:
        parse_columns("--columns", "name, rws", COLUMNS)
    assert str(caught.value) == "--columns: no column 'rws'; did you mean 'rows'?"
    assert parse_columns("--columns", "name, rows", COLUMNS) == ["name", "rows"]


def test_settings_vary_within_one_machine_and_network_only():
    def record(hardware, network, **settings):
        return {"hardware": hardware, "network": network, **settings}

    records = [
        record("m", "n", rows=8, cols=8, digest="x"),
        record("m", "n", rows=16, cols=8, digest="x"),
        record("m", "other", rows=8, cols=8, digest="y"),
        record("big", "n", rows=64, cols=64, digest="x"),
        record("m", "n", rows=8),
    ]
    assert varied_columns(records, ["rows", "cols", "digest"]) == ["rows"]


def test_short_names_tell_columns_apart():
    names = ["mac_array.rows", "buffers.ifm.capacity_KiB", "buffers.ofm.capacity_KiB", "rows"]
    assert short_names(names) == ["mac_array.rows", "ifm.capacity_KiB", "ofm.capacity_KiB", "rows"]
    assert short_names(["mac_array.rows", "clock_MHz"]) == ["rows", "clock_MHz"]


def test_several_columns_order_records_and_numbers_that_were_typed_count_as_such():
    records = [
        {"name": name, "rows": rows}
        for name, rows in (("b", 8), ("a", 16), ("a", "8"), ("b", None), ("a", "[]"), ("a", -2.5))
    ]
    ordered = order_records(records, ["name", "rows"])
    assert [(record["name"], record["rows"]) for record in ordered] == [
        ("a", -2.5), ("a", "8"), ("a", 16), ("a", "[]"), ("b", 8), ("b", None),
    ]  # fmt: skip
    assert order_records(records, []) == records
