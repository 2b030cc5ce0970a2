"""Do our own SystemVerilog arrays give the bits and take the cycles that the model says?

Vectors and expected cycles are the exporter's; the bench checks every tile by itself. The arrays
are run in Icarus Verilog.
"""

from pathlib import Path

import numpy as np
import pytest

from accel_sim.builtin import find_builtin
from accel_sim.golden_vectors.export import export_vectors
from accel_sim.golden_vectors.layer import LayerVectors
from accel_sim.hardware.choices import Dataflow
from quantizer.network.images import Preprocessing, load_images
from quantizer.network.onnx_import import load_onnx
from quantizer.quantize import quantize
from quantizer.quantized import BitWidths, QuantizedNetwork
from tests.rtl.layers import Array, export, one_convolution, tiled
from tests.rtl.simulator import NEEDS_ICARUS, compile_bench, run_bench

OUTPUT, WEIGHT, INPUT, TREE = (
    Dataflow.OUTPUT_STATIONARY,
    Dataflow.WEIGHT_STATIONARY,
    Dataflow.INPUT_STATIONARY,
    Dataflow.CHANNEL_PARALLEL,
)

SYSTOLIC = [
    Array(dataflow=dataflow, rows=rows, cols=cols, ifm_signed=signed, acc_bits=bits,
          saturates=saturates, pipeline=pipeline)
    for dataflow in (OUTPUT, WEIGHT, INPUT)
    for rows, cols, signed, bits, saturates, pipeline in (
        (4, 4, True, 17, True, 0),
        (4, 8, False, 18, True, 1),
        (6, 3, True, 16, True, 2),
        (7, 4, False, 17, False, 2),
        (4, 4, True, 32, False, 1),
    )
] + [
    # Narrow and wide operands, an accumulator of the largest width, one row, one column.
    Array(dataflow=OUTPUT, rows=2, cols=6, ifm_bits=4, weight_bits=3, acc_bits=8, saturates=True),
    Array(dataflow=WEIGHT, rows=6, cols=2, ifm_bits=3, weight_bits=5, acc_bits=9, saturates=True,
          ifm_signed=False),
    Array(dataflow=WEIGHT, rows=4, cols=4, ifm_bits=16, weight_bits=16, acc_bits=48,
          saturates=True, pipeline=1),
    Array(dataflow=OUTPUT, rows=4, cols=4, ifm_bits=16, weight_bits=12, acc_bits=30,
          saturates=True, ifm_signed=False),
    Array(dataflow=OUTPUT, rows=1, cols=4, acc_bits=18, saturates=True, pipeline=2),
    Array(dataflow=WEIGHT, rows=5, cols=1, acc_bits=17, saturates=True, pipeline=1),
]  # fmt: skip

TREES = [
    Array(dataflow=TREE, rows=rows, cols=cols, ifm_signed=signed, acc_bits=bits,
          saturates=saturates, pipeline=pipeline)
    for rows, cols, signed, bits, saturates, pipeline in (
        (4, 4, True, 17, True, 0),
        (5, 3, False, 17, True, 1),
        (8, 2, True, 16, True, 2),
        (1, 4, False, 17, True, 0),
        (6, 4, True, 18, False, 1),
    )
] + [
    # Every column takes the map of a group of its own.
    Array(dataflow=TREE, rows=4, cols=4, acc_bits=16, saturates=True, own_ifm=True),
    Array(dataflow=TREE, rows=7, cols=8, acc_bits=17, saturates=True, own_ifm=True,
          ifm_signed=False, pipeline=2),
]  # fmt: skip


def layer_on(array: Array) -> tuple[QuantizedNetwork, LayerVectors]:
    """A layer in tiles that leave rows and columns idle, and that go on from stored sums."""
    rng = np.random.default_rng(array.rows * 100 + array.cols * 10 + array.pipeline)
    filters = 6 if array.own_ifm else 5
    network, raw = one_convolution(array, rng, filters, channels=filters, taps=3, size=5)
    return network, tiled(array, network, raw, tile_channels=3, tile_rows=3)


