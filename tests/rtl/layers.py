"""Layers made by hand, on arrays made by hand, and their golden vectors by the exporter."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from accel_sim.golden_vectors.export import write_vectors
from accel_sim.golden_vectors.layer import LayerVectors, prepare_layer
from accel_sim.hardware.choices import Dataflow
from accel_sim.hardware.config import HardwareConfig
from accel_sim.hardware.load import load_hardware
from accel_sim.machine_fit import find_schedules
from accel_sim.mapping.accumulation import plan_accumulation
from accel_sim.mapping.tile import Tile
from quantizer.fixedpoint.qformat import QFormat
from quantizer.network.graph import Network
from quantizer.network.layers import Conv
from quantizer.quantized import BitWidths, QuantizedConstant, QuantizedNetwork

DATAFLOW_NUMBERS = {
    Dataflow.OUTPUT_STATIONARY: 0,
    Dataflow.WEIGHT_STATIONARY: 1,
    Dataflow.INPUT_STATIONARY: 2,
    Dataflow.CHANNEL_PARALLEL: 3,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """An array as the SystemVerilog has it."""

    dataflow: Dataflow
    rows: int
    cols: int
    ifm_bits: int = 8
    ifm_signed: bool = True
    weight_bits: int = 8
    acc_bits: int
    saturates: bool
    pipeline: int = 0
    own_ifm: bool = False

    def __str__(self) -> str:
        sign = "s" if self.ifm_signed else "u"
        rule = "saturating" if self.saturates else "wrapping"
        return (
            f"{self.dataflow} {self.rows}x{self.cols} {sign}{self.ifm_bits} x s{self.weight_bits} "
            f"{rule} at {self.acc_bits}, pipeline {self.pipeline}"
            f"{', an ifm for each column' * self.own_ifm}"
        )

    @property
    def parameters(self) -> dict[str, int]:
        return {
            "DATAFLOW": DATAFLOW_NUMBERS[self.dataflow],
            "ROWS": self.rows,
            "COLS": self.cols,
            "IFM_BITS": self.ifm_bits,
            "IFM_SIGNED": int(self.ifm_signed),
            "OWN_IFM": int(self.own_ifm),
            "WEIGHT_BITS": self.weight_bits,
            "ACC_BITS": self.acc_bits,
            "SATURATES": int(self.saturates),
            "PIPELINE": self.pipeline,
        }

    @property
    def hardware(self) -> HardwareConfig:
        """The machine that the model knows; what leaves an array of columns is registered."""
        keeps_sums = self.dataflow is Dataflow.OUTPUT_STATIONARY
        return load_hardware(
            "edge_16x16",
            [
                f"precision.weight_bits={self.weight_bits}",
                f"precision.activation_bits={self.ifm_bits}",
                f"precision.accumulator_bits={self.acc_bits}",
                f"precision.accumulator_overflow={'saturate' if self.saturates else 'wrap'}",
                f"mac_array.rows={self.rows}",
                f"mac_array.cols={self.cols}",
                f"mac_array.drain={'rows' if keeps_sums else 'hidden'}",
                f"mac_array.dataflow={self.dataflow}",
                f"mac_array.depthwise={'native' if self.own_ifm else 'serial'}",
                f"mac_array.pipeline_cycles={self.pipeline}",
                f"mac_array.output_register_cycles={int(not keeps_sums)}",
            ],
        )


def mostly_at_the_ends(rng: np.random.Generator, fmt: QFormat, shape: tuple[int, ...]) -> Any:
    anywhere = rng.integers(fmt.raw_min, fmt.raw_max + 1, shape)
    ends = rng.choice([fmt.raw_min, fmt.raw_max], shape)
    return np.where(rng.random(shape) < 0.5, anywhere, ends)


def one_convolution(
    array: Array, rng: np.random.Generator, filters: int, channels: int, taps: int, size: int
) -> tuple[QuantizedNetwork, Any]:
    """A padded convolution of a square map, and the map; operands are mostly extreme.

    Where every column has an ifm of its own, so has every channel a filter of its own.
    """
    groups = channels if array.own_ifm else 1
    layer = Conv(
        name="conv", ifm="x", ofm="y", weights="w", bias=None, stride=(1, 1),
        pads=(taps // 2,) * 4, dilation=(1, 1), groups=groups, clamp=None,
    )  # fmt: skip
    formats = {
        "x": QFormat(bits=array.ifm_bits, frac_bits=0, signed=array.ifm_signed),
        "y": QFormat(bits=min(array.ifm_bits, 8), frac_bits=-8),
    }
    shape = (filters, channels // groups, taps, taps)
    weights = mostly_at_the_ends(rng, QFormat(bits=array.weight_bits, frac_bits=0), shape)
    network = Network(
        name="made", digest="", input="x", outputs=("y",), layers=(layer,),
        shapes={"x": (channels, size, size), "y": (filters, size, size)},
        constants={"w": weights.astype(np.float32)},
    )  # fmt: skip
    quantized = QuantizedNetwork(
        network=network,
        rules=array.hardware.numeric_rules,
        bits=BitWidths(weights=array.weight_bits, activations=8, inputs=array.ifm_bits),
        method="given",
        formats=formats,
        weights={
            "w": QuantizedConstant(
                raw=weights, bits=array.weight_bits, frac_bits=np.zeros(filters, np.int64)
            )
        },
        biases={},
    )
    return quantized, mostly_at_the_ends(rng, formats["x"], (channels, size, size))


def tiled(
    array: Array, network: QuantizedNetwork, raw: Any, tile_channels: int, tile_rows: int
) -> LayerVectors:
    """The layer in tiles of so many channels and output rows; sums go on between tiles."""
    hardware = array.hardware
    (schedule,) = find_schedules(hardware, network, network.bits)
    (layer,) = network.network.layers
    nest, mapping = schedule.nest, schedule.mapping
    assert isinstance(layer, Conv)
    assert mapping is not None
    if nest.blocks_are_apart:
        tile_channels = nest.channels
    tile = Tile(
        batch=1, groups=1, filters=nest.filters, channels=tile_channels,
        output_rows=tile_rows, output_cols=nest.output_cols,
    )  # fmt: skip
    chosen = replace(
        schedule,
        mapping=replace(mapping, tile=tile),
        accumulation=plan_accumulation(nest, hardware, tile_channels),
    )
    return prepare_layer(hardware, network, layer, chosen, [raw.astype(np.int32)])


def export(
    network: QuantizedNetwork, vectors: LayerVectors, directory: Path
) -> tuple[Path, list[Mapping[str, Any]]]:
    """Write one layer; return its folder and what the manifest says of its tiles."""
    write_vectors({}, network, [vectors], directory, None)
    (section,) = json.loads((directory / "manifest.json").read_text())["layers"]
    return directory / section["folder"], section["tiles"]
