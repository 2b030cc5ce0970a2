"""Does every tensor get the width that its layer, or the network, asks for?"""

from collections.abc import Mapping

import numpy as np
import pytest

from accel_sim.word_lengths import plan_word_lengths, read_word_lengths
from quantizer.errors import InputError
from quantizer.format_classes import find_format_classes
from quantizer.formats_file import GivenFormat
from quantizer.network.graph import Network
from quantizer.network.images import ImageSet, Preprocessing
from quantizer.network.layers import Add, Concat, Conv, Layer, MaxPool, PRelu
from quantizer.quantize import quantize
from quantizer.quantized import BitWidths, LayerBits
from quantizer.tensor_bits import TensorBits, find_tensor_bits

MAP = (2, 3, 3)


def conv(name: str, ifm: str, weights: str, bias: str | None = None) -> Conv:
    return Conv(
        name=name, ifm=ifm, ofm=f"{name}.out", weights=weights, bias=bias, stride=(1, 1),
        pads=(0, 0, 0, 0), dilation=(1, 1), groups=1, clamp=None,
    )  # fmt: skip


def pool(name: str, ifm: str, ofm: str) -> MaxPool:
    return MaxPool(name=name, ifm=ifm, ofm=ofm, kernel=(1, 1), stride=(1, 1), pads=(0, 0, 0, 0),
                   dilation=(1, 1))  # fmt: skip


def network() -> Network:
    """The input is pooled; two convolutions, one through a pool, meet in a Concat."""
    rng = np.random.default_rng(0)
    layers: tuple[Layer, ...] = (
        pool("first", "x", "small"),
        conv("a", "small", "a.w", "a.b"),
        conv("b", "small", "b.w"),
        pool("pool", "b.out", "pooled"),
        Concat(name="join", inputs=("a.out", "pooled"), ofm="joined", axis=0),
        conv("c", "joined", "c.w", "c.b"),
        PRelu(name="prelu", ifm="c.out", ofm="leaky", slopes="slopes", clamp=None),
        Add(name="shift", inputs=("leaky",), constant="offset", signs=(1, 1), ofm="y", clamp=None),
    )
    shapes = dict.fromkeys(
        ("x", "small", "a.out", "b.out", "pooled", "joined", "c.out", "leaky", "y"), MAP
    )
    constants = {
        "a.w": (2, 2, 1, 1), "b.w": (2, 2, 1, 1), "c.w": (2, 4, 1, 1), "a.b": (2,), "c.b": (2,),
        "slopes": (2, 1, 1), "offset": (2, 1, 1),
    }  # fmt: skip
    return Network(
        name="made", digest="", input="x", outputs=("y",), layers=layers,
        shapes=shapes | {"joined": (4, 3, 3)},
        constants={
            name: rng.normal(size=shape).astype(np.float32) for name, shape in constants.items()
        },
    )  # fmt: skip


def images() -> ImageSet:
    values = np.random.default_rng(1).normal(size=(4, *MAP)).astype(np.float32)
    return ImageSet(images=values, labels=None, preprocessing=Preprocessing(), source="made")


def found(layers: Mapping[str, LayerBits], graph: Network | None = None) -> TensorBits:
    graph = graph or network()
    bits = BitWidths(weights=5, activations=6, inputs=9, biases=12, layers=layers, source="b.json")
    return find_tensor_bits(graph, bits, find_format_classes(graph, ()).roots)


PLAIN_MAPS = dict.fromkeys(("a.out", "b.out", "pooled", "joined", "c.out", "leaky", "y"), 6) | {
    "x": 9, "small": 9,
}  # fmt: skip
PLAIN_CONSTANTS = {
    "a.w": 5, "b.w": 5, "c.w": 5, "slopes": 5, "a.b": 12, "c.b": 12, "offset": 6,
}  # fmt: skip


def test_without_widths_of_layers_all_are_those_of_the_network() -> None:
    assert found({}) == TensorBits(feature_maps=PLAIN_MAPS, constants=PLAIN_CONSTANTS)


@pytest.mark.parametrize(
    ("layer", "widths", "maps", "constants"),
    [
        ("c", LayerBits(weights=2), {}, {"c.w": 2}),
        ("c", LayerBits(activations=3), {"c.out": 3}, {}),
        ("c", LayerBits(biases=16), {}, {"c.b": 16}),
        ("prelu", LayerBits(weights=4, activations=8), {"leaky": 8}, {"slopes": 4}),
        ("shift", LayerBits(activations=10), {"y": 10}, {"offset": 10}),
        (
            "pool",
            LayerBits(activations=4),
            dict.fromkeys(("a.out", "b.out", "pooled", "joined"), 4),
            {},
        ),
        (
            "a",
            LayerBits(weights=3, activations=4, biases=8),
            dict.fromkeys(("a.out", "b.out", "pooled", "joined"), 4),
            {"a.w": 3, "a.b": 8},
        ),
    ],
)
def test_widths_of_a_layer_are_those_of_its_constants_and_of_its_output(
    layer: str, widths: LayerBits, maps: Mapping[str, int], constants: Mapping[str, int]
) -> None:
    """With all maps that share the output's format: here those that meet in the Concat."""
    assert found({layer: widths}) == TensorBits(
        feature_maps=PLAIN_MAPS | maps, constants=PLAIN_CONSTANTS | constants
    )


