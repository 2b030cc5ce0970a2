"""Is no schedule given up that costs less than the limit?"""

import numpy as np
import pytest

from accel_sim.mapping.search_cost import MANY_CYCLES, SearchCost


@pytest.mark.parametrize("is_times_cycles", [False, True])
@pytest.mark.parametrize("seed", range(50))
def test_most_cycles_are_a_bound_that_is_close(seed, is_times_cycles):
    rng = np.random.default_rng(seed)
    fixed = float(rng.choice([0, 1, 1e-3, 1e12])) * rng.random()
    per_cycle = float(10.0 ** rng.integers(-6, 6)) * rng.random()
    cost = SearchCost(fixed=np.zeros((1, 1)), per_cycle=per_cycle, is_times_cycles=is_times_cycles)

    def price(cycles):
        return float(cost.price(np.array(fixed), np.array(cycles)))

    cycles = int(rng.integers(1, 1 << int(rng.integers(1, 40))))
    most = cost.most_cycles(fixed, price(cycles))
    # Rounding is relative to the cost, of which the cycles may be a small part.
    slack = 2 + 2e-9 * (cycles + (0 if is_times_cycles else fixed / per_cycle))
    assert cycles <= most <= cycles + slack
    assert cost.most_cycles(fixed, float("inf")) == MANY_CYCLES


def test_where_time_is_free_no_schedule_is_given_up():
    cost = SearchCost(fixed=np.zeros((1, 1)), per_cycle=0.0, is_times_cycles=False)
    assert cost.most_cycles(5.0, 5.0) == MANY_CYCLES
