"""The report file: every key of the JSON, its unit and when it is null.

This is a contract: fields may be added; a rename or a removal raises
`SCHEMA_VERSION`. Units stand in the keys.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from quantizer.errors import InputError

SCHEMA_VERSION: Final = 1

Fraction = Annotated[FiniteFloat, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0, lt=1 << 63)]
FracBits = int | tuple[int, ...]
"""One for all, or one per output channel (weights) or per input (ifm) where they differ."""


class _Section(BaseModel):
    # A newer minor version may have added fields; this one reads past them.
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class Tool(_Section):
    """What wrote the file."""

    name: str
    version: str


class Run(_Section):
    """Circumstances of the run; left out of every comparison."""

    host: str
    kernel_path: str
    threads: Count
    seconds: FiniteFloat


class Hardware(_Section):
    """The machine, with every key of its configuration."""

    name: str
    digest: str
    config: dict[str, Any]


class NetworkSection(_Section):
    """The network; `macs` and `parameters` are for one image."""

    name: str
    digest: str = Field(
        description="SHA-256 of the file; of a quantized file, of the float one it was made from."
    )
    macs: Count
    parameters: Count
    notes: tuple[str, ...] = Field(description="What was left out or made up.")


class WidthsOfLayer(_Section):
    """Widths that were asked for one layer; null is the network's."""

    weight_bits: Count | None
    activation_bits: Count | None
    bias_bits: Count | None


class TuningSection(_Section):
    """How fraction lengths were tuned."""

    measure: str
    passes: Count = Field(description="At most.")
    budget: Count | None = Field(description="Candidates at most; null where all were tried.")


class Quantization(_Section):
    """The widths that were asked for, and how the formats were chosen."""

    method: str | None = Field(description="Null where no formats were chosen.")
    weight_bits: Count
    activation_bits: Count
    input_bits: Count
    bias_bits: Count
    layer_bits: dict[str, WidthsOfLayer] = Field(
        default_factory=dict, description="By layer name, where widths were asked for."
    )
    per_channel: bool = Field(
        default=False,
        description="Whether weights and biases have a fraction length per output channel.",
    )
    tuned: bool
    tuning: TuningSection | None = Field(default=None, description="Null where not tuned.")


class Images(_Section):
    """The images behind the values: ``real = (stored - mean) * scale``."""

    source: str
    count: Count
    mean: tuple[FiniteFloat, ...]
    scale: tuple[FiniteFloat, ...]
    layout: str | None = Field(description="Null for feature vectors.")


class Cycles(_Section):
    """Cycles by cause; the causes sum to the total."""

    total: Count
    compute: Count
    fill_drain: Count
    overhead: Count
    stall_port_ifm: Count
    stall_port_weights: Count
    stall_port_psum: Count
    stall_port_ofm: Count
    stall_dram_ifm: Count
    stall_dram_weights: Count
    stall_dram_psum: Count
    stall_dram_ofm: Count


class Tile(_Section):
    """Extent of the largest tile; filters and channels are of one group."""

    batch: Count
    groups: Count
    filters: Count
    channels: Count
    output_rows: Count
    output_cols: Count


class Passes(_Section):
    """How the passes of a layer use a row-stationary array; sets stand side by side."""

    filter_rows: Count
    strip_rows: Count
    row_sets: Count
    filters_per_pe: Count
    filter_sets: Count
    channels_per_pe: Count
    channel_sets: Count
    mapped_pes: Count


class Mode(_Section):
    """Several narrow multipliers made from one."""

    weight_bits: Count
    activation_bits: Count
    macs_per_pe: Count
    along: str


class Mapping(_Section):
    """The schedule; loops over tiles stand outermost first."""

    dataflow: str | None = Field(description="Null on the post-processing lanes.")
    tile: Tile
    loop_order: tuple[str, ...]
    passes: Passes | None = Field(description="Null on other arrays than row-stationary ones.")
    mode: Mode | None = Field(
        default=None,
        description="Of the multipliers; null where they work as the whole that they are built as.",
    )


class DramBytes(_Section):
    """Bytes over the DRAM bus; biases count as weights."""

    ifm_read: Count
    weights_read: Count
    residual_read: Count
    psum_read: Count
    psum_write: Count
    ofm_write: Count


class Accesses(_Section):
    """Words of the buffer's port."""

    reads: Count
    writes: Count


