"""Energies, powers and areas that a machine's file states itself, in place of the tables'."""

from typing import Annotated

from pydantic import Field, model_validator

from accel_sim.hardware.section import Section

Quantity = Annotated[float, Field(ge=0, le=1e9)]


class TableEntry(Section):
    """A number of the user's own, at the machine's node and supply: nothing scales it.

    Attributes
    ----------
    value, low, high
        In the unit that ends the entry's name; without `low` or `high` the band ends at `value`.
    source
        Where it comes from; reports of constants show it.
    """

    value: Quantity
    low: Quantity | None = None
    high: Quantity | None = None
    source: Annotated[str, Field(min_length=1, max_length=500)]

    @model_validator(mode="after")
    def _is_a_band(self) -> "TableEntry":
        if self.low is not None and self.low > self.value:
            raise ValueError(f"low: expected at most value, {self.value:g}; got {self.low:g}")
        if self.high is not None and self.high < self.value:
            raise ValueError(f"high: expected at least value, {self.value:g}; got {self.high:g}")
        return self


class EnergyTable(Section):
    """Entries by name, each of the same meaning as that of the tables; what is left out is theirs.

    Attributes
    ----------
    mac_8x8_pJ
        A MAC of 8 by 8 bits with an accumulator of 24; other widths follow from it.
    add_32_pJ, register_bit_pJ
        An addition of 32 bits; a bit of a register, written.
    compare_bit_pJ
        A bit of an address compared in a register file.
    wire_bit_pJ
        A bit over a millimetre of wire.
    clock_control_pJ
        Clock tree and control, per cycle and mm2 of the same machine at 65 nm.
    gate_leakage_nW, gate_um2, register_bit_um2
        Of one gate equivalent; of one bit of a register file.
    ifm_read_pJ, ...
        Of a word of a buffer's port; leakage and area are of all its banks.
    dram_activation_nJ, ...
        Of a row opened; of a bit in the memory and on the link to it; of one channel.
    """

    mac_8x8_pJ: TableEntry | None = None
    add_32_pJ: TableEntry | None = None
    register_bit_pJ: TableEntry | None = None
    compare_bit_pJ: TableEntry | None = None
    wire_bit_pJ: TableEntry | None = None
    clock_control_pJ: TableEntry | None = None
    gate_leakage_nW: TableEntry | None = None
    gate_um2: TableEntry | None = None
    register_bit_um2: TableEntry | None = None
    ifm_read_pJ: TableEntry | None = None
    ifm_write_pJ: TableEntry | None = None
    ifm_leakage_mW: TableEntry | None = None
    ifm_area_mm2: TableEntry | None = None
    weights_read_pJ: TableEntry | None = None
    weights_write_pJ: TableEntry | None = None
    weights_leakage_mW: TableEntry | None = None
    weights_area_mm2: TableEntry | None = None
    psum_read_pJ: TableEntry | None = None
    psum_write_pJ: TableEntry | None = None
    psum_leakage_mW: TableEntry | None = None
    psum_area_mm2: TableEntry | None = None
    ofm_read_pJ: TableEntry | None = None
    ofm_write_pJ: TableEntry | None = None
    ofm_leakage_mW: TableEntry | None = None
    ofm_area_mm2: TableEntry | None = None
    dram_activation_nJ: TableEntry | None = None
    dram_read_pJ_per_bit: TableEntry | None = None
    dram_write_pJ_per_bit: TableEntry | None = None
    dram_read_io_pJ_per_bit: TableEntry | None = None
    dram_write_io_pJ_per_bit: TableEntry | None = None
    dram_standby_mW: TableEntry | None = None
    dram_refresh_mW: TableEntry | None = None

    @property
    def entries(self) -> dict[str, TableEntry]:
        """Those that the file states, by name."""
        named = ((name, getattr(self, name)) for name in type(self).model_fields)
        return {name: entry for name, entry in named if entry is not None}
