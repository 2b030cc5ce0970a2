"""How fast are the kernels of the exact run, against what a user would run instead?

    .venv/bin/python benchmarks/kernels.py

First layers whose additions may take any order (`inference.py`), then those that saturate
(`saturation.py`). Last the general kernel of the latter, for what micro-kernels do not run:
accumulators of 20 bits, without an output stage, one thread, as one chain per output, as columns
of 16 products whose sums are added, and the chain as a textbook loop nest, compiled by Numba.
Contenders take turns; medians of GMAC/s. Chains must give the same integers first.
"""

from collections.abc import Callable
from dataclasses import replace

import inference
import numpy as np
import saturation
from inference import Layer, take_turns
from numba import njit
from numpy.typing import NDArray

from accel_sim.accumulation import (
    AccumulationLevel,
    AccumulationPlan,
    Adder,
    Dimension,
    ReductionLoop,
    Start,
)
from accel_sim.kernels import conv
from accel_sim.layer_steps.ordered_filters import OpenFilters, Taps, arrange_filters
from accel_sim.layer_steps.planned_sums import plan_sums

Contender = Callable[[Layer, NDArray[np.uint8], NDArray[np.int8]], Callable[[], object]]

LAYERS = (
    Layer(channels=3, size=224, filters=64, taps=7, stride=2),
    Layer(channels=64, size=56, filters=64, taps=3),
    Layer(channels=128, size=28, filters=128, taps=3),
    Layer(channels=256, size=28, filters=256),
    Layer(channels=512, size=7, filters=512, taps=3),
    Layer(channels=16, size=32, filters=16, taps=3),
)

NARROW_BITS = 20
COLUMN_ROWS = 16


@njit(nogil=True)
def textbook_saturating(ifm, weights, stride, low, high, acc):
    """Seven loops over a padded map; every addition clamps."""
    for k in range(weights.shape[0]):
        for p in range(acc.shape[1]):
            for q in range(acc.shape[2]):
                total = np.int64(0)
                for c in range(weights.shape[1]):
                    for r in range(weights.shape[2]):
                        for s in range(weights.shape[3]):
                            x = np.int64(ifm[c, p * stride + r, q * stride + s])
                            total += x * np.int64(weights[k, c, r, s])
                            total = min(max(total, low), high)
                acc[k, p, q] = total


def naive_saturating(
    layer: Layer, ifm: NDArray[np.uint8], weights: NDArray[np.int8]
) -> Callable[[], object]:
    padded = np.pad(ifm, ((0, 0), (layer.pad,) * 2, (layer.pad,) * 2))
    half = 1 << (NARROW_BITS - 1)

    def run() -> NDArray[np.int32]:
        acc = np.empty((layer.filters, layer.out_size, layer.out_size), np.int32)
        textbook_saturating(padded, weights, layer.stride, -half, half - 1, acc)
        return acc

    return run


def in_order(column_rows: int | None) -> Contender:
    """Our sums by a plan: one chain, or columns of so many products."""
    lowest = AccumulationLevel(
        loops=tuple(ReductionLoop(dimension=dimension, step=1) for dimension in Dimension),
        max_terms=column_rows, adder=Adder.CHAIN, start=Start.ZERO, bits=NARROW_BITS,
        saturates=True,
    )  # fmt: skip
    folds = replace(lowest, loops=(), max_terms=None, start=Start.LEVEL_BELOW)
    plan = AccumulationPlan(levels=(lowest,) if column_rows is None else (lowest, folds))

    def make(
        layer: Layer, ifm: NDArray[np.uint8], weights: NDArray[np.int8]
    ) -> Callable[[], object]:
        size, out = layer.size, layer.out_size
        geometry = conv.plan_conv(
            (size, size), (out, out), (layer.taps,) * 2, (layer.stride,) * 2, (layer.pad,) * 4,
            (1, 1),
        )  # fmt: skip
        sums = plan_sums(plan, (layer.channels, layer.taps, layer.taps), 255 * 64)
        rows, cols = geometry.acc_shape
        taps = Taps(
            weights=weights.reshape(layer.filters, layer.channels, -1).astype(np.int32),
            phases=geometry.tap_phase, offsets=geometry.tap_offset,
            window=(layer.taps, layer.taps), groups=1,
        )  # fmt: skip
        pixels = (np.arange(out)[:, None] * cols + np.arange(out)).reshape(-1)
        is_open = np.ones(layer.filters, np.bool_)
        filters = arrange_filters(OpenFilters(sums=sums, is_open=is_open), taps, pixels)
        wide = ifm.astype(np.int32)

        def run() -> NDArray[np.int32]:
            acc = np.zeros((layer.filters, rows * cols), np.int32)
            filters.run(conv.split_phases(wide, geometry), acc)
            return acc.reshape(layer.filters, rows, cols)[:, :, :out]

        return run

    return make


SATURATING = {
    "chain": in_order(None),
    "columns": in_order(COLUMN_ROWS),
    "textbook": naive_saturating,
}


def measure(layer: Layer) -> dict[str, float]:
    """GMAC/s by contender."""
    ifm, weights = inference.draw(layer)
    runs = {
        name: make(layer, ifm.astype(np.uint8), weights.astype(np.int8))
        for name, make in SATURATING.items()
    }
    np.testing.assert_array_equal(np.asarray(runs["chain"]()), np.asarray(runs["textbook"]()))
    return {name: layer.macs / seconds / 1e9 for name, seconds in take_turns(runs).items()}


def main() -> None:
    inference.main()
    print()
    saturation.main()
    print(
        f"\n{'saturating, general':<28}{'chain':>8}{'columns':>13}{'textbook':>10}{'/textbook':>18}"
    )
    for layer in LAYERS:
        speed = measure(layer)
        print(
            f"{layer!s:<28}{speed['chain']:>8.1f}{speed['columns']:>13.1f}"
            f"{speed['textbook']:>10.2f}{speed['chain'] / speed['textbook']:>18.1f}"
        )


if __name__ == "__main__":
    main()
