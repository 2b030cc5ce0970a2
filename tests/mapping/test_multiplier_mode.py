"""Does every layer take the cheapest mode that holds it?"""

from dataclasses import replace

import numpy as np
import pytest

from accel_sim.hardware.config import HardwareConfig
from accel_sim.hardware.load import load_hardware
from accel_sim.mapping.loop_nest import Kind, LoopNest
from accel_sim.mapping.multiplier_mode import choose_mode
from tests.mapping.random_layers import random_nest

FOUR = "{weight_bits: 4, activation_bits: 4, macs_per_pe: 4, along: reduction}"
FOUR_FILTERS = "{weight_bits: 4, activation_bits: 4, macs_per_pe: 4, along: filters}"
TWO = "{weight_bits: 4, activation_bits: 8, macs_per_pe: 2, along: reduction}"
NARROW_TWO = "{weight_bits: 4, activation_bits: 4, macs_per_pe: 2, along: reduction}"
SIXTEEN = "{weight_bits: 2, activation_bits: 2, macs_per_pe: 16, along: reduction}"
WIDE_FOUR = "{weight_bits: 8, activation_bits: 2, macs_per_pe: 4, along: reduction}"


def machine(*modes: str, keys: tuple[str, ...] = ()) -> HardwareConfig:
    return load_hardware("edge_16x16", [f"precision.modes=[{', '.join(modes)}]", *keys])


def layer(weight_bits: int, ifm_bits: int, **changes: int) -> LoopNest:
    nest = random_nest(np.random.default_rng(0))
    shape = {"filters": 32, "channels": 16, "groups": 1} | changes
    return replace(nest, weight_bits=weight_bits, ifm_bits=ifm_bits, **shape)


@pytest.mark.parametrize(
    ("weight_bits", "ifm_bits", "macs_per_pe"),
    [(8, 8, 1), (5, 4, 1), (4, 8, 2), (4, 5, 2), (4, 4, 4), (3, 2, 4), (2, 4, 4), (2, 2, 16)],
)
def test_the_most_macs_of_those_that_hold_both_operands(weight_bits, ifm_bits, macs_per_pe):
    chosen = choose_mode(layer(weight_bits, ifm_bits), machine(TWO, SIXTEEN, FOUR)).mode
    assert (chosen.macs_per_pe if chosen else 1) == macs_per_pe


@pytest.mark.parametrize("modes", [(TWO, NARROW_TWO), (NARROW_TWO, TWO)])
def test_of_equals_the_narrowest(modes):
    assert choose_mode(layer(4, 2), machine(*modes)).mode.activation_bits == 4


@pytest.mark.parametrize("modes", [(FOUR, FOUR_FILTERS), (FOUR_FILTERS, FOUR), (WIDE_FOUR, FOUR)])
def test_of_equals_of_one_size_the_first(modes):
    hardware = machine(*modes)
    assert choose_mode(layer(4, 2), hardware).mode == hardware.precision.modes[0]


def test_a_mode_counts_for_what_the_layer_can_use_of_it():
    """A depthwise layer has one filter a group, one of 1x1 on one channel one product."""
    hardware = machine(FOUR_FILTERS, FOUR)
    depthwise = layer(4, 4, filters=1, channels=1, filter_rows=3, filter_cols=3)
    assert choose_mode(depthwise, hardware).mode.along == "reduction"
    pointwise = layer(4, 4, channels=1, filter_rows=1, filter_cols=1)
    assert choose_mode(pointwise, hardware).mode.along == "filters"
    # The rows of adder trees take channels, one tap at a time.
    trees = machine(
        FOUR_FILTERS, FOUR, keys=("mac_array.dataflow=channel_parallel", "mac_array.drain=hidden")
    )
    assert choose_mode(layer(4, 4, channels=1), trees).mode.along == "filters"


def test_on_native_groups_a_mode_counts_by_whether_any_lie_there():
    """Rows take all products of groups side by side, but channels of those that are alone."""
    trees = ["channel_parallel", "drain=hidden", "depthwise=native", "cols=8"]
    keys = tuple(f"mac_array.{key}" for key in (f"dataflow={trees[0]}", *trees[1:]))
    hardware = machine(FOUR, FOUR_FILTERS, keys=keys)
    window = {"channels": 1, "filter_rows": 3, "filter_cols": 3}
    assert (
        choose_mode(layer(4, 4, filters=1, groups=4, **window), hardware).mode.along == "reduction"
    )
    assert choose_mode(layer(4, 4, **window), hardware).mode.along == "filters"
    # Groups of more filters than half of the columns hold are alone, unless a mode holds them.
    alone = layer(4, 4, filters=5, groups=4, **window)
    assert choose_mode(alone, machine(FOUR, keys=keys)).mode.along == "reduction"
    assert choose_mode(alone, hardware).mode.along == "filters"


def test_layers_off_the_array_have_no_mode():
    nest = random_nest(np.random.default_rng(0), Kind.ADD)
    assert choose_mode(replace(nest, ifm_bits=4), machine(FOUR)).mode is None
