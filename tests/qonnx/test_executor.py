"""Does qonnx's executor give the exact integers of a file that was written, where it can?

It computes in float32, which is exact while every sum, counted in its finest step, stays below
``2**24``: that is worked out here for every layer, from the integers of the run, and no more is
claimed. Every layer gets the exact values of what it reads, so that one that is not exact does
not spoil those behind it.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from accel_sim.builtin import TrainedNetwork, find_builtin
from accel_sim.functional import ExactNetwork
from quantizer.network.graph import Network, as_image
from quantizer.network.images import Preprocessing, load_images
from quantizer.network.layers import (
    Add,
    AveragePool,
    BatchNorm,
    Clip,
    Concat,
    Conv,
    ConvTranspose,
    Dense,
    Layer,
    MaxPool,
    Mul,
    Pad,
    PRelu,
    Reshape,
    Slice,
    Transpose,
    Upsample,
)
from quantizer.network.onnx_import import load_onnx
from quantizer.qonnx.write import to_qonnx
from quantizer.quantize import quantize
from quantizer.quantized import BitWidths, QuantizedNetwork
from tests.oracles.network_blocks import BLOCKS
from tests.seeds import seeds
from tests.test_exact_networks import QONNX_WIDTHS, REAL_NETWORKS, random_case

Maps = dict[str, NDArray[np.float64]]
EXACT_BELOW = 2.0**24


def largest_in_steps(network: QuantizedNetwork, layer: Layer, maps: Maps) -> float:
    """Bound on the sums of a layer in their finest step; infinite where float32 rounds anyway.

    ``sum |w| * max |x| + |bias| + half a step of the output``, per output channel.
    """
    half = network.formats[layer.ofm].step / 2
    if not all(adds_exactly(bound, half) for bound in real_bounds(layer)):
        return np.inf
    peaks = [float(abs(maps[name]).max()) for name in layer.inputs]
    steps = [network.formats[name].step for name in layer.inputs]
    match layer:
        case Upsample():
            return np.inf  # positions are divided in float32
        case Concat() | MaxPool() | Clip() | Reshape() | Transpose() | Slice() | Pad():
            return (max(peaks) + half) / min(*steps, half)
        case Conv() | ConvTranspose() | Dense() | BatchNorm():
            weights = network.weights[layer.weights]
            taps = abs(weights.decode().astype(np.float64)).reshape(len(weights.raw), -1)
            sums = taps.sum(axis=1) * peaks[0]
            if layer.bias is not None:
                sums = sums + abs(network.biases[layer.name].decode())
            finest = np.minimum(steps[0] * 2.0**-weights.frac_bits, half)
            return float(((sums + half) / finest).max())
        case Add() | Mul() | PRelu():
            name = layer.slopes if isinstance(layer, PRelu) else layer.constant
            if name is not None:
                peaks.append(float(abs(network.weights[name].decode()).max()))
                steps.append(2.0 ** -int(network.weights[name].frac_bits[0]))
            if isinstance(layer, Add):
                return (sum(peaks) + half) / min(*steps, half)
            # A PRelu also passes values on as they are.
            bound, finest = max(peaks[0], peaks[0] * peaks[1]), min(steps[0], steps[0] * steps[1])
            return (bound + half) / min(finest, half)
        case AveragePool() if windows_are_whole(network.network, layer):
            count = layer.kernel[0] * layer.kernel[1]
            is_power_of_two = count & (count - 1) == 0
            return (peaks[0] + half) / min(steps[0] / count, half) if is_power_of_two else np.inf
        case _:
            return np.inf


def real_bounds(layer: Layer) -> list[float]:
    """Numbers of a layer that are not quantized before it."""
    clamp = getattr(layer, "clamp", None)
    bounds = [] if clamp is None else [clamp.low, clamp.high]
    return [*bounds, layer.value] if isinstance(layer, Pad) else bounds


def adds_exactly(real: float, half: float) -> bool:
    return float(np.float32(real) + np.float32(half)) == real + half


def windows_are_whole(network: Network, layer: AveragePool) -> bool:
    sizes, counts = (as_image(network.shapes[name])[1:] for name in (layer.ifm, layer.ofm))
    return layer.pads == (0, 0, 0, 0) and all(
        (counts[axis] - 1) * layer.stride[axis] + (layer.kernel[axis] - 1) * layer.dilation[axis]
        < sizes[axis]
        for axis in (0, 1)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """Layers that are exact by their bound, all of which were equal; and how many there are."""

    exact: int
    layers: int


def assert_executor_equals(network: QuantizedNetwork, image: NDArray[np.float64]) -> Executed:
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_node

    raw = ExactNetwork(network).run(image).tensors
    maps = {name: network.formats[name].decode(values) for name, values in raw.items()}
    graph = network.network
    provable = {
        layer.ofm for layer in graph.layers if largest_in_steps(network, layer, maps) < EXACT_BELOW
    }
    model = ModelWrapper(onnx.load_from_string(to_qonnx(network)))
    opsets = model.get_opset_imports()
    context = model.make_empty_exec_context()
    # Not the image itself: that is encoded from float64, here from float32.
    context[graph.input] = maps[graph.input][np.newaxis].astype(np.float32)
    for each in model.graph.node:
        execute_node(each, context, model.graph, opsets[each.domain])
        (name,) = each.output
        if name in maps:
            if name in provable:
                np.testing.assert_array_equal(context[name][0], maps[name], err_msg=name)
            context[name] = maps[name][np.newaxis].astype(np.float32)
    return Executed(exact=len(provable), layers=len(graph.layers))


def quantized(
    path: Path, calibration: Path, preprocessing: Preprocessing, bits: int, images: int
) -> QuantizedNetwork:
    graph = load_onnx(path)
    shape = graph.shapes[graph.input]
    chosen_from = load_images(calibration, shape=shape, preprocessing=preprocessing, limit=images)
    return quantize(graph, chosen_from, BitWidths(weights=bits, activations=bits))


def image_of(
    network: QuantizedNetwork, path: Path, preprocessing: Preprocessing, index: int
) -> NDArray[np.float64]:
    shape = network.network.shapes[network.network.input]
    return load_images(path, shape=shape, preprocessing=preprocessing).real(index)


def test_the_built_in_network_of_8_bits_is_exact_entirely() -> None:
    builtin = find_builtin("digits")
    assert isinstance(builtin, TrainedNetwork)
    preprocessing = Preprocessing(mean=builtin.mean, scale=builtin.scale)
    network = quantized(builtin.onnx_path, builtin.calibration_path, preprocessing, 8, 50)
    for index in range(3):
        image = image_of(network, builtin.test_path, preprocessing, index)
        executed = assert_executor_equals(network, image)
        assert executed.exact == executed.layers


@pytest.mark.parametrize("seed", seeds(6, 18, start=4000))
def test_random_networks_are_exact_where_float32_is(seed: int, tmp_path: Path) -> None:
    case = random_case(tmp_path, seed, BLOCKS, QONNX_WIDTHS)
    assert_executor_equals(case.network, case.real_images[0])


@pytest.mark.slow
def test_most_layers_of_the_random_networks_above_are_exact(tmp_path: Path) -> None:
    """Otherwise they would say little."""
    exact = layers = 0
    for seed in range(4000, 4008):
        case = random_case(tmp_path, seed, BLOCKS, QONNX_WIDTHS)
        executed = assert_executor_equals(case.network, case.real_images[0])
        exact, layers = exact + executed.exact, layers + executed.layers
    assert exact > 0.6 * layers


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "bits", "images", "exact_fraction"),
    # At 10 bits, sums of two products of 512 channels and more can pass 2**24.
    [("resnet8_cifar10", 8, 2, 1.0), ("squeezenet1_1", 10, 1, 0.9)],
)
def test_a_real_network_is_exact(
    reference_data: Path, name: str, bits: int, images: int, exact_fraction: float
) -> None:
    calibration, test, preprocessing, _ = REAL_NETWORKS[name]
    folder = reference_data / "images"
    path = reference_data / "networks" / f"{name}.onnx"
    network = quantized(path, folder / f"{calibration}.npz", preprocessing, bits, 16)
    for index in range(images):
        image = image_of(network, folder / f"{test}.npz", preprocessing, index)
        executed = assert_executor_equals(network, image)
        assert executed.exact >= exact_fraction * executed.layers
