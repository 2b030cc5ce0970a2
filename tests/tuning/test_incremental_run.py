"""Does running only what a change touches give what running everything gives?"""

from pathlib import Path

import numpy as np
import pytest

from accel_sim.functional import ExactNetwork
from accel_sim.incremental_run import IncrementalRun
from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import Rounding
from quantizer.move_formats import MapClass, find_movables, unmoved
from quantizer.network.images import ImageSet
from quantizer.network.layers import WeightedLayer
from quantizer.quantize import quantize
from quantizer.quantized import BitWidths, NumericRules, QuantizedNetwork
from tests.tuning.networks import MAP, branched_at, loaded, normal_images

ROOMY, NONE = 1 << 30, 0


def assert_runs_as(run: IncrementalRun, candidate: QuantizedNetwork, pictures: ImageSet) -> None:
    exact, output = ExactNetwork(candidate), candidate.network.output
    outputs = list(run.outputs(candidate))
    assert len(outputs) == len(pictures)
    for index, raw in enumerate(outputs):
        expected = exact.run(pictures.real(index)).tensors[output]
        np.testing.assert_array_equal(raw, expected)
        assert raw.dtype == np.int32


@pytest.mark.parametrize("seed", range(24))
def test_random_moves_give_the_integers_of_a_full_run(seed: int, tmp_path: Path) -> None:
    """Any number of moves away from what is accepted; accepted or not; maps kept, some, none."""
    graph = loaded(seed, tmp_path)
    rng = np.random.default_rng(seed)
    pictures = normal_images(graph.shapes[graph.input], 3, seed)
    bits = BitWidths(
        weights=int(rng.integers(3, 9)),
        activations=int(rng.integers(3, 9)),
        inputs=int(rng.integers(3, 17)),
    )
    rules = NumericRules(requantize_rounding=Rounding(int(rng.integers(5))), accumulator_bits=48)
    start = quantize(graph, pictures, bits, rules, per_channel=bool(rng.integers(2)))
    run = IncrementalRun(start, pictures, memory_limit_bytes=ROOMY)
    per_image = sum(maps.nbytes for maps in run.kept_maps(0).values())
    limit = int(rng.choice([ROOMY, 2 * per_image, NONE]))
    run = IncrementalRun(start, pictures, memory_limit_bytes=limit)
    assert run.kept_images == {ROOMY: 3, NONE: 0}.get(limit, 2)
    movables = find_movables(start, {})
    variant = unmoved(start, {})
    accepted = start
    for _ in range(6):
        try:
            variant = variant.move(
                movables[int(rng.integers(len(movables)))], int(rng.choice([-2, -1, 1, 2]))
            )
            exact = ExactNetwork(variant.network)
        except InputError:
            continue
        assert_runs_as(run, variant.network, pictures)
        if rng.integers(2):
            run.accept(variant.network)
            accepted = variant.network
        assert run.accepted is accepted
        exact = ExactNetwork(accepted)
        for index in range(run.kept_images):
            maps, expected = run.kept_maps(index), exact.run(pictures.real(index)).tensors
            assert maps.keys() == expected.keys()
            for name, raw in expected.items():
                np.testing.assert_array_equal(maps[name], raw, err_msg=name)
                assert maps[name].nbytes <= 2 * raw.size


def test_a_layer_alone_reads_what_is_accepted() -> None:
    start, pictures = branched_at(), normal_images(MAP, 2)
    run = IncrementalRun(start, pictures, memory_limit_bytes=ROOMY)
    layer = next(one for one in start.network.layers if one.name == "c")
    assert isinstance(layer, WeightedLayer)
    elsewhere = unmoved(start, {}).move(MapClass(names=("x",)), -3).network
    kept = run.run_layer(elsewhere, layer)(1)
    np.testing.assert_array_equal(kept, run.kept_maps(1)["c.out"])
    coarser = unmoved(start, {}).move(MapClass(names=("c.out",)), -1).network
    expected = ExactNetwork(coarser).run(pictures.real(1)).tensors["c.out"]
    np.testing.assert_array_equal(run.run_layer(coarser, layer)(1), expected)
    run.accept(elsewhere)
    moved = ExactNetwork(elsewhere).run(pictures.real(1)).tensors["c.out"]
    np.testing.assert_array_equal(run.run_layer(elsewhere, layer)(1), moved)
    assert (moved != kept).any()
