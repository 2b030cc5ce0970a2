"""Is a network that was written and read the same network, integer for integer?"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import Rounding
from quantizer.network.layers import Conv, ConvTranspose, Dense
from quantizer.qonnx.read import load_qonnx
from quantizer.qonnx.write import to_qonnx
from quantizer.quantized import (
    BitWidths,
    LayerBits,
    NumericRules,
    QuantizedNetwork,
    TuneMeasure,
    Tuning,
)
from tests.qonnx.cases import CASES
from tests.qonnx.files import DOMAIN, load, model, node, quant
from tests.seeds import seeds
from tests.test_exact_networks import exact_tensors, random_case


def read_back(folder: Path, network: QuantizedNetwork) -> QuantizedNetwork:
    path = folder / f"{network.network.name}.onnx"
    path.write_bytes(to_qonnx(network))
    return load_qonnx(path, rules=network.rules)


def assert_equal(found: QuantizedNetwork, expected: QuantizedNetwork) -> None:
    """Everything that a report or a run can tell."""
    constants, expected_constants = (one.network.constants for one in (found, expected))
    assert list(constants) == list(expected_constants)
    for name, values in constants.items():
        np.testing.assert_array_equal(values, expected_constants[name], err_msg=name)
    assert replace(found.network, constants={}) == replace(expected.network, constants={})
    assert found.formats == expected.formats
    for kind in ("weights", "biases"):
        integers, expected_integers = (getattr(one, kind) for one in (found, expected))
        assert integers.keys() == expected_integers.keys()
        for name, constant in integers.items():
            other = expected_integers[name]
            assert constant.bits == other.bits
            np.testing.assert_array_equal(constant.raw, other.raw, err_msg=name)
            np.testing.assert_array_equal(constant.frac_bits, other.frac_bits, err_msg=name)
    for fact in ("rules", "bits", "method", "per_channel", "tuning", "choices"):
        assert getattr(found, fact) == getattr(expected, fact)


@pytest.mark.parametrize("seed", seeds(15, 45, start=3000))
def test_a_random_network_comes_back(seed: int, tmp_path: Path) -> None:
    case = random_case(tmp_path, seed)
    found = read_back(tmp_path, case.network)
    assert_equal(found, case.network)
    expected = exact_tensors(case.network, case.images)
    for name, raw in exact_tensors(found, case.images).items():
        np.testing.assert_array_equal(raw, expected[name], err_msg=name)


@pytest.mark.slow
def test_the_random_networks_above_hold_what_is_hard_to_write(tmp_path: Path) -> None:
    """Otherwise they would say little: scales per channel in every layout, every rounding."""
    kinds: set[str] = set()
    roundings: set[Rounding] = set()
    for seed in range(3000, 3060):
        network = random_case(tmp_path, seed).network
        roundings.add(network.rules.requantize_rounding)
        for layer in network.network.layers:
            kinds.add(layer.op)
            is_weighted = isinstance(layer, Conv | ConvTranspose | Dense)
            if is_weighted and network.weights[layer.weights].is_per_channel:
                rank = len(network.network.shapes[layer.ifm])
                kinds.add(f"{layer.op} of {rank} axes per channel")
                if getattr(layer, "groups", 1) > 1:
                    kinds.add(f"{layer.op} of groups per channel")
    assert roundings == set(Rounding)
    assert {
        "BatchNorm", "PRelu", "Lookup", "LocalResponseNorm", "Concat", "Pad", "Slice", "Upsample",
        "Clip", "Transpose", "Conv of groups per channel",
        "Conv of 2 axes per channel", "ConvTranspose of 3 axes per channel",
        "Dense of 1 axes per channel",
    } <= kinds  # fmt: skip


def test_the_scales_of_a_transposed_convolution_lie_along_its_filters(tmp_path: Path) -> None:
    network = load(tmp_path, model(*CASES["a transposed convolution, per channel"]))
    graph = onnx.load_from_string(to_qonnx(network)).graph
    (scale,) = (one for one in graph.initializer if one.name == "w.scale")
    assert list(scale.dims) == [1, 3, 1, 1]


@pytest.mark.parametrize("name", CASES)
def test_a_network_of_another_tool_comes_back(name: str, tmp_path: Path) -> None:
    network = load(tmp_path, model(*CASES[name]))
    assert_equal(read_back(tmp_path, network), network)


def test_facts_come_back(tmp_path: Path) -> None:
    network = load(tmp_path, model(*CASES["Brevitas, dynamo"]))
    network = replace(
        network,
        method="ggd:lambert",
        per_channel=True,
        tuning=Tuning(measure=TuneMeasure.TOP1, passes=2, budget=7),
        bits=BitWidths(
            weights=3, activations=9, layers={"conv": LayerBits(weights=5)}, source="here/b.json"
        ),
        network=replace(network.network, notes=("final Softmax 'ü' left out",), digest="abc"),
    )
    assert_equal(read_back(tmp_path, network), network)
    assert b"here/b.json" not in to_qonnx(network)


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    network = random_case(tmp_path, 3000).network
    assert to_qonnx(network) == to_qonnx(network)


def test_a_file_passes_the_checker_and_keeps_float_weights(tmp_path: Path) -> None:
    network = load(tmp_path, model(*CASES["a Gemm, per channel"]))
    written = onnx.load_from_string(to_qonnx(network))
    onnx.checker.check_model(written)
    values = {one.name: onnx.numpy_helper.to_array(one) for one in written.graph.initializer}
    np.testing.assert_array_equal(values["w"].T, network.network.constants["w"])
    (quantizes,) = (one for one in written.graph.node if one.input[0] == "w")
    assert (quantizes.op_type, quantizes.domain) == ("Quant", DOMAIN)
    assert values[quantizes.input[1]].shape == (1, 5)
    assert [(one.domain, one.version) for one in written.opset_import] == [("", 20), (DOMAIN, 1)]


def rounds_by(tmp_path: Path, rounding: Rounding) -> list[tuple[str, str]]:
    """What stands before each Quant node of two maps, and its rounding_mode."""
    nodes = [quant("x", "xq", 2**-2), node("Add", ["xq", "xq"], "s"), quant("s", "y", 2**-1)]
    network = load(tmp_path, model(nodes, {}))
    written = to_qonnx(replace(network, rules=NumericRules(requantize_rounding=rounding)))
    graph = onnx.load_from_string(written).graph
    makers = {name: one.name for one in graph.node for name in one.output}
    return [
        (makers.get(one.input[0], ""), attribute.s.decode())
        for one in graph.node
        for attribute in one.attribute
        if one.op_type == "Quant" and attribute.name == "rounding_mode"
    ]


@pytest.mark.parametrize(
    ("rounding", "word"),
    [
        (Rounding.TIES_EVEN, "ROUND"),
        (Rounding.TIES_AWAY, "HALF_UP"),
        (Rounding.TO_NEG, "FLOOR"),
        (Rounding.TO_ZERO, "DOWN"),
    ],
)
def test_a_rounding_is_a_word(rounding: Rounding, word: str, tmp_path: Path) -> None:
    adds = {name for name, _ in rounds_by(tmp_path, rounding)}
    assert rounds_by(tmp_path, rounding) == [("", word), ("y", word)]
    assert not any("raise" in name for name in adds)


def test_ties_towards_plus_infinity_are_a_floor_behind_half_a_step(tmp_path: Path) -> None:
    found = rounds_by(tmp_path, Rounding.TIES_POS)
    assert found == [("x.raise", "FLOOR"), ("y.raise", "FLOOR")]


def test_integers_that_float_weights_do_not_round_to_are_refused(tmp_path: Path) -> None:
    network = load(tmp_path, model(*CASES["a Gemm, per channel"]))
    weights = network.weights["w"]
    other = replace(weights, raw=weights.raw + 1)
    with pytest.raises(InputError) as error:
        to_qonnx(replace(network, weights={"w": other}))
    assert str(error.value) == (
        "constant 'w': has other integers than its float values round to, which a QONNX file "
        "cannot say; expected the nearest"
    )


def test_weights_beyond_what_a_file_holds_are_refused(tmp_path: Path) -> None:
    network = load(tmp_path, model(*CASES["a Gemm, per channel"]))
    huge = np.broadcast_to(np.float32(0), (1 << 29,))
    graph = replace(network.network, constants={**network.network.constants, "huge": huge})
    with pytest.raises(InputError) as error:
        to_qonnx(replace(network, network=graph))
    assert str(error.value) == ("net.q: has 2.0 GiB of weights; an .onnx file holds less than 2")
