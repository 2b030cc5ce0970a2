"""Do whole networks equal three independent oracles, bit for bit?

The oracles are written from the number contract alone and share no code with the packages: an
interpreter over int64, a fake-quantized run in float64 and a graph that qonnx executes. They get
the formats of the quantized network; encoding, bias alignment and all arithmetic are their own.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from accel_sim.builtin import find_builtin
from accel_sim.functional import ExactNetwork, Trace
from quantizer.fixedpoint.qformat import Rounding
from quantizer.formats_file import formats_to_json, read_formats
from quantizer.network.graph import Network
from quantizer.network.images import ImageSet, Preprocessing, load_images
from quantizer.network.layers import Conv, ConvTranspose
from quantizer.network.onnx_import import load_onnx
from quantizer.quantize import quantize
from quantizer.quantized import BitWidths, NumericRules, QuantizedNetwork
from tests.oracles import fake_quant, integer_network
from tests.oracles.network_blocks import BLOCKS, PLAIN_BLOCKS, QONNX_BLOCKS, Block
from tests.oracles.networks import random_network
from tests.oracles_self_tests.float_reference import Widths, random_formats
from tests.oracles_self_tests.test_published import Q7_NETWORK, Q7_TENSORS, q7_formats
from tests.seeds import seeds

Oracle = Callable[..., dict[str, NDArray[np.int64]]]
BOTH = pytest.mark.parametrize("oracle", [integer_network.run, fake_quant.run])
WIDE = NumericRules(accumulator_bits=48)
ALL_WIDTHS = Widths(maps=tuple(range(2, 17)), weights=tuple(range(2, 17)))
# With wider operands, float32 has too few bits for the sums.
QONNX_WIDTHS = Widths(maps=tuple(range(2, 7)), weights=tuple(range(2, 7)))

# Images for calibration, images to run, and how many of them.
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
BIT_WIDTHS = pytest.mark.parametrize("bits", [8, 16])


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A file, what the quantizer made of it, and images to run."""

    path: Path
    network: QuantizedNetwork
    images: ImageSet

    @property
    def real_images(self) -> NDArray[np.float64]:
        return np.stack([self.images.real(index) for index in range(len(self.images))])

    def oracle_arguments(self) -> tuple[Any, ...]:
        """The arguments that all oracles take."""
        rules = self.network.rules
        return (
            self.path,
            formats_to_json(self.network),
            self.real_images,
            rules.requantize_rounding.name.lower(),
            rules.average_pool_rounding.name.lower(),
            rules.accumulator_bits,
            folded_constants(self.network.network),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Of one layer over all images: sums that wrapped, outputs that the format clipped."""

    overflows: int
    saturations: int


def folded_constants(network: Network) -> dict[str, NDArray[np.float32]]:
    """Constants of convolutions as the optimiser left them, in the layout of the file."""
    constants = {}
    for layer in network.layers:
        if not isinstance(layer, Conv | ConvTranspose):
            continue
        weights = network.constants[layer.weights]
        if isinstance(layer, ConvTranspose):
            # From [K, C/groups, R, S] to the file's [C, K/groups, R, S].
            parts = np.split(weights, layer.groups)
            weights = np.concatenate([part.swapaxes(0, 1) for part in parts])
        constants[layer.weights] = weights
        if layer.bias is not None:
            constants[layer.bias] = network.constants[layer.bias]
    return constants


def exact_tensors(network: QuantizedNetwork, images: ImageSet) -> dict[str, NDArray[np.int32]]:
    """Raw integers of every feature map, ``[N, ...]``."""
    exact = ExactNetwork(network)
    return stacked([exact.run(images.real(index)) for index in range(len(images))])


def stacked(traces: Sequence[Trace]) -> dict[str, NDArray[np.int32]]:
    names = traces[0].tensors
    return {name: np.stack([trace.tensors[name] for trace in traces]) for name in names}


def assert_tensors_equal(
    found: Mapping[str, NDArray[np.int32]], expected: Mapping[str, NDArray[np.int64]]
) -> None:
    """Whatever the packages store is the oracle's."""
    for name, raw in found.items():
        np.testing.assert_array_equal(raw, expected[name], err_msg=name)


def assert_equals_oracle(oracle: Oracle, case: Case) -> None:
    assert_tensors_equal(exact_tensors(case.network, case.images), oracle(*case.oracle_arguments()))


def assert_equals_interpreter(case: Case) -> dict[str, Counts]:
    """Tensors and counts; return the counts by the name of their layer."""
    expected = integer_network.interpret(*case.oracle_arguments())
    exact = ExactNetwork(case.network)
    traces = [exact.run(image) for image in case.real_images]
    assert_tensors_equal(stacked(traces), expected.tensors)
    counts = {}
    for layer in case.network.network.layers:
        events = [trace.events[layer.name] for trace in traces]
        counts[layer.name] = Counts(
            overflows=sum(event.accumulator_overflows for event in events),
            saturations=sum(event.output_saturations for event in events),
        )
        assert counts[layer.name] == Counts(
            overflows=expected.accumulator_overflows.get(layer.ofm, 0),
            saturations=expected.output_saturations.get(layer.ofm, 0),
        )
    return counts


def first(images: ImageSet, count: int) -> ImageSet:
    labels = None if images.labels is None else images.labels[:count]
    return replace(images, images=images.images[:count], labels=labels)


@BOTH
@BIT_WIDTHS
@pytest.mark.parametrize("per_channel", [False, True])
def test_the_built_in_network_equals_the_oracle(
    oracle: Oracle, bits: int, per_channel: bool
) -> None:
    builtin = find_builtin("digits")
    graph = load_onnx(builtin.onnx_path)
    preprocessing = Preprocessing(mean=builtin.mean, scale=builtin.scale)
    shape = graph.shapes[graph.input]
    calibration, images = (
        load_images(path, shape=shape, preprocessing=preprocessing, limit=limit)
        for path, limit in ((builtin.calibration_path, 50), (builtin.test_path, 20))
    )
    widths = BitWidths(weights=bits, activations=bits)
    network = quantize(graph, calibration, widths, WIDE, per_channel=per_channel)
    assert_equals_oracle(oracle, Case(path=builtin.onnx_path, network=network, images=images))


@pytest.mark.slow
@BOTH
@BIT_WIDTHS
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
    assert_equals_oracle(oracle, Case(path=path, network=network, images=first(images, count)))


@BOTH
@BIT_WIDTHS
def test_a_real_autoencoder_of_noise_equals_the_oracle(
    reference_data: Path, oracle: Oracle, bits: int
) -> None:
    """Dense layers only. Its recordings are not public, and bits do not ask for meaning."""
    path = reference_data / "networks" / "ad01_autoencoder.onnx"
    graph = load_onnx(path)
    rng = np.random.default_rng(bits)
    calibration, images = (random_images(rng, graph.shapes[graph.input], 20) for _ in range(2))
    network = quantize(graph, calibration, BitWidths(weights=bits, activations=bits), WIDE)
    assert_equals_oracle(oracle, Case(path=path, network=network, images=images))


def random_images(rng: np.random.Generator, shape: tuple[int, ...], count: int) -> ImageSet:
    return ImageSet(
        images=rng.normal(size=(count, *shape)).astype(np.float32),
        labels=None,
        preprocessing=Preprocessing(),
        source="random images",
    )


def random_case(
    folder: Path,
    seed: int,
    blocks: Sequence[Block] = BLOCKS,
    widths: Widths = ALL_WIDTHS,
    *,
    wraps: bool = False,
) -> Case:
    """Any legal structure, widths and roundings, in half of the cases all signed.

    The quantizer finds the formats of every fifth network. It is what takes time, so maps of
    the others have formats that are drawn, as have constants of half of these. Where
    accumulators may wrap they are narrow in every other case.
    """
    path = folder / "random.onnx"
    onnx.save(random_network(seed, blocks), path)
    graph = load_onnx(path)
    rng = np.random.default_rng(seed)
    calibration, images = (random_images(rng, graph.shapes[graph.input], n) for n in (4, 3))
    widths = replace(widths, are_all_signed=bool(rng.integers(2)))
    given = None
    if seed % 5:
        drawn = random_formats(path, calibration.images, rng, widths)
        if rng.integers(2):
            drawn = {name: drawn[name] for name in drawn if name in graph.shapes}
        file = folder / "formats.json"
        file.write_text(json.dumps(drawn))
        given = read_formats(file)
    network = quantize(
        graph,
        calibration,
        BitWidths(
            weights=int(rng.choice(widths.weights)), activations=int(rng.choice(widths.maps))
        ),
        NumericRules(
            requantize_rounding=Rounding(int(rng.integers(5))),
            average_pool_rounding=Rounding(int(rng.integers(5))),
            # 8 to 48, half of them below 20.
            accumulator_bits=int(2 ** rng.uniform(3, 5.6)) if wraps and rng.integers(2) else 48,
        ),
        formats=given,
        signed_only=widths.are_all_signed,
    )
    return Case(path=path, network=network, images=images)


@pytest.mark.parametrize("seed", seeds(40, 160))
def test_a_random_network_equals_the_interpreter(tmp_path: Path, seed: int) -> None:
    """Tensors, and counts of what wraps and saturates."""
    assert_equals_interpreter(random_case(tmp_path, seed, wraps=True))


def test_some_random_networks_wrap_and_saturate(tmp_path: Path) -> None:
    """Otherwise the counts above would say nothing."""
    n_wrap = n_saturate = 0
    for seed in range(20):
        counts = assert_equals_interpreter(random_case(tmp_path, seed, wraps=True)).values()
        n_wrap += any(count.overflows for count in counts)
        n_saturate += any(count.saturations for count in counts)
    assert n_wrap >= 3
    assert n_saturate >= 10


@pytest.mark.parametrize("seed", seeds(15, 35, start=1000))
def test_a_random_network_equals_the_fake_quantized_one(tmp_path: Path, seed: int) -> None:
    assert_equals_oracle(fake_quant.run, random_case(tmp_path, seed, PLAIN_BLOCKS))


@pytest.mark.slow
def test_random_networks_equal_those_that_qonnx_executes(tmp_path: Path) -> None:
    # Imported where it is needed: it takes seconds.
    from tests.oracles import qonnx_network

    n_equal = 0
    for seed in range(2000, 2065):
        case = random_case(tmp_path, seed, QONNX_BLOCKS, QONNX_WIDTHS)
        try:
            assert_equals_oracle(qonnx_network.run, case)
        except qonnx_network.NotExpressible:
            continue
        n_equal += 1
    assert n_equal >= 40


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


def q7_case(data: Path, folder: Path, finer: int, count: int) -> Case:
    return Case(
        path=data / Q7_NETWORK,
        network=q7_network(data, folder, finer),
        images=q7_images(data, count),
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
    assert_equals_oracle(oracle, q7_case(reference_data, tmp_path, finer, 20))


def test_the_q7_network_saturates_where_its_outputs_are_two_bits_finer(
    reference_data: Path, tmp_path: Path
) -> None:
    """One bit finer still fits (none of 500 images clips); two do not: counts as the oracle's."""
    case = q7_case(reference_data, tmp_path, 2, 44)
    counts = assert_equals_interpreter(case)
    products = [layer for layer in case.network.network.layers if layer.op in ("Conv", "Dense")]
    assert all(counts[layer.name].saturations > 0 for layer in products)
