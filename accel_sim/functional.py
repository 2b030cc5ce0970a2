"""The exact run: one image through a quantized network, every integer as the machine's."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel_sim.accumulation import NO_PLANS, AccumulationPlan, Plans
from accel_sim.kernels.micro_kernels import HOST_PATHS, Path
from accel_sim.layer_steps import prepare_step
from accel_sim.layer_steps.feature_map import encode_map, make_room
from accel_sim.layer_steps.joined_maps import Placements, find_placements
from accel_sim.layer_steps.step import Events, Raw
from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import Overflow
from quantizer.network.graph import Network
from quantizer.network.layers import Layer, MacLayer
from quantizer.quantized import QuantizedNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Feature maps of one image as raw integers, by name; and the events by layer name.

    Maps have the network's shapes, in integers as narrow as their formats and in the memory
    order of the run (`layer_steps.feature_map`; `channels_first` gives them as int32).
    """

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
        placements = find_placements(network)
        self._steps = [
            (
                layer,
                prepare_step(network, layer, find_plan(network, layer, plans), path, placements),
            )
            for layer in network.network.layers
        ]
        self._begun = _find_begun(network.network, placements)
        self._read_last = _find_last_reads(network.network)

    def encode(self, image: NDArray[np.float64]) -> Raw:
        """Encode a preprocessed image float64[C, H, W] in the input's format."""
        network = self._network
        fmt = network.formats[network.network.input]
        return encode_map(image, fmt, network.rules.requantize_rounding)

    def run(self, image: NDArray[np.float64], *, keeps_maps: bool = True) -> Trace:
        """Run one preprocessed image, float64[C, H, W].

        Parameters
        ----------
        keeps_maps
            Whether the trace has every map. Otherwise it has the outputs of the network, and
            others are freed when the last layer that reads them is done.
        """
        tensors = {self._network.network.input: self.encode(image)}
        events = {}
        shapes, formats = self._network.network.shapes, self._network.formats
        for (layer, step), begun, read_last in zip(
            self._steps, self._begun, self._read_last, strict=True
        ):
            if begun is not None:
                tensors[begun] = make_room(shapes[begun], formats[begun])
            tensors[layer.ofm], events[layer.name] = step(tensors)
            if not keeps_maps:
                for name in read_last:
                    del tensors[name]
        return Trace(tensors=tensors, events=events)


def _find_begun(network: Network, placements: Placements) -> list[str | None]:
    """Find by layer the joined map whose first part it makes, if it does."""
    joined = [
        placements[one.ofm].joined if one.ofm in placements else None for one in network.layers
    ]
    return [None if name in joined[:index] else name for index, name in enumerate(joined)]


def _find_last_reads(network: Network) -> list[tuple[str, ...]]:
    """Find by layer which maps no later layer reads, outputs of the network apart."""
    last_reads: list[tuple[str, ...]] = []
    needed = set(network.outputs)
    for layer in reversed(network.layers):
        done = {*layer.inputs, layer.ofm} - needed
        last_reads.append(tuple(sorted(done)))
        needed |= done
    return last_reads[::-1]
