"""Totals of what a layer moves: bytes over the DRAM bus, words through buffer ports."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DramBytes:
    """Bytes a layer moves over the DRAM bus, by operand; biases count as weights."""

    ifm_read: int
    weights_read: int
    residual_read: int
    psum_read: int
    psum_write: int
    ofm_write: int

    @property
    def read(self) -> int:
        """All bytes read."""
        return self.ifm_read + self.weights_read + self.residual_read + self.psum_read

    @property
    def write(self) -> int:
        """All bytes written."""
        return self.psum_write + self.ofm_write


@dataclass(frozen=True, slots=True, kw_only=True)
class Accesses:
    """Words read from and written to one buffer; a word is as wide as its port."""

    reads: int
    writes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferAccesses:
    """Accesses of each buffer, from the array's side and from DRAM's together."""

    ifm: Accesses
    weights: Accesses
    psum: Accesses
    ofm: Accesses


NO_DRAM_BYTES = DramBytes(
    ifm_read=0, weights_read=0, residual_read=0, psum_read=0, psum_write=0, ofm_write=0
)
_NO_ACCESSES = Accesses(reads=0, writes=0)
NO_BUFFER_ACCESSES = BufferAccesses(
    ifm=_NO_ACCESSES, weights=_NO_ACCESSES, psum=_NO_ACCESSES, ofm=_NO_ACCESSES
)
