"""Where the cycles of a layer go."""

from dataclasses import astuple, dataclass
from enum import StrEnum


class Bound(StrEnum):
    """What a layer spends most of its time on."""

    NOTHING = "nothing"
    """The layer costs no cycle (a change of shape)."""
    COMPUTE = "compute"
    FILL_DRAIN = "fill_drain"
    OVERHEAD = "overhead"
    PORT_IFM = "port_ifm"
    PORT_WEIGHTS = "port_weights"
    PORT_PSUM = "port_psum"
    PORT_OFM = "port_ofm"
    DRAM_IFM = "dram_ifm"
    DRAM_WEIGHTS = "dram_weights"
    DRAM_PSUM = "dram_psum"
    DRAM_OFM = "dram_ofm"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCycles:
    """Cycles by cause; every cycle of the layer has exactly one.

    Attributes
    ----------
    compute
        The array (or, in pooling and addition, the lanes) takes new operands.
    fill_drain
        Skew, pipeline and drain of the array.
    overhead
        Fixed cycles per tile, and waiting for the post-processing lanes.
    stall_port_ifm, stall_port_weights, stall_port_psum, stall_port_ofm
        Waiting for the port of that buffer.
    stall_dram_ifm, stall_dram_weights, stall_dram_psum, stall_dram_ofm
        Waiting while DRAM moves that operand. A residual operand counts as ifm.
    """

    compute: int
    fill_drain: int
    overhead: int
    stall_port_ifm: int
    stall_port_weights: int
    stall_port_psum: int
    stall_port_ofm: int
    stall_dram_ifm: int
    stall_dram_weights: int
    stall_dram_psum: int
    stall_dram_ofm: int

    @property
    def total(self) -> int:
        """Cycles from the first load of the layer to its last store."""
        return self.compute + self.fill_drain + self.overhead + self.port_stalls + self.dram_stalls

    @property
    def port_stalls(self) -> int:
        """Cycles in which the array waits for a port."""
        return (
            self.stall_port_ifm
            + self.stall_port_weights
            + self.stall_port_psum
            + self.stall_port_ofm
        )

    @property
    def dram_stalls(self) -> int:
        """Cycles in which the machine waits for DRAM."""
        return (
            self.stall_dram_ifm
            + self.stall_dram_weights
            + self.stall_dram_psum
            + self.stall_dram_ofm
        )

    @property
    def bound_by(self) -> Bound:
        """The largest kind of cause, and in it the largest cause.

        All port stalls are one kind, and so are all DRAM stalls. Ties go to the field
        that stands first.
        """
        if self.total == 0:
            return Bound.NOTHING
        fields = astuple(self)
        causes = [bound for bound in Bound if bound is not Bound.NOTHING]
        kinds = ((0,), (1,), (2,), (3, 4, 5, 6), (7, 8, 9, 10))
        kind = max(kinds, key=lambda members: sum(fields[i] for i in members))
        return causes[max(kind, key=lambda i: fields[i])]


NO_CYCLES = LayerCycles(
    compute=0,
    fill_drain=0,
    overhead=0,
    stall_port_ifm=0,
    stall_port_weights=0,
    stall_port_psum=0,
    stall_port_ofm=0,
    stall_dram_ifm=0,
    stall_dram_weights=0,
    stall_dram_psum=0,
    stall_dram_ofm=0,
)
