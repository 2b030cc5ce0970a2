"""From what the user typed to networks, images and bit widths."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from accel_sim.cli.console import Progress
from accel_sim.cli.options import is_number
from quantizer.errors import InputError, nearest
from quantizer.input_file import exists

if TYPE_CHECKING:
    from accel_sim.hardware.config import HardwareConfig
    from quantizer.network.graph import Network
    from quantizer.network.images import ImageSet, Preprocessing
    from quantizer.quantized import BitWidths, QuantizedNetwork

DEFAULT_METHOD = "ggd"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRequest:
    """Which network on which images; fields as the options of the same names.

    Attributes
    ----------
    needs_images
        False for the performance model alone (``--no-values``).
    has_formats
        Whether a formats file is given, which can make calibration needless.
    """

    network: str | None
    input_shape: str | None
    images: Path | None
    calibration: Path | None
    limit_images: int | None
    mean: str | None
    scale: str | None
    layout: str | None
    needs_images: bool = True
    has_formats: bool = False

    def arguments(self) -> list[str]:
        """Options that ask for the same network and images again."""
        options = {
            "--network": self.network,
            "--input-shape": self.input_shape,
            "--calibration": self.calibration,
            "--images": self.images,
            "--limit-images": self.limit_images,
            "--mean": self.mean,
            "--scale": self.scale,
            "--layout": self.layout,
        }
        return as_arguments(options) + ([] if self.needs_images else ["--no-values"])

    @property
    def input_paths(self) -> tuple[Path, ...]:
        """Files that will be read, if they are files."""
        network = () if self.network is None else (Path(self.network),)
        return network + tuple(path for path in (self.images, self.calibration) if path)


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatRequest:
    """How the numbers are quantized; fields as the options of the same names."""

    input_bits: int | None
    method: str | None
    formats: Path | None

    def arguments(self) -> list[str]:
        """Options that ask for the same again."""
        return as_arguments(
            {"--input-bits": self.input_bits, "--method": self.method, "--formats": self.formats}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A network and its images, in memory.

    Attributes
    ----------
    calibration
        None if no formats are to be chosen.
    images
        None if no values are to be computed.
    """

    network: "Network"
    calibration: "ImageSet | None"
    images: "ImageSet | None"


def as_arguments(options: Mapping[str, object]) -> list[str]:
    """``{"--mean": "3", "--scale": None}`` as ``["--mean", "3"]``."""
    return [
        part
        for option, value in options.items()
        if value is not None
        for part in (option, str(value))
    ]


def load_workload(request: NetworkRequest) -> Workload:
    """Read the network and the images of a request.

    Without ``--images`` the values of an .onnx file are those of its calibration images.

    Raises
    ------
    InputError
        If a file cannot be used, or an option is missing or has no use.
    """
    if not request.needs_images:
        for option, value in (
            ("--images", request.images),
            ("--limit-images", request.limit_images),
        ):
            if value is not None:
                raise InputError(option, "has no use with --no-values; leave one of them out")
    from accel_sim.builtin import builtin_networks

    # A name first: a folder that happens to be called digits changes nothing.
    known = [network.name for network in builtin_networks()]
    name = known[0] if request.network is None else request.network
    if name in known:
        return _load_builtin(name, request)
    if name.endswith(".onnx") or exists(Path(name)):
        return _load_file(name, request)
    raise InputError(
        name,
        f"no file or built-in network ({', '.join(known)}) of this name"
        + (nearest(name, known) or "; give an .onnx file"),
    )


def _load_file(name: str, request: NetworkRequest) -> Workload:
    from quantizer.network.images import load_images
    from quantizer.network.onnx_import import load_onnx

    if request.calibration is None and not request.has_formats:
        _refuse_uncalibrated(name, request)
    network = load_onnx(Path(name), parse_shape(request.input_shape))
    preprocessing = _parse_preprocessing(request)

    def load(path: Path | None, limit: int | None = None) -> "ImageSet | None":
        if path is None:
            return None
        shape = network.shapes[network.input]
        return load_images(path, shape=shape, preprocessing=preprocessing, limit=limit)

    calibration = load(request.calibration)
    images = None
    if request.needs_images:
        images = load(request.images or request.calibration, request.limit_images)
        if images is None:
            raise InputError(name, "needs images to run; give --images, or --no-values")
    return _checked(Workload(network=network, calibration=calibration, images=images))


def _refuse_uncalibrated(name: str, request: NetworkRequest) -> None:
    if request.images is not None:
        raise InputError(
            "--images", "formats are chosen from other images than these; add --calibration"
        )
    if request.needs_images:
        raise InputError(
            name,
            "needs images to choose its formats; give --calibration and --images, "
            "or --no-values for the costs alone",
        )
    for option in ("mean", "scale", "layout"):
        if getattr(request, option) is not None:
            raise InputError(f"--{option}", "there are no images to apply it to; leave it out")


