"""Does the quantizer choose the formats that its contract says, and obey given ones exactly?"""

import json
import math
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
from quantizer.fraction_length import max_range, search
from quantizer.network.float_run import FloatRunner
from quantizer.network.graph import Network
from quantizer.network.images import ImageSet, Preprocessing
from quantizer.network.layers import (
    Add,
    AveragePool,
    Clamp,
    Clip,
    Concat,
    Conv,
    Dense,
    Layer,
    MaxPool,
    Reshape,
)
from quantizer.quantize import quantize
from quantizer.quantized import BitWidths, NumericRules, QuantizedNetwork

RELU = Clamp(low=0.0, high=math.inf)
PLAIN = {"stride": (1, 1), "dilation": (1, 1), "pads": (0, 0, 0, 0)}


def conv(name: str, ifm: str, *, clamp: Clamp | None = None, bias: bool = False) -> Conv:
    """A 1x1 convolution with weights ``<name>.w``."""
    return Conv(
        name=name, ifm=ifm, ofm=f"{name}.out", weights=f"{name}.w",
        bias=f"{name}.b" if bias else None, groups=1, clamp=clamp, **PLAIN,
    )  # fmt: skip


def network(
    layers: list[Layer],
    shapes: Mapping[str, tuple[int, ...]],
    constants: Mapping[str, NDArray[Any]] | None = None,
) -> Network:
    made = {name: np.asarray(value, np.float32) for name, value in (constants or {}).items()}
    rng = np.random.default_rng(0)
    for layer in layers:
        if isinstance(layer, Conv | Dense) and layer.weights not in made:
            spread = (1, 1) if isinstance(layer, Conv) else ()
            shape = (shapes[layer.ofm][0], shapes[layer.ifm][0], *spread)
            made[layer.weights] = rng.normal(size=shape).astype(np.float32)
            if layer.bias is not None and layer.bias not in made:
                made[layer.bias] = rng.normal(size=shape[0]).astype(np.float32)
    return Network(
        name="made", digest="", input="x", outputs=(layers[-1].ofm,), layers=tuple(layers),
        shapes=shapes, constants=made,
    )  # fmt: skip


def images(
    shape: tuple[int, ...], *, count: int = 8, positive: bool = False, seed: int = 0
) -> ImageSet:
    values = np.random.default_rng(seed).normal(size=(count, *shape))
    values = np.abs(values) if positive else values
    return ImageSet(
        images=values.astype(np.float32), labels=None, preprocessing=Preprocessing(), source="made"
    )


MAP = (2, 4, 4)


def chain() -> Network:
    """Conv, Relu, MaxPool, Conv with bias, sum with a branch, mean, Dense."""
    return network(
        [
            conv("a", "x", clamp=RELU, bias=True),
            MaxPool(name="pool", ifm="a.out", ofm="pooled", kernel=(1, 1), **PLAIN),
            conv("b", "pooled", bias=True),
            Add(name="sum", inputs=("b.out", "pooled"), constant=None, signs=(1, 1),
                ofm="total", clamp=RELU),
            AveragePool(
                name="mean", ifm="total", ofm="means", kernel=(4, 4), counts_padding=False,
                clamp=None, **PLAIN,
            ),
            Reshape(name="flat", ifm="means", ofm="vector"),
            Dense(name="fc", ifm="vector", ofm="scores", weights="fc.w", bias=None, clamp=None),
        ],
        {
            "x": MAP, "a.out": MAP, "pooled": MAP, "b.out": MAP, "total": MAP,
            "means": (2, 1, 1), "vector": (2,), "scores": (3,),
        },
    )  # fmt: skip


def test_which_maps_are_signed_and_which_inherit() -> None:
    formats = quantize(chain(), images(MAP), BitWidths()).formats
    assert [name for name, fmt in formats.items() if fmt.signed] == ["x", "b.out", "scores"]
    assert formats["pooled"] == formats["a.out"]
    assert formats["vector"] == formats["means"]
    assert quantize(chain(), images(MAP, positive=True), BitWidths()).formats["x"].signed is False
    only = quantize(chain(), images(MAP), BitWidths(), signed_only=True).formats
    assert all(fmt.signed for fmt in only.values())


def test_widths_are_the_ones_asked_for() -> None:
    made = quantize(chain(), images(MAP), BitWidths(weights=5, activations=6, biases=12))
    assert {name: fmt.bits for name, fmt in made.formats.items()} == {
        name: 8 if name == "x" else 6 for name in made.formats
    }
    assert {value.bits for value in made.weights.values()} == {5}
    assert {value.bits for value in made.biases.values()} == {12}
    narrow = quantize(chain(), images(MAP), BitWidths(activations=6, inputs=4))
    assert narrow.formats["x"].bits == 4
    assert quantize(chain(), images(MAP), BitWidths(activations=12)).formats["x"].bits == 12


