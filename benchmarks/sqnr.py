"""Which rule for feature maps keeps most of the signal?

    .venv/bin/python benchmarks/sqnr.py REFERENCE_DATA --csv sqnr.csv --chart sqnr.svg

Networks x rules x widths, every rule with the same weights, biases, grid and calibration
samples, and twice: with its own way from a real-valued step to a power of two, and with the
one of less squared error on the samples. Judged on images that no rule has seen: SQNR per
feature map (of its own format alone), end to end by the exact integer run, and top-1.
Accumulators have 48 bits, so that none overflows. Cells in which a rival beats `ggd` are
listed at the end. Without REFERENCE_DATA only the built-in network is there.
"""

import argparse
import csv
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from trained_networks import Case, load_cases

from accel_sim.functional import ExactNetwork
from accel_sim.sqnr import Sqnr, compare
from quantizer.estimators import Estimator
from quantizer.network.float_run import FloatRunner
from quantizer.network.images import ImageSet
from quantizer.ordered_map import map_in_order
from quantizer.quantize import CalibratedMaps, calibrate, quantize
from quantizer.quantized import BitWidths, NumericRules, QuantizedNetwork
from quantizer.step_rules import StepRounding, step_rules

Array = NDArray[Any]

BITS = (3, 4, 5, 6, 8, 10, 12, 16)
RULES = NumericRules(accumulator_bits=48)
DEFAULT = "ggd"
CAVEAT = (
    "The step of least squared error for every map by itself is not the best end to end: layers "
    "weigh the noise of their inputs differently, and errors of one sign, as of small values "
    "that become zero, add up in sums. accel-sim simulate --tune judges formats by the output."
)
WIDE_WEIGHTS, SAME_WEIGHTS = "16", "same"
"""Weights of 16 bits, so that feature maps alone make the noise; or of the maps' width."""
ROUNDINGS: dict[str, StepRounding | None] = {"own": None, "samples": StepRounding.SAMPLE_ERROR}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One rule at one width on one network, on unseen images.

    Attributes
    ----------
    map_sqnr_dB_mean, map_sqnr_dB_worst
        Over the feature maps that have a format of their own and lose anything in it.
    sqnr_dB
        End to end; infinite if nothing is lost.
    top1_fraction
        Against the labels.
    """

    network: str
    weights: str
    bits: int
    rounding: str
    method: str
    map_sqnr_dB_mean: float
    map_sqnr_dB_worst: float
    sqnr_dB: float
    top1_fraction: float

    @property
    def contest(self) -> tuple[str, str, int, str]:
        """What all rules that compete with this one have in common."""
        return self.network, self.weights, self.bits, self.rounding


class Judge:
    """Runs quantized networks on unseen images; equal formats run once."""

    def __init__(self, case: Case) -> None:
        self._images = case.test
        self._output = case.network.output
        runner = FloatRunner(case.network)
        self._floats = self._on_all_images(
            lambda index: runner.run(self._images.real(index))[self._output]
        )
        self._known: dict[object, tuple[float, float]] = {}

    def end_to_end(self, network: QuantizedNetwork) -> tuple[float, float]:
        """SQNR in dB, and top-1 accuracy."""
        key = (network.bits.weights, *sorted((name, str(f)) for name, f in network.formats.items()))
        if key not in self._known:
            self._known[key] = self._run(network)
        return self._known[key]

    def _run(self, network: QuantizedNetwork) -> tuple[float, float]:
        exact, step = ExactNetwork(network), network.formats[self._output].step
        outputs = self._on_all_images(
            lambda index: exact.run(self._images.real(index)).tensors[self._output]
        )
        sqnr = Sqnr([compare(a, b, step) for a, b in zip(self._floats, outputs, strict=True)])
        best = [int(np.argmax(raw)) for raw in outputs]
        return math.inf if sqnr.dB is None else sqnr.dB, float(np.mean(best == self._images.labels))

    def _on_all_images(self, run: Callable[[int], Array]) -> list[Array]:
        return list(map_in_order(run, len(self._images)))


def judge_network(
    case: Case,
    methods: Sequence[str],
    widths: Sequence[int],
    advance: Callable[[], None],
) -> Iterator[Cell]:
    """Quantize by every rule; statistics are collected once per width, for all rules."""
    graph, judge = case.network, Judge(case)
    for weights in (WIDE_WEIGHTS, SAME_WEIGHTS):
        for bits in widths:
            width = BitWidths(weights=16 if weights == WIDE_WEIGHTS else bits, activations=bits)
            seen = calibrate(graph, case.calibration, width, RULES)
            unseen = calibrate(graph, case.test, width, RULES)
            for rounding, how in ROUNDINGS.items():
                for method in methods:
                    network = quantize(graph, seen, width, RULES, method=method, step_rounding=how)
                    per_map = map_sqnrs(network, unseen)
                    sqnr_dB, top1_fraction = judge.end_to_end(network)
                    yield Cell(
                        network=graph.name,
                        weights=weights,
                        bits=bits,
                        rounding=rounding,
                        method=method,
                        map_sqnr_dB_mean=statistics.fmean(per_map),
                        map_sqnr_dB_worst=min(per_map),
                        sqnr_dB=sqnr_dB,
                        top1_fraction=top1_fraction,
                    )
                    advance()


def map_sqnrs(network: QuantizedNetwork, unseen: CalibratedMaps) -> list[float]:
    """SQNR of every map by itself, in dB, from the sums over the unseen images."""
    found = []
    for name, maps in unseen.items():
        signal = maps.statistics.mean_square * maps.statistics.count
        noise = maps.errors.of(network.formats[name]).total
        if noise:
            found.append(10 * math.log10(signal / noise))
    return found


def mean_tables(cells: Sequence[Cell], widths: Sequence[int]) -> Iterator[Table]:
    """End to end, mean over networks: a row per rule, a column per width."""
    for weights in (WIDE_WEIGHTS, SAME_WEIGHTS):
        for rounding in ROUNDINGS:
            here = [cell for cell in cells if (cell.weights, cell.rounding) == (weights, rounding)]
            table = Table(
                box=box.SIMPLE_HEAD,
                title=f"End-to-end SQNR in dB, mean over networks; weights {weights}, "
                f"steps rounded by {rounding}",
            )
            table.add_column("method")
            for bits in widths:
                table.add_column(f"{bits} bits", justify="right")
            for method in dict.fromkeys(cell.method for cell in here):
                of_width = [
                    statistics.fmean(
                        cell.sqnr_dB for cell in here if (cell.method, cell.bits) == (method, bits)
                    )
                    for bits in widths
                ]
                table.add_row(method, *(f"{mean:.2f}" for mean in of_width))
            yield table


def losses(cells: Sequence[Cell]) -> Table:
    """Every cell in which some rule is better end to end than `ggd`, and the best of them."""
    table = Table(box=box.SIMPLE_HEAD, title=f"Where {DEFAULT} is not the best end to end")
    for name in ("network", "weights", "bits", "rounding", "best rule"):
        table.add_column(name)
    for name in ("its dB", f"{DEFAULT} dB"):
        table.add_column(name, justify="right")
    contests: dict[object, list[Cell]] = {}
    for cell in cells:
        contests.setdefault(cell.contest, []).append(cell)
    for rivals in contests.values():
        ours = next(cell for cell in rivals if cell.method == DEFAULT)
        best = max(rivals, key=lambda cell: cell.sqnr_dB)
        if best.sqnr_dB > ours.sqnr_dB:
            figures = (f"{cell.sqnr_dB:.2f}" for cell in (best, ours))
            table.add_row(*map(str, ours.contest), best.method, *figures)
    return table


def draw(cells: Sequence[Cell], file: Path) -> None:
    """Draw what each rule is short of the best one: a row per rule, a column per width."""
    import altair as alt

    here = [cell for cell in cells if cell.rounding == "samples"]
    best: dict[object, float] = {}
    for cell in here:
        best[cell.contest] = max(cell.sqnr_dB, best.get(cell.contest, -math.inf))
    rows = [
        asdict(cell) | {"short_dB": best[cell.contest] - cell.sqnr_dB}
        for cell in here
        if math.isfinite(cell.sqnr_dB)
    ]
    axes = alt.Chart().encode(
        x=alt.X("bits:O", title="bits of feature maps", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("method:N", title=None, sort=list(dict.fromkeys(cell.method for cell in here))),
    )
    # Beyond 10 dB a rule is out of the race, by however much.
    shade = alt.Scale(scheme="blues", domain=[0, 10], clamp=True)
    squares = axes.mark_rect().encode(
        color=alt.Color("short_dB:Q", scale=shade, title="dB short of the best rule, end to end"),
        tooltip=["method:N", "bits:O", "sqnr_dB:Q", "short_dB:Q", "top1_fraction:Q"],
    )
    numbers = axes.mark_text(fontSize=9).encode(
        text=alt.Text("short_dB:Q", format=".1f"),
        color=alt.condition(alt.datum.short_dB > 6, alt.value("white"), alt.value("black")),
    )
    chart = (
        alt.layer(squares, numbers, data=alt.Data(values=rows))
        .properties(width=230, height=260)
        .facet(row=alt.Row("weights:N", title="bits of weights"), column="network:N")
        .properties(title="Steps rounded to a power of two by the error of the samples")
        .configure_title(anchor="middle")
        .configure_legend(orient="top", gradientLength=300, titleLimit=400)
    )
    chart.save(file)


def _first(images: ImageSet, count: int) -> ImageSet:
    labels = None if images.labels is None else images.labels[:count]
    return replace(images, images=images.images[:count], labels=labels)


def main() -> None:
    options = read_options()
    cells: list[Cell] = []
    console = Console()
    with Progress(console=Console(stderr=True)) as progress:
        for case in load_cases(options.reference_data):
            limited = replace(case, test=_first(case.test, options.images))
            total = 2 * len(options.bits) * len(ROUNDINGS) * len(options.methods)
            task = progress.add_task(case.network.name, total=total)
            cells += judge_network(
                limited, options.methods, options.bits, partial(progress.advance, task)
            )
    for table in (*mean_tables(cells, options.bits), losses(cells)):
        console.print(table)
    console.print(CAVEAT)
    if options.csv is not None:
        with options.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(Cell)])
            writer.writeheader()
            writer.writerows(asdict(cell) for cell in cells)
    if options.chart is not None:
        draw(cells, options.chart)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = [rule.name for rule in step_rules(Estimator.MOMENTS)]
    parser.add_argument("reference_data", nargs="?", type=Path, metavar="REFERENCE_DATA")
    parser.add_argument("--methods", nargs="+", choices=known, default=known)
    parser.add_argument("--bits", nargs="+", type=int, default=list(BITS))
    parser.add_argument("--images", type=int, default=100, help="unseen images per network")
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--chart", type=Path, help="an .svg, .png or .html file")
    options = parser.parse_args()
    if DEFAULT not in options.methods:
        parser.error(f"--methods: {DEFAULT} is what the others are compared with; add it")
    return options


if __name__ == "__main__":
    main()
