"""The exact run of many networks that differ a little: only what a change touches runs again.

One network is *accepted*, and the integers of its feature maps are kept for every image. A
candidate is run from the layers whose formats or constants differ, through what reads
another integer than before. So its maps equal those of a full run, bit for bit.
"""

import math
from collections import ChainMap
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel_sim.accumulation import NO_PLANS, Plans
from accel_sim.functional import ExactNetwork, find_plan
from accel_sim.layer_steps import prepare_step
from accel_sim.layer_steps.feature_map import channels_first, encode_map, storage
from accel_sim.layer_steps.step import Raw, Step
from quantizer.network.images import ImageSet
from quantizer.network.layers import Layer
from quantizer.ordered_map import map_in_order
from quantizer.quantized import QuantizedConstant, QuantizedNetwork
from quantizer.tensor_bits import Use, constants_of


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """How to run a network, and which layers run otherwise than in the accepted one."""

    network: QuantizedNetwork
    steps: tuple[Step, ...]
    changed: frozenset[str]
    encodes_input: bool


class IncrementalRun:
    """Runs networks of one structure on the same images, each from where it differs.

    Parameters
    ----------
    network
        The first accepted network.
    images
        What to run on.
    plans
        As `ExactNetwork` takes them.
    memory_limit_bytes
        For the kept feature maps. Images whose maps do not fit, the last ones, are run
        from the start every time: slower, with the same result.

    Raises
    ------
    InputError
        As `ExactNetwork`.
    """

    def __init__(
        self,
        network: QuantizedNetwork,
        images: ImageSet,
        *,
        memory_limit_bytes: int,
        plans: Plans = NO_PLANS,
    ) -> None:
        exact = ExactNetwork(network, plans)
        self._images = images
        self._plans = plans
        self._accepted = _Plan(
            network=network,
            steps=tuple(self._prepare(network, layer) for layer in network.network.layers),
            changed=frozenset(),
            encodes_input=False,
        )
        per_image = sum(
            math.prod(shape) * storage(network.formats[name]).itemsize
            for name, shape in network.network.shapes.items()
        )
        fitting = min(len(images), memory_limit_bytes // per_image)
        self._kept: list[dict[str, Raw]] = [
            dict(maps)
            for maps in map_in_order(lambda index: exact.run(images.real(index)).tensors, fitting)
        ]

    @property
    def accepted(self) -> QuantizedNetwork:
        """The network whose maps are kept."""
        return self._accepted.network

    @property
    def kept_images(self) -> int:
        """For how many images, from the first, the maps are kept."""
        return len(self._kept)

    def outputs(self, candidate: QuantizedNetwork) -> Generator[NDArray[np.int32]]:
        """Yield the first output of a candidate for every image, in their order.

        Raises
        ------
        InputError
            A layer cannot be prepared or run with the candidate's formats.
        """
        plan = self._plan(candidate)
        output = candidate.network.output

        def run(index: int) -> NDArray[np.int32]:
            maps = self._changed_maps(plan, index)
            return channels_first(maps[output] if output in maps else self._kept[index][output])

        return map_in_order(run, len(self._images))

    def accept(self, candidate: QuantizedNetwork) -> None:
        """Keep the maps of this network from now on."""
        plan = self._plan(candidate)
        changed = map_in_order(lambda index: self._changed_maps(plan, index), len(self._kept))
        for kept, maps in zip(self._kept, changed, strict=True):
            kept |= maps
        self._accepted = plan

    def run_layer(
        self, candidate: QuantizedNetwork, layer: Layer
    ) -> Callable[[int], NDArray[np.int32]]:
        """Prepare one layer of a candidate, to run it on what is kept of an image.

        Raises
        ------
        InputError
            The layer cannot be prepared with the candidate's formats.
        """
        step = self._prepare(candidate, layer)

        return lambda index: channels_first(step(self._kept[index])[0])

    def kept_maps(self, index: int) -> Mapping[str, Raw]:
        """Feature maps of the accepted network for an image that is kept, by name."""
        return self._kept[index]

    def _prepare(self, network: QuantizedNetwork, layer: Layer) -> Step:
        return prepare_step(network, layer, find_plan(network, layer, self._plans))

    def _plan(self, candidate: QuantizedNetwork) -> _Plan:
        before = self._accepted.network
        steps, changed = [], []
        for layer, step in zip(before.network.layers, self._accepted.steps, strict=True):
            if _runs_alike(layer, before, candidate):
                steps.append(step)
            else:
                steps.append(self._prepare(candidate, layer))
                changed.append(layer.name)
        name = candidate.network.input
        return _Plan(
            network=candidate,
            steps=tuple(steps),
            changed=frozenset(changed),
            encodes_input=candidate.formats[name] != before.formats[name],
        )

    def _changed_maps(self, plan: _Plan, index: int) -> dict[str, Raw]:
        """Compute the maps of one image that differ from the kept ones, or all maps."""
        network = plan.network
        graph = network.network
        kept = self._kept[index] if index < len(self._kept) else {}
        maps: dict[str, Raw] = {}
        if plan.encodes_input or not kept:
            fmt = network.formats[graph.input]
            rounding = network.rules.requantize_rounding
            maps[graph.input] = encode_map(self._images.real(index), fmt, rounding)
        read = ChainMap(maps, kept)
        for layer, step in zip(graph.layers, plan.steps, strict=True):
            if layer.name not in plan.changed and maps.keys().isdisjoint(layer.inputs):
                continue
            ofm = step(read)[0]
            if layer.ofm not in kept or not np.array_equal(ofm, kept[layer.ofm]):
                maps[layer.ofm] = ofm
        return maps


def _runs_alike(layer: Layer, one: QuantizedNetwork, other: QuantizedNetwork) -> bool:
    """Tell whether a layer maps the same integers to the same integers in both networks."""
    if any(one.formats[name] != other.formats[name] for name in (*layer.inputs, layer.ofm)):
        return False
    names = [name for name, use in constants_of(layer) if use is not Use.BIAS]
    return all(_are_equal(one.weights[name], other.weights[name]) for name in names) and _are_equal(
        one.biases.get(layer.name), other.biases.get(layer.name)
    )


def _are_equal(one: QuantizedConstant | None, other: QuantizedConstant | None) -> bool:
    if one is other or one is None or other is None:
        return one is other
    return np.array_equal(one.frac_bits, other.frac_bits) and np.array_equal(one.raw, other.raw)
