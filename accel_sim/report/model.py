"""What one run found: layers, and totals derived from them."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import accel_sim
from accel_sim.energy.band import Energy, sum_energies
from accel_sim.energy.constants import energy_constants
from accel_sim.energy.dram import DramEnergy
from accel_sim.energy.layer_energy import LayerEnergy
from accel_sim.hardware.config import HardwareConfig
from accel_sim.performance import LayerPerformance
from accel_sim.report import document
from accel_sim.report.as_csv import layer_records
from accel_sim.report.as_notebook import to_html
from accel_sim.report.energy import area_section, dram_energy_section, energy_section
from accel_sim.report.facts import (
    Datapath,
    Doubling,
    ImageFacts,
    NetworkFacts,
    QuantizationFacts,
    RunFacts,
)
from accel_sim.report.layer import LayerReport

PJ_PER_UJ = 1e6
if TYPE_CHECKING:
    from accel_sim.measure import ValueReport

OPS_PER_MAC = 2
"""A multiplication and an addition, as TOPS are usually counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """One network on one machine. Totals are for a batch unless they say otherwise.

    Attributes
    ----------
    hardware_digest
        SHA-256 of the machine's configuration, in hexadecimal.
    images, values
        None where no values were computed.
    doubling
        None where no single resource can be doubled.
    """

    run: RunFacts
    hardware: HardwareConfig
    hardware_digest: str
    datapath: Datapath
    network: NetworkFacts
    quantization: QuantizationFacts
    images: ImageFacts | None
    layers: tuple[LayerReport, ...]
    values: "ValueReport | None"
    doubling: Doubling | None

    def _sum(self, count: Callable[[LayerPerformance], int]) -> int:
        return sum(count(layer.performance) for layer in self.layers)

    @property
    def batch(self) -> int:
        """Images processed together."""
        return self.hardware.mapping.batch

    @property
    def cycles(self) -> int:
        """Of all layers, one after the other."""
        return self._sum(lambda layer: layer.cycles.total)

    @property
    def latency_us(self) -> float:
        """Time for a batch."""
        return self.cycles / self.hardware.clock_MHz

    @property
    def frames_per_second(self) -> float:
        """Images in a second."""
        return self.batch * 1e6 / self.latency_us

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a batch."""
        return self._sum(lambda layer: layer.macs)

    @property
    def utilization_fraction(self) -> float:
        """MACs of those that the array could do, each layer in its mode."""
        array = self.hardware.mac_array
        slots = self._sum(lambda layer: layer.cycles.total * layer.macs_per_pe)
        return self.macs / (slots * array.rows * array.cols)

    @property
    def dram_read_bytes(self) -> int:
        """Read from DRAM."""
        return self._sum(lambda layer: layer.dram_bytes.read)

    @property
    def dram_write_bytes(self) -> int:
        """Written to DRAM."""
        return self._sum(lambda layer: layer.dram_bytes.write)

    @property
    def dram_average_GBps(self) -> float:
        """Over the whole run."""
        return (self.dram_read_bytes + self.dram_write_bytes) / self.latency_us / 1e3

    @property
    def dram_peak_GBps(self) -> float:
        """Highest average over one layer."""
        return self._highest_GBps(lambda layer: layer.cycles.total)

    @property
    def stall_free_GBps(self) -> float:
        """Bandwidth of the most demanding layer if it never waited for DRAM."""
        return self._highest_GBps(lambda layer: layer.cycles.total - layer.cycles.dram_stalls)

    def _highest_GBps(self, count_cycles: Callable[[LayerPerformance], int]) -> float:
        highest = 0.0
        for layer in self.layers:
            moved = layer.performance.dram_bytes.read + layer.performance.dram_bytes.write
            cycles = count_cycles(layer.performance)
            if cycles:
                highest = max(highest, moved * self.hardware.clock_MHz / cycles / 1e3)
        return highest

    @property
    def energy(self) -> Energy:
        """Of chip and DRAM."""
        return sum_energies(layer.performance.energy.total for layer in self.layers)

    @property
    def chip_energy(self) -> Energy:
        """Of everything but DRAM."""
        return sum_energies(layer.performance.energy.chip for layer in self.layers)

    @property
    def energy_by_component(self) -> LayerEnergy:
        """Sum over the layers, component by component."""

        def total(component: Callable[[LayerEnergy], Energy]) -> Energy:
            return sum_energies(component(layer.performance.energy) for layer in self.layers)

        return LayerEnergy(
            mac=total(lambda energy: energy.mac),
            register_file=total(lambda energy: energy.register_file),
            wires=total(lambda energy: energy.wires),
            buffers=total(lambda energy: energy.buffers),
            dram=DramEnergy(
                activate=total(lambda energy: energy.dram.activate),
                read=total(lambda energy: energy.dram.read),
                write=total(lambda energy: energy.dram.write),
                io=total(lambda energy: energy.dram.io),
                standby=total(lambda energy: energy.dram.standby),
                refresh=total(lambda energy: energy.dram.refresh),
            ),
            post_processing=total(lambda energy: energy.post_processing),
            clock_control=total(lambda energy: energy.clock_control),
            leakage=total(lambda energy: energy.leakage),
        )

    @property
    def average_power_mW(self) -> float:
        """Chip and DRAM."""
        return self.energy.value_pJ / self.latency_us / 1e3

    @property
    def effective_TOPS(self) -> float:
        """Operations in a second, two per MAC."""
        return OPS_PER_MAC * self.macs / self.latency_us / 1e6

    @property
    def TOPS_per_W(self) -> float:
        """Operations per energy, chip and DRAM."""
        return OPS_PER_MAC * self.macs / self.energy.value_pJ

    @property
    def energy_delay_pJs(self) -> float:
        """Energy times latency, for a batch."""
        return self.energy.value_pJ * self.latency_us / 1e6

    def to_document(self) -> document.ReportDocument:
        """Give everything in the form of the report file."""
        return document.ReportDocument(
            schema_version=document.SCHEMA_VERSION,
            tool=document.Tool(name="accel-sim", version=accel_sim.__version__),
            run=document.Run(**asdict(self.run)),
            hardware=document.Hardware(
                name=self.hardware.name,
                digest=self.hardware_digest,
                config=self.hardware.model_dump(mode="json"),
            ),
            network=document.NetworkSection(**asdict(self.network)),
            quantization=_quantization_section(self.quantization),
            images=None if self.images is None else document.Images(**asdict(self.images)),
            layers=tuple(layer.to_section() for layer in self.layers),
            totals=self._totals(),
            doubling=None if self.doubling is None else document.Doubling(**asdict(self.doubling)),
        )

    def _totals(self) -> document.Totals:
        energy, chip_energy = self.energy, self.chip_energy
        by_component = self.energy_by_component
        area = energy_constants(self.hardware).area
        values = self.values
        return document.Totals(
            cycles=self.cycles,
            latency_us=self.latency_us,
            latency_us_per_image=self.latency_us / self.batch,
            frames_per_second=self.frames_per_second,
            macs=self.macs,
            utilization_fraction=self.utilization_fraction,
            dram_read_bytes=self.dram_read_bytes,
            dram_write_bytes=self.dram_write_bytes,
            dram_average_GBps=self.dram_average_GBps,
            dram_peak_GBps=self.dram_peak_GBps,
            stall_free_GBps=self.stall_free_GBps,
            energy_uJ=energy.value_pJ / PJ_PER_UJ,
            energy_uJ_low=energy.low_pJ / PJ_PER_UJ,
            energy_uJ_high=energy.high_pJ / PJ_PER_UJ,
            energy_uJ_per_image=energy.value_pJ / PJ_PER_UJ / self.batch,
            energy_uJ_per_image_low=energy.low_pJ / PJ_PER_UJ / self.batch,
            energy_uJ_per_image_high=energy.high_pJ / PJ_PER_UJ / self.batch,
            energy_uJ_by_component=energy_section(by_component, PJ_PER_UJ),
            dram_energy_uJ=dram_energy_section(by_component.dram, PJ_PER_UJ),
            energy_uJ_band=(energy.low_pJ / PJ_PER_UJ, energy.high_pJ / PJ_PER_UJ),
            chip_energy_uJ=chip_energy.value_pJ / PJ_PER_UJ,
            chip_energy_uJ_low=chip_energy.low_pJ / PJ_PER_UJ,
            chip_energy_uJ_high=chip_energy.high_pJ / PJ_PER_UJ,
            average_power_mW=self.average_power_mW,
            effective_TOPS=self.effective_TOPS,
            TOPS_per_W=self.TOPS_per_W,
            energy_delay_pJs=self.energy_delay_pJs,
            area_mm2=sum(part.value for part in area.parts),
            area_mm2_low=sum(part.low for part in area.parts),
            area_mm2_high=sum(part.high for part in area.parts),
            area_mm2_by_component=area_section(area),
            datapath=self.datapath.value,
            sqnr_dB=None if values is None else values.sqnr_dB,
            exact=None if values is None else values.exact,
            top1_agreement_fraction=None if values is None else values.top1_agreement_fraction,
            top1_accuracy_fraction=None if values is None else values.top1_accuracy_fraction,
            float_top1_accuracy_fraction=None
            if values is None
            else values.float_top1_accuracy_fraction,
            top1_tie_fraction=None if values is None else values.top1_tie_fraction,
            images=0 if self.images is None else self.images.count,
            batch=self.batch,
        )

    def to_json_dict(self) -> dict[str, Any]:
        """Give everything as the report file holds it; see `accel_sim.report.document`."""
        return self.to_document().model_dump(mode="json")

    def to_records(self) -> list[dict[str, Any]]:
        """Give one flat record per layer, for a table of any kind.

        Keys are the paths of the JSON: ``cycles.total``, ``energy_pJ.mac``.
        """
        return layer_records(self.to_document())

    def _repr_html_(self) -> str:
        return to_html(self.to_document())


def _quantization_section(facts: QuantizationFacts) -> document.Quantization:
    bits, tuning = facts.bits, facts.tuning
    return document.Quantization(
        method=facts.method,
        weight_bits=bits.weights,
        activation_bits=bits.activations,
        input_bits=bits.input_bits,
        bias_bits=bits.biases,
        layer_bits={
            name: document.WidthsOfLayer(
                weight_bits=widths.weights,
                activation_bits=widths.activations,
                bias_bits=widths.biases,
            )
            for name, widths in bits.layers.items()
        },
        per_channel=facts.per_channel,
        tuned=tuning is not None,
        tuning=None if tuning is None else document.TuningSection(**asdict(tuning)),
    )
