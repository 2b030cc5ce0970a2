"""An accelerator, as its YAML file states it.

Physical quantities have no default: what is not in the file is an error. Keys carry
their units. Options of later versions are refused here by name, so that a key that is
accepted always has an effect; `fitted` alone is for the reader.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from accel_sim.hardware.buffers import OPERANDS, Buffers
from accel_sim.hardware.choices import (
    Dataflow,
    Depthwise,
    Drain,
    EdgeTiles,
    FoldOverlap,
    Packing,
    SramCell,
)
from accel_sim.hardware.energy_table import EnergyTable, TableEntry
from accel_sim.hardware.mapping_options import MappingOptions
from accel_sim.hardware.precision import Precision
from accel_sim.hardware.section import Section
from quantizer.errors import nearest
from quantizer.quantized import NumericRules


class Technology(Section):
    """Process and supply. SRAM runs at the nominal supply of its table, logic at `supply_V`."""

    node_nm: int
    supply_V: Annotated[float, Field(ge=0.5, le=1.4)]
    sram_cell: SramCell


class RegisterFiles(Section):
    """Words that each processing element of a row-stationary array keeps of every operand."""

    ifm_words: Annotated[int, Field(ge=1, le=65_536)]
    weight_words: Annotated[int, Field(ge=1, le=65_536)]
    psum_words: Annotated[int, Field(ge=1, le=65_536)]


class Networks(Section):
    """Bits that reach the processing elements in a cycle; sums also leave them at that rate."""

    ifm_bits: Annotated[int, Field(ge=1, le=65_536)]
    weight_bits: Annotated[int, Field(ge=1, le=65_536)]
    psum_bits: Annotated[int, Field(ge=1, le=65_536)]


class MacArray(Section):
    """The array of processing elements.

    Attributes
    ----------
    pipeline_cycles
        Registers between multiplier and adder; each delays the end of a fold.
    output_register_cycles
        Registers between the array and the output stage.
    tile_overhead_cycles
        Control, per tile and outside the array's own time.
    zero_gating
        A zero activation stops the multiplier and the adder for that cycle.
    register_files, networks
        Of row-stationary arrays only.
    """

    rows: Annotated[int, Field(ge=1, le=1024)]
    cols: Annotated[int, Field(ge=1, le=1024)]
    dataflow: Dataflow
    pipeline_cycles: Annotated[int, Field(ge=0, le=64)]
    output_register_cycles: Annotated[int, Field(ge=0, le=64)]
    drain: Drain
    fold_overlap: FoldOverlap
    edge_tiles: EdgeTiles
    depthwise: Depthwise
    tile_overhead_cycles: Annotated[int, Field(ge=0, le=1_000_000)]
    zero_gating: bool
    register_files: RegisterFiles | None = None
    networks: Networks | None = None

    @model_validator(mode="after")
    def _is_simulated(self) -> "MacArray":
        has_passes = self.dataflow is Dataflow.ROW_STATIONARY
        for name, section in (("register_files", RegisterFiles), ("networks", Networks)):
            if (getattr(self, name) is None) is has_passes:
                keys = ", ".join(section.model_fields)
                hint = f"missing; a {self.dataflow} array needs {keys}"
                if not has_passes:
                    hint = "only row_stationary arrays have them; leave it out"
                raise ValueError(f"{name}: {hint}")
        if has_passes and self.depthwise is not Depthwise.SERIAL:
            raise ValueError(
                f"depthwise: {self.depthwise} lays groups side by side, which {self.dataflow} "
                "does not; use serial"
            )
        if self.dataflow is Dataflow.OUTPUT_STATIONARY:
            if self.fold_overlap is FoldOverlap.WEIGHT_PRELOAD:
                raise ValueError(
                    "fold_overlap: an output-stationary array holds no weights to preload; "
                    "use none or full"
                )
        elif self.drain is Drain.ROWS:
            raise ValueError(
                f"drain: with {self.dataflow} sums leave the columns as they are made; use hidden"
            )
        is_native = self.depthwise is Depthwise.NATIVE
        if is_native and self.dataflow is not Dataflow.CHANNEL_PARALLEL:
            raise ValueError(
                f"depthwise: native gives every column an ifm of its own, which {self.dataflow} "
                "does not; use serial or block_diagonal"
            )
        return self


class ZeroRle(Section):
    """Feature maps in DRAM as pairs of a run of zeros and the value behind it, as in Eyeriss.

    Attributes
    ----------
    run_bits
        Of the number of zeros; those of Eyeriss where the word ``zero_rle`` stands alone.
    """

    scheme: Literal["zero_rle"]
    run_bits: Annotated[int, Field(ge=1, le=16)]


def _spell_out(compression: str | ZeroRle) -> str | ZeroRle:
    return EYERISS_RLE if compression == "zero_rle" else compression


EYERISS_RLE = ZeroRle(scheme="zero_rle", run_bits=5)
Compression = Annotated[Literal["none", "zero_rle"] | ZeroRle, AfterValidator(_spell_out)]


class DeviceDram(Section):
    """A DRAM device of the tables, see ``accel-sim list devices``.

    Attributes
    ----------
    address_map
        How addresses spread over banks: a row of `accel_sim.hardware.devices`.
    max_outstanding_reads
        Read bursts in flight; few of them cannot cover the latency.
    """

    model: Literal["device"]
    device: str
    channels: Annotated[int, Field(ge=1, le=64)]
    address_map: str
    max_outstanding_reads: Annotated[int, Field(ge=1, le=1024)]
    packing: Packing = Packing.DENSE
    compression: Compression = "none"


class FlatDram(Section):
    """A memory of one bandwidth, one latency and one energy per bit."""

    model: Literal["flat"]
    bandwidth_GBps: Annotated[float, Field(ge=0.01, le=1e5)]
    latency_ns: Annotated[float, Field(ge=0, le=1e6)]
    energy_pJ_per_bit: Annotated[float, Field(ge=0, le=1e4)]
    packing: Packing = Packing.DENSE
    compression: Compression = "none"


Dram = DeviceDram | FlatDram


class PostProcessing(Section):
    """The lanes that requantize, pool and add: one element per lane and cycle."""

    lanes: Annotated[int, Field(ge=1, le=4096)]


class Fitted(Section):
    """A dotted key of the machine's file whose value follows from measurements, and why."""

    key: str
    reason: str