def _load_builtin(name: str, request: NetworkRequest) -> Workload:
    from accel_sim.builtin import find_builtin
    from quantizer.network.images import Preprocessing, load_images
    from quantizer.network.onnx_import import load_onnx

    if request.input_shape is not None:
        raise InputError("--input-shape", f"the shapes of {name} are fixed; leave it out")
    builtin = find_builtin(name)
    network = replace(load_onnx(builtin.onnx_path), name=name)
    shape = network.shapes[network.input]
    own = Preprocessing(mean=builtin.mean, scale=builtin.scale)
    asked = [key for key in ("mean", "scale", "layout") if getattr(request, key) is not None]
    if asked and request.images is None and request.calibration is None:
        raise InputError(
            f"--{asked[0]}", f"the images of {name} have their own preprocessing; leave it out"
        )
    given = _parse_preprocessing(request) if asked else own

    def load(path: Path | None, shipped: Path, label: str, limit: int | None) -> "ImageSet":
        if path is not None:
            return load_images(path, shape=shape, preprocessing=given, limit=limit)
        loaded = load_images(shipped, shape=shape, preprocessing=own, limit=limit)
        # The path depends on where the package is installed; reports must not.
        return replace(loaded, source=f"{name} ({label})")

    calibration = load(request.calibration, builtin.calibration_path, "calibration", None)
    images = None
    if request.needs_images:
        images = load(request.images, builtin.test_path, "test", request.limit_images)
    return _checked(Workload(network=network, calibration=calibration, images=images))


def _checked(workload: Workload) -> Workload:
    if workload.images is not None:
        network = workload.network
        workload.images.check_labels(math.prod(network.shapes[network.output]))
    return workload


def _parse_preprocessing(request: NetworkRequest) -> "Preprocessing":
    from quantizer.network.images import Layout, Preprocessing

    mean = parse_numbers("--mean", request.mean) or (0.0,)
    scale = parse_numbers("--scale", request.scale) or (1.0,)
    if 0.0 in scale:
        raise InputError("--scale", "0 would make every image black; give another number")
    layout = None if request.layout is None else Layout(request.layout)
    return Preprocessing(mean=mean, scale=scale, layout=layout)


def parse_numbers(option: str, text: str | None) -> tuple[float, ...]:
    """``"125,123,114"`` or ``"1/255"`` as numbers; nothing as no numbers."""
    if text is None:
        return ()
    try:
        return tuple(_parse_number(part) for part in text.split(","))
    except (ValueError, ZeroDivisionError):
        raise InputError(
            option, f"{text!r} is not a list of numbers; write 0.5, 1/255 or 125,123,114"
        ) from None


def _parse_number(text: str) -> float:
    numerator, slash, denominator = text.partition("/")
    number = float(numerator) / (float(denominator) if slash else 1.0)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not finite")
    return number


def parse_shape(text: str | None) -> tuple[int, ...] | None:
    """``"3,32,32"`` as (3, 32, 32)."""
    if text is None:
        return None
    parts = text.replace("x", ",").split(",")
    if not all(is_number(part.strip()) and int(part) > 0 for part in parts):
        raise InputError(
            "--input-shape", f"{text!r} is not a shape; write channels, rows, columns: 3,32,32"
        )
    return tuple(int(part) for part in parts)


def quantize_for(
    hardware: "HardwareConfig",
    workload: Workload,
    bits: "BitWidths",
    request: FormatRequest,
    progress: Progress,
) -> "QuantizedNetwork | Network":
    """Quantize under the rules of a machine.

    Gives the float network if there is nothing to choose formats from.
    """
    if workload.calibration is None and request.formats is None:
        return workload.network
    from accel_sim.hardware.choices import Activations
    from quantizer.formats_file import read_formats
    from quantizer.quantize import quantize

    return quantize(
        workload.network,
        workload.calibration,
        bits,
        rules=hardware.numeric_rules,
        method=request.method or DEFAULT_METHOD,
        formats=None if request.formats is None else read_formats(request.formats),
        signed_only=hardware.precision.activations is Activations.SIGNED,
        progress=progress,
    )


def add_batch(overrides: list[str], batch: int | None) -> list[str]:
    """Append what ``--batch`` asks for to the overrides of a machine.

    Raises
    ------
    InputError
        If ``--set`` gives another.
    """
    if batch is None:
        return overrides
    for override in overrides:
        if override.partition("=")[0].strip() == "mapping.batch":
            raise InputError(f"--set {override}", "is also given by --batch; leave one of them out")
    return [*overrides, f"mapping.batch={batch}"]
