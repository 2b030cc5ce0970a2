"""Cycles, traffic and words of layers on the lanes, worked by hand.

A map of 32 channels of 4 x 4 values of 8 bits: 512 bytes, or 32 words of 128 bits. DRAM
moves 8 bytes a cycle after 10 cycles; 16 lanes take 16 elements a cycle.
"""

from dataclasses import dataclass

import numpy as np
import pytest

from accel_sim.hardware.load import load_hardware
from accel_sim.mapping.access_counts import (
    count_buffer_words,
    count_dram_bits,
    count_tiles,
    total_buffer_accesses,
    total_dram_bytes,
)
from accel_sim.mapping.enumerate_tiles import enumerate_tiles
from accel_sim.mapping.layer_nests import OperandWidths, build_loop_nests
from accel_sim.mapping.loop_orders import loop_orders
from accel_sim.timing.pipeline import layer_cycles, tile_sizes
from accel_sim.timing.schedule_rules import schedule_rules
from quantizer.network.graph import Network
from quantizer.network.layers import (
    BatchNorm,
    Function,
    FunctionKind,
    Lookup,
    Mul,
    Pad,
    PRelu,
    Slice,
    Transpose,
    Upsample,
)

MACHINE = load_hardware(
    "edge_16x16",
    ["dram={model: flat, bandwidth_GBps: 4, latency_ns: 20, energy_pJ_per_bit: 8, packing: dense}"],
)


@dataclass(frozen=True, kw_only=True)
class Worked:
    """Bytes over the DRAM bus, words read by the lanes, cycles."""

    ifm_bytes: int
    weight_bytes: int = 0
    residual_bytes: int = 0
    ofm_bytes: int
    ifm_words: int
    weight_words: int = 0
    ofm_words: int
    compute: int
    port_stalls: int = 0
    total: int


