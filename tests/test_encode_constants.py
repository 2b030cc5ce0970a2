"""Do weights, slopes, scales and operands get the width and the fraction length of their use?"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import QFormat, Rounding
from quantizer.formats_file import formats_to_json, read_formats
from quantizer.fraction_length import max_range, search, search_channels
from quantizer.network.graph import Network
from quantizer.network.images import ImageSet, Preprocessing
from quantizer.network.layers import Add, BatchNorm, ConvTranspose, LocalResponseNorm, Mul, PRelu
from quantizer.quantize import quantize
from quantizer.quantized import BitWidths, QuantizedNetwork

MAP = (2, 3, 3)
BITS = BitWidths(weights=6, activations=7, biases=12)
CONSTANTS = {
    "up.w": np.random.default_rng(0).normal(size=(2, 2, 1, 1)),
    "up.b": np.array([0.3, -1.2]),
    "norm.w": np.array([0.9, -0.02]),
    "norm.b": np.array([0.4, 5.1]),
    "slopes": np.array([[[0.25]], [[0.3]]]),
    "factor": np.array([[[0.7]], [[1.9]]]),
    "offset": np.array([[[-0.03]]]),
}


def network() -> Network:
    """One layer of every kind that has constants."""
    layers = (
        ConvTranspose(
            name="up", ifm="x", ofm="a", weights="up.w", bias="up.b", stride=(1, 1),
            pads=(0, 0, 0, 0), dilation=(1, 1), groups=1, clamp=None,
        ),
        BatchNorm(name="norm", ifm="a", ofm="b", weights="norm.w", bias="norm.b", clamp=None),
        PRelu(name="prelu", ifm="b", ofm="c", slopes="slopes", clamp=None),
        Mul(name="scale", inputs=("c",), constant="factor", ofm="d", clamp=None),
        Add(name="shift", inputs=("d",), constant="offset", signs=(1, -1), ofm="e", clamp=None),
        LocalResponseNorm(
            name="lrn", ifm="e", ofm="f", size=3, alpha=0.1, beta=0.5, bias=1.0, clamp=None
        ),
    )  # fmt: skip
    return Network(
        name="made", digest="", input="x", outputs=("f",), layers=layers,
        shapes=dict.fromkeys("xabcdef", MAP),
        constants={name: np.asarray(value, np.float32) for name, value in CONSTANTS.items()},
    )  # fmt: skip


def images() -> ImageSet:
    values = np.random.default_rng(1).normal(size=(6, *MAP)).astype(np.float32)
    return ImageSet(images=values, labels=None, preprocessing=Preprocessing(), source="made")


def given(folder: Path, content: Mapping[str, Any]) -> Any:
    path = folder / "f.json"
    path.write_text(json.dumps(content))
    return read_formats(path)


@pytest.fixture(scope="module")
def made() -> QuantizedNetwork:
    return quantize(network(), images(), BITS)


@pytest.mark.parametrize(
    ("name", "bits"), [("up.w", 6), ("norm.w", 6), ("slopes", 6), ("factor", 7), ("offset", 7)]
)
def test_each_constant_has_the_width_of_its_use_and_its_best_fraction_length(
    made: QuantizedNetwork, name: str, bits: int
) -> None:
    constant, values = made.weights[name], made.network.constants[name].astype(np.float64)
    assert constant.bits == bits
    fmt = QFormat(bits=bits, frac_bits=search(name, values, bits))
    assert set(constant.frac_bits.tolist()) == {fmt.frac_bits}
    np.testing.assert_array_equal(constant.raw, fmt.encode(values, Rounding.TIES_EVEN))
    np.testing.assert_array_equal(constant.decode(), fmt.decode(constant.raw))
    assert constant.decode().dtype == np.float32


def test_the_offset_of_a_batch_normalization_is_a_bias(made: QuantizedNetwork) -> None:
    bias, products = (
        made.biases["norm"],
        made.formats["a"].frac_bits + made.weights["norm.w"].frac_bits,
    )
    own = search("norm.b", made.network.constants["norm.b"], 12, may_clip=False)
    assert bias.bits == 12
    assert bias.frac_bits.tolist() == np.minimum(own, products).tolist()
    assert set(made.weights) == {"up.w", "norm.w", "slopes", "factor", "offset"}


def test_formats_of_every_layer_round_trip(made: QuantizedNetwork, tmp_path: Path) -> None:
    content = formats_to_json(made)
    assert set(content) == {*"xabcdef", *CONSTANTS}
    again = quantize(network(), None, BitWidths(), formats=given(tmp_path, content))
    assert again.formats == made.formats
    for mine, theirs in ((again.weights, made.weights), (again.biases, made.biases)):
        for name in theirs:
            np.testing.assert_array_equal(mine[name].raw, theirs[name].raw)


def test_weights_of_transposed_convolutions_and_scales_may_differ_per_channel(
    tmp_path: Path,
) -> None:
    content = {
        name: {"bits": 8, "frac_bits": [3, 4], "signed": True}
        for name in ("up.w", "norm.w", "norm.b")
    }
    found = quantize(network(), images(), BITS, formats=given(tmp_path, content))
    assert found.weights["up.w"].frac_bits.tolist() == [3, 4]
    assert found.weights["norm.w"].frac_bits.tolist() == [3, 4]
    assert found.biases["norm"].frac_bits.tolist() == [3, 4]


@pytest.mark.parametrize("name", ["slopes", "factor", "offset"])
def test_slopes_and_operands_have_one_fraction_length(name: str, tmp_path: Path) -> None:
    content = {name: {"bits": 8, "frac_bits": [3, 5], "signed": True}}
    formats = given(tmp_path, content)
    with pytest.raises(InputError) as error:
        quantize(network(), images(), BITS, formats=formats)
    assert str(error.value) == (
        f"{tmp_path}/f.json: {name!r}: frac_bits: slopes and constants that are added or "
        "multiplied have one fraction length, got 2"
    )


def test_a_constant_of_two_uses_is_refused() -> None:
    layers = network().layers
    shared = replace(layers[4], constant="slopes")
    two_uses = replace(network(), layers=(*layers[:4], shared, *layers[5:]))
    with pytest.raises(InputError) as error:
        quantize(two_uses, images(), BITS)
    assert str(error.value) == (
        "layer 'shift': uses constant 'slopes' as an operand, but layer 'prelu' as slopes; "
        "expected a tensor of its own for each"
    )


def test_the_error_of_a_large_tensor_is_summed_up_to_its_last_value() -> None:
    """It is summed in blocks of 65536. 0.75 is exact from 6 fraction bits on, the last from 7."""
    values = np.zeros(200_000, np.float32)
    values[0], values[-1] = 0.75, 0.75 + 2.0**-7
    assert search("w", values[:-1], 8) == 6
    assert search("w", values, 8) == 7


def test_a_tensor_of_zeros_has_no_fraction_bits_to_spare() -> None:
    assert search("w", np.zeros(3, np.float32), 8) == 7
    assert search("b", np.zeros(3, np.float32), 12, may_clip=False) == 11


def least_error(values: NDArray[np.float64], bits: int, lengths: range) -> int:
    """The contract by brute force."""

    def error(frac_bits: int) -> float:
        low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        raw = np.clip(np.round(values * 2.0**frac_bits), low, high)
        return float(np.sum((raw * 2.0**-frac_bits - values) ** 2))

    return min(lengths, key=lambda frac_bits: (error(frac_bits), frac_bits))


@pytest.mark.parametrize("bits", [2, 4, 8, 12, 16])
@pytest.mark.parametrize("shape", [(6, 3, 3, 3), (6, 20), (6,)])
def test_each_channel_has_the_fraction_length_of_least_error_over_its_own_values(
    bits: int, shape: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(bits)
    values = rng.standard_t(3, size=shape).astype(np.float32)
    values *= 2.0 ** rng.integers(-4, 5, 6).reshape(-1, *[1] * (len(shape) - 1))
    expected = []
    for channel in values.astype(np.float64).reshape(6, -1):
        start = max_range(channel, bits)
        expected.append(least_error(channel, bits, range(start - 1, start + 7)))
    assert search_channels("w", values, bits).tolist() == expected
    assert len(set(expected)) > 1


def test_a_channel_of_zeros_has_the_fraction_length_of_the_tensor() -> None:
    values = np.array([[0.0, 0.0], [3.0, -2.0], [0.01, 0.02]], np.float32)
    lengths = search_channels("w", values, 8)
    assert lengths[0] == search("w", values, 8) == 5
    assert lengths[2] > 5


@pytest.mark.parametrize("small", [1e-9, 1e-30, 1e-44])
def test_a_dead_channel_is_at_most_16_places_finer_than_the_tensor(small: float) -> None:
    """Folded batch norms leave such channels; by themselves no format would reach them."""
    values = np.array([[1.0, -0.5], [small, -small]], np.float32)
    lengths = search_channels("w", values, 8)
    of_tensor = search("w", values, 8)
    assert lengths[0] == of_tensor
    assert of_tensor < lengths[1] <= of_tensor + 16


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_biases_per_channel_never_saturate_and_stop_at_the_accumulator(bits: int) -> None:
    widths = BitWidths(weights=8, activations=8, biases=bits)
    made = quantize(network(), images(), widths, per_channel=True)
    for layer, name, ifm, weights in (
        ("up", "up.b", "x", "up.w"),
        ("norm", "norm.b", "a", "norm.w"),
    ):
        bias, values = made.biases[layer], made.network.constants[name]
        limits = made.formats[ifm].frac_bits + made.weights[weights].frac_bits
        own = search_channels(name, values, bits, may_clip=False)
        assert bias.frac_bits.tolist() == np.minimum(own, limits).tolist()
        decoded = bias.raw * 2.0**-bias.frac_bits
        assert (np.abs(decoded - values) <= 2.0 ** -(bias.frac_bits + 1.0)).all()
    assert made.per_channel


def test_slopes_and_operands_have_one_fraction_length_also_per_channel() -> None:
    made = quantize(network(), images(), BITS, per_channel=True)
    plain = quantize(network(), images(), BITS)
    for name in ("slopes", "factor", "offset"):
        np.testing.assert_array_equal(made.weights[name].raw, plain.weights[name].raw)
        assert not made.weights[name].is_per_channel
    assert made.weights["norm.w"].is_per_channel


def test_given_formats_win_over_a_search_per_channel(tmp_path: Path) -> None:
    content = {
        name: {"bits": 8, "frac_bits": 3, "signed": True} for name in ("up.w", "up.b", "norm.w")
    }
    found = quantize(network(), images(), BITS, formats=given(tmp_path, content), per_channel=True)
    assert found.weights["up.w"].frac_bits.tolist() == [3, 3]
    assert found.weights["norm.w"].frac_bits.tolist() == [3, 3]
    assert found.biases["up"].frac_bits.tolist() == [3, 3]
