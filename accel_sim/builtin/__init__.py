"""Networks that come with the tool, each with images to calibrate and to test it on.

Where the trained ones are from and how they were made stands in README.md beside this file;
those with synthetic weights are in `accel_sim.builtin.topologies`.
"""

from dataclasses import dataclass
from pathlib import Path

from accel_sim.builtin.topologies import TOPOLOGIES
from accel_sim.builtin.topologies.topology import Topology
from quantizer.errors import InputError, nearest

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedNetwork:
    """A float network with its images and the preprocessing it was trained with.

    Attributes
    ----------
    onnx_path
        The float network.
    calibration_path, test_path
        ``.npz`` files with `images`, uint8[N, H, W, C], and `labels`, int32[N]. No image
        is in both, and no test image was used in training.
    mean, scale
        Of the preprocessing ``(pixel - mean) * scale``, one value for all channels or
        one per channel.
    """

    name: str
    onnx_path: Path
    calibration_path: Path
    test_path: Path
    mean: tuple[float, ...]
    scale: tuple[float, ...]


DIGITS = TrainedNetwork(
    name="digits",
    onnx_path=FOLDER / "digits.onnx",
    calibration_path=FOLDER / "digits_calibration.npz",
    test_path=FOLDER / "digits_test.npz",
    mean=(0.0,),
    scale=(1 / 16,),  # pixels are 0..16
)


def builtin_names() -> tuple[str, ...]:
    """Names of all built-in networks; the first is what runs when none is named."""
    return DIGITS.name, *TOPOLOGIES


def find_builtin(name: str) -> TrainedNetwork | Topology:
    """Look a built-in network up by its name.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if name == DIGITS.name:
        return DIGITS
    if name in TOPOLOGIES:
        return TOPOLOGIES[name]()
    known = list(builtin_names())
    problem = f"no built-in network has this name; there is {', '.join(known)}"
    raise InputError(name, problem + nearest(name, known))
