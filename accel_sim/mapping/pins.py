"""Whether a layer can run as a machine's file pins it."""

from accel_sim.hardware.config import HardwareConfig
from accel_sim.hardware.mapping_options import Pin
from accel_sim.mapping.buffer_needs import needed_bits
from accel_sim.mapping.enumerate_tiles import enumerate_tiles, keeps_reduction
from accel_sim.mapping.loop_nest import LoopNest
from accel_sim.mapping.loop_orders import loop_orders
from accel_sim.mapping.stored_bits import BITS_PER_BYTE
from quantizer.errors import InputError


def check_pin(nest: LoopNest, hardware: HardwareConfig, pin: Pin) -> None:
    """Refuse a pin that a layer cannot have.

    Raises
    ------
    InputError
        Layer, what is pinned and what could be, or the buffer that it does not fit.
    """
    where = f"layer {nest.layer!r}: mapping.pin"
    if nest.kind.is_free:
        raise InputError(where, "the layer costs nothing and has no schedule; leave it out")
    for name, size in pin.tile.model_dump(exclude_none=True).items():
        extent = getattr(nest, name)
        if size > extent:
            raise InputError(where, f"tile.{name}={size} is more than the {extent} there are")
        if name in ("filters", "channels") and nest.blocks > 1 and size != extent:
            raise InputError(
                where,
                f"tile.{name}={size}: groups that lie on the array together stay whole; "
                f"expected {extent}",
            )
        if name == "channels" and not keeps_reduction(nest, hardware, size):
            raise InputError(
                where,
                f"tile.channels={size} changes the order of additions, which mapping.reduction "
                "fixes; leave it out, or set that to free",
            )
    if pin.loop_order and pin.loop_order not in loop_orders(nest):
        (only,) = loop_orders(nest)
        raise InputError(
            where, f"loop_order: off the array it is {', '.join(only)}; leave it out, or give that"
        )
    space = enumerate_tiles(nest, hardware, pin)
    if len(space.fitting):
        return
    needs = needed_bits(nest, hardware, space)
    worst = max(needs, key=lambda need: int(need.bits.min()) / need.buffer.tile_bytes)
    raise InputError(
        where,
        f"the smallest tile that it allows needs {-(-int(worst.bits.min()) // BITS_PER_BYTE)} "
        f"bytes of {worst.operand}, buffers.{worst.name} holds {worst.buffer.tile_bytes} for a "
        "tile; expected smaller extents",
    )
