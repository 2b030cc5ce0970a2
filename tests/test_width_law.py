"""Does a narrower operand never cost more?

With the schedule pinned, the activity fixed, no modes and dense packing, nothing is left that
a wider operand could save: the energy of MACs, register files, buffers, wires and DRAM, and all
bytes, are non-decreasing in each width, on a fixed datapath and on a rebuilt one. With the
mapping free and searched for the least energy, the total is. What a bit of DRAM costs does not
depend on the widths.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest

from accel_sim.hardware.config import HardwareConfig
from accel_sim.hardware.load import load_hardware
from accel_sim.hardware.mapping_options import Pin, PinnedTile
from accel_sim.machine_fit import set_datapath
from accel_sim.performance import LayerActivity, LayerPerformance, run_performance
from accel_sim.word_lengths import plan_word_lengths
from quantizer.network.graph import Network
from quantizer.network.onnx_import import load_onnx
from quantizer.quantized import BitWidths
from tests.digits import load_digits

WIDEST = 16
ROUNDING = 1 + 1e-12
"""Sums of the same terms in another order."""
FEW = (2, 5, 8, 16)
SOME = (4, 8, 16)
ALL = tuple(range(2, WIDEST + 1))


@pytest.fixture(scope="module", params=["digits", "resnet8"])
def network(request: pytest.FixtureRequest) -> Network:
    if request.param == "digits":
        return load_digits(1)[0]
    reference_data: Path = request.getfixturevalue("reference_data")
    return load_onnx(reference_data / "networks" / "resnet8_cifar10.onnx")


def plain_machine(name: str, *overrides: str) -> HardwareConfig:
    """A shipped machine for all widths, on which no schedule depends on another layer's."""
    return load_hardware(
        name,
        [
            f"precision.weight_bits={WIDEST}",
            f"precision.activation_bits={WIDEST}",
            "precision.accumulator_bits=40",
            "precision.modes=[]",
            "dram.packing=dense",
            *overrides,
        ],
    )


def run(
    hardware: HardwareConfig, network: Network, weights: int, activations: int
) -> tuple[LayerPerformance, ...]:
    """Costs with a third of the activations zero, and no weight."""
    bits = BitWidths(weights=weights, activations=activations, inputs=activations)
    lengths = plan_word_lengths(network, bits)
    return run_performance(
        hardware,
        network,
        lengths.feature_maps,
        lengths.constants,
        {layer.name: LayerActivity(zero_ifm_fraction=1 / 3) for layer in network.layers},
        requantized_inputs=lengths.requantized_inputs,
    )


def pin_all(hardware: HardwareConfig, layers: Sequence[LayerPerformance]) -> HardwareConfig:
    """The machine with the schedule of a run."""
    names = tuple(PinnedTile.model_fields)
    pins = tuple(
        Pin(
            layer=layer.name,
            tile=PinnedTile(**{name: getattr(layer.mapping.tile, name) for name in names}),
            loop_order=layer.mapping.loop_order,
        )
        for layer in layers
        if layer.mapping is not None
    )
    mapping = hardware.mapping.model_copy(update={"pin": pins})
    return hardware.model_copy(update={"mapping": mapping})


COSTS: dict[str, Callable[[LayerPerformance], float]] = {
    "mac": lambda layer: layer.energy.mac.value_pJ,
    "register_file": lambda layer: layer.energy.register_file.value_pJ,
    "wires": lambda layer: layer.energy.wires.value_pJ,
    "buffers": lambda layer: layer.energy.buffers.value_pJ,
    "dram_dynamic": lambda layer: layer.energy.dram.dynamic.value_pJ,
    "read bytes": lambda layer: layer.dram_bytes.read,
    "write bytes": lambda layer: layer.dram_bytes.write,
}


