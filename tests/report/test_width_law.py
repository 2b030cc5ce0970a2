"""Are shares and prices of a bit those of the totals, worked out by hand?"""

from dataclasses import replace

import pytest

from accel_sim.report.facts import Datapath
from accel_sim.report.width_law import (
    WidthPoint,
    find_saved,
    price_bit,
    width_law_to_json,
    width_records,
)
from tests.report.sample import with_values, without_values


def scaled(document, *, energy=1.0, dram=1.0, **totals):
    """A report with all energies and all traffic times a number."""
    section = document.totals
    components = section.energy_uJ_by_component
    energies = {name: value * energy for name, value in components.model_dump().items()}
    changed = {
        "energy_uJ": section.energy_uJ * energy,
        "energy_uJ_by_component": components.model_copy(update=energies),
        "dram_read_bytes": int(section.dram_read_bytes * dram),
        "dram_write_bytes": int(section.dram_write_bytes * dram),
        **totals,
    }
    return document.model_copy(update={"totals": section.model_copy(update=changed)})


@pytest.fixture
def points():
    """Of 4, 6 and 8 bits."""
    report = with_values()
    fixed = report.to_document()
    rebuilt = replace(report, datapath=Datapath.REBUILT).to_document()
    shares = {4: (0.75, 0.5, 10.0, 0.5), 6: (0.875, 0.75, 20.0, 0.75), 8: (1.0, 1.0, 36.0, 1.0)}
    return tuple(
        WidthPoint(
            bits=bits,
            fixed=scaled(fixed, energy=on_fixed, dram=dram, sqnr_dB=sqnr_dB, area_mm2=2.0),
            rebuilt=scaled(
                rebuilt, energy=on_rebuilt, dram=dram, sqnr_dB=sqnr_dB, area_mm2=0.25 * bits
            ),
        )
        for bits, (on_fixed, on_rebuilt, sqnr_dB, dram) in shares.items()
    )


def test_shares_are_saved_against_the_widest_of_the_same_datapath(points):
    narrow = find_saved(points, points[0], Datapath.REBUILT)
    assert narrow.energy_fraction == pytest.approx(0.5)
    # All energies halve, whatever is wrong with their sources.
    assert narrow.energy_band == pytest.approx((0.5, 0.5))
    assert narrow.dram_fraction == pytest.approx(0.5, abs=1e-3)
    assert find_saved(points, points[0], Datapath.FIXED).energy_fraction == pytest.approx(0.25)
    widest = find_saved(points, points[-1], Datapath.FIXED)
    assert (widest.dram_fraction, widest.energy_fraction) == (0.0, 0.0)
    assert widest.energy_band == pytest.approx((0.0, 0.0))


def test_a_bit_costs_the_difference_of_the_ends_over_their_bits(points):
    price = price_bit(points)
    energy_uJ = points[-1].fixed.totals.energy_uJ
    assert (price.from_bits, price.to_bits) == (4, 8)
    assert price.sqnr_dB == pytest.approx((36 - 10) / 4)
    assert price.energy_uJ[Datapath.FIXED] == pytest.approx(energy_uJ / 16)
    assert price.energy_uJ[Datapath.REBUILT] == pytest.approx(energy_uJ / 8)
    assert price.area_mm2 == {Datapath.FIXED: 0.0, Datapath.REBUILT: 0.25}


def test_one_width_alone_has_no_price_of_a_bit(points):
    assert price_bit(points[:1]) is None
    assert width_law_to_json(points[:1])["per_bit"] is None


def test_without_values_a_bit_has_a_cost_and_brings_nothing():
    document = without_values().to_document()
    points = [WidthPoint(bits=bits, fixed=document, rebuilt=document) for bits in (4, 8)]
    assert price_bit(points).sqnr_dB is None
    assert width_records(points)[0]["fixed.sqnr_dB"] is None


def test_records_are_the_points_of_the_file_with_joined_keys(points):
    file = width_law_to_json(points)
    for record, section in zip(width_records(points), file["points"], strict=True):
        assert record.pop("bits") == section["bits"]
        assert record.pop("input_bits") == section["input_bits"]
        for key, value in record.items():
            side, _, name = key.partition(".")
            assert section[side][name] == value
        assert len(record) == len(section["fixed"]) + len(section["rebuilt"])
    assert file["points"][0]["rebuilt"]["energy_uJ"] == points[0].rebuilt.totals.energy_uJ
