"""An accelerator, as its YAML file states it.

Physical quantities have no default: what is not in the file is an error. Keys carry
their units. Options of later versions are refused here by name, so that a key that is
accepted always has an effect.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from accel_sim.hardware.choices import (
    Activations,
    Dataflow,
    Depthwise,
    Drain,
    EdgeTiles,
    FoldOverlap,
    Packing,
    Ports,
    RoundingName,
    SramCell,
)
from accel_sim.hardware.mapping_options import MappingOptions
from accel_sim.hardware.section import Section
from quantizer.fixedpoint.qformat import Overflow
from quantizer.quantized import NumericRules


class Technology(Section):
    """Process and supply. SRAM runs at the nominal supply of its table, logic at `supply_V`."""

    node_nm: int
    supply_V: Annotated[float, Field(ge=0.5, le=1.4)]
    sram_cell: SramCell


class MultiplierMode(Section):
    """A way in which one wide multiplier works as several narrow ones."""

    weight_bits: Annotated[int, Field(ge=2, le=16)]
    activation_bits: Annotated[int, Field(ge=2, le=16)]
    macs_per_pe: Annotated[int, Field(ge=2, le=64)]
    along: Literal["reduction", "filters"]


class Precision(Section):
    """Widths the datapath is built for, and its numeric rules.

    Attributes
    ----------
    psum_storage_bits
        Of a partial sum in memory, on chip and off; None for those of the accumulator. With
        fewer, the machine cuts bits off between two folds, in a way that is not simulated: such
        a machine has costs, but no values.
    """

    weight_bits: Annotated[int, Field(ge=2, le=16)]
    activation_bits: Annotated[int, Field(ge=2, le=16)]
    activations: Activations
    accumulator_bits: Annotated[int, Field(ge=8, le=48)]
    accumulator_overflow: Overflow
    psum_storage_bits: Annotated[int, Field(ge=8, le=48)] | None = None
    requantize_rounding: RoundingName
    average_pool_rounding: RoundingName
    modes: tuple[MultiplierMode, ...] = ()

    @model_validator(mode="after")
    def _is_simulated(self) -> "Precision":
        if self.modes:
            raise ValueError("modes: composable multipliers are not simulated yet; use []")
        if (self.psum_storage_bits or 0) > self.accumulator_bits:
            raise ValueError(
                f"psum_storage_bits: expected at most the {self.accumulator_bits} bits of the "
                f"accumulator, got {self.psum_storage_bits}"
            )
        return self

    @property
    def stored_psum_bits(self) -> int:
        """Width of a partial sum in memory."""
        return self.psum_storage_bits or self.accumulator_bits

    @property
    def keeps_psums_exact(self) -> bool:
        """Whether a partial sum is stored as the accumulator holds it."""
        return self.stored_psum_bits == self.accumulator_bits

    @property
    def activation_port_bits(self) -> int:
        """Width of the multiplier's activation input."""
        return self.activation_bits + (self.activations is Activations.EITHER)


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
        for name in ("register_files", "networks"):
            if (getattr(self, name) is None) is has_passes:
                hint = "missing" if has_passes else f"{self.dataflow} has none; leave it out"
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


class Buffer(Section):
    """One on-chip memory.

    Attributes
    ----------
    capacity_KiB
        In total; double buffering halves what a tile may use.
    banks
        Memories of ``capacity_KiB / banks``, each with ports of `port_bits`. With double
        buffering and more than one bank, half of them serve the array and half DRAM.
    """

    capacity_KiB: Annotated[float, Field(gt=0, le=1_048_576)]
    port_bits: Annotated[int, Field(ge=8, le=8192)]
    ports: Ports
    banks: Annotated[int, Field(ge=1, le=64)]
    double_buffered: bool

    @model_validator(mode="after")
    def _divides(self) -> "Buffer":
        if self.double_buffered and self.banks > 1 and self.banks % 2:
            raise ValueError(
                f"banks: double buffering needs 1 bank or an even number, got {self.banks}"
            )
        if self.capacity_KiB * 1024 % self.banks:
            raise ValueError(
                f"banks: {self.capacity_KiB:g} KiB do not divide into {self.banks} banks of whole "
                "bytes"
            )
        return self

    @property
    def capacity_bytes(self) -> int:
        """Bytes in total."""
        return int(self.capacity_KiB * 1024)

    @property
    def bank_bytes(self) -> int:
        """Bytes of one bank."""
        return self.capacity_bytes // self.banks

    @property
    def tile_bytes(self) -> int:
        """Bytes that one tile may use."""
        return self.capacity_bytes // (2 if self.double_buffered else 1)

    @property
    def array_banks(self) -> int:
        """Banks that serve the array at one time."""
        return self.banks // 2 if self.double_buffered and self.banks > 1 else self.banks

    @property
    def shares_ports_with_dram(self) -> bool:
        """Whether transfers of the next tile pass the ports that the array uses."""
        return self.double_buffered and self.banks == 1


class Buffers(Section):
    """The on-chip memories; partial sums may live in the ofm's.

    Attributes
    ----------
    shared
        Buffers that are one memory. None can be, yet.
    """

    ifm: Buffer
    weights: Buffer
    psum: Buffer | Literal["in_ofm"]
    ofm: Buffer
    shared: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _is_simulated(self) -> "Buffers":
        if self.shared:
            raise ValueError("shared: shared memories are not simulated yet; use []")
        return self

    @property
    def psum_memory(self) -> Buffer:
        """The memory that holds partial sums."""
        return self.psum if isinstance(self.psum, Buffer) else self.ofm


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


class FlatDram(Section):
    """A memory of one bandwidth, one latency and one energy per bit."""

    model: Literal["flat"]
    bandwidth_GBps: Annotated[float, Field(ge=0.01, le=1e5)]
    latency_ns: Annotated[float, Field(ge=0, le=1e6)]
    energy_pJ_per_bit: Annotated[float, Field(ge=0, le=1e4)]
    packing: Packing = Packing.DENSE


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
    fitted: tuple[Fitted, ...] = ()

    @model_validator(mode="after")
    def _has_fitted_keys(self) -> "HardwareConfig":
        for fitted in self.fitted:
            section: object = self
            for name in fitted.key.split("."):
                if not isinstance(section, Section) or name not in type(section).model_fields:
                    raise ValueError(f"fitted: this machine has no key {fitted.key!r}")
                section = getattr(section, name)
        return self

    @property
    def numeric_rules(self) -> NumericRules:
        """Rounding and accumulation, as the quantizer needs to know them."""
        return NumericRules(
            requantize_rounding=self.precision.requantize_rounding.rounding,
            average_pool_rounding=self.precision.average_pool_rounding.rounding,
            accumulator_bits=self.precision.accumulator_bits,
            accumulator_overflow=self.precision.accumulator_overflow,
        )
