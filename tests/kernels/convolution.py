"""One convolution, as the kernel tests hand it round, and how the kernels are called."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel_sim.kernels import conv
from tests.fixedpoint.versions import Version
from tests.kernels.drawing import UNTOUCHED
from tests.oracles.layers_bigint import NO_PADS

AccType = type[np.int32] | type[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolution:
    """Operands ``ifm[C, H, W]`` and ``weights[K, C/groups, R, S]``, and the geometry."""

    ifm: NDArray[Any]
    weights: NDArray[Any]
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = NO_PADS
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def out_shape(self) -> tuple[int, int]:
        rows, cols = (
            (size + begin + end - spread * (taps - 1) - 1) // step + 1
            for size, begin, end, spread, taps, step in zip(
                self.ifm.shape[1:],
                self.pads[:2],
                self.pads[2:],
                self.dilation,
                self.weights.shape[2:],
                self.stride,
                strict=True,
            )
        )
        return rows, cols


def run_kernels(case: Convolution, version: Version, acc_type: AccType) -> NDArray[Any]:
    """Plan, split and accumulate as `accel_sim.functional` does: accumulators [K, P, Q]."""
    filters, channels, n_rows, n_cols = case.weights.shape
    _, out_cols = case.out_shape
    _, in_rows, in_cols = case.ifm.shape
    geometry = conv.plan_conv(
        (in_rows, in_cols),
        case.out_shape,
        (n_rows, n_cols),
        case.stride,
        case.pads,
        case.dilation,
    )
    rows, cols = geometry.acc_shape
    acc = np.full((filters, rows * cols), UNTOUCHED, acc_type)
    version(conv.accumulate)(
        conv.split_phases(case.ifm.astype(np.int32), geometry),
        np.ascontiguousarray(case.weights.reshape(filters, channels, -1), np.int32),
        geometry.tap_phase,
        geometry.tap_offset,
        case.groups,
        acc,
    )
    return acc.reshape(filters, rows, cols)[:, :, :out_cols]
