"""From what the user asked for to networks and images in memory."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from accel_sim.cli.inputs import NetworkRequest, parse_preprocessing, parse_shape
from quantizer.errors import InputError, nearest
from quantizer.input_file import exists

if TYPE_CHECKING:
    from accel_sim.builtin import TrainedNetwork
    from accel_sim.builtin.topologies.topology import Topology
    from quantizer.network.graph import Network
    from quantizer.network.images import ImageSet, Preprocessing
    from quantizer.qonnx.read import QonnxFile

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
    qonnx
        Where the network comes from, if that is a file with formats.
    """

    network: "Network"
    calibration: "ImageSet | None"
    images: "ImageSet | None"
    qonnx: "QonnxFile | None" = None

    @property
    def is_quantized(self) -> bool:
        """Whether every tensor has a format already."""
        return self.qonnx is not None and not self.qonnx.open


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
    from quantizer.network.onnx_file import read_model
    from quantizer.network.onnx_import import import_model
    from quantizer.qonnx.bypass import has_quant_nodes
    from quantizer.qonnx.read import read_qonnx

    path, shape = Path(name), parse_shape(request.input_shape)
    model, digest = read_model(path)
    qonnx = read_qonnx(path, model, digest, shape) if has_quant_nodes(model) else None
    if request.calibration is None and not request.has_formats:
        if qonnx is None:
            _refuse_uncalibrated(name, request)
        elif request.images is None:
            _refuse_preprocessing(request, "there are no images to apply it to; leave it out")
    network = import_model(path, model, digest, shape) if qonnx is None else qonnx.network
    preprocessing = parse_preprocessing(request)

    def load(path: Path | None, limit: int | None = None) -> "ImageSet | None":
        if path is None:
            return None
        return load_images(
            path, shape=network.shapes[network.input], preprocessing=preprocessing, limit=limit
        )

    is_open = qonnx is None or bool(qonnx.open)
    calibration = load(request.calibration) if is_open else None
    images = None
    if request.needs_images:
        images = load(request.images or request.calibration, request.limit_images)
        if images is None:
            otherwise = "" if request.needs_formats else ", or --no-values"
            raise InputError(name, f"needs images to run; give --images{otherwise}")
    return _checked(Workload(network=network, calibration=calibration, images=images, qonnx=qonnx))


def _refuse_uncalibrated(name: str, request: NetworkRequest) -> None:
    if request.images is not None:
        raise InputError(
            "--images", "formats are chosen from other images than these; add --calibration"
        )
    if request.needs_images:
        otherwise = "" if request.needs_formats else ", or --no-values for the costs alone"
        raise InputError(
            name,
            f"needs images to choose its formats; give --calibration and --images{otherwise}",
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
