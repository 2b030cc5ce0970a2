"""The output stage of the layers that run on the array."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from accel_sim.accumulator_range import bits_needed
from accel_sim.kernels import output_stage
from accel_sim.kernels.ordered_sums import Sums
from accel_sim.layer_steps.step import Bounds, Events, Raw, find_bounds
from quantizer.network.layers import MacLayer, WeightedLayer
from quantizer.quantized import QuantizedNetwork


def align_bias(network: QuantizedNetwork, layer: WeightedLayer) -> NDArray[np.int64]:
    """Bias in the format of the layer's products, int64[K]; zeros where there is none."""
    if layer.bias is None:
        return np.zeros(len(network.weights[layer.weights].raw), np.int64)
    bias = network.biases[layer.name]
    shift = network.accumulator_frac_bits(layer) - bias.frac_bits
    return np.asarray(bias.raw.astype(np.int64) << shift)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputStage:
    """From accumulators to outputs, for all or some channels of a layer.

    Attributes
    ----------
    acc_type
        Holds any sum of the layer.
    bias, shift
        int64[K], as `kernels.output_stage.finish` takes them.
    """

    acc_type: type[np.int32] | type[np.int64]
    acc_bits: int
    bias: NDArray[np.int64]
    shift: NDArray[np.int64]
    rounding: int
    bounds: Bounds

    def of_channels(self, channels: NDArray[np.int64]) -> "OutputStage":
        """Take some channels of the layer."""
        return replace(self, bias=self.bias[channels], shift=self.shift[channels])

    def run(self, acc: Sums, clamps: int, ofm: Raw) -> tuple[Raw, Events]:
        """Finish the sums of one image.

        Parameters
        ----------
        acc : [K, P, W]
            Columns from Q on are ignored.
        clamps
            How many additions on the way to them clamped.
        ofm : int32[K, P, Q]
            Every element is overwritten.
        """
        overflows, saturations = output_stage.finish(
            acc, self.acc_bits, self.bias, self.shift, self.rounding, self.bounds, ofm
        )
        # Sums that were clamped fit, so that only one of the two is ever counted.
        return ofm, Events(
            accumulator_overflows=int(overflows) + clamps, output_saturations=int(saturations)
        )


def prepare_output_stage(network: QuantizedNetwork, layer: MacLayer) -> OutputStage:
    """Work out bias, shifts and bounds of a layer."""
    rules, fmt = network.rules, network.formats[layer.ofm]
    return OutputStage(
        acc_type=np.int32 if bits_needed(network, layer) <= 32 else np.int64,
        acc_bits=rules.accumulator_bits,
        bias=align_bias(network, layer),
        shift=network.accumulator_frac_bits(layer) - fmt.frac_bits,
        rounding=int(rules.requantize_rounding),
        bounds=find_bounds(fmt, layer.clamp, rules.requantize_rounding),
    )
