"""Does a layer run as its pin says, and is a pin that cannot be had one sentence?"""

from dataclasses import replace

import numpy as np
import pytest

from accel_sim.energy.constants import energy_constants
from accel_sim.energy.search_cost import search_cost
from accel_sim.hardware.load import load_hardware
from accel_sim.hardware.mapping_options import Pin, PinnedTile
from accel_sim.mapping.enumerate_tiles import enumerate_tiles
from accel_sim.mapping.loop_nest import Kind
from accel_sim.mapping.pins import check_pin
from accel_sim.timing.tile_search import search_tiles
from quantizer.errors import InputError
from tests.mapping.random_layers import DATAFLOWS, random_machine, random_nest

EXTENTS = ("batch", "groups", "filters", "channels", "output_rows", "output_cols")


def find(nest, hardware, pin=None):
    space = enumerate_tiles(nest, hardware, pin)

    def cost(tiles, moved):
        return search_cost(nest, hardware, energy_constants(hardware), tiles, moved)

    found = search_tiles(nest, hardware, space, cost)
    return space.tile(found.candidate), found


def whole_pin(tile, loop_order):
    extents = {name: getattr(tile, name) for name in EXTENTS}
    return Pin(layer="", tile=PinnedTile(**extents), loop_order=loop_order)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("seed", range(4))
def test_a_pinned_schedule_is_the_one_that_runs(seed, dataflow):
    rng = np.random.default_rng(seed)
    nest, hardware = random_nest(rng), random_machine(rng, dataflow=dataflow)
    tile, best = find(nest, hardware)
    assert find(nest, hardware, whole_pin(tile, best.loop_order)) == (
        tile,
        replace(best, candidate=0),
    )
    space = enumerate_tiles(nest, hardware)
    for candidate in rng.integers(len(space.feasible), size=3).tolist():
        order = space.orders[rng.integers(len(space.orders))]
        pin = whole_pin(space.tile(candidate), order)
        check_pin(nest, hardware, pin)
        pinned_tile, found = find(nest, hardware, pin)
        assert (pinned_tile, found.loop_order) == (space.tile(candidate), order)


@pytest.mark.parametrize("name", EXTENTS)
def test_what_is_not_pinned_is_searched_for(name):
    rng = np.random.default_rng(5)
    nest, hardware = random_nest(rng), random_machine(rng)
    extent = getattr(nest, name)
    size = int(rng.integers(1, extent + 1))
    pinned_tile, found = find(nest, hardware, Pin(layer="", tile=PinnedTile(**{name: size})))
    assert getattr(pinned_tile, name) == size
    assert find(nest, hardware, whole_pin(pinned_tile, ()))[1].cycles.total >= found.cycles.total


def test_any_extent_can_be_pinned_not_only_those_of_the_search():
    nest = replace(random_nest(np.random.default_rng(0)), blocks=1, filters=100)
    hardware = load_hardware("cloud_64x64")
    tile, _ = find(nest, hardware, Pin(layer="", tile=PinnedTile(filters=37)))
    assert tile.filters == 37


@pytest.mark.parametrize(
    ("nest", "machine", "pin", "sentence"),
    [
        (
            {},
            [],
            {"tile": PinnedTile(filters=9)},
            "layer 'conv3': mapping.pin: tile.filters=9 is more than the 8 there are",
        ),
        (
            {"blocks": 2, "channels": 4},
            [],
            {"tile": PinnedTile(channels=2)},
            "layer 'conv3': mapping.pin: tile.channels=2: groups that lie on the array together "
            "stay whole; expected 4",
        ),
        (
            {},
            ["mapping.reduction=fixed", "mac_array.dataflow=weight_stationary",
             "mac_array.drain=hidden"],
            {"tile": PinnedTile(channels=3)},
            "layer 'conv3': mapping.pin: tile.channels=3 changes the order of additions, which "
            "mapping.reduction fixes; leave it out, or set that to free",
        ),
        (
            {"kind": Kind.LAYOUT},
            [],
            {},
            "layer 'conv3': mapping.pin: the layer costs nothing and has no schedule; leave it out",
        ),
        (
            {"kind": Kind.POOL},
            [],
            {"loop_order": ("groups", "filters", "pixels", "channels")},
            "layer 'conv3': mapping.pin: loop_order: off the array it is groups, pixels, filters, "
            "channels; leave it out, or give that",
        ),
        (
            {"output_rows": 400, "output_cols": 400, "input_rows": 400, "input_cols": 400},
            [],
            {"tile": PinnedTile(output_rows=400, output_cols=400)},
            "layer 'conv3': mapping.pin: the smallest tile that it allows needs 160000 bytes of "
            "ifm, buffers.ifm holds 32768 for a tile; expected smaller extents",
        ),
    ],
)  # fmt: skip
def test_a_pin_that_cannot_be_had_is_one_sentence(nest, machine, pin, sentence):
    plain = replace(
        random_nest(np.random.default_rng(0)), layer="conv3", kind=Kind.MAC, batch=1, groups=1,
        blocks=1, filters=8, channels=8, filter_rows=1, filter_cols=1, output_rows=4,
        output_cols=4, input_rows=4, input_cols=4, stride=(1, 1), dilation=(1, 1), pads=(0, 0),
        ifm_bits=8, weight_bits=8, bias_bits=0, ofm_bits=8,
    )  # fmt: skip
    hardware = load_hardware("edge_16x16", overrides=machine)
    with pytest.raises(InputError) as error:
        check_pin(replace(plain, **nest), hardware, Pin(layer="conv3", **pin))
    assert str(error.value) == sentence
