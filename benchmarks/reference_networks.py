"""The networks that quantizers are judged on: trained weights, real images, two sets of them.

Formats are chosen on the calibration images alone, and judged on others. The digits network
is built in; the rest is outside data (CONTRIBUTING.md, "Tests").
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from accel_sim.builtin import DIGITS
from quantizer.network.graph import Network
from quantizer.network.images import ImageSet, Preprocessing, load_images
from quantizer.network.onnx_import import load_onnx


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceNetwork:
    """A float network, images to choose formats by, and labelled images to judge them on."""

    name: str
    network: Network
    calibration: ImageSet
    unseen: ImageSet


def load_digits(folder: Path | None, limit: int) -> ReferenceNetwork:
    """Load the built-in network; no folder is needed."""
    del folder
    network = replace(load_onnx(DIGITS.onnx_path), name=DIGITS.name)
    own = Preprocessing(mean=DIGITS.mean, scale=DIGITS.scale)
    return _with_images(
        network, own, DIGITS.calibration_path, DIGITS.test_path, name=DIGITS.name, limit=limit
    )


def _loader(
    file: str, calibration: str, unseen: str, preprocessing: Preprocessing
) -> Callable[[Path | None, int], ReferenceNetwork]:
    def load(folder: Path | None, limit: int) -> ReferenceNetwork:
        assert folder is not None, "only the digits network comes without a folder"
        images = folder / "images"
        return _with_images(
            load_onnx(folder / "networks" / f"{file}.onnx"),
            preprocessing,
            images / f"{calibration}.npz",
            images / f"{unseen}.npz",
            name=file,
            limit=limit,
        )

    return load


def _with_images(
    network: Network,
    preprocessing: Preprocessing,
    calibration: Path,
    unseen: Path,
    *,
    name: str,
    limit: int,
) -> ReferenceNetwork:
    shape = network.shapes[network.input]
    return ReferenceNetwork(
        name=name,
        network=network,
        calibration=load_images(calibration, shape=shape, preprocessing=preprocessing),
        unseen=load_images(unseen, shape=shape, preprocessing=preprocessing, limit=limit),
    )


LOADERS: dict[str, Callable[[Path | None, int], ReferenceNetwork]] = {
    "digits": load_digits,
    "resnet8_cifar10": _loader(
        "resnet8_cifar10", "cifar10_calib_jpeg", "cifar10_test_jpeg_a", Preprocessing()
    ),
    "cmsis_q7_cifar10": _loader(
        "cmsis_q7_cifar10",
        "cifar10_calib_jpeg",
        "cifar10_test_jpeg_a",
        Preprocessing(mean=(125.0, 123.0, 114.0), scale=(1 / 256,)),
    ),
    "squeezenet1_1": _loader(
        "squeezenet1_1",
        "imagenet_calib",
        "imagenet_photos_a",
        Preprocessing(mean=(123.0, 117.0, 104.0)),
    ),
}
"""By name: from the folder of outside data, and at most how many unseen images, to a network."""
