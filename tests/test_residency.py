"""Do the right feature maps stay on chip, and is what they save exactly what DRAM does not move?"""

import math
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from accel_sim.hardware.load import load_hardware
from accel_sim.mapping.loop_nest import Kind
from accel_sim.mapping.residency import Stay, find_stays
from accel_sim.performance import run_performance
from accel_sim.scheduling import lay_out_layers, schedule_layers
from quantizer.network.graph import Network
from quantizer.network.layers import Add, Clamp, Clip, Conv, Reshape
from tests.test_performance import constant_bits, small_network

FLAT = "dram={model: flat, bandwidth_GBps: 4, latency_ns: 20, energy_pJ_per_bit: 8, packing: dense}"


def shared_machine(*overrides, capacity_KiB=64, shared="ifm, ofm"):
    memory = "port_bits: 128, ports: 1r1w, banks: 2, double_buffered: true}"
    buffers = (
        f"buffers={{ifm: {{capacity_KiB: {capacity_KiB}, {memory}, "
        f"weights: {{capacity_KiB: 64, {memory}, psum: {{capacity_KiB: 32, {memory}, "
        f"shared: [{shared}]}}"
    )
    return load_hardware("edge_16x16", [buffers, FLAT, *overrides])


def widths(network):
    return dict.fromkeys(network.shapes, 8), constant_bits(network, 8)


def without_concat():
    """The small network without its concat: nothing has to pass through DRAM."""
    network = small_network()
    layers = [
        replace(layer, ifm="d") if layer.name == "mean" else layer
        for layer in network.layers
        if layer.name != "concat"
    ]
    shapes = {**network.shapes, "f": (8, 1, 1), "g": (8,)}
    del shapes["e"]
    constants = {**network.constants, "w3": np.zeros((10, 8), np.float32)}
    return replace(network, layers=tuple(layers), shapes=shapes, constants=constants)


def run(network, hardware):
    layers = run_performance(hardware, network, *widths(network))
    return {layer.name: layer for layer in layers}


def test_a_map_lives_from_the_layer_that_writes_it_to_the_last_that_reads_it():
    network, hardware = small_network(), shared_machine("mapping.batch=3")
    stays = find_stays(network, lay_out_layers(hardware, network, *widths(network)), hardware)
    none = frozenset()

    def stay(first, last, elements, ifm_of, residual_of=none):
        return Stay(
            first=first, last=last, n_bytes=3 * elements, ifm_of=frozenset(ifm_of),
            residual_of=frozenset(residual_of), is_output=False,
        )  # fmt: skip

    assert stays == (
        stay(0, 2, 8 * 12 * 12, {1, 2}),  # a, the ifm of the convolution and of the sum
        stay(1, 2, 8 * 12 * 12, none, {2}),
        stay(2, 3, 8 * 12 * 12, {3}),
        # d and e pass through DRAM, where the concat joins them; f is flattened on its way.
        stay(5, 7, 16, {7}),
    )


def random_network(rng, n_layers=7):
    """Clips, sums and reshapes of earlier maps, all of one size; some maps are outputs."""
    maps, layers = ["x"], []
    for number in range(n_layers):
        kind, name = rng.integers(0, 4), f"m{number}"
        first, second = (maps[-1 - int(rng.integers(0, min(3, len(maps))))] for _ in range(2))
        if kind == 0:
            layers.append(Reshape(name=name, ifm=first, ofm=name))
        elif kind == 1:
            layers.append(Clip(name=name, ifm=first, ofm=name, clamp=Clamp(low=0.0, high=1.0)))
        else:
            layers.append(
                Add(name=name, inputs=(first, second), constant=None, signs=(1, 1), ofm=name,
                    clamp=None)
            )  # fmt: skip
        maps.append(name)
    outputs = tuple(dict.fromkeys([maps[-1], maps[int(rng.integers(1, len(maps)))]]))
    return Network(
        name="random", digest="0", input="x", outputs=outputs, layers=tuple(layers),
        shapes=dict.fromkeys(maps, (8, 16, 16)), constants={},
    )  # fmt: skip


