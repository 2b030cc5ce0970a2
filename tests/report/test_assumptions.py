"""Does a page show the assumptions that its run rests on, and no others?"""

from pathlib import Path

import pytest

import accel_sim
from accel_sim.hardware.load import load_hardware
from accel_sim.report.page.assumptions import PHRASES, applied_assumptions
from accel_sim.simulation import simulate
from tests.digits import load_digits

MODEL = " ".join(Path(accel_sim.__file__).with_name("MODEL.md").read_text().split())


def assumptions(machine):
    report = simulate(load_hardware(machine), load_digits(1)[0]).to_document()
    return {fold.title.split(" (")[0]: fold.sentences for fold in applied_assumptions(report)}


@pytest.mark.parametrize("phrase", PHRASES)
def test_every_phrase_stands_in_the_model(phrase):
    assert phrase in MODEL


@pytest.mark.parametrize("machine", ["edge_16x16", "fusion_16x16", "tpu_256x256", "eyeriss_12x14"])
def test_every_sentence_is_one_of_the_model(machine):
    sentences = [each for section in assumptions(machine).values() for each in section]
    assert len(sentences) > 80
    assert [each for each in sentences if f"* {each}" not in MODEL] == []


def test_an_output_stationary_array_rests_on_nothing_of_others():
    sections = assumptions("edge_16x16")
    assert "Row stationary" not in sections
    assert "Compression" not in sections
    assert "Glossary" not in sections
    accumulation = sections["Accumulation"]
    assert any(each.startswith("Output stationary:") for each in accumulation)
    assert not any(each.startswith(("Channel parallel:", "Row")) for each in accumulation)
    assert not any("mode" in each for each in sections["Energy"] if "A MAC in" in each)
    assert any("Consecutive bursts" in each for each in sections["DRAM and overlap"])
    assert not any("`flat` moves" in each for each in sections["DRAM and overlap"])


def test_a_machine_with_more_to_it_rests_on_more():
    assert "Row stationary" in assumptions("eyeriss_12x14")
    assert "Residency" in assumptions("tpu_256x256")
    widths = assumptions("fusion_16x16")["Widths"]
    assert any(each.startswith("A layer takes the mode") for each in widths)
