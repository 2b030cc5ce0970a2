"""The trained networks that benchmarks run, each with images to choose formats and others to judge.

All but the built-in one are read from a folder that the project may not ship; see
CONTRIBUTING.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from accel_sim.builtin import TrainedNetwork, find_builtin
from quantizer.network.graph import Network
from quantizer.network.images import ImageSet, Preprocessing, load_images
from quantizer.network.onnx_import import load_onnx

CIFAR = ("cifar10_calib_jpeg", "cifar10_test_jpeg_a")
PHOTOS = ("imagenet_calib", "imagenet_photos_a")
OUTSIDE = {
    "resnet8_cifar10": (CIFAR, Preprocessing()),
    "cmsis_q7_cifar10": (CIFAR, Preprocessing(mean=(125, 123, 114), scale=(1 / 256,))),
    "squeezenet1_1": (PHOTOS, Preprocessing(mean=(123, 117, 104))),
}
"""By name: files of calibration and test images, and preprocessing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A network and its images; no method sees the test images."""

    network: Network
    calibration: ImageSet
    test: ImageSet


def load_cases(folder: Path | None) -> Iterator[Case]:
    """Load the built-in network and, if there is a folder, those in it."""
    digits = find_builtin("digits")
    assert isinstance(digits, TrainedNetwork)
    own = Preprocessing(mean=digits.mean, scale=digits.scale)
    yield load_case(digits.onnx_path, own, digits.calibration_path, digits.test_path)
    if folder is None:
        return
    for name, (files, preprocessing) in OUTSIDE.items():
        calibration, test = (folder / "images" / f"{file}.npz" for file in files)
        yield load_case(folder / "networks" / f"{name}.onnx", preprocessing, calibration, test)


def load_case(onnx: Path, preprocessing: Preprocessing, *images: Path) -> Case:
    """Load a network, its calibration images and its test images."""
    network = load_onnx(onnx)
    shape = network.shapes[network.input]
    calibration, test = (
        load_images(path, shape=shape, preprocessing=preprocessing) for path in images
    )
    return Case(network=network, calibration=calibration, test=test)
