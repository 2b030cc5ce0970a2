"""Is a point on the front exactly if no other beats it?"""

import random

import pytest

from accel_sim.report.pareto import pareto_front, parse_objectives
from quantizer.errors import InputError

COLUMNS = ["network", "energy_uJ", "sqnr_dB", "area_mm2", "clock_MHz", "exact", "dram_energy_uJ.io"]


def front(records, text):
    return pareto_front(records, parse_objectives("--pareto", text, COLUMNS))


def make(**values):
    return {"network": "n", **values}


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(
    ("text", "signs"),
    [
        ("energy_uJ,sqnr_dB", (1, -1)),
        ("energy_uJ,sqnr_dB,area_mm2", (1, -1, 1)),
        ("+clock_MHz,-sqnr_dB", (-1, 1)),
        ("area_mm2", (1,)),
    ],
)
def test_the_front_is_what_a_search_of_all_pairs_finds(seed, text, signs):
    chance = random.Random(seed)
    records = [
        {
            "network": chance.choice("ab"),
            **{name: chance.choice([None, *range(6)]) for name in COLUMNS[1:5]},
            "index": index,
        }
        for index in range(60)
    ]
    columns = text.replace("+", "").replace("-", "").split(",")

    def costs(record):
        return [sign * record[name] for sign, name in zip(signs, columns, strict=True)]

    known = [r for r in records if None not in [r[name] for name in columns]]
    unbeaten = {
        mine["index"]
        for mine in known
        if not any(
            other["network"] == mine["network"]
            and costs(other) != costs(mine)
            and all(o <= m for o, m in zip(costs(other), costs(mine), strict=True))
            for other in known
        )
    }
    found = front(records, text)
    assert {record["index"] for record in found} == unbeaten
    for network in "ab":
        first = [costs(record)[0] for record in found if record["network"] == network]
        assert first == sorted(first)


def test_equals_stay_and_an_exact_network_has_no_noise():
    points = [
        make(energy_uJ=2.0, sqnr_dB=40.0, exact=False),
        make(energy_uJ=2.0, sqnr_dB=40.0, exact=False),
        make(energy_uJ=2.0, sqnr_dB=None, exact=None),
        make(energy_uJ=3.0, sqnr_dB=None, exact=True),
        make(energy_uJ=4.0, sqnr_dB=90.0, exact=False),
    ]
    assert front(points, "sqnr_dB,energy_uJ") == [points[3], points[0], points[1]]


def test_thousands_of_points_take_no_time():
    points = [make(energy_uJ=float(n), sqnr_dB=float((n * 7919) % 20011)) for n in range(20000)]
    found = front(points, "energy_uJ,sqnr_dB")
    assert found[0] is points[0]
    assert len(found) < 2000


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("energy_uj,sqnr_dB", "--pareto: no column 'energy_uj'; did you mean 'energy_uJ'?"),
        ("zzz", "--pareto: no column 'zzz'; such as energy_uJ, sqnr_dB or mac_array.rows"),
        ("", "--pareto: no column ''; such as energy_uJ, sqnr_dB or mac_array.rows"),
        ("energy_uJ,-energy_uJ", "--pareto: 'energy_uJ' is given twice; leave one of them out"),
        (
            "clock_MHz",
            "--pareto: which end of 'clock_MHz' is better is not known; write -clock_MHz for the "
            "low one or +clock_MHz for the high one",
        ),
    ],
)
def test_a_front_over_what_is_no_column_is_refused(text, sentence):
    with pytest.raises(InputError) as caught:
        parse_objectives("--pareto", text, COLUMNS)
    assert str(caught.value) == sentence


def test_the_better_end_is_known_per_column():
    ends = {
        objective.column: objective.is_high_better
        for objective in parse_objectives(
            "--pareto", "energy_uJ, sqnr_dB,area_mm2,dram_energy_uJ.io,+clock_MHz", COLUMNS
        )
    }
    assert ends == {
        "energy_uJ": False,
        "sqnr_dB": True,
        "area_mm2": False,
        "dram_energy_uJ.io": False,
        "clock_MHz": True,
    }
