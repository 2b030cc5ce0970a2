"""The exact run: one image through a quantized network, every integer as the machine's."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel_sim.accumulation import NO_PLANS, AccumulationPlan, Plans
from accel_sim.kernels.micro_kernels import HOST_PATHS, Path
from accel_sim.layer_steps import prepare_step
from accel_sim.layer_steps.step import Events, Raw
from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import Overflow
from quantizer.network.layers import Layer, MacLayer
from quantizer.quantized import QuantizedNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Every feature map of one image as raw integers, and the events by layer name."""

    tensors: Mapping[str, Raw]
    events: Mapping[str, Events]


def find_plan(network: QuantizedNetwork, layer: Layer, plans: Plans) -> AccumulationPlan | None:
    """Find how a layer is added up; None where the order cannot matter.

    Raises
    ------
    InputError
        Accumulators saturate and the layer has no plan.
    """
    if network.rules.accumulator_overflow is Overflow.WRAP or not isinstance(layer, MacLayer):
        return None
    if layer.name not in plans:
        raise InputError(
            f"layer {layer.name!r}",
            "saturating accumulators give what the order of additions makes of it, and that is "
            "the machine's; give an accumulation plan, or let simulate() find it",
        )
    return plans[layer.name]


class ExactNetwork:
    """A quantized network, ready to run bit by bit.

    Parameters
    ----------
    network
        What to run.
    plans
        How the machine adds up every layer on its array. Needed where accumulators
        saturate, because the result depends on it; of no use where they wrap.
    path
        Whose micro-kernels to use; the fastest of the host. It changes no bit.

    Raises
    ------
    InputError
        Accumulators saturate and a layer has no plan, or a layer cannot be prepared (see
        `prepare_step`).
    """

    def __init__(
        self,
        network: QuantizedNetwork,
        plans: Plans = NO_PLANS,
        *,
        path: Path = HOST_PATHS[0],
    ) -> None:
        self._network = network
        self._steps = [
            (layer, prepare_step(network, layer, find_plan(network, layer, plans), path))
            for layer in network.network.layers
        ]

    def encode(self, image: NDArray[np.float64]) -> Raw:
        """Encode a preprocessed image float64[C, H, W] in the input's format."""
        fmt = self._network.formats[self._network.network.input]
        return fmt.encode(image, self._network.rules.requantize_rounding).astype(np.int32)

    def run(self, image: NDArray[np.float64]) -> Trace:
        """Run one preprocessed image, float64[C, H, W]."""
        tensors = {self._network.network.input: self.encode(image)}
        events = {}
        for layer, step in self._steps:
            ofm, events[layer.name] = step(tensors)
            tensors[layer.ofm] = ofm.reshape(self._network.network.shapes[layer.ofm])
        return Trace(tensors=tensors, events=events)