def test_more_than_three_hundred_tiles_are_run() -> None:
    systolic = sum(len(layer_on(array)[1].folds) for array in SYSTOLIC)
    trees = sum(len(layer_on(array)[1].folds) for array in TREES)
    assert systolic > 300
    assert trees > 100


@NEEDS_ICARUS
@pytest.mark.parametrize("array", SYSTOLIC + TREES, ids=str)
def test_an_array_equals_the_model(tmp_path: Path, array: Array) -> None:
    network, vectors = layer_on(array)
    folder, tiles = export(network, vectors, tmp_path / "vectors")
    compile_bench(tmp_path / "bench", array.parameters)
    outcome = run_bench(tmp_path / "bench", folder)
    assert outcome.passed == len(tiles) == len(vectors.folds)
    for tile in tiles:
        measured = outcome.tiles[tile["name"]]
        assert measured.cycles == tile["cycles"]["total"]
        assert measured.clamps == tile["clamped_additions"]
        assert measured.wrong_sums == 0
    assert array.rows == 1 or any(tile["rows"] < array.rows for tile in tiles)
    assert array.cols == 1 or any(tile["cols"] < array.cols for tile in tiles)
    assert any("psum_in" in tile["files"] for tile in tiles)
    clamps = sum(tile["clamped_additions"] for tile in tiles)
    assert (clamps > 0) == (array.saturates and array.acc_bits < 48)


@NEEDS_ICARUS
@pytest.mark.parametrize("array", [SYSTOLIC[0], SYSTOLIC[5], TREES[0]], ids=str)
def test_the_bench_sees_a_wrong_sum_a_wrong_count_and_a_wrong_cycle(
    tmp_path: Path, array: Array
) -> None:
    rng = np.random.default_rng(0)
    network, raw = one_convolution(array, rng, filters=4, channels=2, taps=1, size=4)
    vectors = tiled(array, network, raw, tile_channels=2, tile_rows=1)
    folder, _ = export(network, vectors, tmp_path / "vectors")
    compile_bench(tmp_path / "bench", array.parameters)
    index = folder / "tiles.txt"
    lines = [line.split() for line in index.read_text().splitlines()]
    count = len(lines)
    assert count > 3
    assert run_bench(tmp_path / "bench", folder).passed == count

    sums = folder / f"{lines[0][0]}_psum_out.hex"
    first, *others = sums.read_text().splitlines()
    sums.write_text("\n".join([f"{int(first, 16) ^ 1:x}", *others]) + "\n")
    lines[1][6] = str(int(lines[1][6]) + 1)
    lines[2][7] = str(int(lines[2][7]) + 1)
    index.write_text("".join(" ".join(line) + "\n" for line in lines))
    outcome = run_bench(tmp_path / "bench", folder)
    assert outcome.passed == count - 3
    assert outcome.tiles[lines[0][0]].wrong_sums == 1


@NEEDS_ICARUS
@pytest.mark.parametrize("dataflow", [OUTPUT, WEIGHT, INPUT, TREE], ids=str)
def test_a_trained_layer_in_the_mapping_of_its_machine_equals_the_model(
    tmp_path: Path, dataflow: Dataflow
) -> None:
    """What the command writes: a layer of the built-in network, through the whole tool."""
    array = Array(dataflow=dataflow, rows=8, cols=8, ifm_signed=False, acc_bits=16, saturates=True)
    builtin = find_builtin("digits")
    graph = load_onnx(builtin.onnx_path)
    images = load_images(
        builtin.test_path,
        shape=graph.shapes[graph.input],
        preprocessing=Preprocessing(mean=builtin.mean, scale=builtin.scale),
        limit=4,
    )
    network = quantize(graph, images, BitWidths())
    export_vectors(array.hardware, network, images, tmp_path / "v", layer="residual_conv2", tiles=8)
    compile_bench(tmp_path / "bench", array.parameters)
    outcome = run_bench(tmp_path / "bench", tmp_path / "v" / "000_residual_conv2")
    assert outcome.passed == len(outcome.tiles) == 8
    assert sum(tile.clamps for tile in outcome.tiles.values()) > 0