def test_the_quantizer_gives_these_widths_and_the_plan_foretells_them() -> None:
    bits = BitWidths(
        weights=5, activations=6, inputs=9, biases=12,
        layers={
            "a": LayerBits(weights=3, activations=4, biases=8),
            "shift": LayerBits(activations=10),
        },
    )  # fmt: skip
    made = quantize(network(), images(), bits)
    widths = find_tensor_bits(network(), bits, find_format_classes(network(), ()).roots)
    assert {name: fmt.bits for name, fmt in made.formats.items()} == widths.feature_maps
    constants = {name: constant.bits for name, constant in made.weights.items()}
    constants |= {f"{layer}.b": bias.bits for layer, bias in made.biases.items()}
    assert constants == widths.constants
    assert read_word_lengths(made) == plan_word_lengths(network(), bits)


def test_a_given_format_has_its_own_width() -> None:
    given = GivenFormat(bits=7, frac_bits=(3,), signed=True, where="f.json")
    bits = BitWidths(layers={"c": LayerBits(weights=4, activations=4)})
    made = quantize(network(), images(), bits, formats={"c.out": given, "c.w": given})
    assert (made.formats["c.out"].bits, made.weights["c.w"].bits) == (7, 7)
    made = quantize(network(), images(), bits, formats={"c.out": given})
    assert (made.formats["c.out"].bits, made.weights["c.w"].bits) == (7, 4)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            {"shft": LayerBits(activations=4)},
            "b.json: 'shft': the network has no layer of this name; did you mean 'shift'?",
        ),
        (
            {"classifier": LayerBits(activations=4)},
            "b.json: 'classifier': the network has no layer of this name",
        ),
        (
            {"pool": LayerBits(weights=4, activations=4)},
            "b.json: 'pool': weight_bits: the layer has no weights; leave it out",
        ),
        (
            {"shift": LayerBits(weights=4)},
            "b.json: 'shift': weight_bits: the layer has no weights; leave it out",
        ),
        (
            {"b": LayerBits(biases=8)},
            "b.json: 'b': bias_bits: the layer has no bias; leave it out",
        ),
        (
            {"first": LayerBits(activations=4)},
            "b.json: 'first': activation_bits: its output has the format of the network input; "
            "give input_bits",
        ),
        (
            {"a": LayerBits(activations=4), "pool": LayerBits(activations=5)},
            "b.json: 'pool': activation_bits: the format of its output is shared with layer 'a', "
            "for which it is 4; expected one width, got 5",
        ),
    ],
)
def test_a_width_that_nothing_has_is_refused(layers: Mapping[str, LayerBits], message: str) -> None:
    with pytest.raises(InputError) as error:
        found(layers)
    assert str(error.value) == message


def test_layers_that_share_a_constant_must_agree_on_its_width() -> None:
    graph = network()
    one, other = conv("a", "small", "a.w", "a.b"), conv("b", "small", "a.w", "a.b")
    shared = Network(
        name="made", digest="", input="x", outputs=("y",),
        layers=(graph.layers[0], one, other, *graph.layers[3:]),
        shapes=graph.shapes, constants=graph.constants,
    )  # fmt: skip
    for widths in (LayerBits(weights=4), LayerBits(biases=4)):
        with pytest.raises(InputError) as error:
            found({"a": widths, "b": LayerBits(weights=3, biases=3)}, shared)
        key, constant = ("weight_bits", "a.w") if widths.weights else ("bias_bits", "a.b")
        assert str(error.value) == (
            f"b.json: 'b': {key}: constant {constant!r} is shared with layer 'a', for which it "
            "is 4; expected one width, got 3"
        )
    assert found({"b": LayerBits(weights=3)}, shared).constants["a.w"] == 3


@pytest.mark.parametrize("field", ["weights", "activations", "biases"])
def test_widths_of_a_layer_are_2_to_16(field: str) -> None:
    for width in (1, 17):
        with pytest.raises(ValueError, match=f"^{field} must be 2 to 16 bits, got {width}$"):
            LayerBits(**{field: width})
