"""Are layers that saturate exact on micro-kernels: every sum, every clamp, on every path?"""

import numpy as np
from hypothesis import given, settings
from numpy.typing import NDArray

from accel_sim.kernels.micro_kernels import HOST_PATHS, Path
from accel_sim.layer_steps.mac_layers import prepare_conv
from accel_sim.layer_steps.step import Events
from tests.functional.ordered_layers import Case, random_case
from tests.kernels.drawing import SEED

MANY = settings(max_examples=300, derandomize=True, deadline=None)


def run(case: Case, path: Path) -> tuple[NDArray[np.int32], Events]:
    step = prepare_conv(case.network, case.layer, case.plan, path)
    return step({"x": case.x.astype(np.int32)})


def check(case: Case) -> int:
    """Hold all paths against the oracle; return the clamps."""
    totals, clamps = case.expect()
    for path in HOST_PATHS:
        ofm, events = run(case, path)
        np.testing.assert_array_equal(ofm, totals, err_msg=path.name)
        assert events == Events(accumulator_overflows=clamps), path.name
    return clamps


@MANY
@given(seed=SEED)
def test_layers_equal_an_oracle_that_adds_one_by_one(seed: int) -> None:
    check(random_case(np.random.default_rng(seed)))
