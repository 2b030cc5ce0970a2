"""Do golden vectors put together give the layer, and does the folder hold what it says?"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from accel_sim.builtin import find_builtin
from accel_sim.functional import ExactNetwork
from accel_sim.golden_vectors import export as exporter
from accel_sim.golden_vectors.export import export_vectors, find_layers
from accel_sim.golden_vectors.files import check_space
from accel_sim.golden_vectors.layer import prepare_layer
from accel_sim.hardware.config import HardwareConfig
from accel_sim.hardware.load import load_hardware
from accel_sim.machine_fit import find_schedules
from accel_sim.mapping.array_axes import array_axes
from accel_sim.mapping.tile import Loop
from accel_sim.scheduling import collect_plans
from quantizer.errors import InputError
from quantizer.network.images import ImageSet, Preprocessing, load_images
from quantizer.network.layers import Conv, ConvTranspose, Dense
from quantizer.network.onnx_import import load_onnx
from quantizer.quantize import quantize
from quantizer.quantized import BitWidths, QuantizedNetwork
from tests.functional.by_hand import constant, conv, quantized, signed

HIDDEN = "mac_array.drain=hidden"
SMALL = ["buffers.ifm.capacity_KiB=4", "buffers.weights.capacity_KiB=4"]
SATURATING = ["precision.accumulator_overflow=saturate", "precision.accumulator_bits=16"]
MACHINES = {
    "output stationary": SATURATING,
    "output stationary, small buffers": [*SATURATING, *SMALL, "mapping.objective=dram_bytes"],
    "output stationary, wrapping": SATURATING[1:],
    "weight stationary": [*SATURATING, HIDDEN, "mac_array.dataflow=weight_stationary"],
    "weight stationary, small buffers": [
        *SATURATING, *SMALL, HIDDEN, "mac_array.dataflow=weight_stationary",
    ],
    "input stationary": [*SATURATING, HIDDEN, "mac_array.dataflow=input_stationary"],
    "channel parallel, small buffers": [
        *SATURATING, *SMALL, HIDDEN, "mac_array.dataflow=channel_parallel", "mac_array.rows=6",
    ],
    "channel parallel, groups side by side": [
        *SATURATING, HIDDEN, "mac_array.dataflow=channel_parallel", "mac_array.rows=4",
        "mac_array.depthwise=block_diagonal",
    ],
    "channel parallel, native groups": [
        *SATURATING, HIDDEN, "mac_array.dataflow=channel_parallel", "mac_array.rows=4",
        "mac_array.depthwise=native",
    ],
    "groups side by side": [*SATURATING, "mac_array.depthwise=block_diagonal"],
    "batch of two": [*SATURATING, "mapping.batch=2"],
}  # fmt: skip


@pytest.fixture(scope="module")
def images() -> ImageSet:
    builtin = find_builtin("digits")
    shape = load_onnx(builtin.onnx_path).shapes["image"]
    preprocessing = Preprocessing(mean=builtin.mean, scale=builtin.scale)
    return load_images(builtin.test_path, shape=shape, preprocessing=preprocessing, limit=6)


@pytest.fixture(scope="module")
def network(images: ImageSet) -> QuantizedNetwork:
    return quantize(load_onnx(find_builtin("digits").onnx_path), images, BitWidths())


def machine(name: str) -> HardwareConfig:
    return load_hardware("edge_16x16", MACHINES[name])


def as_channels(shape: tuple[int, ...], layer: Conv | Dense, ofm: NDArray[Any]) -> NDArray[Any]:
    """Any feature map as [K, P, Q], a dense layer's positions as rows."""
    if isinstance(layer, Dense):
        return ofm.reshape(-1, shape[-1]).T[..., None]
    return ofm


@pytest.mark.parametrize("name", MACHINES)
def test_the_tiles_of_a_layer_give_its_outputs_and_its_clamps(
    name: str, network: QuantizedNetwork, images: ImageSet
) -> None:
    hardware = machine(name)
    network = replace(network, rules=hardware.numeric_rules)
    schedules = find_schedules(hardware, network, network.bits)
    exact = ExactNetwork(network, collect_plans(schedules))
    traces = [exact.run(images.real(index)) for index in range(hardware.mapping.batch)]
    has_filters_last = array_axes(hardware.mac_array.dataflow).cols is Loop.FILTERS
    clamps = 0
    for layer, schedule in zip(network.network.layers, schedules, strict=True):
        if not isinstance(layer, Conv | Dense):
            continue
        vectors = prepare_layer(
            hardware, network, layer, schedule, [trace.tensors[layer.ifm] for trace in traces]
        )
        shape = network.network.shapes[layer.ofm]
        expected = np.stack(
            [as_channels(shape, layer, trace.tensors[layer.ofm]) for trace in traces]
        )
        found = np.full(expected.shape, 10**6)
        stored: dict[tuple[int, ...], int] = {}
        layer_clamps = 0
        for fold in vectors.folds:
            made = vectors.make(fold)
            layer_clamps += made.tile.clamped_additions
            image, row, col = fold.place_pixels().T
            filters = vectors.operands.filter_numbers(fold)[:, None]
            place = (image, filters, row, col)

            def by_filter(array: NDArray[Any]) -> NDArray[Any]:
                return array.T if has_filters_last else array

            # Sums go on from what the fold before has left.
            outputs = list(np.broadcast(*place))
            if made.tile.psum_in is None:
                assert not any(output in stored for output in outputs)
            else:
                goes_on = by_filter(made.tile.psum_in).reshape(-1).tolist()
                assert goes_on == [stored[output] for output in outputs]
            sums = by_filter(made.tile.psum_out).reshape(-1).tolist()
            stored |= dict(zip(outputs, sums, strict=True))
            if made.ofm is not None:
                found[place] = by_filter(made.ofm)
        np.testing.assert_array_equal(found, expected)
        clamps += layer_clamps
        if hardware.numeric_rules.accumulator_overflow == "saturate":
            events = [trace.events[layer.name].accumulator_overflows for trace in traces]
            assert layer_clamps == sum(events)
    assert (clamps > 0) == (hardware.numeric_rules.accumulator_overflow == "saturate")


