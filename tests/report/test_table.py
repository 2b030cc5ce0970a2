"""Is the table readable at 100 columns, whatever the numbers?"""

from dataclasses import replace

import pytest
from rich.console import Console

from accel_sim.energy.layer_energy import COMPONENTS
from accel_sim.hardware.choices import Along
from accel_sim.hardware.precision import MultiplierMode
from accel_sim.report.as_table import to_renderables, why
from accel_sim.report.layer_table import layer_table
from accel_sim.report.quantities import (
    format_count,
    format_energy,
    format_figures,
    format_percent,
    format_power,
    format_sqnr,
    format_storage,
    format_time,
    shorten_name,
)
from accel_sim.timing.layer_cycles import Bound
from quantizer.fixedpoint.qformat import Overflow
from tests.report.sample import energies, with_values, without_values


def render(report) -> str:
    console = Console(width=100, highlight=False, emoji=False)
    with console.capture() as capture:
        for part in to_renderables(report.to_document()):
            console.print(part)
    return capture.get()


def row(text: str, start: str) -> list[str]:
    """Cells of the line that starts so."""
    return next(line for line in text.splitlines() if line.startswith(start)).split()


def test_the_header_names_network_machine_node_clock_and_bits():
    first, second, third, fourth, *_ = render(with_values()).splitlines()
    assert first == (
        "sample  16,000 MACs, 240 parameters; 6-bit weights, 8-bit activations, 8-bit input, ggd"
    )
    assert second == (
        "hand_made  4 x 8 output_stationary, 32 nm, 500 MHz; "
        "built for 8-bit weights, 8-bit activations"
    )
    assert third == "8 images of x.npz: (x - 125,123,114) * 0.00390625, nhwc"
    assert fourth == "A note."


def test_a_layer_is_one_line():
    text = render(with_values())
    assert row(text, "…") == [
        "…rst/conv2d/Conv2D", "Conv", "32,000", "6/8/8", "2,510", "40", "%", "dram_ifm",
        "3.926", "36.51", "30.2",
    ]  # fmt: skip
    assert row(text, "pool") == ["pool", "MaxPool", "8/8", "490", "compute", "1.101", "30.2"]
    assert row(text, "flatten") == ["flatten", "Reshape", "8/8", "30.2"]


def test_the_totals_say_how_many_maps_stay_on_chip():
    report = with_values()
    assert "on chip" not in render(report)
    conv, *others = report.layers
    conv = replace(conv, performance=replace(conv.performance, resident=("ifm", "ofm")))
    one = replace(report, layers=(conv, *others))
    assert "in the busiest layer; 1 feature map stays on chip" in " ".join(render(one).split())
    two = replace(report, layers=(conv, conv, *others))
    assert "; 2 feature maps stay on chip" in " ".join(render(two).split())


def test_the_totals_name_their_units():
    text = " ".join(render(with_values()).split())
    for words in (
        "latency per batch of 2 6.000 us, 333,300 frames/s; array used 33.3 %, 0.01067 TOPS",
        "3.906 KiB read, 0.01953 KiB written; 0.6700 GB/s on average, 0.8008 in the busiest layer",
        "37.61 nJ (18.81 to 75.22 by the spread of sources): dram dynamic 43 %, mac 21 %",
        "6.269 mW with DRAM, 3.252 mW chip alone; 1.702 TOPS/W",
        "30.2 dB against float, at the output; 3 accumulator overflows of 32 bits (with 34 "
        "there can be none), 36 outputs saturated",
        "50.0 % quantized, 62.5 % float; agree on 75.0 %",
    ):
        assert words in text


def test_clamped_additions_are_called_that_and_proofs_are_told():
    report = with_values()
    precision = report.hardware.precision.model_copy(update={"accumulator_overflow": Overflow.SAT})
    machine = report.hardware.model_copy(update={"precision": precision})
    text = " ".join(render(replace(report, hardware=machine)).split())
    assert (
        "at the output; 3 clamped additions of 32 bits (with 34 there can be none), 36 of 48 "
        "channels proven to have none, 36 outputs saturated"
    ) in text


def test_without_values_nothing_is_said_of_them():
    text = render(without_values())
    assert "SQNR  " not in text
    assert "top-1" not in text
    assert row(text, "pool")[-1] == "-"


def test_without_labels_only_agreement_is_said():
    report = with_values()
    values = replace(report.values, top1_accuracy_fraction=None, float_top1_accuracy_fraction=None)
    text = render(replace(report, values=values))
    assert "quantized and float agree on 75.0 % of the images (no labels)" in text