@pytest.mark.parametrize("bits", [3, 4, 6, 8, 12])
def test_every_map_gets_the_fraction_length_of_least_squared_error(bits: int) -> None:
    """Held against an exhaustive search on the same samples, from quantized weights."""
    calibration = images(MAP, count=40)
    made = quantize(chain(), calibration, BitWidths(activations=bits, inputs=bits))
    constants = {name: value.decode() for name, value in made.weights.items()}
    own_bias = {
        name: QFormat(bits=16, frac_bits=search(name, chain().constants[name].astype(float), 16,
                                                may_clip=False))
        for name in ("a.b", "b.b")
    }  # fmt: skip
    for name, fmt in own_bias.items():
        constants[name] = fmt.decode(fmt.encode(chain().constants[name], Rounding.TIES_EVEN))
    runner = FloatRunner(chain(), constants)
    samples = [runner.run(calibration.real(index)) for index in range(len(calibration))]
    for name in ("x", "a.out", "b.out", "means", "scores"):
        values = np.stack([sample[name] for sample in samples]).astype(np.float64)
        chosen = made.formats[name]

        def error(frac_bits: int, values: NDArray[np.float64], like: QFormat) -> float:
            fmt = replace(like, frac_bits=frac_bits)
            decoded = fmt.decode(fmt.encode(values, Rounding.TIES_POS))
            return float(np.sum((decoded - values) ** 2))

        errors = {n: error(n, values, chosen) for n in range(-4, 2 * bits + 4)}
        assert errors[chosen.frac_bits] == pytest.approx(min(errors.values()), rel=1e-12)


def test_a_concat_shares_one_format_through_pools_and_further_concats() -> None:
    made = network(
        [
            conv("a", "x", clamp=RELU),
            conv("b", "x", clamp=RELU),
            Concat(name="c", inputs=("a.out", "b.out"), axis=0, ofm="joined"),
            MaxPool(name="pool", ifm="joined", ofm="pooled", kernel=(1, 1), **PLAIN),
            conv("d", "x", clamp=RELU),
            Concat(name="e", inputs=("pooled", "d.out", "x"), axis=0, ofm="all"),
            conv("f", "b.out", clamp=RELU),
            Concat(name="g", inputs=("f.out", "b.out"), axis=0, ofm="other"),
            Add(name="sum", inputs=("other", "other"), constant=None,
                signs=(1, 1), ofm="twice", clamp=None),
        ],
        {
            "x": MAP, "a.out": MAP, "b.out": MAP, "joined": (4, 4, 4), "pooled": (4, 4, 4),
            "d.out": MAP, "all": (8, 4, 4), "f.out": MAP, "other": (4, 4, 4), "twice": (4, 4, 4),
        },
        {"b.w": 40 * np.ones((2, 2, 1, 1)), "f.w": 0.001 * np.ones((2, 2, 1, 1))},
    )  # fmt: skip
    formats = quantize(made, images(MAP), BitWidths()).formats
    shared = {"a.out", "b.out", "joined", "pooled", "d.out", "all"}
    assert len({formats[name] for name in shared}) == 1
    # The input never shares; b.out has joined the first class, so only f.out joins the second.
    assert formats["x"] != formats["all"]
    assert formats["f.out"] == formats["other"]
    # The class is chosen on the concatenated map: signed, because x is.
    assert formats["all"].signed
    given = {"a.out": {"bits": 8, "frac_bits": 3, "signed": False}}
    pinned = quantize(made, images(MAP), BitWidths(), formats=entries(given)).formats
    assert pinned["a.out"] == QFormat(bits=8, frac_bits=3, signed=False)
    assert pinned["joined"] != pinned["a.out"]


def entries(content: Mapping[str, Any], folder: Path | None = None) -> Any:
    """Read formats through the file, as a user gives them."""
    import tempfile

    with tempfile.TemporaryDirectory() as made:
        path = (folder or Path(made)) / "f.json"
        path.write_text(json.dumps(content))
        return read_formats(path)


