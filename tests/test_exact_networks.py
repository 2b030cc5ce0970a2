"""Do whole networks equal two independent oracles, bit for bit?

Both oracles are written from the number contract alone and share no code with the packages:
an interpreter over int64 and a fake-quantized run in float64. They get the formats that the
quantizer chose; encoding, bias alignment and all arithmetic are their own.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from accel_sim.builtin import find_builtin
from accel_sim.functional import ExactNetwork
from quantizer.fixedpoint.qformat import Rounding
from quantizer.formats_file import formats_to_json, read_formats
from quantizer.network.images import ImageSet, Preprocessing, load_images
from quantizer.network.layers import Conv
from quantizer.network.onnx_import import load_onnx
from quantizer.quantize import quantize
from quantizer.quantized import BitWidths, NumericRules, QuantizedNetwork
from tests.oracles import fake_quant, integer_network
from tests.oracles.networks import random_network
from tests.oracles_self_tests.test_published import Q7_NETWORK, Q7_TENSORS, q7_formats

Oracle = Callable[..., dict[str, NDArray[np.int64]]]
BOTH = pytest.mark.parametrize("oracle", [integer_network.run, fake_quant.run])
WIDE = NumericRules(accumulator_bits=48)

REAL_NETWORKS = {
    "resnet8_cifar10": ("cifar10_calib_jpeg", "cifar10_test_jpeg_a", Preprocessing(), 6),
    "cmsis_q7_cifar10": (
        "cifar10_calib_jpeg",
        "cifar10_test_jpeg_a",
        Preprocessing(mean=(125.0, 123.0, 114.0), scale=(1 / 256,)),
        6,
    ),
    "squeezenet1_1": (
        "imagenet_calib",
        "imagenet_photos_a",
        Preprocessing(mean=(123.0, 117.0, 104.0)),
        2,
    ),
}


def exact_tensors(network: QuantizedNetwork, images: ImageSet) -> dict[str, NDArray[np.int32]]:
    """Raw integers of every feature map, ``[N, ...]``."""
    exact = ExactNetwork(network)
    traces = [exact.run(images.real(index)).tensors for index in range(len(images))]
    return {name: np.stack([trace[name] for trace in traces]) for name in traces[0]}


def assert_equals_oracle(
    oracle: Oracle, path: Path, network: QuantizedNetwork, images: ImageSet
) -> None:
    """Compare every tensor; what the optimiser folded is handed to the oracle."""
    graph = network.network
    folded = {
        name: graph.constants[name]
        for layer in graph.layers
        if isinstance(layer, Conv)
        for name in (layer.weights, layer.bias)
        if name is not None
    }
    rules = network.rules
    expected = oracle(
        path,
        formats_to_json(network),
        np.stack([images.real(index) for index in range(len(images))]),
        rules.requantize_rounding.name.lower(),
        rules.average_pool_rounding.name.lower(),
        rules.accumulator_bits,
        folded,
    )
    found = exact_tensors(network, images)
    assert graph.output in expected
    for name in found.keys() & expected.keys():
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
    assert found.keys() - expected.keys() == set()


def first(images: ImageSet, count: int) -> ImageSet:
    labels = None if images.labels is None else images.labels[:count]
    return replace(images, images=images.images[:count], labels=labels)


@BOTH
@pytest.mark.parametrize("bits", [8, 16])
def test_the_built_in_network_equals_the_oracle(oracle: Oracle, bits: int) -> None:
    builtin = find_builtin("digits")
    graph = load_onnx(builtin.onnx_path)
    preprocessing = Preprocessing(mean=builtin.mean, scale=builtin.scale)
    shape = graph.shapes[graph.input]
    calibration, images = (
        load_images(path, shape=shape, preprocessing=preprocessing, limit=limit)
        for path, limit in ((builtin.calibration_path, 50), (builtin.test_path, 20))
    )
    network = quantize(graph, calibration, BitWidths(weights=bits, activations=bits), WIDE)
    assert_equals_oracle(oracle, builtin.onnx_path, network, images)


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", REAL_NETWORKS)
def test_a_real_network_equals_the_oracle(
    reference_data: Path, oracle: Oracle, bits: int, name: str
) -> None:
    calibration_name, test_name, preprocessing, count = REAL_NETWORKS[name]
    path = reference_data / "networks" / f"{name}.onnx"
    graph = load_onnx(path)
    calibration, images = (
        load_images(
            reference_data / "images" / f"{file}.npz",
            shape=graph.shapes[graph.input],
            preprocessing=preprocessing,
        )
        for file in (calibration_name, test_name)
    )
    network = quantize(graph, calibration, BitWidths(weights=bits, activations=bits), WIDE)
    assert_equals_oracle(oracle, path, network, first(images, count))


def random_images(rng: np.random.Generator, shape: tuple[int, ...], count: int) -> ImageSet:
    return ImageSet(
        images=rng.normal(size=(count, *shape)).astype(np.float32),
        labels=None,
        preprocessing=Preprocessing(),
        source="random images",
    )


@pytest.mark.parametrize("seed", range(30))
def test_a_random_network_equals_both_oracles(tmp_path: Path, seed: int) -> None:
    """Any legal structure, any width, any rounding."""
    path = tmp_path / "random.onnx"
    onnx.save(random_network(seed), path)
    graph = load_onnx(path)
    rng = np.random.default_rng(seed)
    shape = graph.shapes[graph.input]
    rules = NumericRules(
        requantize_rounding=Rounding(int(rng.integers(5))),
        average_pool_rounding=Rounding(int(rng.integers(5))),
        accumulator_bits=48,
    )
    bits = BitWidths(weights=int(rng.integers(2, 17)), activations=int(rng.integers(2, 17)))
    network = quantize(
        graph,
        random_images(rng, shape, 4),
        bits,
        rules,
        signed_only=bool(rng.integers(2)),
    )
    images = random_images(rng, shape, 3)
    for oracle in (integer_network.run, fake_quant.run):
        assert_equals_oracle(oracle, path, network, images)


@pytest.mark.parametrize("seed", range(8))
def test_a_random_network_with_narrow_accumulators_equals_the_interpreter(
    tmp_path: Path, seed: int
) -> None:
    """Accumulators that wrap, and the counts of that and of saturated outputs."""
    path = tmp_path / "random.onnx"
    onnx.save(random_network(seed), path)
    graph = load_onnx(path)
    rng = np.random.default_rng(seed)
    shape = graph.shapes[graph.input]
    rules = NumericRules(accumulator_bits=int(rng.integers(8, 18)))
    network = quantize(graph, random_images(rng, shape, 4), BitWidths(), rules)
    images = random_images(rng, shape, 2)
    expected = integer_network.interpret(
        path,
        formats_to_json(network),
        np.stack([images.real(index) for index in range(len(images))]),
        accumulator_bits=rules.accumulator_bits,
        constants={
            name: graph.constants[name]
            for layer in graph.layers
            if isinstance(layer, Conv)
            for name in (layer.weights, layer.bias)
            if name is not None
        },
    )
    exact = ExactNetwork(network)
    traces = [exact.run(images.real(index)) for index in range(len(images))]
    for layer in graph.layers:
        found = np.stack([trace.tensors[layer.ofm] for trace in traces])
        np.testing.assert_array_equal(found, expected.tensors[layer.ofm], err_msg=layer.ofm)
        overflows = sum(trace.events[layer.name].accumulator_overflows for trace in traces)
        saturations = sum(trace.events[layer.name].output_saturations for trace in traces)
        assert overflows == expected.accumulator_overflows.get(layer.ofm, 0), layer.ofm
        assert saturations == expected.output_saturations.get(layer.ofm, 0), layer.ofm


def q7_network(data: Path, folder: Path, finer: int) -> QuantizedNetwork:
    """The CMSIS-NN example with its published formats, outputs finer by some bits."""
    file = folder / "formats.json"
    file.write_text(json.dumps(q7_formats(data, extra_frac_bits=finer)))
    graph = load_onnx(data / Q7_NETWORK)
    return quantize(graph, None, BitWidths(), formats=read_formats(file))


def q7_images(data: Path, count: int) -> ImageSet:
    _, name, preprocessing, _ = REAL_NETWORKS["cmsis_q7_cifar10"]
    return load_images(
        data / "images" / f"{name}.npz",
        shape=(3, 32, 32),
        preprocessing=preprocessing,
        limit=count,
    )


def test_the_published_q7_network_is_obeyed_to_the_bit(
    reference_data: Path, tmp_path: Path
) -> None:
    """Golden outputs of every layer, from the original C."""
    found = exact_tensors(q7_network(reference_data, tmp_path, 0), q7_images(reference_data, 20))
    with np.load(reference_data / "references" / "cmsis_q7_cifar10_golden_a.npz") as golden:
        for layer, tensor in Q7_TENSORS.items():
            np.testing.assert_array_equal(found[tensor], golden[layer], err_msg=layer)


@BOTH
@pytest.mark.parametrize("finer", [1, 2])
def test_the_q7_network_with_finer_outputs_equals_the_oracle(
    reference_data: Path, tmp_path: Path, oracle: Oracle, finer: int
) -> None:
    network = q7_network(reference_data, tmp_path, finer)
    images = q7_images(reference_data, 20)
    assert_equals_oracle(oracle, reference_data / Q7_NETWORK, network, images)


def test_the_q7_network_saturates_where_its_outputs_are_two_bits_finer(
    reference_data: Path, tmp_path: Path
) -> None:
    """One bit finer still fits (none of 500 images clips); two do not: counts as the oracle's."""
    network = q7_network(reference_data, tmp_path, 2)
    images = q7_images(reference_data, 44)
    exact = ExactNetwork(network)
    events = [exact.run(images.real(index)).events for index in range(len(images))]
    expected = integer_network.interpret(
        reference_data / Q7_NETWORK,
        formats_to_json(network),
        np.stack([images.real(index) for index in range(len(images))]),
    )
    for layer in network.network.layers:
        found = sum(event[layer.name].output_saturations for event in events)
        assert found == expected.output_saturations.get(layer.ofm, 0)
        if layer.op in ("Conv", "Dense"):
            assert found > 0