def rises(
    weights: Sequence[int], activations: Sequence[int]
) -> Iterator[tuple[tuple[int, int], ...]]:
    """Pairs of neighbours on the grid of widths, the narrower one first."""
    for low, high in pairwise(weights):
        yield from (((low, bits), (high, bits)) for bits in activations)
    for low, high in pairwise(activations):
        yield from (((bits, low), (bits, high)) for bits in weights)


def check_pinned(
    name: str, network: Network, weights: Sequence[int], activations: Sequence[int], rebuilds: bool
) -> None:
    machine = plain_machine(name, "mapping.residency=none")
    machine = pin_all(machine, run(machine, network, WIDEST, WIDEST))
    costs = {}
    for widths in product(weights, activations):
        built = machine
        if rebuilds:
            built = set_datapath(
                machine, weight_bits=widths[0], activation_bits=widths[1], modes=()
            )
        layers = run(built, network, *widths)
        costs[widths] = {cost: sum(map(measure, layers)) for cost, measure in COSTS.items()}
    assert [
        (cost, narrow, wide)
        for narrow, wide in rises(weights, activations)
        for cost in COSTS
        if costs[narrow][cost] > costs[wide][cost] * ROUNDING
    ] == []
    # The law says something: the widest operands do cost more.
    least, most = costs[weights[0], activations[0]], costs[weights[-1], activations[-1]]
    grows = [cost for cost in COSTS if least[cost] < most[cost]]
    assert set(grows) >= {"dram_dynamic", "buffers", "read bytes", "write bytes"}
    assert ("mac" in grows) is rebuilds


@pytest.mark.parametrize("rebuilds", [False, True])
def test_with_the_schedule_pinned_no_cost_falls_with_a_wider_operand(network, rebuilds):
    check_pinned("edge_16x16", network, FEW, SOME, rebuilds)


@pytest.mark.slow
@pytest.mark.parametrize("rebuilds", [False, True])
@pytest.mark.parametrize(
    "name", ["edge_16x16", "mobile_32x32", "iot_8x8", "micro_8x16", "eyeriss_12x14"]
)
def test_the_law_holds_on_every_kind_of_array_and_at_every_width(network, name, rebuilds):
    check_pinned(name, network, ALL, (2, 4, 8, 11, 16), rebuilds)


def check_free(
    name: str, network: Network, weights: Sequence[int], activations: Sequence[int]
) -> None:
    machine = plain_machine(name, "mapping.objective=energy")
    totals = {
        widths: sum(layer.energy.total.value_pJ for layer in run(machine, network, *widths))
        for widths in product(weights, activations)
    }
    assert [
        (narrow, wide)
        for narrow, wide in rises(weights, activations)
        if totals[narrow] > totals[wide] * ROUNDING
    ] == []


def test_where_energy_is_searched_for_the_total_never_falls_with_a_wider_operand(network):
    check_free("edge_16x16", network, FEW, SOME)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["edge_16x16", "mobile_32x32", "iot_8x8", "micro_8x16", "eyeriss_12x14"]
)
def test_the_search_keeps_the_law_on_every_kind_of_array(network, name):
    check_free(name, network, (2, 3, 4, 6, 8, 9, 12, 16), (4, 6, 8, 10, 12, 16))


def test_what_a_byte_of_dram_costs_does_not_depend_on_the_widths(network):
    machine = plain_machine("edge_16x16")
    layers = [
        layer
        for widths in ((4, 4), (4, 8), (9, 16))
        for layer in run(machine, network, *widths)
        if layer.dram_bytes.read or layer.dram_bytes.write
    ]
    moved = np.array([(layer.dram_bytes.read, layer.dram_bytes.write) for layer in layers], float)
    for cause, columns in {"read": [0], "write": [1], "io": [0, 1]}.items():
        energy = np.array([getattr(layer.energy.dram, cause).value_pJ for layer in layers])
        per_byte = np.linalg.lstsq(moved[:, columns], energy, rcond=None)[0]
        assert (per_byte > 0).all()
        np.testing.assert_allclose(moved[:, columns] @ per_byte, energy, rtol=1e-9)
