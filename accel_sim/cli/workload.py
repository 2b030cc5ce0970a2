"""From what the user asked for to networks and images in memory."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from accel_sim.cli.console import Progress
from accel_sim.cli.inputs import (
    DEFAULT_ESTIMATOR,
    DEFAULT_METHOD,
    FormatRequest,
    NetworkRequest,
    parse_preprocessing,
    parse_shape,
)
from quantizer.errors import InputError, nearest
from quantizer.input_file import exists

if TYPE_CHECKING:
    from accel_sim.builtin import TrainedNetwork
    from accel_sim.builtin.topologies.topology import Topology
    from accel_sim.hardware.config import HardwareConfig
    from quantizer.network.graph import Network
    from quantizer.network.images import ImageSet, Preprocessing
    from quantizer.quantized import BitWidths, NumericRules, QuantizedNetwork

CALIBRATION_IMAGES = range(2)
TEST_IMAGES = range(2, 3)
"""Which of the seeded images choose the formats of a topology, and which run on it."""


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
    from accel_sim.builtin import TrainedNetwork, builtin_names, find_builtin

    # A name first: a folder that happens to be called digits changes nothing.
    known = list(builtin_names())
    name = known[0] if request.network is None else request.network
    if name in known:
        builtin = find_builtin(name)
        _check_builtin_options(name, request)
        if isinstance(builtin, TrainedNetwork):
            return _load_trained(builtin, request)
        return _load_topology(builtin, request)
    if name.lower().endswith(".csv"):
        return _load_scalesim(name, request)
    if name.endswith(".onnx") or exists(Path(name)):
        return _load_onnx(name, request)
    raise InputError(
        name,
        "no file or built-in network of this name"
        + (nearest(name, known) or "; give an .onnx file, or a name of: accel-sim list networks"),
    )


def _load_onnx(name: str, request: NetworkRequest) -> Workload:
    from quantizer.network.images import load_images
    from quantizer.network.onnx_import import load_onnx

    if request.calibration is None and not request.has_formats:
        _refuse_uncalibrated(name, request)
    network = load_onnx(Path(name), parse_shape(request.input_shape))
    preprocessing = parse_preprocessing(request)

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
    _refuse_preprocessing(request, "there are no images to apply it to; leave it out")


def _load_scalesim(name: str, request: NetworkRequest) -> Workload:
    from quantizer.network.scalesim_topology import load_scalesim

    if request.needs_formats:
        raise InputError(name, "holds shapes only, nothing to quantize; give an .onnx file")
    if request.needs_images:
        raise InputError(name, "holds shapes only, no values; add --no-values")
    for option, value in (
        ("--input-shape", request.input_shape),
        ("--calibration", request.calibration),
        ("--formats", request.has_formats or None),
    ):
        if value is not None:
            raise InputError(option, f"has no use for the shapes in {name}; leave it out")
    _refuse_preprocessing(request, "there are no images to apply it to; leave it out")
    return Workload(network=load_scalesim(Path(name)), calibration=None, images=None)


def _check_builtin_options(name: str, request: NetworkRequest) -> None:
    if request.input_shape is not None:
        raise InputError("--input-shape", f"the shapes of {name} are fixed; leave it out")
    if request.images is None and request.calibration is None:
        problem = f"the images of {name} have their own preprocessing; leave it out"
        _refuse_preprocessing(request, problem)


def _load_trained(builtin: "TrainedNetwork", request: NetworkRequest) -> Workload:
    from quantizer.network.images import Preprocessing, load_images
    from quantizer.network.onnx_import import load_onnx

    network = replace(load_onnx(builtin.onnx_path), name=builtin.name)
    shape = network.shapes[network.input]
    own = Preprocessing(mean=builtin.mean, scale=builtin.scale)
    given = _given_preprocessing(request, own)

    def load(path: Path | None, shipped: Path, label: str, limit: int | None) -> "ImageSet":
        if path is not None:
            return load_images(path, shape=shape, preprocessing=given, limit=limit)
        loaded = load_images(shipped, shape=shape, preprocessing=own, limit=limit)
        # The path depends on where the package is installed; reports must not.
        return replace(loaded, source=f"{builtin.name} ({label})")

    calibration = load(request.calibration, builtin.calibration_path, "calibration", None)
    images = None
    if request.needs_images:
        images = load(request.images, builtin.test_path, "test", request.limit_images)
    return _checked(Workload(network=network, calibration=calibration, images=images))


def _load_topology(topology: "Topology", request: NetworkRequest) -> Workload:
    """Give a topology, with weights only if any value or format is asked for."""
    from accel_sim.builtin.topologies.seeded import IMAGE_MEAN, IMAGE_SCALE, make_images
    from quantizer.network.images import ImageSet, Layout, Preprocessing, load_images

    needs_weights = (
        request.needs_images
        or request.needs_formats
        or request.has_formats
        or request.calibration is not None
    )
    if not needs_weights:
        return Workload(network=topology.without_weights(), calibration=None, images=None)
    shape = topology.shapes[topology.input]
    own = Preprocessing(mean=(IMAGE_MEAN,), scale=(IMAGE_SCALE,), layout=Layout.NCHW)
    given = _given_preprocessing(request, replace(own, layout=None))

    def load(path: Path | None, seeded: range, label: str, limit: int | None) -> "ImageSet":
        if path is not None:
            return load_images(path, shape=shape, preprocessing=given, limit=limit)
        return ImageSet(
            images=make_images(shape, seeded[:limit]),
            labels=None,
            preprocessing=own,
            source=f"{topology.name} (seeded {label})",
        )

    calibration = load(request.calibration, CALIBRATION_IMAGES, "calibration", None)
    images = None
    if request.needs_images:
        images = load(request.images, TEST_IMAGES, "test", request.limit_images)
    network = topology.with_weights()
    return _checked(Workload(network=network, calibration=calibration, images=images))


def _given_preprocessing(request: NetworkRequest, own: "Preprocessing") -> "Preprocessing":
    return parse_preprocessing(request) if request.has_preprocessing else own


def _refuse_preprocessing(request: NetworkRequest, problem: str) -> None:
    for option in ("mean", "scale", "layout"):
        if getattr(request, option) is not None:
            raise InputError(f"--{option}", problem)


def _checked(workload: Workload) -> Workload:
    if workload.images is not None:
        network = workload.network
        workload.images.check_labels(math.prod(network.shapes[network.output]))
    return workload


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

    is_signed = hardware.precision.activations is Activations.SIGNED
    return choose_formats(
        workload, bits, hardware.numeric_rules, request, progress, signed_only=is_signed
    )


def choose_formats(
    workload: Workload,
    bits: "BitWidths",
    rules: "NumericRules",
    request: FormatRequest,
    progress: Progress,
    *,
    signed_only: bool = False,
) -> "QuantizedNetwork":
    """Quantize as the options ask for.

    Raises
    ------
    InputError
        If an option has no use with the method.
    """
    from quantizer.estimators import Estimator
    from quantizer.formats_file import read_formats
    from quantizer.quantize import quantize
    from quantizer.step_rules import find_step_rule

    method = request.method or DEFAULT_METHOD
    estimator = Estimator(request.estimator or DEFAULT_ESTIMATOR)
    if request.estimator is not None and not find_step_rule(method, estimator).fits_distribution:
        raise InputError(
            "--estimator",
            f"has no use with --method {method}, which fits no distribution; leave one of them out",
        )
    return quantize(
        workload.network,
        workload.calibration,
        bits,
        rules,
        method=method,
        estimator=estimator,
        headroom_bits=request.headroom_bits or 0,
        formats=None if request.formats is None else read_formats(request.formats),
        signed_only=signed_only,
        progress=progress,
    )