def live_maps(network):
    """Layers during which each map is on chip, if it stays: by its first name."""
    aliases = defaultdict(set)
    for name in network.shapes:
        origin = name
        while by_name := [
            layer for layer in network.layers if layer.ofm == origin and isinstance(layer, Reshape)
        ]:
            origin = by_name[0].ifm
        aliases[origin].add(name)
    lives = {}
    for origin, names in aliases.items():
        readers = [
            number
            for number, layer in enumerate(network.layers)
            if names & {*layer.inputs} and not isinstance(layer, Reshape)
        ]
        writers = [number for number, layer in enumerate(network.layers) if layer.ofm == origin]
        if writers and readers:
            lives[origin] = (writers[0], max(readers), bool(names & {*network.outputs}), names)
    return lives


@pytest.mark.parametrize("objective", ["latency", "energy", "energy_delay", "dram_bytes"])
@pytest.mark.parametrize("seed", range(12))
def test_layers_hold_the_maps_that_live_and_move_none_of_their_bytes(seed, objective):
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    keys = (f"mapping.objective={objective}",)
    hardware = shared_machine(*keys, capacity_KiB=int(rng.choice([8, 12, 24])))
    schedules = schedule_layers(hardware, network, *widths(network))
    lives = live_maps(network)
    n_bytes = math.prod(network.shapes["x"])
    names_of = {name: origin for origin, life in lives.items() for name in life[3]}

    def stays(origin):
        first, last, is_output, _ = lives[origin]
        if is_output:
            return schedules[first].nest.resident_bytes > 0 and any(
                reads(number, origin) for number in range(first, last + 1)
            )
        return schedules[first].nest.ofm_stays

    def reads(number, origin):
        nest = schedules[number].nest
        inputs = [names_of.get(name) for name in network.layers[number].inputs]
        flags = [nest.ifm_stays, nest.residual_stays]
        return any(name == origin and flag for name, flag in zip(inputs, flags, strict=False))

    kept = {origin for origin in lives if stays(origin)}
    for number, (layer, schedule) in enumerate(zip(network.layers, schedules, strict=True)):
        nest, moved = schedule.nest, schedule.dram_bytes
        if nest.kind is Kind.LAYOUT:
            assert schedule.cycles.total == 0
            continue
        here = [origin for origin in kept if lives[origin][0] <= number <= lives[origin][1]]
        assert nest.resident_bytes == n_bytes * len(here)
        from_chip = [names_of.get(name) in kept for name in layer.inputs]
        assert moved.ifm_read == (0 if from_chip[0] else n_bytes)
        if len(from_chip) > 1:
            assert moved.residual_read == (0 if from_chip[1] else n_bytes)
        stays_only = layer.ofm in kept and not lives[layer.ofm][2]
        assert moved.ofm_write == (0 if stays_only else n_bytes)
        # Two halves of the tiles of all operands that do not stay lie beside the maps.
        tile = schedule.mapping.tile
        elements = tile.batch * tile.groups * tile.output_rows * tile.output_cols
        parts = [*from_chip, stays_only].count(False)
        assert 2 * elements * parts + nest.resident_bytes <= hardware.buffers.ifm.capacity_bytes


@pytest.mark.parametrize("objective", ["latency", "energy"])
@pytest.mark.parametrize("capacity_KiB", [8, 16, 64])
def test_what_stays_never_makes_the_objective_worse(objective, capacity_KiB):
    network = without_concat()
    cost = {
        "latency": lambda layer: layer.cycles.total,
        "energy": lambda layer: layer.energy.total.value_pJ,
    }[objective]
    total = {}
    for residency in ("auto", "none"):
        keys = (f"mapping.objective={objective}", f"mapping.residency={residency}")
        layers = run(network, shared_machine(*keys, capacity_KiB=capacity_KiB))
        total[residency] = sum(map(cost, layers.values()))
    assert total["auto"] < total["none"]


def test_with_room_for_all_maps_only_what_must_moves():
    network = without_concat()
    layers = run(network, shared_machine("mapping.objective=dram_bytes", capacity_KiB=256))
    read = sum(layer.dram_bytes.read for layer in layers.values())
    written = sum(layer.dram_bytes.write for layer in layers.values())
    # The input; three tensors of weights of a byte, two of biases of 2 bytes; the output.
    weights = 8 * 3 * 9 + 8 * 9 + 10 * 8
    assert (read, written) == (3 * 12 * 12 + weights + 2 * (8 + 10), 10)
    assert {name: layer.resident for name, layer in layers.items()} == {
        "conv1": ("ofm",), "conv2": ("ifm", "ofm"), "add": ("ifm", "residual", "ofm"),
        "pool": ("ifm", "ofm"), "mean": ("ifm", "ofm"), "flatten": (), "fc": ("ifm",),
    }  # fmt: skip
    assert layers["add"].dram_bytes.read == layers["add"].dram_bytes.write == 0
    assert layers["add"].cycles.dram_stalls == 0