def test_a_mode_stands_beside_the_bits():
    report = with_values()
    first, *others = report.layers
    mode = MultiplierMode(weight_bits=4, activation_bits=4, macs_per_pe=4, along=Along.FILTERS)
    cost = first.performance
    narrow = replace(cost, mapping=replace(cost.mapping, mode=mode))
    plain, several = (
        render(replace(report, layers=(replace(first, performance=one), *others)))
        for one in (cost, narrow)
    )
    at = row(plain, "…").index("6/8/8") + 1
    assert row(several, "…") == [*row(plain, "…")[:at], "x4", *row(plain, "…")[at:]]
    assert max(map(len, several.splitlines())) <= 100


def test_the_largest_numbers_fit_100_columns_and_lose_nothing():
    report = with_values()
    first, *others = report.layers
    cost = first.performance
    huge = replace(
        cost,
        op="AveragePool",
        macs=9_999_999 * 32,
        weight_bits=16,
        ifm_bits=16,
        ofm_bits=16,
        cycles=replace(cost.cycles, compute=0, stall_dram_weights=9_999_999),
        utilization_fraction=1.0,
        dram_bytes=replace(cost.dram_bytes, weights_read=123_456_789_000),
        energy=energies(*[123_456.0] * len(COMPONENTS)),
    )
    text = render(replace(report, layers=(replace(first, performance=huge), *others)))
    assert max(map(len, text.splitlines())) <= 100
    assert row(text, "…") == [
        "…rst/conv2d/Conv2D", "AveragePool", "320.0", "M", "16/16/16", "10.00", "M", "100", "%",
        "dram_weights", "120,600,000", "1,111", "30.2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("bound", "words"),
    [
        (Bound.COMPUTE, "Bound by arithmetic, 23 % of all cycles; "),
        (Bound.FILL_DRAIN, "Bound by filling and draining the array, 23 % of all cycles; "),
        (Bound.OVERHEAD, "Bound by per-tile overhead and post-processing, 23 % of all cycles; "),
        (Bound.PORT_OFM, "Bound by waiting for the buffer port (ofm), 23 % of all cycles; "),
        (Bound.DRAM_IFM, "Bound by waiting for DRAM (ifm), 23 % of all cycles; "),
    ],
)
def test_the_last_line_says_why_and_what_twice_of_it_brings(bound, words):
    report = with_values()
    doubling = replace(report.doubling, bound_by=bound)
    document = replace(report, doubling=doubling).to_document()
    assert why(document, document.doubling) == (
        words + "dram.bandwidth_GBps=20 (twice) would bring 20.0 % less time."
    )


def test_a_doubling_without_effect_says_so():
    report = with_values()
    document = replace(report, doubling=replace(report.doubling, cycles=3_000)).to_document()
    assert why(document, document.doubling).endswith("=20 (twice) would bring nothing.")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (format_figures(0), "0"),
        (format_figures(0.000123449), "0.0001234"),
        (format_figures(0.99996), "1.000"),
        (format_figures(9.9996), "10.00"),
        (format_figures(12.344), "12.34"),
        (format_figures(123_449), "123,400"),
        (format_count(9_999_999), "9,999,999"),
        (format_count(10_000_000), "10.00 M"),
        (format_percent(None), "-"),
        (format_percent(0.1234), "12.3 %"),
        (format_sqnr(26.04, False), "26.0"),
        (format_sqnr(None, True), "exact"),
        (format_sqnr(None, None), "-"),
        (format_energy(2.5e6), "2.500 J"),
        (format_energy(2_500), "2.500 mJ"),
        (format_energy(0.0025), "2.500 nJ"),
        (format_energy(0.0000025), "2.500 pJ"),
        (format_time(2e6), "2.000 s"),
        (format_time(2_000), "2.000 ms"),
        (format_time(0.002), "2.000 ns"),
        (format_power(2_000), "2.000 W"),
        (format_power(0.5), "0.5000 mW"),
        (format_storage(512), "0.5000 KiB"),
        (format_storage(3 << 20), "3.000 MiB"),
        (shorten_name("conv1", 5), "conv1"),
        (shorten_name("a/conv1", 5), "…onv1"),
    ],
)
def test_numbers_have_four_figures_and_a_fitting_unit(written, expected):
    assert written == expected


def test_names_give_way_to_numbers_in_a_narrow_terminal():
    document = with_values().to_document()
    wide, narrow = (render_lines(layer_table(document, columns), columns) for columns in (100, 72))
    assert max(map(len, narrow)) <= 72 < max(map(len, wide))
    for before, after in zip(wide[2:], narrow[2:], strict=True):
        # All but the names of layer and operator.
        assert after.split()[2:] == before.split()[2:]
        assert len(after.split()) == len(before.split())
    # Too narrow for all numbers: names keep a few letters.
    least = render_lines(layer_table(document, 40), 100)
    assert all(line.split()[2:] == row.split()[2:] for line, row in zip(least, wide, strict=True))


def render_lines(table, columns):
    console = Console(width=columns, highlight=False, emoji=False)
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]
