from accel_sim.calibration.calibrated_file import calibrated_yaml as calibrated_yaml
from accel_sim.calibration.measured_layers import read_measured_layers as read_measured_layers
from accel_sim.calibration.power import calibrate_power as calibrate_power
from accel_sim.calibration.power import predict_power_mW as predict_power_mW
from accel_sim.hardware.load import load_hardware as load_hardware
from accel_sim.report.model import RunReport as RunReport
from accel_sim.simulation import simulate as simulate
from accel_sim.tuning_score import tune_on as tune_on
from quantizer.errors import InputError as InputError
from quantizer.network.images import Preprocessing as Preprocessing
from quantizer.network.images import load_images as load_images
from quantizer.network.onnx_import import load_onnx as load_onnx
from quantizer.qonnx.read import load_qonnx as load_qonnx
from quantizer.qonnx.write import to_qonnx as to_qonnx
from quantizer.quantize import quantize as quantize
from quantizer.quantized import BitWidths as BitWidths
from quantizer.quantized import LayerBits as LayerBits
from quantizer.quantized import Tuning as Tuning

__version__: str
