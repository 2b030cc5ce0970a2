"""Do SCALE-Sim topologies become the layers they describe, and wrong ones one sentence?"""

import pytest

from quantizer.errors import InputError
from quantizer.network.layers import Conv, Dense
from quantizer.network.scalesim_topology import LIMIT_BYTES, NOTE, load_scalesim

CONV = (
    "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, "
    "Strides,\n"
)
GEMM = "Layer, M, N, K,\n"


@pytest.fixture
def load(tmp_path):
    def load_text(text, encoding="utf-8"):
        path = tmp_path / "net.csv"
        path.write_bytes(text.encode(encoding))
        return load_scalesim(path)

    return load_text


@pytest.fixture
def refuse(load, tmp_path):
    def refuse_text(text):
        with pytest.raises(InputError) as error:
            load(text)
        return str(error.value).removeprefix(f"{tmp_path}/")

    return refuse_text


def test_a_row_is_a_convolution_with_an_input_of_its_own(load):
    network = load(CONV + "Conv1, 227, 227, 11, 11, 3, 96, 4,\nConv2, 31, 20, 5, 3, 96, 256, 1,\n")
    assert network.name == "net"
    assert network.notes == (NOTE,)
    first, second = network.layers
    assert first == Conv(
        name="Conv1", ifm="Conv1, IFMAP", ofm="Conv1", weights="Conv1, Filter", bias=None,
        stride=(4, 4), pads=(0, 0, 0, 0), dilation=(1, 1), groups=1, clamp=None,
    )  # fmt: skip
    assert network.input == "Conv1, IFMAP"
    assert network.outputs == ("Conv1", "Conv2")
    assert network.shapes == {
        "Conv1, IFMAP": (3, 227, 227), "Conv1": (96, 55, 55),
        "Conv2, IFMAP": (96, 31, 20), "Conv2": (256, 27, 18),
    }  # fmt: skip
    assert network.constants["Conv1, Filter"].shape == (96, 3, 11, 11)
    assert network.constants["Conv2, Filter"].shape == (256, 96, 5, 3)
    assert network.layer_macs(second) == 27 * 18 * 256 * 96 * 5 * 3
    assert network.parameters == 96 * 3 * 11 * 11 + 256 * 96 * 5 * 3


def test_a_last_window_that_is_not_whole_counts_and_reads_zeros(load):
    network = load(CONV + "Conv1, 224, 223, 7, 7, 3, 64, 2,\n")
    (layer,) = network.layers
    assert network.shapes["Conv1"] == (64, 110, 109)
    assert layer.pads == (0, 0, 1, 0)


def test_a_convolution_with_dp_in_its_name_is_depthwise(load):
    network = load(CONV + "Conv1_DP, 10, 10, 3, 3, 8, 2, 1,\n")
    (layer,) = network.layers
    assert layer.groups == 8
    assert network.constants[layer.weights].shape == (16, 1, 3, 3)
    assert network.shapes[layer.ofm] == (16, 8, 8)
    assert network.macs == 16 * 8 * 8 * 9


def test_strides_can_differ_as_scalesim_itself_writes_them(load):
    header = CONV.replace("Strides", "Stride height, Stride width")
    network = load(header + "Conv1, 227, 230, 8, 11, 3, 64, 2, 3,\n")
    (layer,) = network.layers
    assert layer.stride == (2, 3)
    assert network.shapes["Conv1"] == (64, 111, 74)
    assert layer.pads == (0, 0, 1, 0)


def test_a_row_of_m_n_k_is_a_matrix_product(load):
    network = load(GEMM + "mm, 128, 1536, 512,\n")
    assert network.layers == (
        Dense(name="mm", ifm="mm, IFMAP", ofm="mm", weights="mm, Filter", bias=None, clamp=None),
    )
    assert network.shapes == {"mm, IFMAP": (128, 512), "mm": (128, 1536)}
    assert network.constants["mm, Filter"].shape == (1536, 512)
    assert network.macs == 128 * 1536 * 512


@pytest.mark.parametrize(
    "text",
    [
        CONV + "a,5,5,3,3,2,4,1,\n",
        CONV + "a,5,5,3,3,2,4,1",
        CONV + "\n , ,\n  a\t, 5 ,5,3, 3,2,4,  1 ,,\n\n",
        CONV.rstrip(",\n") + ", Sparsity\na,5,5,3,3,2,4,1,1:1,\n",
        CONV.rstrip(",\n") + ", Batch Size\na,5,5,3,3,2,4,1,1,\n",
        CONV + "# of the paper\na,5,5,3,3,2,4,1,#dw\n",
        CONV.upper().replace("STRIDES", "Stride") + "a,5,5,3,3,2,4,1,\n",
        "\ufeff" + CONV.replace("\n", "\r\n") + "a,5,5,3,3,2,4,1,\r\n",
    ],
)
def test_spaces_blank_lines_and_dense_ratios_change_nothing(load, text):
    network = load(text)
    assert network.shapes == {"a, IFMAP": (2, 5, 5), "a": (4, 3, 3)}


def test_constants_take_no_memory(load):
    network = load(GEMM + "mm, 1, 40000, 40000,\n")
    assert network.constants["mm, Filter"].strides == (0, 0)


def test_the_digest_is_of_the_file(load):
    assert load(GEMM + "a,1,2,3,\n").digest != load(GEMM + "a,1,2,4,\n").digest


