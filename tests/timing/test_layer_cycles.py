"""Does a layer name what it spends most of its time on?"""

from dataclasses import replace

import pytest

from accel_sim.timing.layer_cycles import NO_CYCLES, Bound


def test_a_free_layer_is_bound_by_nothing():
    assert NO_CYCLES.total == 0
    assert NO_CYCLES.bound_by is Bound.NOTHING


@pytest.mark.parametrize(
    ("cycles", "bound"),
    [
        ({"compute": 5, "fill_drain": 4}, Bound.COMPUTE),
        ({"compute": 4, "fill_drain": 5}, Bound.FILL_DRAIN),
        ({"compute": 4, "overhead": 5}, Bound.OVERHEAD),
        # DRAM as a whole takes more than computing does.
        ({"compute": 5, "stall_dram_ifm": 3, "stall_dram_ofm": 4}, Bound.DRAM_OFM),
        ({"compute": 5, "stall_port_psum": 3, "stall_port_weights": 4}, Bound.PORT_WEIGHTS),
        ({"compute": 5, "stall_port_psum": 3, "stall_dram_psum": 3}, Bound.COMPUTE),
        ({"compute": 5, "stall_dram_ifm": 5}, Bound.COMPUTE),
    ],
)
def test_the_largest_kind_of_cause_binds(cycles, bound):
    layer = replace(NO_CYCLES, **cycles)
    assert layer.bound_by is bound
    assert layer.total == sum(cycles.values())


def test_dram_stalls_are_those_of_all_operands():
    layer = replace(
        NO_CYCLES, compute=100, stall_dram_ifm=1, stall_dram_weights=2, stall_dram_psum=3,
        stall_dram_ofm=4, stall_port_ifm=50,
    )  # fmt: skip
    assert layer.dram_stalls == 10
