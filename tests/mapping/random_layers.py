"""Small random layers and machines, and the same as the oracles state them."""

from dataclasses import asdict, replace
from fractions import Fraction

from accel_sim.hardware.buffers import OPERANDS, Buffer
from accel_sim.hardware.choices import Along
from accel_sim.hardware.config import HardwareConfig
from accel_sim.hardware.load import load_hardware
from accel_sim.hardware.precision import MultiplierMode
from accel_sim.mapping.coded_maps import CodedMaps
from accel_sim.mapping.loop_nest import Kind, LoopNest
from accel_sim.mapping.pass_tables import map_passes
from accel_sim.mapping.stored_bits import stored_bits
from accel_sim.mapping.tile_space import TileSpace
from tests.oracles.loop_nest_walk import Problem

LANE_KINDS = (Kind.POOL, Kind.ADD, Kind.MULTIPLY, Kind.LOOKUP, Kind.REQUANTIZE, Kind.COPY)


def random_nest(rng, kind: Kind = Kind.MAC) -> LoopNest:
    nest = _random_windows(rng, kind)
    match kind:
        case Kind.MULTIPLY | Kind.ADD if rng.integers(0, 2):
            return replace(
                nest, residual_bits=int(rng.integers(2, 9)),
                shares_residual=bool(rng.integers(0, 2)),
            )  # fmt: skip
        case Kind.MULTIPLY:
            bias_bits = int(rng.choice([0, 16]))
            weight_bits = int(rng.integers(2, 9))
            return replace(nest, group_weights=1, weight_bits=weight_bits, bias_bits=bias_bits)
        case Kind.LOOKUP:
            entries = int(rng.choice([4, 16, 257]))
            weight_bits = int(rng.integers(2, 9))
            return replace(nest, groups=1, group_weights=entries, weight_bits=weight_bits)
        case Kind.COPY:
            return replace(nest, filters=int(rng.integers(1, 7)))
        case _:
            return nest


def in_random_mode(rng, nest: LoopNest, along: Along) -> LoopNest:
    """The same layer on multipliers that are two to five."""
    mode = MultiplierMode(
        weight_bits=8, activation_bits=8, macs_per_pe=int(rng.integers(2, 6)), along=along
    )
    return replace(nest, mode=mode)


def random_groups(rng) -> LoopNest:
    """A grouped convolution with few filters and channels a group."""
    return replace(
        random_nest(rng),
        groups=int(rng.integers(1, 13)),
        filters=int(rng.integers(1, 4)),
        channels=int(rng.integers(1, 3)),
    )


def _random_windows(rng, kind: Kind) -> LoopNest:
    taps = rng.integers(1, 4, 2)
    stride = rng.integers(1, 4, 2)
    dilation = rng.integers(1, 3, 2)
    pads = [
        int(rng.integers(0, (tap - 1) * step + 1)) for tap, step in zip(taps, dilation, strict=True)
    ]
    outputs = rng.integers(1, 6, 2)
    inputs = [
        max(1, int((out - 1) * step + (tap - 1) * gap + 1 - pad - rng.integers(0, pad + 1)))
        for out, step, tap, gap, pad in zip(outputs, stride, taps, dilation, pads, strict=True)
    ]
    is_mac = kind is Kind.MAC
    return LoopNest(
        layer="layer",
        op="Conv" if is_mac else "MaxPool",
        kind=kind,
        batch=int(rng.integers(1, 4)),
        groups=int(rng.integers(1, 4)),
        filters=int(rng.integers(1, 8)) if is_mac else 1,
        channels=int(rng.integers(1, 7)) if is_mac else 1,
        filter_rows=int(taps[0]),
        filter_cols=int(taps[1]),
        output_rows=int(outputs[0]),
        output_cols=int(outputs[1]),
        input_rows=inputs[0],
        input_cols=inputs[1],
        stride=(int(stride[0]), int(stride[1])),
        dilation=(int(dilation[0]), int(dilation[1])),
        pads=(pads[0], pads[1]),
        ifm_bits=int(rng.integers(2, 9)),
        weight_bits=int(rng.integers(2, 9)) if is_mac else None,
        bias_bits=int(rng.choice([0, 16])) if is_mac else 0,
        ofm_bits=int(rng.integers(2, 9)),
        residual_bits=int(rng.integers(2, 9)) if kind is Kind.ADD else 0,
    )


SYSTOLIC = ("output_stationary", "weight_stationary", "input_stationary")
FOLDING = (*SYSTOLIC, "channel_parallel")
DATAFLOWS = (*FOLDING, "row_stationary")


GROUPED = (
    *((dataflow, "block_diagonal") for dataflow in FOLDING),
    ("channel_parallel", "native"),
)
"""Dataflows, and how groups lie side by side."""


