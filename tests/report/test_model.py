"""Are totals the sums of the layers, by formulas worked out by hand?"""

from dataclasses import fields

import pytest

from accel_sim.energy.dram import DramEnergy
from accel_sim.energy.layer_energy import COMPONENTS
from accel_sim.mapping.tile import LayerMapping, Tile
from accel_sim.mapping.traffic import BufferAccesses, DramBytes
from accel_sim.report import document
from accel_sim.timing.layer_cycles import LayerCycles
from tests.report.sample import with_values, without_values

# 2,510 and 490 cycles at 500 MHz; 32,000 MACs on 4 x 8 elements; a batch of 2.
CYCLES = 3_000
LATENCY_US = 6.0
CONV_PJ = 8_000 + 1_000 + 3_000 + 4_000 + 16_000 + 2_000 + 500 + 2_000 + 10
ENERGY_PJ = CONV_PJ + 500 + 100 + 400 + 100 + 1


def test_latency_is_cycles_over_clock():
    report = with_values()
    assert report.cycles == CYCLES
    assert report.latency_us == LATENCY_US
    assert report.frames_per_second == pytest.approx(2 / 6e-6, rel=1e-12)


def test_utilization_counts_macs_per_cycle_and_element():
    report = with_values()
    assert report.macs == 32_000
    assert report.utilization_fraction == 32_000 / (CYCLES * 32)
    assert report.effective_TOPS == pytest.approx(2 * 32_000 / 6e-6 / 1e12, rel=1e-12)


def test_traffic_is_bytes_over_time():
    report = with_values()
    assert (report.dram_read_bytes, report.dram_write_bytes) == (4_000, 20)
    assert report.dram_average_GBps == pytest.approx(4_020 / 6e-6 / 1e9, rel=1e-12)
    # The convolution alone takes 2,510 cycles, 1,300 of which wait for DRAM.
    assert report.dram_peak_GBps == pytest.approx(4_020 / (2_510 / 500e6) / 1e9, rel=1e-12)
    assert report.stall_free_GBps == pytest.approx(4_020 / (1_210 / 500e6) / 1e9, rel=1e-12)


def test_energy_is_the_sum_of_components_and_its_band_the_sum_of_ends():
    report = with_values()
    assert report.energy.value_pJ == pytest.approx(ENERGY_PJ, rel=1e-12)
    assert report.energy.low_pJ == pytest.approx(ENERGY_PJ / 2, rel=1e-12)
    assert report.energy.high_pJ == pytest.approx(ENERGY_PJ * 2, rel=1e-12)
    dram_pJ = 16_000 + 2_000 + 100
    assert report.chip_energy.value_pJ == pytest.approx(ENERGY_PJ - dram_pJ, rel=1e-12)
    assert report.energy_by_component.buffers.value_pJ == 4_500
    assert report.energy_by_component.total.value_pJ == pytest.approx(ENERGY_PJ, rel=1e-12)


def test_power_and_efficiency_follow_from_energy_and_time():
    report = with_values()
    assert report.average_power_mW == pytest.approx(ENERGY_PJ * 1e-12 / 6e-6 * 1e3, rel=1e-12)
    assert report.TOPS_per_W == pytest.approx(2 * 32_000 / ENERGY_PJ, rel=1e-12)
    assert report.energy_delay_pJs == pytest.approx(ENERGY_PJ * 6e-6, rel=1e-12)


def test_the_document_states_the_totals_of_the_model():
    report = with_values()
    totals = report.to_document().totals
    assert totals.cycles == CYCLES
    assert totals.latency_us_per_image == LATENCY_US / 2
    assert totals.energy_uJ == pytest.approx(ENERGY_PJ / 1e6, rel=1e-12)
    assert totals.energy_uJ_band == (totals.energy_uJ_low, totals.energy_uJ_high)
    assert totals.energy_uJ_by_component.dram_dynamic_high == pytest.approx(0.032, rel=1e-12)
    assert totals.chip_energy_uJ_low == pytest.approx(report.chip_energy.low_pJ / 1e6, rel=1e-12)
    assert (totals.images, totals.batch, totals.datapath) == (8, 2, "fixed")
    assert (totals.sqnr_dB, totals.top1_accuracy_fraction) == (30.25, 0.5)


def test_layers_sum_to_the_totals_of_the_document():
    file = with_values().to_json_dict()
    assert sum(layer["cycles"]["total"] for layer in file["layers"]) == file["totals"]["cycles"]
    for layer in file["layers"]:
        causes = dict(layer["cycles"])
        assert causes.pop("total") == sum(causes.values())
    for component, total in file["totals"]["energy_uJ_by_component"].items():
        layers = sum(layer["energy_pJ"][component] for layer in file["layers"])
        assert total == pytest.approx(layers / 1e6, rel=1e-12)


def test_without_values_only_what_needs_images_is_null():
    file = without_values().to_json_dict()
    nulls = {key for key, value in file["totals"].items() if value is None}
    assert nulls == {
        "sqnr_dB",
        "exact",
        "top1_agreement_fraction",
        "top1_accuracy_fraction",
        "float_top1_accuracy_fraction",
        "top1_tie_fraction",
    }
    assert file["images"] is None
    nulls = {key for key, value in file["layers"][0].items() if value is None}
    assert nulls == {
        "weight_frac_bits",
        "ifm_frac_bits",
        "ofm_frac_bits",
        "sqnr_dB",
        "local_sqnr_dB",
        "exact",
        "accumulator_overflows",
        "accumulator_bits_needed",
        "accumulator_channels",
        "accumulator_proven_channels",
        "output_saturations",
        "uncompressed_dram_bytes",
        "zero_ifm_fraction",
        "zero_weight_fraction",
    }


@pytest.mark.parametrize(
    ("section", "record", "extra"),
    [
        (document.Cycles, LayerCycles, {"total"}),
        (document.DramBytes, DramBytes, set()),
        (document.BufferAccesses, BufferAccesses, set()),
        (document.Tile, Tile, set()),
        (document.Mapping, LayerMapping, set()),
    ],
)
def test_the_file_leaves_out_no_field_of_the_records(section, record, extra):
    assert set(section.model_fields) == {field.name for field in fields(record)} | extra


def test_every_energy_has_its_band_beside_it():
    causes = [field.name for field in fields(DramEnergy)]
    for section, names in (
        (document.EnergyByComponent, COMPONENTS),
        (document.DramEnergy, causes),
        (document.AreaByComponent, ("array", "register_files", "buffers")),
    ):
        expected = [name + end for name in names for end in ("", "_low", "_high")]
        assert list(section.model_fields) == expected


def test_a_notebook_shows_the_layers_and_escapes_their_names():
    report = with_values()
    html = report._repr_html_()
    assert "model/first/conv2d/Conv2D" in html
    assert html.count("<tr>") == 4
    hostile = report.to_document().model_copy(deep=True)
    from accel_sim.report.as_notebook import to_html

    layer = hostile.layers[0].model_copy(update={"name": "<script>"})
    html = to_html(hostile.model_copy(update={"layers": (layer,)}))
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