class BufferAccesses(_Section):
    """Accesses of every buffer, from the array and from DRAM."""

    ifm: Accesses
    weights: Accesses
    psum: Accesses
    ofm: Accesses


class EnergyByComponent(_Section):
    """Energy by component, each with the band that its sources span."""

    mac: FiniteFloat
    mac_low: FiniteFloat
    mac_high: FiniteFloat
    register_file: FiniteFloat
    register_file_low: FiniteFloat
    register_file_high: FiniteFloat
    wires: FiniteFloat = 0.0
    wires_low: FiniteFloat = 0.0
    wires_high: FiniteFloat = 0.0
    buffers: FiniteFloat
    buffers_low: FiniteFloat
    buffers_high: FiniteFloat
    dram_dynamic: FiniteFloat
    dram_dynamic_low: FiniteFloat
    dram_dynamic_high: FiniteFloat
    dram_background: FiniteFloat
    dram_background_low: FiniteFloat
    dram_background_high: FiniteFloat
    post_processing: FiniteFloat
    post_processing_low: FiniteFloat
    post_processing_high: FiniteFloat
    clock_control: FiniteFloat
    clock_control_low: FiniteFloat
    clock_control_high: FiniteFloat
    leakage: FiniteFloat
    leakage_low: FiniteFloat
    leakage_high: FiniteFloat


class DramEnergy(_Section):
    """Energy of DRAM by cause, each with its band: dynamic but for standby and refresh."""

    activate: FiniteFloat
    activate_low: FiniteFloat
    activate_high: FiniteFloat
    read: FiniteFloat
    read_low: FiniteFloat
    read_high: FiniteFloat
    write: FiniteFloat
    write_low: FiniteFloat
    write_high: FiniteFloat
    io: FiniteFloat
    io_low: FiniteFloat
    io_high: FiniteFloat
    standby: FiniteFloat
    standby_low: FiniteFloat
    standby_high: FiniteFloat
    refresh: FiniteFloat
    refresh_low: FiniteFloat
    refresh_high: FiniteFloat


class AreaByComponent(_Section):
    """Area by component in mm2, each with its band."""

    array: FiniteFloat
    array_low: FiniteFloat
    array_high: FiniteFloat
    register_files: FiniteFloat
    register_files_low: FiniteFloat
    register_files_high: FiniteFloat
    buffers: FiniteFloat
    buffers_low: FiniteFloat
    buffers_high: FiniteFloat


class LayerSection(_Section):
    """One layer, for a whole batch."""

    name: str
    op: str
    on_host: bool = Field(
        default=False,
        description="Computed by the host in float64: costs nothing on the machine, and its bits "
        "are not promised to be the same everywhere.",
    )
    macs: Count
    weight_bits: Count | None = Field(description="Null where the layer has no weights.")
    ifm_bits: Count
    ofm_bits: Count
    weight_frac_bits: FracBits | None = Field(
        description="Null where the layer has no weights, or no formats were chosen; "
        "a list, one per output channel, where they differ."
    )
    ifm_frac_bits: FracBits | None = Field(
        description="Null where no formats were chosen; a list, one per input, where they differ."
    )
    ofm_frac_bits: int | None = Field(description="Null where no formats were chosen.")
    cycles: Cycles
    bound_by: str
    utilization_fraction: Fraction = Field(
        description="MACs of those that the array could do in as many cycles, in the layer's mode."
    )
    mapping: Mapping | None = Field(description="Null where the layer costs nothing.")
    resident: tuple[Literal["ifm", "residual", "ofm"], ...] = Field(
        default=(),
        description="Operands that stay on chip, whole: DRAM moves nothing of them.",
    )
    dram_bytes: DramBytes
    uncompressed_dram_bytes: DramBytes | None = Field(
        default=None,
        description="What `dram_bytes` would be if DRAM had feature maps as they are; null where "
        "it has. The same without values: codes are then taken to be as long as their maps.",
    )
    buffer_accesses: BufferAccesses
    energy_pJ: EnergyByComponent
    dram_energy_pJ: DramEnergy | None = Field(
        default=None, description="What the DRAM's two components are made of."
    )
    sqnr_dB: FiniteFloat | None = Field(
        description="Against the float network, end to end; null if exact, or without values."
    )
    local_sqnr_dB: FiniteFloat | None = Field(
        description="Noise of the ofm's own format alone; null without noise or values."
    )
    exact: bool | None = Field(description="No difference to float at all; null without values.")
    accumulator_overflows: Count | None = Field(
        description="Outputs whose exact sum leaves an accumulator that wraps, or additions that "
        "a saturating one clamps; null without values."
    )
    accumulator_bits_needed: Count | None = Field(
        description="Width in which no sum can overflow; null without MACs or values."
    )
    accumulator_channels: Count | None = Field(
        default=None, description="Output channels; null without MACs or values."
    )
    accumulator_proven_channels: Count | None = Field(
        default=None,
        description="Output channels that cannot overflow, whatever the images; null without "
        "MACs or values.",
    )
    output_saturations: Count | None = Field(description="Null without values.")
    zero_ifm_fraction: Fraction | None = Field(description="Null without values.")
    zero_weight_fraction: Fraction | None = Field(
        default=None, description="Null without weights or values."
    )