def test_an_output_that_a_layer_reads_stays_and_is_written():
    network = replace(without_concat(), outputs=("y", "c"))
    layers = run(network, shared_machine(capacity_KiB=256))
    assert layers["add"].dram_bytes.ofm_write == 8 * 12 * 12
    assert layers["pool"].dram_bytes.ifm_read == 0
    assert layers["pool"].resident == ("ifm", "ofm")


@pytest.mark.parametrize(
    "hardware",
    [
        load_hardware("edge_16x16", [FLAT]),
        shared_machine("mapping.residency=none", capacity_KiB=256),
        load_hardware(
            "edge_16x16",
            [
                "buffers={ifm: {capacity_KiB: 256, port_bits: 128, ports: 1r1w, banks: 2, "
                "double_buffered: true}, ofm: {capacity_KiB: 64, port_bits: 128, ports: 1r1w, "
                "banks: 2, double_buffered: true}, psum: in_ofm, shared: [ifm, weights]}",
                FLAT,
            ],
        ),
    ],
    ids=["apart", "none", "ifm_and_weights"],
)
def test_without_a_place_to_stay_every_map_passes_through_dram(hardware):
    layers = run(small_network(), hardware)
    assert all(layer.resident == () for layer in layers.values())
    assert layers["conv1"].dram_bytes.ofm_write == 8 * 12 * 12


def skip_over_two_layers():
    """Maps of 2 KiB; the first skips over two layers to the sum."""
    clip = {"clamp": Clamp(low=0.0, high=1.0)}
    layers = (
        Clip(name="m0", ifm="x", ofm="m0", **clip),
        Clip(name="m1", ifm="m0", ofm="m1", **clip),
        Clip(name="m2", ifm="m1", ofm="m2", **clip),
        Add(name="m3", inputs=("m2", "m0"), constant=None, signs=(1, 1), ofm="m3", clamp=None),
    )
    return Network(
        name="skip", digest="0", input="x", outputs=("m3",), layers=layers,
        shapes=dict.fromkeys(("x", "m0", "m1", "m2", "m3"), (8, 16, 16)), constants={},
    )  # fmt: skip


def test_a_pinned_tile_comes_before_a_map_that_skips_over_it():
    """Two halves of 4 KiB of tiles: the pinned ones leave nothing beside them."""
    network = skip_over_two_layers()
    free = run(network, shared_machine("mapping.objective=dram_bytes", capacity_KiB=8))
    assert free["m0"].resident == ("ofm",)
    whole = "{groups: 8, output_rows: 16, output_cols: 16}"
    pin = f"mapping={{objective: dram_bytes, pin: [{{layer: m2, tile: {whole}}}]}}"
    pinned = run(network, shared_machine(pin, capacity_KiB=8))
    assert pinned["m0"].resident == ()
    assert pinned["m2"].resident == ("ifm", "ofm")
    assert pinned["m3"].resident == ("ifm",)


def test_a_map_that_costs_more_than_it_saves_does_not_stay():
    """Beside the first map there is no room for all of what the convolution reads.

    Maps have 4 KiB. Alone, the convolution holds its ifm while weights and sums of 8 filters at
    a time pass by; beside the first map it would have to bring the ifm for each of these again,
    or all weights twice: 28 KiB or 36, where the map saves 12.
    """
    skip = skip_over_two_layers()
    conv = Conv(
        name="m2", ifm="m1", ofm="m2", weights="w", bias=None, stride=(1, 1), pads=(1, 1, 1, 1),
        dilation=(1, 1), groups=1, clamp=None,
    )  # fmt: skip
    network = replace(
        skip, layers=(*skip.layers[:2], conv, skip.layers[3]),
        shapes=dict.fromkeys(skip.shapes, (64, 8, 8)),
        constants={"w": np.zeros((64, 64, 3, 3), np.float32)},
    )  # fmt: skip
    small = ("buffers.weights.capacity_KiB=8", "buffers.psum.capacity_KiB=4")
    keys = ("mapping.objective=dram_bytes", *small)
    layers = run(network, shared_machine(*keys, capacity_KiB=12))
    assert "ofm" not in layers["m0"].resident
    assert layers["m1"].resident == ("ofm",)
    roomy = run(network, shared_machine(*keys, capacity_KiB=24))
    assert roomy["m0"].resident == ("ofm",)