def test_the_bias_is_never_finer_than_the_accumulator_and_encoded_once() -> None:
    bias = np.array([0.3, -1.7])
    made = quantize(
        network(
            [conv("a", "x", bias=True)],
            {"x": MAP, "a.out": MAP},
            {"a.w": 100 * np.ones((2, 2, 1, 1)), "a.b": bias},
        ),
        images(MAP),
        BitWidths(),
    )
    acc = made.formats["x"].frac_bits + made.weights["a.w"].frac_bits
    found = made.biases["a"]
    own = search("a.b", bias.astype(np.float32).astype(np.float64), 16, may_clip=False)
    assert own > acc[0]
    assert found.frac_bits.tolist() == acc.tolist()
    np.testing.assert_array_equal(found.raw, np.rint(np.ldexp(np.float32(bias), acc)))


def test_given_formats_round_trip_to_the_same_integers() -> None:
    first = quantize(chain(), images(MAP), BitWidths(weights=6, activations=7))
    again = quantize(chain(), None, BitWidths(), formats=entries(formats_to_json(first)))
    assert again.formats == first.formats
    for mine, theirs in ((again.weights, first.weights), (again.biases, first.biases)):
        assert mine.keys() == theirs.keys()
        for name in mine:
            np.testing.assert_array_equal(mine[name].raw, theirs[name].raw)
            np.testing.assert_array_equal(mine[name].frac_bits, theirs[name].frac_bits)


def test_a_list_of_fraction_lengths_is_one_per_output_channel() -> None:
    given = {"a.w": {"bits": 8, "frac_bits": [3, 5], "signed": True}}
    made = quantize(chain(), images(MAP), BitWidths(), formats=entries(given))
    values = chain().constants["a.w"].astype(np.float64)
    for channel, length in enumerate((3, 5)):
        fmt = QFormat(bits=8, frac_bits=length)
        np.testing.assert_array_equal(
            made.weights["a.w"].raw[channel], fmt.encode(values[channel], Rounding.TIES_EVEN)
        )
    assert formats_to_json(made)["a.w"]["frac_bits"] == [3, 5]
    assert made.biases["a"].frac_bits[0] <= made.formats["x"].frac_bits + 3


def test_the_same_formats_come_out_of_any_order_of_threads() -> None:
    runs = [formats_to_json(quantize(chain(), images(MAP, count=30), BitWidths())) for _ in "123"]
    assert runs[0] == runs[1] == runs[2]


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
@pytest.mark.parametrize("kind", ["normal", "laplace", "uniform", "one", "powers"])
def test_the_search_finds_the_best_fraction_length(bits: int, kind: str) -> None:
    rng = np.random.default_rng(bits)
    values = {
        "normal": rng.normal(size=500),
        "laplace": 0.01 * rng.laplace(size=500),
        "uniform": rng.uniform(-3, 3, 500),
        "one": np.array([0.7]),
        "powers": np.array([0.25, -0.5, 1.0]),
    }[kind]

    def error(frac_bits: int) -> float:
        fmt = QFormat(bits=bits, frac_bits=frac_bits)
        decoded = fmt.decode(fmt.encode(values, Rounding.TIES_EVEN))
        return float(np.sum((decoded - values) ** 2))

    found = search("w", values, bits)
    everywhere = {n: error(n) for n in range(-10, 30)}
    assert everywhere[found] == min(everywhere.values())
    # On equal error the larger range.
    assert found == min(n for n in everywhere if everywhere[n] == everywhere[found]
                        and n >= max_range(values, bits) - 1)  # fmt: skip


def test_max_range_at_powers_of_two() -> None:
    for largest, expected in ((1.0, 7), (1.0 + 2**-40, 6), (0.5, 8), (3.0, 5), (0.0, 7)):
        assert max_range(np.array([largest, -0.1 * largest]), 8) == expected


def test_a_sum_is_judged_on_the_grid_of_its_operands() -> None:
    """Operands on multiples of 1/4 need no finer output, however fine continuous samples are."""
    made = network(
        [
            Clip(name="c", ifm="x", ofm="clipped", clamp=RELU),
            Add(
                name="sum",
                inputs=("x", "clipped"),
                constant=None,
                signs=(1, 1),
                ofm="total",
                clamp=None,
            ),
        ],
        {"x": MAP, "clipped": MAP, "total": MAP},
    )
    given = {"x": {"bits": 4, "frac_bits": 2, "signed": True}}
    calibration = images(MAP, count=30)
    found = quantize(made, calibration, BitWidths(activations=8), formats=entries(given))
    assert found.formats["total"].frac_bits >= 2


def problem(content: Any, *, calibration: ImageSet | None = None) -> str:
    with pytest.raises(InputError) as error:
        quantize(chain(), calibration, BitWidths(), formats=entries(content))
    return str(error.value).split("f.json: ")[-1]


