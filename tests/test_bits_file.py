"""Are widths by layer read strictly?"""

import json
from pathlib import Path
from typing import Any

import pytest

from quantizer.bits_file import GivenBits, read_bits
from quantizer.errors import InputError
from quantizer.quantized import LayerBits


def written(folder: Path, content: Any) -> Path:
    path = folder / "b.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_number_is_both_widths_and_the_default_may_hold_the_inputs(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {
            "default": {"weight_bits": 6, "input_bits": 9, "bias_bits": 12},
            "conv1": {"activation_bits": 7, "bias_bits": 8},
            "fc": 4,
        },
    )
    assert read_bits(path) == GivenBits(
        default=LayerBits(weights=6, biases=12),
        inputs=9,
        layers={
            "conv1": LayerBits(activations=7, biases=8),
            "fc": LayerBits(weights=4, activations=4),
        },
        source=str(path),
    )


def test_what_a_file_leaves_out_is_not_given(tmp_path: Path) -> None:
    path = written(tmp_path, {})
    assert read_bits(path) == GivenBits(source=str(path))
    assert read_bits(written(tmp_path, {"default": 5})).default == LayerBits(
        weights=5, activations=5
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1", ":1: not valid JSON (Expecting ',' delimiter)"),
        ("[1]", ": expected an object of layer names and widths"),
        ('{"a": 4, "a": 5}', ": 'a' is given twice; expected once"),
        ({"a": {"weight_bits": 1}}, ": 'a': weight_bits: expected an integer from 2 to 16, got 1"),
        ({"a": {"bias_bits": 17}}, ": 'a': bias_bits: expected an integer from 2 to 16, got 17"),
        (
            {"default": {"input_bits": True}},
            ": 'default': input_bits: expected an integer from 2 to 16, got True",
        ),
        (
            {"a": {"activation_bits": 8.0}},
            ": 'a': activation_bits: expected an integer from 2 to 16, got 8.0",
        ),
        (
            {"a": 17},
            ": 'a': expected a width from 2 to 16, or an object of weight_bits, activation_bits "
            "and bias_bits; got 17",
        ),
        (
            {"default": "8"},
            ": 'default': expected a width from 2 to 16, or an object of weight_bits, "
            "activation_bits, bias_bits and input_bits; got '8'",
        ),
        (
            {"a": {"weigth_bits": 8}},
            ": 'a': unknown key 'weigth_bits'; did you mean 'weight_bits'?",
        ),
        (
            {"a": {"frac": 8}},
            ": 'a': unknown key 'frac'; expected weight_bits, activation_bits or bias_bits",
        ),
        (
            {"a": {"input_bits": 8}},
            ": 'a': input_bits: no layer has one; give it in 'default'",
        ),
    ],
)
def test_what_is_no_width_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(InputError) as error:
        read_bits(path)
    assert str(error.value) == f"{path}{message}"


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read_bits(tmp_path / "no.json")
    assert str(error.value) == (
        f"{tmp_path}/no.json: cannot be read (No such file or directory); expected a bits file"
    )