HEADER = (
    "net.csv:1: expected the header of a SCALE-Sim topology, 'Layer name, IFMAP Height, "
    "IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,' or "
    "'Layer, M, N, K,'; got "
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", HEADER + "''"),
        ("Conv1,5,5,3,3,2,4,1,\n", HEADER + "'Conv1,5,5,3,3,2,4,1,'"),
        ("Layer, M, K, N,\na,1,2,3,\n", HEADER + "'Layer, M, K, N,'"),
        (CONV, "net.csv: has no layer; give at least one row below the header"),
        (
            CONV + "a,5,5,3,3,2,4\n",
            "net.csv:2: has 7 fields; expected 8: Layer name, IFMAP Height, IFMAP Width, "
            "Filter Height, Filter Width, Channels, Num Filter, Strides",
        ),
        (GEMM + "\na,1,2\n", "net.csv:3: has 3 fields; expected 4: Layer, M, N, K"),
        (
            CONV + "a,5,5,3,3,2,4,x,\n",
            "net.csv:2: Strides: expected a whole number from 1 to 1000000, got 'x'",
        ),
        (
            CONV + "a,5,5,3,3,2,4,0,\n",
            "net.csv:2: Strides: expected a whole number from 1 to 1000000, got '0'",
        ),
        (
            CONV + "a,5,-5,3,3,2,4,1,\n",
            "net.csv:2: IFMAP Width: expected a whole number from 1 to 1000000, got '-5'",
        ),
        (
            GEMM + "a,1.5,2,3,\n",
            "net.csv:2: M: expected a whole number from 1 to 1000000, got '1.5'",
        ),
        (
            GEMM + "a,1,,3,\n",
            "net.csv:2: N: expected a whole number from 1 to 1000000, got ''",
        ),
        (
            GEMM + "a,1,2,1000001,\n",
            "net.csv:2: K: expected a whole number from 1 to 1000000, got '1000001'",
        ),
        (
            GEMM + "a,1,2,\u0663,\n",
            "net.csv:2: K: expected a whole number from 1 to 1000000, got '\u0663'",
        ),
        (
            CONV + "a,5,9,6,3,2,4,1,\n",
            "net.csv:2: Filter Height: 6 is more than the ifmap's 5; give at most 5",
        ),
        (
            CONV + "a,9,5,3,6,2,4,1,\n",
            "net.csv:2: Filter Width: 6 is more than the ifmap's 5; give at most 5",
        ),
        (GEMM + " ,1,2,3,\n", "net.csv:2: Layer: expected a name, got ''"),
        (GEMM + "a\x1bb,1,2,3,\n", "net.csv:2: Layer: expected a name, got 'a\\x1bb'"),
        (
            GEMM + "a,1,2,3,\nb,1,2,3,\na,1,2,3,\n",
            "net.csv:4: Layer: 'a' is also the name of line 2; give it another",
        ),
        (
            CONV + "a,5,5,3,3,2,4,1,2:4,\n",
            "net.csv:2: sparsity '2:4' is not modelled; give '1:1', or leave the column out",
        ),
        (
            CONV.rstrip(",\n") + ", Batch Size\na,5,5,3,3,2,4,1,8,\n",
            "net.csv:2: Batch Size: expected 1, got '8'; give --set mapping.batch",
        ),
        (
            CONV + "a,5,5,3,3,2,4,1,, NPU\n",
            "net.csv:2: 'NPU' behind 'Strides' has no use; leave it out",
        ),
        (
            GEMM + "a,1,99999,99999,\n",
            "net.csv:2: filters: 99999 x 99999 are too many elements; "
            "expected at most 2,147,483,647",
        ),
        (
            GEMM + "a,99999,1,99999,\n",
            "net.csv:2: input map: 99999 x 99999 are too many elements; "
            "expected at most 2,147,483,647",
        ),
        (
            GEMM + "a,99999,99999,1,\n",
            "net.csv:2: output map: 99999 x 99999 are too many elements; "
            "expected at most 2,147,483,647",
        ),
        (
            CONV + "a,46340,46340,23170,23170,1,1,1,\n",
            "net.csv:2: 288,231,619,546,084,900 multiply-accumulates are too many; "
            "expected at most 1,125,899,906,842,624",
        ),
    ],
)
def test_what_is_no_topology_is_one_sentence_with_line_and_column(refuse, text, sentence):
    assert refuse(text) == sentence


def test_a_file_in_another_encoding_is_refused_with_its_line(tmp_path):
    path = tmp_path / "net.csv"
    path.write_bytes(GEMM.encode() + b"a,1,2,3,\nb\xff,1,2,3,\n")
    with pytest.raises(InputError) as error:
        load_scalesim(path)
    assert str(error.value) == f"{path}:3: is not UTF-8; save it as plain text"


def test_a_file_that_is_not_there_or_too_large_is_refused(tmp_path):
    path = tmp_path / "net.csv"
    with pytest.raises(InputError) as error:
        load_scalesim(path)
    assert str(error.value) == (
        f"{path}: cannot be read (No such file or directory); expected a SCALE-Sim topology"
    )
    path.write_bytes(b"a" * (LIMIT_BYTES + 1))
    with pytest.raises(InputError) as error:
        load_scalesim(path)
    assert str(error.value) == f"{path}: is larger than 1 MiB; expected a SCALE-Sim topology"
