"""What is kept of a point of a sweep: everything that determines it, and what it gave."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np

import accel_sim
from accel_sim.report.as_csv import flatten
from accel_sim.report.document import ReportDocument
from accel_sim.sweep.points import SweepPoint, UnusablePoint
from quantizer.network.graph import Network
from quantizer.network.images import ImageSet

_FLOAT_REFERENCE = "onnxruntime"
"""Folds constants on import, and computes what SQNR is against."""


def shared_settings(
    network: Network,
    *,
    quantized_digest: str | None,
    calibration: ImageSet | None,
    images: ImageSet | None,
    quantization: Mapping[str, Any],
) -> dict[str, Any]:
    """Give what determines the results of all points of a sweep, as JSON values.

    Files count by their content, whatever their names.

    Parameters
    ----------
    quantized_digest
        Of the content of a file that brings formats; its network has the digest of the float one.
    images
        None for costs alone.
    quantization
        How formats are chosen, as JSON values.
    """
    return {
        "network": {
            "digest": network.digest,
            "input_shape": list(network.shapes[network.input]),
            "quantized_digest": quantized_digest,
        },
        "calibration": None if calibration is None else digest_images(calibration),
        "images": None if images is None else digest_images(images),
        "quantization": dict(quantization),
        "versions": {
            "accel_sim": accel_sim.__version__,
            _FLOAT_REFERENCE: version(_FLOAT_REFERENCE),
        },
    }


def point_settings(point: SweepPoint, shared: Mapping[str, Any]) -> dict[str, Any]:
    """Give everything that determines the result of a point, as JSON values.

    The machine stands there as it is, not as what was changed about a file.

    Parameters
    ----------
    shared
        From `shared_settings`.
    """
    bits = point.bits
    return {
        "hardware": point.hardware.model_dump(mode="json"),
        "bits": {
            "datapath": point.datapath.value,
            "weights": bits.weights,
            "activations": bits.activations,
            "inputs": bits.input_bits,
            "biases": bits.biases,
            "layers": {name: asdict(widths) for name, widths in bits.layers.items()},
        },
        **shared,
    }


def unusable_settings(
    point: UnusablePoint, file_text: str, shared: Mapping[str, Any]
) -> dict[str, Any]:
    """Give everything that determines why a point has no machine, as JSON values.

    Parameters
    ----------
    file_text
        Of the machine's file.
    shared
        From `shared_settings`.
    """
    return {
        "hardware": {
            "name": point.machine,
            "file_digest": hashlib.sha256(file_text.encode()).hexdigest(),
            **point.changes,
        },
        "bits": {"weights": point.weights, "activations": point.activations},
        **shared,
    }


def digest_images(images: ImageSet) -> str:
    """SHA-256 of pixels, labels and preprocessing, in hexadecimal."""
    stored, labels, steps = images.images, images.labels, images.preprocessing
    digest = hashlib.sha256(repr((stored.dtype.str, stored.shape)).encode())
    for image in stored:
        digest.update(np.ascontiguousarray(image).data)
    digest.update(repr((steps.mean, steps.scale, labels is None)).encode())
    if labels is not None:
        digest.update(np.ascontiguousarray(labels).data)
    return digest.hexdigest()


BITS_FILE = "bits_file"
"""Column for the name of a file, which determines nothing: the widths in it do."""
LAYER_BITS = "layer_bits"
_IDENTITY = ("hardware", "network")
_WIDTHS = ("weight_bits", "activation_bits", "input_bits")
_TOTALS = (
    "sqnr_dB",
    "exact",
    "top1_accuracy_fraction",
    "float_top1_accuracy_fraction",
    "top1_agreement_fraction",
    "top1_tie_fraction",
    "images",
    "batch",
    "macs",
    "cycles",
    "latency_us",
    "frames_per_second",
    "utilization_fraction",
    "dram_read_bytes",
    "dram_write_bytes",
    "dram_average_GBps",
    "energy_uJ",
    "energy_uJ_low",
    "energy_uJ_high",
    "chip_energy_uJ",
    "chip_energy_uJ_low",
    "chip_energy_uJ_high",
    "average_power_mW",
    "TOPS_per_W",
    "datapath",
)


def totals_record(report: ReportDocument) -> dict[str, Any]:
    """Give the machine's and the network's names, the widths and all totals of a report, flat.

    First come the keys that a sweep tabulates.
    """
    totals = flatten(report.totals.model_dump(mode="json"))
    return {
        "hardware": report.hardware.name,
        "network": report.network.name,
        **{key: getattr(report.quantization, key) for key in _WIDTHS},
        **{key: totals[key] for key in _TOTALS},
        # A band repeats its two ends.
        **{key: value for key, value in totals.items() if not isinstance(value, list)},
    }


def point_record(columns: Mapping[str, str | None], totals: Mapping[str, Any]) -> dict[str, Any]:
    """Give what a sweep tabulates of a point.

    Parameters
    ----------
    columns
        What varies besides machine, network and widths.
    totals
        From `totals_record`; what it lacks is None, as all numbers of a point that failed.
    """
    return {
        **{key: totals.get(key) for key in _IDENTITY},
        **columns,
        **{key: totals.get(key) for key in (*_WIDTHS, *_TOTALS)},
    }


def failure_record(point: SweepPoint | UnusablePoint, network: Network) -> dict[str, Any]:
    """Give what is known of a point that failed, under the keys of `totals_record`."""
    if isinstance(point, UnusablePoint):
        name, weights, activations, inputs = point.machine, point.weights, point.activations, None
    else:
        bits = point.bits
        name, weights, activations = point.hardware.name, bits.weights, bits.activations
        inputs = bits.input_bits
    return {
        "hardware": name,
        "network": network.name,
        "weight_bits": weights,
        "activation_bits": activations,
        "input_bits": inputs,
        **given_names(point),
    }


def given_names(point: SweepPoint | UnusablePoint) -> dict[str, Any]:
    """Give what a record holds though it determines nothing: how the user named a file."""
    return {} if point.bits_file is None else {BITS_FILE: point.bits_file}


_OTHER_WIDTHS = {"datapath": "datapath", "bias_bits": "biases", LAYER_BITS: "layers"}
"""Columns of widths that records lack, and their keys in the settings."""


def setting_columns(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Give settings flat: keys of the machine as ``--set`` takes them, then all else.

    Parameters
    ----------
    settings
        From `point_settings`.
    """
    machine, bits, numbers = settings["hardware"], settings["bits"], settings["quantization"]
    network = settings["network"]
    return {
        **flatten({key: value for key, value in machine.items() if key != "name"}),
        **{name: bits[key] for name, key in _OTHER_WIDTHS.items() if key in bits},
        "method": numbers["method"],
        "estimator": numbers["estimator"],
        "headroom_bits": numbers["headroom_bits"],
        "per_channel": numbers["per_channel"],
        **flatten({"tuning": numbers["tuning"] or {}}),
        "formats_digest": None if numbers["formats"] is None else _digest(numbers["formats"]),
        "network_digest": network["digest"],
        "quantized_digest": network["quantized_digest"],
        "input_shape": network["input_shape"],
        "images_digest": settings["images"],
        "calibration_digest": settings["calibration"],
        "accel_sim_version": settings["versions"]["accel_sim"],
        "onnxruntime_version": settings["versions"][_FLOAT_REFERENCE],
    }


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
