"""What a fixed-point CNN accelerator does with a quantized network.

The verbs of the command line, for programs and notebooks::

    from accel_sim import BitWidths, load_hardware, load_onnx, quantize, simulate
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "BitWidths": "quantizer.quantized",
    "InputError": "quantizer.errors",
    "LayerBits": "quantizer.quantized",
    "Preprocessing": "quantizer.network.images",
    "RunReport": "accel_sim.report.model",
    "Tuning": "quantizer.quantized",
    "calibrate_power": "accel_sim.calibration.power",
    "calibrated_yaml": "accel_sim.calibration.calibrated_file",
    "load_hardware": "accel_sim.hardware.load",
    "load_images": "quantizer.network.images",
    "load_onnx": "quantizer.network.onnx_import",
    "load_qonnx": "quantizer.qonnx.read",
    "predict_power_mW": "accel_sim.calibration.power",
    "quantize": "quantizer.quantize",
    "read_measured_layers": "accel_sim.calibration.measured_layers",
    "simulate": "accel_sim.simulation",
    "tune_on": "accel_sim.tuning_score",
    "to_qonnx": "quantizer.qonnx.write",
}
"""Where each public name lives; imported on first use, because some take a second.

Their types stand in __init__.pyi.
"""

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> object:
    # No submodule may have the name of what it gives: importing it would hide that.
    if name not in _HOMES:
        raise AttributeError(f"module 'accel_sim' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