def fmt(**changes: Any) -> dict[str, Any]:
    return {"bits": 8, "frac_bits": 4, "signed": True, **changes}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"a.ot": fmt()}, "'a.ot': the network has no such tensor with a format of its own; "
                          "did you mean 'a.out'?"),
        ({"a.out": fmt(frac_bits=[1, 2])},
         "'a.out': frac_bits: a feature map has one fraction length, got a list"),
        ({"a.w": fmt(frac_bits=[1, 2, 3])},
         "'a.w': frac_bits: expected one integer or 2, one per output channel; got 3"),
        ({"a.b": fmt(signed=False)},
         "'a.b': signed: constants are signed, got false"),
        ({"a.out": fmt(), "pooled": fmt(frac_bits=5)},
         "'pooled': is s8f5, but 'a.out' is s8f4; the two share one format"),
        ({"a.out": 3}, "'a.out': expected {\"bits\": ..., \"frac_bits\": ..., \"signed\": ...}"),
        ({"a.out": {"bits": 8, "frac_bits": 1}}, "'a.out': key 'signed' is missing"),
        ({"a.out": fmt(fracbits=1)},
         "'a.out': unknown key 'fracbits'; did you mean 'frac_bits'?"),
        ({"a.out": fmt(bits=17)}, "'a.out': bits: expected an integer from 2 to 16, got 17"),
        ({"a.out": fmt(bits=True)}, "'a.out': bits: expected an integer from 2 to 16, got True"),
        ({"a.out": fmt(signed=1)}, "'a.out': signed: expected true or false, got 1"),
        ({"a.out": fmt(frac_bits=65)},
         "'a.out': frac_bits: expected an integer from -64 to 64, or a list of them, got 65"),
        ({"a.out": fmt(frac_bits=[])},
         "'a.out': frac_bits: expected an integer from -64 to 64, or a list of them, got []"),
    ],
)  # fmt: skip
def test_formats_that_do_not_fit_are_refused(content: Any, sentence: str) -> None:
    assert problem(content) == sentence


def test_a_bias_format_finer_than_the_accumulator_or_too_narrow_is_refused() -> None:
    base = {"x": fmt(), "a.w": fmt(), "a.out": fmt(signed=False)}
    calibration = images(MAP)
    assert problem({**base, "a.b": fmt(frac_bits=9)}, calibration=calibration) == (
        "'a.b': frac_bits 9 is finer than the accumulator of layer 'a'; expected at most 8"
    )
    bias = chain().constants["a.b"]
    channel = int(np.argmax(np.abs(bias) * 2**8 > 128))
    assert problem({**base, "a.b": fmt(frac_bits=8)}, calibration=calibration) == (
        f"layer 'a': bias 'a.b': saturates at channel {channel}: {bias[channel]:g} does not fit "
        "8 bits with frac_bits 8; expected fewer frac_bits or more bits"
    )


def test_maps_without_a_format_need_calibration_images() -> None:
    assert problem({"x": fmt()}) == (
        "--calibration: feature map 'a.out' has no given format; expected calibration images"
    )


def test_an_unknown_method_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError) as error:
        quantize(chain(), images(MAP), BitWidths(), method="gdd")
    assert str(error.value) == "--method: unknown method 'gdd'; did you mean 'ggd'?"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", "1: not valid JSON (Expecting property name enclosed in double quotes)"),
        (b"[]", " expected an object of tensor names and formats"),
        (b'{"a": 1, "a": 2}', " 'a' is given twice; expected once"),
        (b"\xff\xfe", " cannot be read (not UTF-8 text)"),
        (b"[" * 100_000, "1: not valid JSON (nested too deeply)"),
    ],
)
def test_a_broken_formats_file_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "f.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read_formats(path)
    assert str(error.value) == f"{path}:{problem}"


def test_a_map_that_becomes_infinite_is_refused() -> None:
    calibration = images(MAP)
    huge = replace(calibration, images=np.full((1, *MAP), 3e38, np.float32))
    with pytest.raises(InputError) as error:
        quantize(chain(), huge, BitWidths())
    assert str(error.value) == (
        "made: image 0: makes feature map 'means' NaN or infinite; expected finite values"
    )


def test_values_stay_as_they_are_handed_over() -> None:
    made = quantize(chain(), images(MAP), BitWidths(), NumericRules(accumulator_bits=20))
    assert isinstance(made, QuantizedNetwork)
    assert made.rules.accumulator_bits == 20
    with pytest.raises(ValueError, match="read-only"):
        made.weights["a.w"].raw[:] = 0