def random_machine(rng, *overrides: str, dataflow: str = "output_stationary") -> HardwareConfig:
    """A small array with some of its keys at random; buffers hold anything."""
    keeps_sums = dataflow == "output_stationary"
    drains = ["rows", "hidden"] if keeps_sums else ["hidden"]
    overlaps = ["none", "full"] if keeps_sums else ["none", "weight_preload", "full"]
    choices = [
        f"mac_array.dataflow={dataflow}",
        f"mac_array.rows={rng.integers(1, 5)}",
        f"mac_array.cols={rng.integers(1, 5)}",
        f"mac_array.drain={rng.choice(drains)}",
        f"mac_array.fold_overlap={rng.choice(overlaps)}",
        f"mac_array.edge_tiles={rng.choice(['full_skew', 'used_skew'])}",
        f"mac_array.pipeline_cycles={rng.integers(0, 3)}",
        f"mac_array.output_register_cycles={rng.integers(0, 2)}",
        f"mac_array.tile_overhead_cycles={rng.integers(0, 4)}",
        f"dram.packing={rng.choice(['dense', 'byte'])}",
        f"precision.accumulator_bits={rng.integers(20, 33)}",
    ]
    if dataflow == "row_stationary":
        choices += [
            f"mac_array.register_files={{ifm_words: {rng.integers(3, 8)}, "
            f"weight_words: {rng.integers(3, 20)}, psum_words: {rng.integers(1, 6)}}}",
            f"mac_array.networks={{ifm_bits: 65536, weight_bits: {rng.choice([8, 24, 64])}, "
            "psum_bits: 65536}",
        ]
    buffers = {
        name: f"{{double_buffered: {str(bool(rng.integers(0, 2))).lower()}, "
        f"port_bits: {2 ** rng.integers(3, 8)}, ports: {rng.choice(['1rw', '1r1w'])}, "
        f"banks: {rng.choice([1, 2, 4])}, capacity_KiB: 64}}"
        for name in OPERANDS
    }
    if rng.integers(0, 4) == 0:
        buffers["psum"] = "in_ofm"
    if not any(override.startswith("buffers=") for override in overrides):
        shared = random_shared(rng, buffers)
        described = [f"{name}: {keys}" for name, keys in buffers.items() if name not in shared[1:]]
        choices.append(f"buffers={{{', '.join(described)}, shared: [{', '.join(shared)}]}}")
    hardware = load_hardware("edge_16x16", [*choices, *overrides])
    has_own_weights = "weights" not in hardware.buffers.shared
    if dataflow == "row_stationary" and has_own_weights and rng.integers(0, 2):
        # Too small for the tables, but then the weights of most tiles do not stay.
        weights = hardware.buffers.weights.model_copy(update={"capacity_KiB": 0.0625})
        buffers = hardware.buffers.model_copy(update={"weights": weights})
        hardware = hardware.model_copy(update={"buffers": buffers})
    return hardware


def random_shared(rng, buffers) -> list[str]:
    """Draw operands that lie in one memory: none in half of all cases."""
    names = [name for name in OPERANDS if buffers[name] != "in_ofm"]
    if rng.integers(0, 2):
        return []
    return rng.permutation(names)[: rng.integers(2, len(names) + 1)].tolist()


def random_codes(rng) -> CodedMaps:
    """Codes of up to twice the length of their maps, or a thirtieth of it."""
    lengths = [Fraction(int(rng.integers(1, 60)), int(rng.integers(30, 60))) for _ in range(3)]
    return CodedMaps(ifm=lengths[0], residual=lengths[1], ofm=lengths[2])


def let_maps_stay(rng, nest: LoopNest) -> LoopNest:
    """Let any of a layer's maps lie on chip."""
    ifm, residual, ofm = (bool(stays) for stays in rng.integers(0, 2, 3))
    return replace(
        nest, ifm_stays=ifm, residual_stays=residual and nest.residual_bits > 0, ofm_stays=ofm,
        resident_bytes=int(rng.integers(0, 200)),
    )  # fmt: skip


def as_problem(
    nest: LoopNest, hardware: HardwareConfig, space: TileSpace, candidate: int, loop_order
) -> Problem:
    """State one mapping of a layer for the walk."""
    bits, tile, buffers = stored_bits(nest, hardware), space.tile(candidate), hardware.buffers
    assert isinstance(buffers.psum, Buffer) or buffers.psum == "in_ofm"
    return Problem(
        batch=nest.batch,
        groups=nest.groups,
        filters=nest.filters,
        channels=nest.channels,
        window=(nest.filter_rows, nest.filter_cols),
        outputs=(nest.output_rows, nest.output_cols),
        inputs=(nest.input_rows, nest.input_cols),
        stride=nest.stride,
        dilation=nest.dilation,
        pads=nest.pads,
        tile={
            "batch": tile.batch,
            "groups": tile.groups,
            "filters": tile.filters,
            "channels": tile.channels,
            "output_rows": tile.output_rows,
            "output_cols": tile.output_cols,
        },
        order=tuple(str(loop) for loop in loop_order),
        bits={
            "ifm": bits.ifm,
            "residual": bits.residual,
            "weight": bits.weight,
            "bias": bits.bias,
            "psum": bits.psum,
            "ofm": bits.ofm,
        },
        ports={
            "ifm": buffers.ifm.port_bits,
            "weights": buffers.weights.port_bits,
            "psum": buffers.psum_memory.port_bits,
            "ofm": buffers.ofm.port_bits,
        },
        rows=hardware.mac_array.rows,
        cols=hardware.mac_array.cols,
        dataflow=str(hardware.mac_array.dataflow),
        is_mac=nest.kind is Kind.MAC,
        is_copy=nest.kind is Kind.COPY,
        blocks=nest.blocks,
        blocks_are_apart=nest.blocks_are_apart,
        group_weights=nest.group_weights,
        shares_residual=nest.shares_residual,
        passes=_passes(nest, hardware, tile),
        kept_weight_bits=_kept_weight_bits(nest, hardware),
        multipliers=1 if nest.mode is None else nest.mode.macs_per_pe,
        along="reduction" if nest.mode is None else str(nest.mode.along),
        on_chip=nest.resident_operands,
    )


def _passes(nest, hardware, tile):
    if hardware.mac_array.register_files is None or nest.kind is not Kind.MAC:
        return None
    return asdict(map_passes(nest, hardware, tile))


def _kept_weight_bits(nest, hardware):
    if hardware.mac_array.register_files is None or nest.kind is not Kind.MAC:
        return None
    if "weights" in hardware.buffers.shared:
        return None
    return hardware.buffers.weights.tile_bytes * 8
