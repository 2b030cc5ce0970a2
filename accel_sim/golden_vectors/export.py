"""From a network on a machine to a folder of golden vectors."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from accel_sim import __version__
from accel_sim.functional import ExactNetwork
from accel_sim.golden_vectors.files import (
    MANIFEST,
    WordBits,
    check_space,
    count_digits,
    to_manifest,
    write_tile,
)
from accel_sim.golden_vectors.layer import LayerVectors, prepare_layer
from accel_sim.golden_vectors.manifest import describe_layer, describe_run, describe_tile
from accel_sim.hardware.config import HardwareConfig
from accel_sim.layer_steps.feature_map import channels_first
from accel_sim.machine_fit import check_signs, check_values, find_schedules
from accel_sim.mapping.array_axes import array_axes
from accel_sim.report.output_folder import folder_in_one_step
from accel_sim.scheduling import collect_plans
from quantizer.errors import InputError, nearest
from quantizer.network.graph import Network
from quantizer.network.images import ImageSet
from quantizer.network.layers import Conv, ConvTranspose, Dense, Layer
from quantizer.quantized import QuantizedNetwork

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSummary:
    """What was written of a layer."""

    name: str
    op: str
    array_tiles: int
    written_tiles: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSummary:
    """What was written, and which layers of multiply-accumulates were not, with the reason."""

    layers: tuple[LayerSummary, ...]
    left_out: tuple[str, ...]


def find_layers(network: Network, name: str | None) -> tuple[Conv | Dense, ...]:
    """Find the layers to export: the one of that name, or all that can be.

    Raises
    ------
    InputError
        There is no such layer, or it does not run on the array as it stands.
    """
    runs = tuple(layer for layer in network.layers if isinstance(layer, Conv | Dense))
    if not runs:
        raise InputError(network.name, "has no convolution or dense layer to export")
    if name is None:
        return runs
    offer = f"; give a convolution or dense layer, such as {runs[0].name!r}"
    for layer in network.layers:
        if layer.name == name:
            if isinstance(layer, Conv | Dense):
                return (layer,)
            raise InputError(f"layer {name!r}", _why_not(layer) + offer)
    suggestion = nearest(name, [layer.name for layer in runs]) or offer
    raise InputError("--layer", f"no layer {name!r} in {network.name}{suggestion}")


def _why_not(layer: Layer) -> str:
    if isinstance(layer, ConvTranspose):
        return "is a ConvTranspose, of which no vectors are written"
    return f"is a {layer.op}, which does not run on the array"


def check_batch(hardware: HardwareConfig, images: ImageSet) -> None:
    """Refuse fewer images than the machine processes together.

    Raises
    ------
    InputError
        Images there, images needed.
    """
    batch = hardware.mapping.batch
    if len(images) < batch:
        raise InputError(
            images.source,
            f"holds {len(images)} images, the machine processes {batch} together; "
            "give more, or a smaller --batch",
        )


def check_machine(hardware: HardwareConfig) -> None:
    """Refuse machines of which no vectors are written, whatever the layers.

    Raises
    ------
    InputError
        A row-stationary array, partial sums that memory cuts, or composable multipliers; how to
        export without.
    """
    if array_axes(hardware.mac_array.dataflow).has_passes:
        raise InputError(
            hardware.name,
            f"no vectors are written of a {hardware.mac_array.dataflow} array; expected one of the "
            "other dataflows",
        )
    check_values(hardware)
    if hardware.precision.modes:
        raise InputError(
            "precision.modes",
            "no vectors are written of multipliers that work as several; --set precision.modes=[] "
            "exports the whole ones",
        )


def export_vectors(
    hardware: HardwareConfig,
    network: QuantizedNetwork,
    images: ImageSet,
    directory: Path,
    *,
    layer: str | None = None,
    tiles: int | None = None,
    progress: Progress = lambda done, total: None,
) -> ExportSummary:
    """Write golden vectors of the array tiles of a network.

    Every tile is that of the schedule that the report shows, cut into folds of the array.

    Parameters
    ----------
    images
        The first of them are run: as many as the machine processes together.
    directory
        Made in one step; it may be there if it is empty.
    layer
        By name; None for all convolutions and dense layers.
    tiles
        At most so many of each layer, evenly spread, the first and the last among them;
        None for all.
    progress
        Called with tiles done and tiles in all.

    Raises
    ------
    InputError
        What `simulate` refuses; what `check_machine` does; no such layer; fewer images than
        the batch; the directory cannot be written or has too little room.
    """
    check_machine(hardware)
    check_signs(hardware, network)
    network = replace(network, rules=hardware.numeric_rules)
    chosen = find_layers(network.network, layer)
    check_batch(hardware, images)
    schedules = find_schedules(hardware, network, network.bits)
    exact = ExactNetwork(network, collect_plans(schedules))
    traces = [exact.run(images.real(index)) for index in range(hardware.mapping.batch)]
    by_name = {schedule.nest.layer: schedule for schedule in schedules}
    prepared = [
        prepare_layer(
            hardware,
            network,
            one,
            by_name[one.name],
            [channels_first(trace.tensors[one.ifm]) for trace in traces],
        )
        for one in chosen
    ]
    description = describe_run(
        hardware, network.network, f"{len(traces)} of {images.source}", __version__
    )
    written = write_vectors(description, network, prepared, directory, tiles, progress)
    left_out = tuple(
        f"layer {one.name!r} {_why_not(one)}"
        for one in network.network.layers
        if layer is None and isinstance(one, ConvTranspose)
    )
    return ExportSummary(layers=written, left_out=left_out)


def write_vectors(
    description: dict[str, Any],
    network: QuantizedNetwork,
    layers: Sequence[LayerVectors],
    directory: Path,
    tiles: int | None,
    progress: Progress = lambda done, total: None,
) -> tuple[LayerSummary, ...]:
    """Write some layers; arguments are those of `export_vectors`.

    Parameters
    ----------
    description
        Of machine and network, for the manifest.
    """
    chosen = [_spread(len(vectors.folds), tiles) for vectors in layers]
    sizes = [
        _count_bytes(network, vectors, indices)
        for vectors, indices in zip(layers, chosen, strict=True)
    ]
    check_space(str(directory), directory.resolve(), sum(sizes))
    total, done = sum(len(indices) for indices in chosen), 0
    sections, summaries = [], []
    with folder_in_one_step(directory) as unfinished:
        for number, (vectors, indices) in enumerate(zip(layers, chosen, strict=True)):
            folder = unfinished / f"{number:03}_{_as_file_name(vectors.layer.name)}"
            folder.mkdir()
            entries = []
            for index in indices:
                made, name = vectors.make(vectors.folds[index]), f"tile_{index:06}"
                files = write_tile(folder, name, made.tile, made.ofm, _word_bits(network, vectors))
                entries.append(describe_tile(index, name, made, files))
                done += 1
                progress(done, total)
            section = describe_layer(vectors, network, folder.name)
            sections.append({**section, "tiles": entries})
            summaries.append(
                LayerSummary(
                    name=vectors.layer.name,
                    op=vectors.layer.op,
                    array_tiles=len(vectors.folds),
                    written_tiles=len(indices),
                    size_bytes=sum(path.stat().st_size for path in folder.iterdir()),
                )
            )
        manifest = to_manifest({**description, "layers": sections})
        (unfinished / MANIFEST).write_bytes(manifest)
    return tuple(summaries)


def _spread(count: int, limit: int | None) -> list[int]:
    """Choose at most so many indices of tiles, evenly spread, both ends among them."""
    if limit is None or limit >= count:
        return list(range(count))
    places = np.linspace(0, count - 1, limit).round().astype(int)
    return sorted({*places.tolist(), count - 1}) if limit > 1 else [count - 1]


def _as_file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:60]


def _word_bits(network: QuantizedNetwork, vectors: LayerVectors) -> WordBits:
    layer = vectors.layer
    return WordBits(
        ifm=network.formats[layer.ifm].bits,
        weights=network.weights[layer.weights].bits,
        psum=network.rules.accumulator_bits,
        ofm=network.formats[layer.ofm].bits,
    )


def _count_bytes(network: QuantizedNetwork, vectors: LayerVectors, indices: Sequence[int]) -> int:
    """Size of the hexadecimal files."""
    bits, size = _word_bits(network, vectors), 0
    for fold in (vectors.folds[index] for index in indices):
        pixels, filters, products = len(fold.pixels), len(fold.filters), len(fold.reduction)
        goes_on = fold.reduction.start > 0
        ends = fold.reduction.stop == vectors.sum_products
        columns = filters if vectors.nest.blocks_are_apart else 1
        size += pixels * products * columns * (count_digits(bits.ifm) + 1)
        size += filters * products * (count_digits(bits.weights) + 1)
        size += pixels * filters * (1 + goes_on) * (count_digits(bits.psum) + 1)
        size += pixels * filters * ends * (count_digits(bits.ofm) + 1)
    return size
