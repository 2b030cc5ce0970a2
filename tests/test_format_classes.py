"""Which maps share a format and which are unsigned, for every kind of layer?"""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from quantizer.format_classes import find_format_classes, never_negative
from quantizer.network.graph import Network
from quantizer.network.layers import (
    Add,
    AveragePool,
    BatchNorm,
    Clamp,
    Clip,
    Concat,
    Conv,
    ConvTranspose,
    Dense,
    Function,
    FunctionKind,
    Layer,
    LocalResponseNorm,
    Lookup,
    MaxPool,
    Mul,
    Pad,
    PRelu,
    Reshape,
    Slice,
    Transpose,
    Upsample,
)

WINDOW = {"kernel": (1, 1), "stride": (1, 1), "pads": (0, 0, 0, 0), "dilation": (1, 1)}
ARRAY = {"stride": (1, 1), "pads": (0, 0, 0, 0), "dilation": (1, 1), "groups": 1}
NAMES = {"name": "layer", "ifm": "x", "ofm": "y"}
RELU = Clamp(low=0.0, high=math.inf)


def lookup(kind: FunctionKind) -> Lookup:
    return Lookup(**NAMES, function=Function(kind=kind), clamp=None)


def join(*inputs: str) -> dict[str, object]:
    return {"name": "layer", "inputs": inputs, "ofm": "y", "clamp": None}


MOVING: list[Layer] = [
    MaxPool(**NAMES, **WINDOW),
    Clip(**NAMES, clamp=Clamp(low=-1.0, high=1.0)),
    Reshape(**NAMES),
    Transpose(**NAMES, view=(1,), permutation=(0,)),
    Slice(**NAMES, starts=(0,), steps=(1,)),
    Pad(**NAMES, before=(0,), after=(0,), value=0.0),
    Upsample(**NAMES, factors=(1,)),
]
COMPUTING: list[Layer] = [
    Conv(**NAMES, weights="w", bias=None, clamp=None, **ARRAY),
    ConvTranspose(**NAMES, weights="w", bias=None, clamp=None, **ARRAY),
    Dense(**NAMES, weights="w", bias=None, clamp=None),
    BatchNorm(**NAMES, weights="w", bias="b", clamp=None),
    Add(**join("x", "x"), constant=None, signs=(1, 1)),
    Mul(**join("x", "x"), constant=None),
    AveragePool(**NAMES, counts_padding=False, clamp=None, **WINDOW),
    PRelu(**NAMES, slopes="s", clamp=None),
    lookup(FunctionKind.TANH),
    LocalResponseNorm(**NAMES, size=1, alpha=1.0, beta=1.0, bias=1.0, clamp=None),
]


def op(layer: Layer) -> str:
    return layer.op


def network(*layers: Layer, constants: Mapping[str, list[float]] | None = None) -> Network:
    return Network(
        name="made",
        digest="",
        input="x",
        outputs=(layers[-1].ofm,),
        layers=layers,
        shapes={name: (1,) for name in ("x", *(layer.ofm for layer in layers))},
        constants={
            name: np.array(values, np.float32) for name, values in (constants or {}).items()
        },
    )


@pytest.mark.parametrize("layer", MOVING, ids=op)
def test_what_moves_values_has_the_format_of_its_input(layer: Layer) -> None:
    classes = find_format_classes(network(layer), ())
    assert classes.sources["y"] == "x"


@pytest.mark.parametrize("layer", COMPUTING, ids=op)
def test_what_computes_has_a_format_of_its_own(layer: Layer) -> None:
    classes = find_format_classes(network(layer), ())
    assert classes.roots["y"] == classes.sources["y"] == "y"


def is_unsigned(layer: Layer, *, positive_input: bool, **constants: list[float]) -> bool:
    return "y" in never_negative(network(layer, constants=constants), positive_input)


@pytest.mark.parametrize("layer", MOVING, ids=op)
def test_what_moves_positive_maps_stays_positive(layer: Layer) -> None:
    assert is_unsigned(layer, positive_input=True)
    assert not is_unsigned(layer, positive_input=False)


@pytest.mark.parametrize("layer", COMPUTING, ids=op)
def test_what_adds_multiplies_pools_and_normalizes_positive_maps_stays_positive(
    layer: Layer,
) -> None:
    keeps_sign = isinstance(layer, Add | Mul | AveragePool | LocalResponseNorm)
    assert is_unsigned(layer, positive_input=True) is keeps_sign
    assert not is_unsigned(layer, positive_input=False)


def test_a_concat_is_positive_if_all_its_inputs_are() -> None:
    layers = (
        lookup(FunctionKind.SIGMOID),
        Concat(name="join", inputs=("x", "y"), axis=0, ofm="z"),
    )
    assert never_negative(network(*layers), True) == {"x", "y", "z"}
    assert never_negative(network(*layers), False) == {"y"}


@pytest.mark.parametrize("kind", FunctionKind)
def test_functions_that_are_never_negative(kind: FunctionKind) -> None:
    positive = {"Abs", "Exp", "HardSigmoid", "Sigmoid", "Softplus", "Sqrt"}
    for positive_input in (False, True):
        found = is_unsigned(lookup(kind), positive_input=positive_input)
        assert found is (kind.value in positive)


@pytest.mark.parametrize("values", [[0.0, 2.0], [1.0, -1e-9]])
def test_a_negative_constant_makes_a_sum_or_product_signed(values: list[float]) -> None:
    is_positive = min(values) >= 0
    for layer in (
        Add(**join("x"), constant="c", signs=(1, 1)),
        Mul(**join("x"), constant="c"),
    ):
        assert is_unsigned(layer, positive_input=True, c=values) is is_positive


def test_differences_and_negative_pads_are_signed() -> None:
    for signs in ((1, -1), (-1, 1)):
        assert not is_unsigned(
            Add(**join("x", "x"), constant=None, signs=signs), positive_input=True
        )
    padded = Pad(**NAMES, before=(0,), after=(1,), value=-0.5)
    assert not is_unsigned(padded, positive_input=True)


@pytest.mark.parametrize("layer", COMPUTING, ids=op)
def test_a_relu_makes_every_layer_positive(layer: Layer) -> None:
    assert is_unsigned(replace(layer, clamp=RELU), positive_input=False)
    assert not is_unsigned(replace(layer, clamp=Clamp(low=-1.0, high=1.0)), positive_input=False)
