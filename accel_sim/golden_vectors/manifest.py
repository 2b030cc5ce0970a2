"""What the manifest of a folder of golden vectors says."""

from dataclasses import asdict
from typing import Any

from accel_sim.accumulation import AccumulationPlan
from accel_sim.golden_vectors.layer import FoldVectors, LayerVectors
from accel_sim.golden_vectors.tile import find_layout
from accel_sim.hardware.config import HardwareConfig
from accel_sim.hardware.load import config_digest
from quantizer.fixedpoint.qformat import QFormat
from quantizer.network.graph import Network
from quantizer.quantized import QuantizedNetwork

SCHEMA_VERSION = 1


def describe_run(
    hardware: HardwareConfig, network: Network, images: str, version: str
) -> dict[str, Any]:
    """Machine, network and numeric rules: what all layers share."""
    precision = hardware.precision
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "accel-sim", "version": version},
        "hardware": {
            "name": hardware.name,
            "digest": config_digest(hardware),
            "mac_array": hardware.mac_array.model_dump(mode="json"),
        },
        "network": {"name": network.name, "digest": network.digest},
        "images": images,
        "numbers": {
            "encoding": "two's complement; one word per line, padded with zeros to whole "
            "hexadecimal digits; axes of `shape`, the last one fastest",
            "accumulator_bits": precision.accumulator_bits,
            "accumulator_overflow": str(precision.accumulator_overflow),
            "requantize_rounding": str(precision.requantize_rounding),
        },
    }


def describe_layer(vectors: LayerVectors, network: QuantizedNetwork, folder: str) -> dict[str, Any]:
    """One layer: formats, mapping, plan, output stage and the axes of its files."""
    layer, nest, mapping = vectors.layer, vectors.nest, vectors.mapping
    weights = network.weights[layer.weights]
    layout = find_layout(vectors.hardware.mac_array.dataflow, has_own_ifm=nest.blocks_are_apart)
    raw_min, raw_max, clamp_low, clamp_high = vectors.stage.bounds
    return {
        "name": layer.name,
        "op": layer.op,
        "folder": folder,
        "layout": {operand: list(axes) for operand, axes in asdict(layout).items()},
        "loops": {
            "batch": nest.batch,
            "groups": nest.groups,
            "filters": nest.filters,
            "channels": nest.channels,
            "filter_rows": nest.filter_rows,
            "filter_cols": nest.filter_cols,
            "output_rows": nest.output_rows,
            "output_cols": nest.output_cols,
            "input_rows": nest.input_rows,
            "input_cols": nest.input_cols,
            "stride": list(nest.stride),
            "dilation": list(nest.dilation),
            "pads": list(nest.pads),
            "blocks": nest.blocks,
            "blocks_are_apart": nest.blocks_are_apart,
        },
        "mapping": {
            "tile": asdict(mapping.tile),
            "loop_order": [str(loop) for loop in mapping.loop_order],
        },
        "accumulation": describe_plan(vectors.plan),
        "formats": {
            "ifm": _describe_format(network.formats[layer.ifm]),
            "weights": {"bits": weights.bits, "frac_bits": weights.frac_bits.tolist()},
            "ofm": _describe_format(network.formats[layer.ofm]),
        },
        "output_stage": {
            "bias": vectors.stage.bias.tolist(),
            "shift": vectors.stage.shift.tolist(),
            "clamp": [clamp_low, clamp_high],
            "range": [raw_min, raw_max],
        },
        "array_tiles": len(vectors.folds),
    }


def describe_plan(plan: AccumulationPlan) -> list[dict[str, Any]]:
    """Levels from the lowest, which adds products."""
    return [
        {
            "loops": [[str(loop.dimension), loop.step] for loop in level.loops],
            "max_terms": level.max_terms,
            "adder": str(level.adder),
            "start": str(level.start),
            "bits": level.bits,
            "saturates": level.saturates,
        }
        for level in plan.levels
    ]


def _describe_format(fmt: QFormat) -> dict[str, Any]:
    return {"bits": fmt.bits, "frac_bits": fmt.frac_bits, "signed": fmt.signed}


def describe_tile(
    index: int, name: str, vectors: FoldVectors, files: dict[str, Any]
) -> dict[str, Any]:
    """One array tile: its part of the layer, its extents, cycles and files."""
    fold, tile = vectors.fold, vectors.tile
    return {
        "index": index,
        "name": name,
        "mapping_tile": fold.tile,
        "group": fold.group,
        **{
            part: [span.start, len(span)]
            for part, span in (
                ("images", fold.images),
                ("output_rows", fold.output_rows),
                ("output_cols", fold.output_cols),
                ("pixels", fold.pixels),
                ("filters", fold.filters),
                ("reduction", fold.reduction),
            )
        },
        **tile.extents,
        "cycles": {
            "total": tile.cycles,
            "compute": tile.compute_cycles,
            "fill_drain": tile.fill_drain_cycles,
        },
        "clamped_additions": tile.clamped_additions,
        "files": files,
    }