class Totals(_Section):
    """Sums over the layers, for a whole batch unless the key says otherwise."""

    cycles: Count
    latency_us: FiniteFloat
    latency_us_per_image: FiniteFloat
    frames_per_second: FiniteFloat
    macs: Count
    utilization_fraction: Fraction
    dram_read_bytes: Count
    dram_write_bytes: Count
    dram_average_GBps: FiniteFloat
    dram_peak_GBps: FiniteFloat = Field(description="Highest average over one layer.")
    stall_free_GBps: FiniteFloat = Field(
        description="What the most demanding layer would draw if it never waited for DRAM."
    )
    energy_uJ: FiniteFloat
    energy_uJ_low: FiniteFloat
    energy_uJ_high: FiniteFloat
    energy_uJ_per_image: FiniteFloat
    energy_uJ_per_image_low: FiniteFloat
    energy_uJ_per_image_high: FiniteFloat
    energy_uJ_by_component: EnergyByComponent
    dram_energy_uJ: DramEnergy | None = Field(
        default=None, description="What the DRAM's two components are made of."
    )
    energy_uJ_band: tuple[FiniteFloat, FiniteFloat]
    chip_energy_uJ: FiniteFloat = Field(description="Without DRAM.")
    chip_energy_uJ_low: FiniteFloat
    chip_energy_uJ_high: FiniteFloat
    average_power_mW: FiniteFloat = Field(description="Chip and DRAM.")
    effective_TOPS: FiniteFloat = Field(description="Two operations per MAC.")
    TOPS_per_W: FiniteFloat
    energy_delay_pJs: FiniteFloat
    area_mm2: FiniteFloat | None = Field(
        description="Of array, register files and buffers; null in files of older versions."
    )
    area_mm2_low: FiniteFloat | None = None
    area_mm2_high: FiniteFloat | None = None
    area_mm2_by_component: AreaByComponent | None = None
    datapath: Literal["fixed", "rebuilt"]
    sqnr_dB: FiniteFloat | None = Field(description="Null if exact, or without values.")
    exact: bool | None = Field(description="Null without values.")
    top1_agreement_fraction: Fraction | None = Field(description="Null without values.")
    top1_accuracy_fraction: Fraction | None = Field(description="Null without labels.")
    float_top1_accuracy_fraction: Fraction | None = Field(description="Null without labels.")
    top1_tie_fraction: Fraction | None = Field(description="Null without values.")
    images: Count = Field(description="Behind the values; 0 without values.")
    batch: Count


class Doubling(_Section):
    """What bounds the run, and what twice of that resource would bring."""

    bound_by: str
    cycles_fraction: Fraction = Field(description="Of all cycles, spent on what bounds.")
    key: str = Field(description="Of the machine, as --set takes it.")
    value: str = Field(description="Twice the present one.")
    cycles: Count = Field(description="Total with that value.")


class ReportDocument(_Section):
    """One network on one machine: values, cycles, traffic and energy."""

    schema_version: Literal[1]
    tool: Tool
    run: Run
    hardware: Hardware
    network: NetworkSection
    quantization: Quantization
    images: Images | None = Field(description="Null without values.")
    layers: tuple[LayerSection, ...]
    totals: Totals
    doubling: Doubling | None = Field(description="Null where no resource can be doubled.")


def read_document(where: str, content: Any) -> ReportDocument:
    """Check the content of a report file.

    Raises
    ------
    InputError
        Naming the first key that is missing or wrong.
    """
    try:
        return ReportDocument.model_validate(content, strict=False)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        problem = first["msg"][0].lower() + first["msg"][1:]
        raise InputError(where, f"{key}: {problem}; give a file that --json wrote") from None
