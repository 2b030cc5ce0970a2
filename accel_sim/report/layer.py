"""One layer of a report, and its section of the report file."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from accel_sim.performance import LayerMapping, LayerPerformance
from accel_sim.report import document
from accel_sim.report.energy import dram_energy_section, energy_section

if TYPE_CHECKING:
    from accel_sim.measure import LayerValues


NO_VALUES = (
    "sqnr_dB",
    "local_sqnr_dB",
    "exact",
    "accumulator_overflows",
    "accumulator_bits_needed",
    "accumulator_channels",
    "accumulator_proven_channels",
    "output_saturations",
    "zero_ifm_fraction",
    "zero_weight_fraction",
)
"""What is null where no values were computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerReport:
    """Costs of one layer for a batch, its formats and its values.

    Attributes
    ----------
    on_host
        Whether the host computes it, in float64.
    weight_frac_bits
        One for the tensor, or one per output channel; None without weights or formats.
    ifm_frac_bits
        One if all inputs agree, else one per input; None without formats.
    values
        None where none were computed.
    """

    performance: LayerPerformance
    on_host: bool
    weight_frac_bits: tuple[int, ...] | None
    ifm_frac_bits: tuple[int, ...] | None
    ofm_frac_bits: int | None
    values: "LayerValues | None"

    @property
    def name(self) -> str:
        """As in the .onnx file."""
        return self.performance.name

    def to_section(self) -> document.LayerSection:
        """Give the layer the form of the report file."""
        costs = self.performance
        mapping = costs.mapping
        return document.LayerSection(
            name=costs.name,
            op=costs.op,
            on_host=self.on_host,
            macs=costs.macs,
            weight_bits=costs.weight_bits,
            ifm_bits=costs.ifm_bits,
            ofm_bits=costs.ofm_bits,
            weight_frac_bits=_one_or_list(self.weight_frac_bits),
            ifm_frac_bits=_one_or_list(self.ifm_frac_bits),
            ofm_frac_bits=self.ofm_frac_bits,
            cycles=document.Cycles(total=costs.cycles.total, **asdict(costs.cycles)),
            bound_by=costs.bound_by,
            utilization_fraction=costs.utilization_fraction,
            resident=costs.resident,
            mapping=None if mapping is None else _mapping_section(mapping),
            dram_bytes=document.DramBytes(**asdict(costs.dram_bytes)),
            uncompressed_dram_bytes=None
            if costs.uncompressed_dram_bytes is None
            else document.DramBytes(**asdict(costs.uncompressed_dram_bytes)),
            buffer_accesses=document.BufferAccesses(**asdict(costs.buffer_accesses)),
            energy_pJ=energy_section(costs.energy, 1.0),
            dram_energy_pJ=dram_energy_section(costs.energy.dram, 1.0),
            **dict.fromkeys(NO_VALUES) if self.values is None else asdict(self.values),
        )


def _mapping_section(mapping: LayerMapping) -> document.Mapping:
    mode = mapping.mode and document.Mode(**mapping.mode.model_dump(mode="json"))
    return document.Mapping(**{**asdict(mapping), "mode": mode})


def _one_or_list(values: tuple[int, ...] | None) -> int | tuple[int, ...] | None:
    return values[0] if values is not None and len(values) == 1 else values
