"""Do networks that PyTorch exports mean after the import what they mean in their files?"""

from pathlib import Path

import pytest

from quantizer.network.onnx_import import load_onnx
from tests.network.onnx_models import assert_equals_onnxruntime

FOLDER = Path(__file__).parent / "exported"
NETWORKS = (
    "channel_shuffle",
    "conv_bn_relu",
    "gelu_rows",
    "hardswish_squeeze_excite",
    "inverted_residual",
    "norms_and_functions",
    "pixel_shuffle",
    "two_heads",
    "unet",
)
EXPORTERS = ("dynamo", "torchscript")


def test_every_network_is_there_from_both_exporters() -> None:
    expected = {f"{name}_{exporter}.onnx" for name in NETWORKS for exporter in EXPORTERS}
    assert {path.name for path in FOLDER.glob("*.onnx")} == expected


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_an_exported_network_equals_onnxruntime(name: str, exporter: str) -> None:
    path = FOLDER / f"{name}_{exporter}.onnx"
    assert_equals_onnxruntime(path, load_onnx(path))


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_squeeze_and_excite_is_five_layers(exporter: str) -> None:
    network = load_onnx(FOLDER / f"hardswish_squeeze_excite_{exporter}.onnx")
    assert [layer.op for layer in network.layers] == [
        "Conv", "Lookup", "AveragePool", "Conv", "Conv", "Lookup", "Mul", "Conv",
    ]  # fmt: skip


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_two_heads_are_two_outputs(exporter: str) -> None:
    network = load_onnx(FOLDER / f"two_heads_{exporter}.onnx")
    assert [network.shapes[name] for name in network.outputs] == [(4,), (2, 4, 4)]