def read_folder(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def from_hex(path: Path, bits: int, shape: list[int]) -> NDArray[np.int64]:
    words = [int(line, 16) for line in path.read_text().splitlines()]
    assert all(len(line) == -(-bits // 4) for line in path.read_text().splitlines())
    signed = [word - (1 << bits) if word >> (bits - 1) else word for word in words]
    return np.array(signed).reshape(shape)


def test_files_hold_what_the_manifest_says(
    tmp_path: Path, network: QuantizedNetwork, images: ImageSet
) -> None:
    hardware = machine("weight stationary")
    summary = export_vectors(hardware, network, images, tmp_path / "v", tiles=3)
    manifest = json.loads((tmp_path / "v" / "manifest.json").read_text())
    assert manifest["hardware"]["mac_array"] == hardware.mac_array.model_dump(mode="json")
    assert manifest["numbers"]["accumulator_overflow"] == "saturate"
    assert manifest["images"] == f"1 of {images.source}"
    listed = {"manifest.json"}
    for section, layer in zip(manifest["layers"], summary.layers, strict=True):
        folder = tmp_path / "v" / section["folder"]
        assert (section["name"], section["array_tiles"]) == (layer.name, layer.array_tiles)
        assert len(section["tiles"]) == layer.written_tiles == min(3, layer.array_tiles)
        first, last = section["tiles"][0], section["tiles"][-1]
        assert (first["index"], last["index"]) == (0, layer.array_tiles - 1)
        size = (folder / "tiles.txt").stat().st_size
        listed.add(f"{section['folder']}/tiles.txt")
        for tile in section["tiles"]:
            for operand, file in tile["files"].items():
                path = folder / file["file"]
                listed.add(f"{section['folder']}/{file['file']}")
                assert hashlib.sha256(path.read_bytes()).hexdigest() == file["sha256"]
                axes = section["layout"]["psum" if operand in ("psum_in", "psum_out", "ofm")
                                         else operand]  # fmt: skip
                assert file["shape"] == [tile[axis] for axis in axes]
                size += path.stat().st_size
                from_hex(path, file["bits"], file["shape"])
            assert tile["cycles"]["total"] == (
                tile["cycles"]["compute"] + tile["cycles"]["fill_drain"]
            )
        assert size == layer.size_bytes
    assert set(read_folder(tmp_path / "v")) == listed


def test_the_output_stage_of_the_manifest_gives_the_outputs(
    tmp_path: Path, network: QuantizedNetwork, images: ImageSet
) -> None:
    """``ofm = clip(clamp((psum_out + bias) / 2**shift, ties up))``, from the files alone."""
    export_vectors(machine("output stationary"), network, images, tmp_path / "v", layer="conv1")
    (section,) = json.loads((tmp_path / "v" / "manifest.json").read_text())["layers"]
    stage, fmt = section["output_stage"], section["formats"]["ofm"]
    for tile in section["tiles"]:
        folder, files = tmp_path / "v" / section["folder"], tile["files"]
        sums = from_hex(
            folder / files["psum_out"]["file"], files["psum_out"]["bits"],
            files["psum_out"]["shape"],
        )  # fmt: skip
        first, count = tile["filters"]
        bias = np.array(stage["bias"][first : first + count])
        shift = np.array(stage["shift"][first : first + count])
        rounded = (sums + bias + (1 << (shift - 1))) >> shift
        held = np.clip(np.clip(rounded, *stage["clamp"]), *stage["range"])
        words = (folder / files["ofm"]["file"]).read_text().splitlines()
        assert [int(word, 16) for word in words] == (held % (1 << fmt["bits"])).reshape(-1).tolist()


def test_a_second_export_writes_the_same_bytes(
    tmp_path: Path, network: QuantizedNetwork, images: ImageSet
) -> None:
    for name in ("a", "b"):
        export_vectors(machine("input stationary"), network, images, tmp_path / name, tiles=2)
    assert read_folder(tmp_path / "a") == read_folder(tmp_path / "b")


def test_an_export_that_fails_leaves_nothing(
    tmp_path: Path,
    network: QuantizedNetwork,
    images: ImageSet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []

    def fail_at_the_third(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 3:
            raise OSError(28, os.strerror(28))
        return write_tile(*arguments)

    write_tile: Callable[..., Any] = exporter.write_tile
    monkeypatch.setattr(exporter, "write_tile", fail_at_the_third)
    with pytest.raises(InputError) as caught:
        export_vectors(machine("output stationary"), network, images, tmp_path / "v")
    assert str(caught.value) == (
        f"{tmp_path}/v: cannot be written (No space left on device); choose another place"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_disk_too_small_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        check_space("v", tmp_path / "v", 1 << 80)
    assert str(caught.value).startswith("v: the vectors need 1,152,921,504,606,846,976 MiB, there")
    assert str(caught.value).endswith("; --tiles writes fewer of each layer, --layer one layer")


def test_a_batch_needs_as_many_images(
    tmp_path: Path, network: QuantizedNetwork, images: ImageSet
) -> None:
    hardware = load_hardware("edge_16x16", ["mapping.batch=7"])
    with pytest.raises(InputError) as caught:
        export_vectors(hardware, network, images, tmp_path / "v")
    assert str(caught.value) == (
        f"{images.source}: holds 6 images, the machine processes 7 together; give more, or a "
        "smaller --batch"
    )


def test_multipliers_that_are_several_have_no_vectors(
    network: QuantizedNetwork, images: ImageSet, tmp_path: Path
) -> None:
    mode = "{weight_bits: 4, activation_bits: 4, macs_per_pe: 4, along: reduction}"
    hardware = load_hardware("edge_16x16", [f"precision.modes=[{mode}]"])
    with pytest.raises(InputError) as caught:
        export_vectors(hardware, network, images, tmp_path / "vectors")
    assert str(caught.value) == (
        "precision.modes: no vectors are written of multipliers that work as several; "
        "--set precision.modes=[] exports the whole ones"
    )
    assert not (tmp_path / "vectors").exists()


def test_row_stationary_arrays_have_no_vectors(
    network: QuantizedNetwork, images: ImageSet, tmp_path: Path
) -> None:
    hardware = load_hardware("eyeriss_12x14", ["precision.psum_storage_bits=32",
                                               "precision.activations=either"])  # fmt: skip
    with pytest.raises(InputError) as caught:
        export_vectors(hardware, network, images, tmp_path / "vectors")
    assert str(caught.value) == (
        "eyeriss_12x14: no vectors are written of a row_stationary array; expected one of the "
        "other dataflows"
    )
    assert not (tmp_path / "vectors").exists()


def test_layers_that_have_no_vectors_are_told(network: QuantizedNetwork) -> None:
    graph = network.network
    layer = find_layers(graph, "conv1")[0]
    assert isinstance(layer, Conv)
    up = ConvTranspose(
        name="up", ifm=layer.ifm, ofm=layer.ofm, weights=layer.weights, bias=layer.bias,
        stride=(1, 1), pads=(0, 0, 0, 0), dilation=(1, 1), groups=1, clamp=None,
    )  # fmt: skip
    both = replace(graph, layers=(layer, up))
    assert find_layers(both, None) == (layer,)
    with pytest.raises(InputError) as caught:
        find_layers(both, "up")
    assert str(caught.value) == (
        "layer 'up': is a ConvTranspose, of which no vectors are written; give a convolution or "
        "dense layer, such as 'conv1'"
    )
    with pytest.raises(InputError) as caught:
        find_layers(replace(graph, layers=(up,)), None)
    assert str(caught.value) == "digits: has no convolution or dense layer to export"


def test_a_transposed_convolution_is_left_out_and_told(tmp_path: Path) -> None:
    up = ConvTranspose(
        name="up", ifm="y", ofm="z", weights="u", bias=None, stride=(1, 1), pads=(0, 0, 0, 0),
        dilation=(1, 1), groups=1, clamp=None,
    )  # fmt: skip
    eight = signed(8, 0)
    made = quantized(
        conv(),
        up,
        maps={"x": (eight, (1, 2, 2)), "y": (eight, (1, 2, 2)), "z": (eight, (1, 2, 2))},
        weights={name: constant([[[[1]]]], 0, bits=8) for name in "wu"},
    )
    constants = {name: np.ones((1, 1, 1, 1), np.float32) for name in "wu"}
    made = replace(made, network=replace(made.network, constants=constants))
    ones = ImageSet(
        images=np.ones((1, 1, 2, 2), np.float32), labels=None, preprocessing=Preprocessing(),
        source="ones",
    )  # fmt: skip
    summary = export_vectors(load_hardware("edge_16x16"), made, ones, tmp_path / "v")
    assert [layer.name for layer in summary.layers] == ["conv"]
    assert summary.left_out == ("layer 'up' is a ConvTranspose, of which no vectors are written",)
