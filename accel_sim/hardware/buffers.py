"""The on-chip memories, as a machine's file describes them."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from accel_sim.hardware.choices import Ports
from accel_sim.hardware.section import Section

OperandName = Literal["ifm", "weights", "psum", "ofm"]
OPERANDS: tuple[OperandName, ...] = ("ifm", "weights", "psum", "ofm")


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
        return self.tile_bytes_beside(0)

    def tile_bytes_beside(self, resident_bytes: int) -> int:
        """Bytes that one tile may use beside maps that stay; below 0 if these do not fit."""
        return (self.capacity_bytes - resident_bytes) // (2 if self.double_buffered else 1)

    @property
    def array_banks(self) -> int:
        """Banks that serve the array at one time."""
        return self.banks // 2 if self.double_buffered and self.banks > 1 else self.banks

    @property
    def shares_ports_with_dram(self) -> bool:
        """Whether transfers of the next tile pass the ports that the array uses."""
        return self.double_buffered and self.banks == 1


class Buffers(Section):
    """The on-chip memories, one for each operand but where operands share one.

    Attributes
    ----------
    psum
        ``in_ofm``: partial sums lie in the place of the outputs that they become.
    shared
        Operands that lie in one memory, each in a place of its own; none, or two and more. The
        key of the first describes it, the keys of the others are left out or say the same.
    """

    model_config = ConfigDict(
        json_schema_extra={
            # In place of the list that pydantic makes: the keys of shared operands may be missing.
            "required": [],
            "anyOf": [
                {"required": list(OPERANDS)},
                {"required": ["shared"], "properties": {"shared": {"minItems": 2}}},
            ],
        }
    )

    ifm: Buffer
    weights: Buffer
    psum: Buffer | Literal["in_ofm"]
    ofm: Buffer
    shared: tuple[OperandName, ...] = ()

    @classmethod
    def complete(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Let every operand of a shared memory have the description of the first."""
        shared = values.get("shared", ())
        if "psum" in shared and values.get("psum") == "in_ofm":
            raise ValueError(
                "psum: in_ofm is a place among the outputs, and shared gives partial sums one of "
                "their own; leave out one of the two"
            )
        if shared and shared[0] not in values:
            raise ValueError(
                f"shared: key {shared[0]!r} is missing; the first operand named describes the "
                "memory of all"
            )
        return {name: values[shared[0]] for name in shared} | values

    @model_validator(mode="after")
    def _is_one_memory(self) -> "Buffers":
        shared = self.shared
        if len(shared) == 1:
            raise ValueError(f"shared: expected two operands or more, got {shared[0]} alone")
        twice = [name for name in shared if shared.count(name) > 1]
        if twice:
            raise ValueError(f"shared: {twice[0]} is named twice; expected each operand once")
        for name in shared[1:]:
            first, other = getattr(self, shared[0]), getattr(self, name)
            for key in Buffer.model_fields:
                if getattr(first, key) != getattr(other, key):
                    raise ValueError(
                        f"{name}: shares the memory that {shared[0]} describes, with another "
                        f"{key}; leave the key out"
                    )
        return self

    @property
    def psum_memory(self) -> Buffer:
        """The memory that holds partial sums."""
        return self.psum if isinstance(self.psum, Buffer) else self.ofm

    @property
    def memories(self) -> dict[OperandName, Buffer]:
        """Each memory once, under the key that describes it."""
        return {
            name: buffer
            for name in OPERANDS
            if self.memory_key(name) == name and isinstance(buffer := getattr(self, name), Buffer)
        }

    def memory_key(self, operand: OperandName) -> OperandName:
        """Key that describes the memory in which an operand lies."""
        if operand == "psum" and self.psum == "in_ofm":
            operand = "ofm"
        return self.shared[0] if operand in self.shared else operand

    @property
    def keeps_maps(self) -> bool:
        """Whether an ifm can be read where an ofm was written."""
        return "ifm" in self.shared and "ofm" in self.shared