class HardwareConfig(Section):
    """One accelerator.

    Attributes
    ----------
    energy_table
        Numbers of the user's own in place of the tables'.
    fitted
        Values that nobody published, but that measurements of the chip suggest.
    """

    name: Annotated[str, Field(min_length=1, max_length=80)]
    clock_MHz: Annotated[float, Field(ge=1, le=10_000)]
    technology: Technology
    precision: Precision
    mac_array: MacArray
    buffers: Buffers
    dram: Annotated[Dram, Field(discriminator="model")]
    post_processing: PostProcessing
    mapping: MappingOptions
    energy_table: EnergyTable | None = None
    fitted: tuple[Fitted, ...] = ()

    @model_validator(mode="after")
    def _can_compose(self) -> "HardwareConfig":
        if self.precision.modes and self.mac_array.dataflow is Dataflow.ROW_STATIONARY:
            raise ValueError(
                f"precision.modes: the multipliers of a {self.mac_array.dataflow} array cannot be "
                "composed; use []"
            )
        return self

    @model_validator(mode="after")
    def _has_what_the_energy_table_prices(self) -> "HardwareConfig":
        for name in self.own_entries:
            part = name.partition("_")[0]
            if part in OPERANDS and part not in self.buffers.memories:
                has = ", ".join(self.buffers.memories)
                raise ValueError(
                    f"energy_table.{name}: this machine has no memory of that name; it has {has}"
                )
            if part == "dram" and isinstance(self.dram, FlatDram):
                raise ValueError(
                    f"energy_table.{name}: a flat DRAM states its own; use dram.energy_pJ_per_bit"
                )
        return self

    @model_validator(mode="after")
    def _can_measure_codes(self) -> "HardwareConfig":
        if self.zero_run_bits is not None and not self.precision.keeps_psums_exact:
            raise ValueError(
                "dram.compression: how short zero_rle gets is measured on the values of a run, and "
                "a machine that cuts its partial sums (precision.psum_storage_bits) has none; "
                "use none"
            )
        return self

    @model_validator(mode="after")
    def _has_fitted_keys(self) -> "HardwareConfig":
        keys, seen = list(_dotted_keys(self)), set()
        for fitted in self.fitted:
            if fitted.key not in keys:
                suggestion = nearest(fitted.key, keys) or "; expected one such as mac_array.rows"
                raise ValueError(f"fitted: this machine has no value at {fitted.key!r}{suggestion}")
            if fitted.key in seen:
                raise ValueError(f"fitted: {fitted.key} is named twice; expected one entry for it")
            seen.add(fitted.key)
        return self

    @property
    def own_entries(self) -> dict[str, TableEntry]:
        """Entries of the energy tables that the machine's file states itself, by name."""
        return {} if self.energy_table is None else self.energy_table.entries

    @property
    def zero_run_bits(self) -> int | None:
        """Of a run of zeros in the code of feature maps; None where DRAM has them as they are."""
        compression = self.dram.compression
        return compression.run_bits if isinstance(compression, ZeroRle) else None

    @property
    def numeric_rules(self) -> NumericRules:
        """Rounding and accumulation, as the quantizer needs to know them."""
        return NumericRules(
            requantize_rounding=self.precision.requantize_rounding.rounding,
            average_pool_rounding=self.precision.average_pool_rounding.rounding,
            accumulator_bits=self.precision.accumulator_bits,
            accumulator_overflow=self.precision.accumulator_overflow,
        )


def _dotted_keys(section: Section, above: str = "") -> Iterator[str]:
    """Keys that have a value, as ``--set`` takes them."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from _dotted_keys(value, f"{above}{name}.")
        elif value is not None:
            yield f"{above}{name}"
