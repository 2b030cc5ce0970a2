"""Is a transposed convolution what its definition says: every pixel times every tap, scattered?"""

import numpy as np
import pytest
from numpy.typing import NDArray

from accel_sim.layer_steps.step import Events
from quantizer.network.layers import ConvTranspose
from quantizer.quantized import NumericRules
from tests.functional.by_hand import QUIET, constant, quantized, run, signed

# Kernel, stride, pads, dilation, groups, and the map.
GEOMETRIES = {
    "plain": ((3, 3), (1, 1), (0, 0, 0, 0), (1, 1), 1, (4, 5)),
    "doubles the map": ((4, 4), (2, 2), (1, 1, 1, 1), (1, 1), 1, (5, 3)),
    "output padding": ((3, 3), (2, 2), (1, 1, 0, 0), (1, 1), 1, (4, 4)),
    "negative pads": ((2, 2), (3, 3), (0, 0, -2, -1), (1, 1), 1, (2, 3)),
    "kernel smaller than the stride": ((1, 2), (3, 4), (0, 0, 0, 0), (1, 1), 1, (3, 2)),
    "dilated": ((3, 2), (1, 2), (1, 0, 1, 0), (2, 3), 1, (4, 4)),
    "dilation and stride with a common factor": ((3, 3), (2, 4), (1, 2, 1, 2), (2, 2), 1, (4, 4)),
    "dilation and stride without one": ((3, 3), (3, 2), (2, 1, 0, 3), (2, 3), 1, (4, 5)),
    "cropped to less than a tap": ((2, 2), (1, 1), (3, 2, 0, 1), (1, 1), 1, (5, 6)),
    "cropped on all sides": ((3, 3), (2, 2), (4, 3, 3, 4), (1, 1), 1, (6, 6)),
    "groups": ((2, 3), (2, 1), (0, 1, 0, 1), (1, 1), 2, (3, 4)),
    "depthwise": ((4, 4), (2, 2), (1, 1, 1, 1), (1, 1), 4, (3, 3)),
    "one pixel": ((2, 2), (2, 2), (0, 0, 0, 0), (1, 1), 1, (1, 1)),
    "one output": ((3, 3), (2, 2), (2, 2, 2, 2), (1, 1), 1, (2, 2)),
}


def transposed(geometry: str) -> ConvTranspose:
    _, stride, pads, dilation, groups, _ = GEOMETRIES[geometry]
    return ConvTranspose(
        name="up", ifm="x", ofm="y", weights="w", bias="b", stride=stride, pads=pads,
        dilation=dilation, groups=groups, clamp=None,
    )  # fmt: skip


def scatter(
    x: NDArray[np.int64], weights: NDArray[np.int64], layer: ConvTranspose
) -> NDArray[np.int64]:
    """Accumulators, one product at a time."""
    filters, channels, n_rows, n_cols = weights.shape
    _, height, width = x.shape
    full = [
        (size - 1) * step + (taps - 1) * spread + 1
        for size, step, taps, spread in zip(
            (height, width), layer.stride, (n_rows, n_cols), layer.dilation, strict=True
        )
    ]
    top, left, bottom, right = layer.pads
    total = np.zeros((filters, full[0] + max(0, -bottom), full[1] + max(0, -right)), np.int64)
    for k in range(filters):
        group = k // (filters // layer.groups)
        for c, i, j, r, s in np.ndindex(channels, height, width, n_rows, n_cols):
            row = i * layer.stride[0] + r * layer.dilation[0]
            col = j * layer.stride[1] + s * layer.dilation[1]
            total[k, row, col] += x[group * channels + c, i, j] * weights[k, c, r, s]
    return total[:, top : full[0] - bottom, left : full[1] - right]


@pytest.mark.parametrize("is_wide", [False, True])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_every_product_lands_where_it_belongs(geometry: str, is_wide: bool) -> None:
    """With sums that fit 32 bits, and with operands of 16 bits, whose sums do not."""
    layer = transposed(geometry)
    kernel, *_, size = GEOMETRIES[geometry]
    rng = np.random.default_rng(0)
    bits = 16 if is_wide else 8
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1)
    x = rng.integers(low, high, (4, *size))
    weights = rng.integers(low, high, (4 if layer.groups == 4 else 6, 4 // layer.groups, *kernel))
    bias = rng.integers(-100, 100, len(weights))
    acc = scatter(x, weights, layer)
    network = quantized(
        layer,
        maps={
            "x": (signed(bits, 0), x.shape),
            "y": (signed(32, 0 if bits == 8 else -4), acc.shape),
        },
        weights={"w": constant(weights, 0)},
        biases={"up": constant(bias, 0)},
    )
    trace = run(network, x)
    total = acc + bias[:, None, None]
    expected = (total + 8) >> 4 if is_wide else total
    np.testing.assert_array_equal(trace.tensors["y"], expected)
    assert trace.events["up"] == QUIET


def test_accumulators_wrap_and_are_counted() -> None:
    network = quantized(
        transposed("one pixel"),
        maps={"x": (signed(8, 0), (1, 1, 1)), "y": (signed(16, 0), (1, 2, 2))},
        weights={"w": constant([[[[1, 100], [-101, 90]]]], 0)},
        biases={"up": constant([5], 0)},
        rules=NumericRules(accumulator_bits=12),
    )
    trace = run(network, [[[21]]])
    # 2100 comes round to 2100 - 4096, -2121 to -2121 + 4096; the bias is added behind.
    assert trace.tensors["y"].tolist() == [[[26, -1991], [1980, 1895]]]
    assert trace.events["up"] == Events(accumulator_overflows=2)


def test_a_map_of_one_dimension_is_one_row() -> None:
    layer = ConvTranspose(
        name="up", ifm="x", ofm="y", weights="w", bias=None, stride=(1, 2), pads=(0, 0, 0, 0),
        dilation=(1, 1), groups=1, clamp=None,
    )  # fmt: skip
    network = quantized(
        layer,
        maps={"x": (signed(8, 0), (1, 3)), "y": (signed(16, 0), (1, 7))},
        weights={"w": constant([[[[1, 10, 100]]]], 0)},
    )
    assert run(network, [[1, 2, 3]]).tensors["y"].tolist() == [[1, 10, 102, 20, 203, 30, 300]]
