"""Do the kernels reproduce the accumulators and pools of CMSIS-NN's unit tests?

Arm CMSIS-NN, Tests/UnitTest (Apache-2.0), whose expected values TensorFlow Lite produced.
The reference data holds the exact accumulators, bias included, and the outputs of the pools.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from accel_sim.kernels import dense, pool
from quantizer.fixedpoint.qformat import Rounding
from tests.fixedpoint.versions import JITTED_AND_PLAIN, Version
from tests.kernels.convolution import Convolution, run_kernels
from tests.kernels.drawing import UNBOUNDED, pixels_first

Config = dict[str, int]
Arrays = dict[str, NDArray[Any]]


def read_case(data: Path, name: str) -> tuple[Config, Arrays]:
    """Configuration, and arrays by their short names, maps turned from NHWC to NCHW."""
    cases = json.loads((data / "references" / "cmsis_nn_sample.json").read_text())
    (config,) = (entry["config"] for entry in cases if entry["case"] == name)
    arrays = {}
    with np.load(data / "references" / "cmsis_nn_sample.npz") as sample:
        for key in sample:
            if key.startswith(f"{name}/"):
                array = sample[key].astype(np.int64)
                is_map = array.ndim == 4 and not key.endswith("/w")
                arrays[key.removeprefix(f"{name}/")] = (
                    array.transpose(0, 3, 1, 2) if is_map else array
                )
    return config, arrays


def trailing_pads(
    leading: tuple[int, int],
    sizes: tuple[int, ...],
    counts: tuple[int, ...],
    stride: tuple[int, int],
    reach: tuple[int, int],
) -> tuple[int, int, int, int]:
    """All four pads: the cases give the leading ones and the size of the output."""
    bottom, right = (
        max(0, (count - 1) * step + taps - size - begin)
        for begin, size, count, step, taps in zip(
            leading, sizes, counts, stride, reach, strict=True
        )
    )
    return *leading, bottom, right


@JITTED_AND_PLAIN
@pytest.mark.parametrize(
    "case",
    [
        "basic",
        "conv_2",
        "conv_3",
        "grouped_conv",
        "int16xint8_dilation_1",
        "depthwise_2",
        "dw_int16xint8",
    ],
)
def test_convolutions_accumulate_what_tensorflow_lite_does(
    version: Version, case: str, reference_data: Path
) -> None:
    config, arrays = read_case(reference_data, case)
    # Filters are K R S C, or R S K where depthwise.
    is_depthwise = arrays["w"].ndim == 3
    weights = (
        arrays["w"].transpose(2, 0, 1)[:, None]
        if is_depthwise
        else arrays["w"].transpose(0, 3, 1, 2)
    )
    (ifm,), (acc,) = arrays["x"] + config["INPUT_OFFSET"], arrays["acc"]
    stride = config["STRIDE_Y"], config["STRIDE_X"]
    dilation = config["DILATION_Y"], config["DILATION_X"]
    n_rows, n_cols = weights.shape[2:]
    convolution = Convolution(
        ifm=ifm,
        weights=weights,
        stride=stride,
        dilation=dilation,
        groups=len(ifm) // weights.shape[1],
        pads=trailing_pads(
            (config["PAD_Y"], config["PAD_X"]),
            ifm.shape[1:],
            acc.shape[1:],
            stride,
            (dilation[0] * (n_rows - 1) + 1, dilation[1] * (n_cols - 1) + 1),
        ),
    )
    found = run_kernels(convolution, version, np.int64)
    np.testing.assert_array_equal(found + arrays["b"][:, None, None], acc)


@JITTED_AND_PLAIN
@pytest.mark.parametrize("case", ["fully_connected", "fc_per_ch"])
def test_dense_layers_accumulate_what_tensorflow_lite_does(
    version: Version, case: str, reference_data: Path
) -> None:
    config, arrays = read_case(reference_data, case)
    ifm = (arrays["x"] + config["INPUT_OFFSET"]).astype(np.int32)
    acc = np.empty(arrays["acc"].T.shape, np.int64)
    version(dense.accumulate)(ifm, arrays["w"].astype(np.int32), acc)
    np.testing.assert_array_equal(acc.T + arrays["b"], arrays["acc"])


@JITTED_AND_PLAIN
def test_max_pools_as_tensorflow_lite_does(version: Version, reference_data: Path) -> None:
    config, arrays = read_case(reference_data, "maxpooling")
    for image, expected in zip(arrays["x"], arrays["y"], strict=True):
        ofm = np.empty((*expected.shape[1:], len(expected)), np.int32)
        version(pool.max_pool)(
            pixels_first(image.astype(np.int32)),
            (config["FILTER_H"], config["FILTER_W"]),
            (config["STRIDE_H"], config["STRIDE_W"]),
            (config["PADDING_H"], config["PADDING_W"]),
            (1, 1),
            -128,
            ofm,
        )
        np.testing.assert_array_equal(np.moveaxis(ofm, -1, 0), expected)


def count_real(config: Config, axis: str, place: int, image: NDArray[np.int64]) -> int:
    """Positions inside the map that one window covers along an axis."""
    start = place * config[f"STRIDE_{axis}"] - config[f"PADDING_{axis}"]
    size = image.shape[1 + "HW".index(axis)]
    return sum(0 <= start + tap < size for tap in range(config[f"FILTER_{axis}"]))


@JITTED_AND_PLAIN
def test_average_pools_as_tensorflow_lite_does(version: Version, reference_data: Path) -> None:
    """It rounds ties away from zero and counts real positions only."""
    config, arrays = read_case(reference_data, "avgpooling")
    (image,), (expected,) = arrays["x"], arrays["y"]
    ofm = np.empty((*expected.shape[1:], len(expected)), np.int32)
    row_counts, col_counts = (
        np.array([count_real(config, axis, place, image) for place in range(expected.shape[1 + i])])
        for i, axis in enumerate("HW")
    )
    version(pool.average_pool)(
        pixels_first(image.astype(np.int32)),
        (config["FILTER_H"], config["FILTER_W"]),
        (config["STRIDE_H"], config["STRIDE_W"]),
        (config["PADDING_H"], config["PADDING_W"]),
        (1, 1),
        row_counts,
        col_counts,
        0,
        int(Rounding.TIES_AWAY),
        (-128, 127, -UNBOUNDED, UNBOUNDED),
        ofm,
    )
    np.testing.assert_array_equal(np.moveaxis(ofm, -1, 0), expected)
