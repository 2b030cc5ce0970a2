"""Are tables of measured layers read, and wrong ones told in one sentence?"""

import pytest

from accel_sim import read_measured_layers
from accel_sim.calibration.measured_layers import MeasuredLayer
from quantizer.errors import InputError

HEAD = "layer,power_mW,latency_ms,zero_ifm_fraction\n"


def write(tmp_path, text):
    file = tmp_path / "t.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_columns_come_in_any_order_and_comments_between(tmp_path):
    file = write(
        tmp_path,
        "# ours\nzero_weight_fraction, layer,power_mW,zero_ifm_fraction,latency_ms\n\n"
        '0.1,"a,b", 3.5 ,0,1e2\n# more\n0,c,1,1,2\n',
    )
    assert read_measured_layers(file) == (
        MeasuredLayer(
            layer="a,b", power_mW=3.5, latency_ms=100, zero_ifm_fraction=0,
            zero_weight_fraction=0.1, where=f"{file}:4",
        ),
        MeasuredLayer(
            layer="c", power_mW=1, latency_ms=2, zero_ifm_fraction=1, where=f"{file}:6"
        ),
    )  # fmt: skip


def test_weights_have_no_zeros_unless_it_says_so(tmp_path):
    (layer,) = read_measured_layers(str(write(tmp_path, f"\ufeff{HEAD}a,1,2,0.5\n")))
    assert layer.zero_weight_fraction == 0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", ": measures no layer; expected a .csv table of measured layers"),
        (HEAD, ": measures no layer; expected a .csv table of measured layers"),
        (b"\xff\xfe\x00", ": is not a text file; expected a .csv table of measured layers"),
        (
            "layer,power_mw,latency_ms,zero_ifm_fraction\n",
            ":1: unknown column 'power_mw'; did you mean 'power_mW'?",
        ),
        (
            "layer,power_mW,latency_ms,zero_ifm_fraction,PEs\n",
            ":1: unknown column 'PEs'; expected layer, power_mW, latency_ms, zero_ifm_fraction, "
            "zero_weight_fraction",
        ),
        (
            "layer,power_mW,latency_ms\n",
            ":1: missing column 'zero_ifm_fraction'; expected layer, power_mW, latency_ms, "
            "zero_ifm_fraction",
        ),
        (
            "layer,layer,power_mW,latency_ms\n",
            ":1: column 'layer' is given twice; expected one",
        ),
        (f"{HEAD}a,1,2\n", ":2: expected 4 columns, got 3"),
        (f"{HEAD},1,2,0\n", ":2: layer: expected a name, got nothing"),
        (f"{HEAD}a,1,2,0\na,1,2,0\n", ":3: layer 'a' is measured twice; expected once"),
        (f"{HEAD}a,1 W,2,0\n", ":2: power_mW: expected a number, got '1 W'"),
        (f"{HEAD}a,,2,0\n", ":2: power_mW: expected a number, got ''"),
        (f"{HEAD}a,0,2,0\n", ":2: power_mW: expected a number above 0, got 0"),
        (f"{HEAD}a,nan,2,0\n", ":2: power_mW: expected a number above 0, got nan"),
        (f"{HEAD}a,1,inf,0\n", ":2: latency_ms: expected a number above 0, got inf"),
        (
            f"{HEAD}# percent\na,1,2,38.7\n",
            ":3: zero_ifm_fraction: expected a fraction, 0 to 1, got 38.7",
        ),
        (
            "layer,power_mW,latency_ms,zero_ifm_fraction,zero_weight_fraction\na,1,2,0,-1\n",
            ":2: zero_weight_fraction: expected a fraction, 0 to 1, got -1",
        ),
        (
            f"{HEAD}{'a' * 200_000},1,2,0\n",
            ":2: field larger than field limit (131072); expected a .csv table of measured layers",
        ),
    ],
)  # fmt: skip
def test_a_wrong_table_is_one_sentence(tmp_path, text, complaint):
    file = write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        read_measured_layers(file)
    assert str(caught.value) == f"{file}{complaint}"


def test_no_table_is_one_sentence(tmp_path):
    with pytest.raises(InputError) as caught:
        read_measured_layers(tmp_path / "none.csv")
    assert str(caught.value) == (
        f"{tmp_path / 'none.csv'}: cannot be read (No such file or directory); expected a .csv "
        "table of measured layers"
    )
