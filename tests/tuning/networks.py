"""Networks to tune, and what there is to say about their formats."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from quantizer.formats_file import GivenFormat, formats_to_json
from quantizer.network.graph import Network
from quantizer.network.images import ImageSet, Preprocessing
from quantizer.network.layers import Add, Clamp, Concat, Conv, Layer, MaxPool, Mul, PRelu
from quantizer.network.onnx_import import load_onnx
from quantizer.quantize import quantize
from quantizer.quantized import BitWidths, QuantizedNetwork
from tests.oracles.networks import random_network

RELU = Clamp(low=0.0, high=math.inf)
MAP = (2, 3, 3)


def conv(name: str, ifm: str, clamp: Clamp | None = None, bias: str | None = None) -> Conv:
    """A 1x1 convolution with weights ``<name>.w``."""
    return Conv(
        name=name, ifm=ifm, ofm=f"{name}.out", weights=f"{name}.w", bias=bias, stride=(1, 1),
        pads=(0, 0, 0, 0), dilation=(1, 1), groups=1, clamp=clamp,
    )  # fmt: skip


def images(values: Any, labels: Any = None) -> ImageSet:
    return ImageSet(
        images=np.asarray(values, np.float32), labels=labels, preprocessing=Preprocessing(),
        source="made",
    )  # fmt: skip


def normal_images(shape: tuple[int, ...], count: int, seed: int = 0) -> ImageSet:
    return images(np.random.default_rng(seed).normal(size=(count, *shape)))


def made(
    layers: tuple[Layer, ...],
    shapes: Mapping[str, tuple[int, ...]],
    constants: Mapping[str, Any],
    output: str,
) -> Network:
    return Network(
        name="made", digest="", input="x", outputs=(output,), layers=layers, shapes=shapes,
        constants={name: np.asarray(value, np.float32) for name, value in constants.items()},
    )  # fmt: skip


def branched() -> Network:
    """Two branches into a Concat, one of them through a pool; then every kind of constant."""
    joined = (4, 3, 3)
    rng = np.random.default_rng(3)
    layers = (
        conv("a", "x", RELU, "a.b"),
        conv("b", "x", RELU),
        MaxPool(name="pool", ifm="b.out", ofm="pooled", kernel=(1, 1), stride=(1, 1),
                pads=(0, 0, 0, 0), dilation=(1, 1)),
        Concat(name="join", inputs=("a.out", "pooled"), ofm="joined", axis=0),
        conv("c", "joined", bias="c.b"),
        PRelu(name="prelu", ifm="c.out", ofm="leaky", slopes="slopes", clamp=None),
        Mul(name="scale", inputs=("leaky",), constant="factor", ofm="scaled", clamp=None),
        Add(name="shift", inputs=("scaled",), constant="offset", signs=(1, 1), ofm="y",
            clamp=None),
    )  # fmt: skip
    return made(
        layers,
        {**dict.fromkeys(("x", "a.out", "b.out", "pooled"), MAP), "joined": joined,
         **dict.fromkeys(("c.out", "leaky", "scaled", "y"), MAP)},
        {"a.w": rng.normal(size=(2, 2, 1, 1)), "b.w": rng.normal(size=(2, 2, 1, 1)),
         "a.b": [0.3, -1.2], "c.w": rng.normal(size=(2, 4, 1, 1)), "c.b": [0.11, 0.7],
         "slopes": [[[0.25]], [[0.3]]], "factor": [[[0.7]], [[1.9]]], "offset": [[[-0.03]]]},
        "y",
    )  # fmt: skip


def branched_at(bits: int = 6, *, per_channel: bool = False) -> QuantizedNetwork:
    widths = BitWidths(weights=bits, activations=bits)
    return quantize(branched(), normal_images(MAP, 6), widths, per_channel=per_channel)


def frac_bits(network: QuantizedNetwork) -> dict[str, int]:
    """The fraction length of every tensor; of a constant per channel, that of the first."""
    entries = formats_to_json(network)
    return {
        name: entry["frac_bits"] if isinstance(entry["frac_bits"], int) else entry["frac_bits"][0]
        for name, entry in entries.items()
    }


def pinned_at(network: QuantizedNetwork, *names: str) -> dict[str, GivenFormat]:
    entries = formats_to_json(network)
    return {
        name: GivenFormat(
            bits=entries[name]["bits"], frac_bits=(entries[name]["frac_bits"],),
            signed=entries[name]["signed"], where=name,
        )
        for name in names
    }  # fmt: skip


def assert_same(one: QuantizedNetwork, other: QuantizedNetwork) -> None:
    assert one.formats == other.formats
    for mine, theirs in ((one.weights, other.weights), (one.biases, other.biases)):
        assert mine.keys() == theirs.keys()
        for name in mine:
            np.testing.assert_array_equal(mine[name].frac_bits, theirs[name].frac_bits)
            np.testing.assert_array_equal(mine[name].raw, theirs[name].raw)


def loaded(seed: int, folder: Path) -> Network:
    path = folder / "random.onnx"
    onnx.save(random_network(seed), path)
    return load_onnx(path)