def run(layer, constants, ofm_shape) -> Worked:
    """Run a layer as one tile."""
    shapes = {"x": (32, 4, 4), "z": (32, 4, 4), "y": ofm_shape}
    network = Network(
        name="net", digest="0", input="x", outputs=("y",), layers=(layer,), shapes=shapes,
        constants={name: np.zeros(shape, np.float32) for name, shape in constants.items()},
    )  # fmt: skip
    widths = OperandWidths(
        feature_maps=dict.fromkeys(shapes, 8),
        constants={name: 16 if name == "b" else 8 for name in constants},
    )
    (nest,) = build_loop_nests(network, widths, 1, {})
    (order,) = loop_orders(nest)
    space = enumerate_tiles(nest, MACHINE)
    tiles = count_tiles(nest, MACHINE, space.take(np.array([0])))
    assert tiles.steps[0] == 1
    bits = count_dram_bits(tiles, order)
    moved = total_dram_bytes(bits, 0)
    words = total_buffer_accesses(count_buffer_words(tiles, bits, MACHINE.buffers), 0)
    # What DRAM brings is written once, and what it takes is read once.
    assert words.weights.writes == -(-moved.weights_read // 16)
    assert words.ifm.writes == -(-(moved.ifm_read + moved.residual_read) // 16)
    assert words.ofm.reads == -(-moved.ofm_write // 16)
    cycles = layer_cycles(schedule_rules(nest, MACHINE), tile_sizes(nest, MACHINE, space, 0), order)
    assert cycles.fill_drain == cycles.overhead == 0
    return Worked(
        ifm_bytes=moved.ifm_read,
        weight_bytes=moved.weights_read,
        residual_bytes=moved.residual_read,
        ofm_bytes=moved.ofm_write,
        ifm_words=words.ifm.reads,
        weight_words=words.weights.reads,
        ofm_words=words.ofm.writes,
        compute=cycles.compute,
        port_stalls=cycles.port_stalls,
        total=cycles.total,
    )


SAME = (32, 4, 4)


@pytest.mark.parametrize(
    ("layer", "constants", "ofm_shape", "worked"),
    [
        # A scale of 1 and an offset of 2 bytes for each channel.
        (
            BatchNorm(name="l", ifm="x", ofm="y", weights="w", bias="b", clamp=None),
            {"w": (32,), "b": (32,)}, SAME,
            Worked(ifm_bytes=512, weight_bytes=96, ofm_bytes=512, ifm_words=32, weight_words=6,
                   ofm_words=32, compute=32, total=10 + 12 + 64 + 32 + 64),
        ),
        (
            PRelu(name="l", ifm="x", ofm="y", slopes="w", clamp=None), {"w": (32,)}, SAME,
            Worked(ifm_bytes=512, weight_bytes=32, ofm_bytes=512, ifm_words=32, weight_words=2,
                   ofm_words=32, compute=32, total=10 + 4 + 64 + 32 + 64),
        ),
        # One slope for all is no operand.
        (
            PRelu(name="l", ifm="x", ofm="y", slopes="w", clamp=None), {"w": (1,)}, SAME,
            Worked(ifm_bytes=512, ofm_bytes=512, ifm_words=32, ofm_words=32, compute=32,
                   total=10 + 64 + 32 + 64),
        ),
        # Two operands of 32 words pass a port that brings one a cycle.
        (
            Mul(name="l", inputs=("x", "z"), constant=None, ofm="y", clamp=None), {}, SAME,
            Worked(ifm_bytes=512, residual_bytes=512, ofm_bytes=512, ifm_words=64, ofm_words=32,
                   compute=32, port_stalls=32, total=10 + 128 + 64 + 64),
        ),
        # The 32 elements of a constant per channel are 2 words more.
        (
            Mul(name="l", inputs=("x",), constant="c", ofm="y", clamp=None), {"c": (32, 1, 1)},
            SAME,
            Worked(ifm_bytes=512, residual_bytes=32, ofm_bytes=512, ifm_words=34, ofm_words=32,
                   compute=32, port_stalls=2, total=10 + 64 + 4 + 34 + 64),
        ),
        # A table of 256 entries of 8 bits.
        (
            Lookup(name="l", ifm="x", ofm="y", function=Function(kind=FunctionKind.TANH),
                   clamp=None), {}, SAME,
            Worked(ifm_bytes=512, weight_bytes=256, ofm_bytes=512, ifm_words=32, weight_words=16,
                   ofm_words=32, compute=32, total=10 + 32 + 64 + 32 + 64),
        ),
        (
            Transpose(name="l", ifm="x", ofm="y", view=SAME, permutation=(1, 0, 2)), {},
            (4, 32, 4),
            Worked(ifm_bytes=512, ofm_bytes=512, ifm_words=32, ofm_words=32, compute=32,
                   total=10 + 64 + 32 + 64),
        ),
        # Half of the channels.
        (
            Slice(name="l", ifm="x", ofm="y", starts=(0, 0, 0), steps=(2, 1, 1)), {}, (16, 4, 4),
            Worked(ifm_bytes=256, ofm_bytes=256, ifm_words=16, ofm_words=16, compute=16,
                   total=10 + 32 + 16 + 32),
        ),
        # 32 channels of 6 x 6, of which 4 x 4 are read.
        (
            Pad(name="l", ifm="x", ofm="y", before=(0, 1, 1), after=(0, 1, 1), value=0), {},
            (32, 6, 6),
            Worked(ifm_bytes=512, ofm_bytes=1152, ifm_words=32, ofm_words=72, compute=72,
                   total=10 + 64 + 72 + 144),
        ),
        # Every value is read once and written four times.
        (
            Upsample(name="l", ifm="x", ofm="y", factors=(1, 2, 2)), {}, (32, 8, 8),
            Worked(ifm_bytes=512, ofm_bytes=2048, ifm_words=32, ofm_words=128, compute=128,
                   total=10 + 64 + 128 + 256),
        ),
    ],
)  # fmt: skip
def test_a_layer_costs_what_it_moves(layer, constants, ofm_shape, worked):
    assert run(layer, constants, ofm_shape) == worked
