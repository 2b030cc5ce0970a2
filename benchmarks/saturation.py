"""How fast are exact layers whose accumulators saturate, against float convolution?

    .venv/bin/python benchmarks/saturation.py

The convolutions of a ResNet-18, and layers of few filters; 8-bit operands, one thread, from packed
map to packed map, output stage included; beside them onnxruntime's float convolution. Contenders
take turns; medians of processor time, in GMAC/s. Every addition clamps in the order of a plan, and
is counted if it does:

* output stationary: one chain;
* weight stationary: 16 products of a column from zero, whose sums are added;
* channel parallel: exact trees of 16 channels at one tap, whose sums are added;
* row stationary: a row of a filter of 4 channels from zero, whose sums are added.

"typical" operands: maps are the positive half of a normal distribution, with 255 at 4.5 sigma;
weights are normal, the largest of a layer is 127. "worst": both at the ends of their ranges. What
clamps is printed too, in parts per million of the products. Outputs and counts must equal those of
the general kernel first.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import process_time

import numpy as np
from inference import NARROW_LAYERS, Layer, Run, describe, onnxruntime, resnet18, take_turns
from numpy.typing import NDArray

from accel_sim.accumulation import (
    AccumulationLevel,
    AccumulationPlan,
    Adder,
    Dimension,
    ReductionLoop,
    Start,
)
from accel_sim.kernels.micro_kernels import HOST_PATHS, PATHS
from accel_sim.layer_steps.mac_layers import prepare_conv
from accel_sim.layer_steps.ordered_filters import find_open_filters
from accel_sim.layer_steps.packed_order import pack_in_order
from accel_sim.layer_steps.packed_sums import PackedLayer, pack_layer
from quantizer.fixedpoint.qformat import Overflow
from quantizer.quantized import NumericRules

ROWS = 16
PE_CHANNELS = 4
OPERAND_BITS = 8
CHANNELS, FILTER_ROWS, FILTER_COLS = Dimension
EVERY_PRODUCT = ((CHANNELS, 1), (FILTER_ROWS, 1), (FILTER_COLS, 1))
DATAFLOWS = ("output stationary", "weight stationary", "channel parallel", "row stationary")
CHECKED = (Layer(channels=64, size=14, filters=96, taps=3), Layer(channels=64, size=28, filters=16))
FLOAT = "onnxruntime, float"
ROUNDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """How a layer is added up, and what."""

    dataflow: str
    acc_bits: int
    operands: str

    @property
    def plan(self) -> AccumulationPlan:
        chain = AccumulationLevel(
            loops=loops(*EVERY_PRODUCT), max_terms=None, adder=Adder.CHAIN, start=Start.ZERO,
            bits=self.acc_bits, saturates=True,
        )  # fmt: skip
        match self.dataflow:
            case "output stationary":
                return AccumulationPlan(levels=(chain,))
            case "weight stationary":
                folds = replace(chain, loops=(), start=Start.LEVEL_BELOW)
                return AccumulationPlan(levels=(replace(chain, max_terms=ROWS), folds))
            case "channel parallel":
                tree = AccumulationLevel(
                    loops=loops((CHANNELS, 1)), max_terms=None, adder=Adder.TREE,
                    start=Start.LEVEL_BELOW, bits=2 * OPERAND_BITS + ROWS.bit_length(),
                    saturates=False,
                )  # fmt: skip
                taps = loops((CHANNELS, ROWS), (FILTER_ROWS, 1), (FILTER_COLS, 1))
                return AccumulationPlan(levels=(tree, replace(chain, loops=taps)))
            case _:
                row = replace(chain, loops=loops((CHANNELS, 1), (FILTER_COLS, 1)))
                rows = replace(chain, loops=loops((CHANNELS, PE_CHANNELS), (FILTER_ROWS, 1)))
                return AccumulationPlan(levels=(row, rows))

    def __str__(self) -> str:
        return f"{self.dataflow}, {self.acc_bits} bits, {self.operands}"

    def draw(self, layer: Layer) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        rng = np.random.default_rng(0)
        ifm, weights = (
            (layer.channels, layer.size, layer.size),
            (layer.filters, layer.channels, layer.taps, layer.taps),
        )
        if self.operands == "worst":
            ends = rng.choice([0, 255], ifm), rng.choice([-128, 127], weights)
            return ends[0].astype(np.int32), ends[1]
        x = np.clip(np.round(rng.normal(0, 255 / 4.5, ifm)), 0, 255)
        w = rng.normal(size=weights)
        return x.astype(np.int32), np.round(w * 127 / np.abs(w).max()).astype(np.int64)

    def prepare(self, layer: Layer) -> tuple[PackedLayer, NDArray[np.int32]]:
        x, w = self.draw(layer)
        network, conv, shape = describe(layer, w, OPERAND_BITS, saturating(self.acc_bits))
        found = find_open_filters(network, conv, self.plan, shape.window)
        if found is None:
            packed = pack_layer(network, conv, shape, HOST_PATHS[0])
        else:
            packed = pack_in_order(network, conv, shape, found.sums, HOST_PATHS[0])
        assert packed is not None
        return packed, x

    def check(self, layer: Layer) -> None:
        """Hold outputs and counts against the general kernel."""
        packed, x = self.prepare(layer)
        _, w = self.draw(layer)
        network, conv, _ = describe(layer, w, OPERAND_BITS, saturating(self.acc_bits))
        expected, events = prepare_conv(network, conv, self.plan, PATHS[-1])({"x": x})
        ofm, its_events = packed.run(packed.pack(x))
        np.testing.assert_array_equal(ofm.T, expected.reshape(len(w), -1))
        assert its_events == events


def saturating(bits: int) -> NumericRules:
    return NumericRules(accumulator_bits=bits, accumulator_overflow=Overflow.SAT)


def loops(*steps: tuple[Dimension, int]) -> tuple[ReductionLoop, ...]:
    return tuple(ReductionLoop(dimension=dimension, step=step) for dimension, step in steps)


CASES = tuple(
    Case(dataflow=dataflow, acc_bits=bits, operands=operands)
    for operands, widths in (("typical", (16, 18, 20, 24)), ("worst", (16, 20)))
    for dataflow in DATAFLOWS
    for bits in widths
)


def main() -> None:
    for case in CASES:
        for layer in CHECKED:
            case.check(layer)
    print_stack("ResNet-18, saturating", resnet18())
    for layer in NARROW_LAYERS:
        print_stack(f"\n{layer}", [(layer, 1)])


def print_stack(title: str, stack: Sequence[tuple[Layer, int]]) -> None:
    seconds: dict[str, float] = {}
    clamps: Counter[str] = Counter()
    for layer, count in stack:
        runs: dict[str, Run] = {FLOAT: onnxruntime(layer, is_float=True)}
        for case in CASES:
            packed, x = case.prepare(layer)
            ifm = packed.pack(x)
            runs[str(case)] = partial(packed.run, ifm)
            clamps[str(case)] += count * packed.run(ifm)[1].accumulator_overflows
        for name, its_seconds in take_turns(runs, ROUNDS, process_time).items():
            seconds[name] = seconds.get(name, 0.0) + count * its_seconds
    macs = sum(layer.macs * count for layer, count in stack)
    print(f"{title:<36}{'GMAC/s':>8}{'/float':>8}{'clamps, ppm':>13}")
    for name, its_seconds in seconds.items():
        print(
            f"{name:<36}{macs / its_seconds / 1e9:>8.1f}{seconds[FLOAT] / its_seconds:>8.2f}"
            f"{1e6 * clamps[name] / macs:>13.2f}"
        )


if __name__ == "__main__":
    main()
