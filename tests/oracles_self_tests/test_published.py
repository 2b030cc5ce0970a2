"""Do the oracles reproduce published bits, and agree on real networks?

The CMSIS-NN references are outputs of its C kernels (Apache-2.0): the legacy Q7 CIFAR-10
example layer by layer, and the accumulators of its unit tests, which TensorFlow Lite produced.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.oracles import fake_quant, integer_network, layers_bigint, layers_int64
from tests.oracles_self_tests.both_networks import BOTH, Run, assert_equal
from tests.oracles_self_tests.float_reference import random_formats

Q7_NETWORK = "networks/cmsis_q7_cifar10.onnx"
Q7_MEAN = np.array([125.0, 123.0, 114.0])
Q7_TENSORS = {
    "input_q": "input",
    "conv1_relu": "conv1_r",
    "pool1": "conv1_p",
    "conv2_relu": "conv2_r",
    "pool2": "conv2_p",
    "conv3_relu": "conv3_r",
    "pool3": "conv3_p",
    "fc1": "output",
}
Q7_OUTPUTS = {"conv1": "conv1_r", "conv2": "conv2_r", "conv3": "conv3_r", "fc1": "output"}


def images(data: Path, name: str, count: int) -> NDArray[np.float64]:
    """The first RGB pictures of a set, 0..255, as ``[N, C, H, W]``."""
    with np.load(data / "images" / f"{name}.npz") as archive:
        return np.asarray(archive["images"][:count].transpose(0, 3, 1, 2), np.float64)


def q7_images(data: Path, count: int) -> NDArray[np.float64]:
    rgb = images(data, "cifar10_test_jpeg_a", count)
    return np.asarray((rgb - Q7_MEAN[:, None, None]) / 256)


def q7_formats(data: Path, *, extra_frac_bits: int = 0) -> dict[str, dict[str, Any]]:
    """The published formats; outputs optionally finer by some bits, so that they saturate."""
    published = json.loads((data / "references/cmsis_q7_cifar10_formats.json").read_text())

    def s8(frac_bits: int) -> dict[str, Any]:
        return {"bits": 8, "frac_bits": frac_bits, "signed": True}

    formats = {"input": s8(published["input"]["frac"])}
    for layer, output in Q7_OUTPUTS.items():
        formats[f"{layer}_w"] = s8(published[layer]["w_frac"])
        formats[f"{layer}_b"] = s8(published[layer]["bias_frac"])
        formats[output] = s8(published[layer]["out_frac"] + extra_frac_bits)
    return formats


@BOTH
def test_the_q7_network_equals_the_c_code_bit_for_bit(run: Run, reference_data: Path) -> None:
    tensors = run(
        reference_data / Q7_NETWORK, q7_formats(reference_data), q7_images(reference_data, 20)
    )
    with np.load(reference_data / "references/cmsis_q7_cifar10_golden_a.npz") as golden:
        assert set(golden) == set(Q7_TENSORS)
        for published, name in Q7_TENSORS.items():
            np.testing.assert_array_equal(tensors[name], golden[published], err_msg=published)


@pytest.mark.parametrize("extra_frac_bits", [2, 3])
def test_both_oracles_agree_where_the_q7_network_saturates(
    extra_frac_bits: int, reference_data: Path
) -> None:
    path = reference_data / Q7_NETWORK
    formats = q7_formats(reference_data, extra_frac_bits=extra_frac_bits)
    ifm = q7_images(reference_data, 20)
    got = integer_network.interpret(path, formats, ifm)
    # With the published formats no map exceeds 33: one bit more would not saturate.
    assert sum(got.output_saturations.values()) > 0
    assert_equal(got.tensors, fake_quant.run(path, formats, ifm))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("network", "pictures", "count", "mean"),
    [
        ("resnet8_cifar10", "cifar10_test_jpeg_a", 4, (0.0, 0.0, 0.0)),
        ("squeezenet1_1", "imagenet_photos_a", 1, (123.0, 117.0, 104.0)),
    ],
)
def test_both_oracles_agree_on_real_networks(
    network: str,
    pictures: str,
    count: int,
    mean: tuple[float, float, float],
    seed: int,
    reference_data: Path,
) -> None:
    path = reference_data / f"networks/{network}.onnx"
    ifm = images(reference_data, pictures, count) - np.array(mean)[:, None, None]
    formats = random_formats(path, ifm, np.random.default_rng(seed))
    expected = fake_quant.run(path, formats, ifm, accumulator_bits=48)
    assert_equal(integer_network.run(path, formats, ifm, accumulator_bits=48), expected)


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
def test_accumulators_equal_those_of_the_cmsis_unit_tests(case: str, reference_data: Path) -> None:
    cases = json.loads((reference_data / "references/cmsis_nn_sample.json").read_text())
    (config,) = (entry["config"] for entry in cases if entry["case"] == case)
    with np.load(reference_data / "references/cmsis_nn_sample.npz") as sample:
        ifm, weights, bias, acc = (
            sample[f"{case}/{name}"].astype(np.int64) for name in ("x", "w", "b", "acc")
        )
    # Their maps are NHWC, their filters K R S C, and R S K where depthwise.
    ifm = ifm.transpose(0, 3, 1, 2) + config["INPUT_OFFSET"]
    acc = acc.transpose(0, 3, 1, 2)
    is_depthwise = weights.ndim == 3
    weights = weights.transpose(2, 0, 1)[:, None] if is_depthwise else weights.transpose(0, 3, 1, 2)
    strides = (config["STRIDE_Y"], config["STRIDE_X"])
    dilations = (config["DILATION_Y"], config["DILATION_X"])
    top, left = config["PAD_Y"], config["PAD_X"]
    # They give the leading pads; the trailing ones follow from the size of the output.
    bottom, right = (
        max(0, (count - 1) * stride + dilation * (kernel - 1) + 1 - size - begin)
        for count, stride, dilation, kernel, size, begin in zip(
            acc.shape[2:],
            strides,
            dilations,
            weights.shape[2:],
            ifm.shape[2:],
            (top, left),
            strict=True,
        )
    )
    groups = ifm.shape[1] // weights.shape[1]
    products = layers_bigint.convolve(
        ifm,
        weights,
        strides=strides,
        pads=(top, left, bottom, right),
        dilations=dilations,
        groups=groups,
    )
    np.testing.assert_array_equal(products.exact + bias[:, None, None], acc)
    attributes = {
        "strides": strides,
        "pads": (top, left, bottom, right),
        "dilations": dilations,
    }
    rows, cols = layers_int64.window_axes(
        attributes, (ifm.shape[2], ifm.shape[3]), (weights.shape[2], weights.shape[3])
    )
    fast = layers_int64.convolve(ifm, weights, rows, cols, groups)
    np.testing.assert_array_equal(fast + bias[:, None, None], acc)
