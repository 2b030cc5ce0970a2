"""Does a concatenation have its parts where they were written, and nobody a value less?"""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from accel_sim.functional import ExactNetwork, find_plan
from accel_sim.kernels.micro_kernels import HOST_PATHS
from accel_sim.layer_steps import prepare_step
from accel_sim.layer_steps.joined_maps import Placement, find_placements
from quantizer.fixedpoint.qformat import QFormat
from quantizer.network.layers import Concat, Conv, MaxPool, Reshape
from quantizer.quantized import QuantizedNetwork
from tests.functional.by_hand import constant, quantized, signed, unsigned

ON_EVERY_PATH = pytest.mark.parametrize("path", HOST_PATHS, ids=lambda path: path.name)
SIZE = 5


def conv(ifm: str, ofm: str, weights: str) -> Conv:
    return Conv(
        name=ofm, ifm=ifm, ofm=ofm, clamp=None, weights=weights, bias=None, stride=(1, 1),
        pads=(1, 1, 1, 1), dilation=(1, 1), groups=1,
    )  # fmt: skip


def pool(ifm: str, ofm: str) -> MaxPool:
    return MaxPool(
        name=ofm, ifm=ifm, ofm=ofm, kernel=(3, 3), stride=(1, 1), pads=(1, 1, 1, 1),
        dilation=(1, 1),
    )  # fmt: skip


def joined(inputs: tuple[str, ...], ofm: str, axis: int = 0) -> Concat:
    return Concat(name=ofm, inputs=inputs, ofm=ofm, axis=axis)


def dense_block(bits: int, channels: tuple[int, int, int]) -> QuantizedNetwork:
    """Concatenations in a concatenation; parts that others read; one made by a pool."""
    rng = np.random.default_rng(0)
    a, b, c = channels
    fmt = signed(bits, 4)
    sizes = {
        "x": 3, "a": a, "b": b, "ab": a + b, "c": c, "abc": a + b + c, "p": a, "d": b, "y": a + b,
        "q": a + 3,
    }  # fmt: skip
    shapes: dict[str, tuple[QFormat, tuple[int, ...]]] = {
        name: (fmt, (size, SIZE, SIZE)) for name, size in sizes.items()
    }

    def weights(filters: int, depth: int) -> Any:
        return constant(rng.integers(-9, 10, (filters, depth, 3, 3)), 4, bits=8)

    return quantized(
        conv("x", "a", "wa"),
        conv("a", "b", "wb"),
        joined(("a", "b"), "ab"),
        conv("ab", "c", "wc"),
        joined(("ab", "c"), "abc"),
        pool("a", "p"),
        conv("abc", "d", "wd"),
        joined(("p", "d"), "y"),
        joined(("a", "x"), "q"),
        maps=shapes,
        weights={
            "wa": weights(a, 3),
            "wb": weights(b, a),
            "wc": weights(c, a + b),
            "wd": weights(b, a + b + c),
        },
    )


def run_step_by_step(network: QuantizedNetwork, image: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Every map by itself."""
    maps = {"x": ExactNetwork(network).encode(image)}
    for layer in network.network.layers:
        maps[layer.ofm], _ = prepare_step(network, layer, find_plan(network, layer, {}))(maps)
    return maps


@ON_EVERY_PATH
@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("channels", [(3, 5, 7), (16, 32, 48), (33, 1, 20)])
def test_joined_maps_have_the_values_of_maps_alone(
    path: Any, bits: int, channels: tuple[int, int, int]
) -> None:
    network = dense_block(bits, channels)
    image = np.random.default_rng(1).normal(0, 1, (3, SIZE, SIZE))
    expected = run_step_by_step(network, image)
    found = ExactNetwork(network, path=path).run(image).tensors
    assert found.keys() == expected.keys()
    for name, raw in expected.items():
        np.testing.assert_array_equal(found[name], raw, name)
    for part, whole in (("ab", "abc"), ("c", "abc"), ("p", "y"), ("d", "y")):
        assert np.shares_memory(found[part], found[whole])
    last = ExactNetwork(network, path=path).run(image, keeps_maps=False).tensors
    assert set(last) == set(network.network.outputs)
    np.testing.assert_array_equal(last["q"], expected["q"])


@ON_EVERY_PATH
def test_a_part_that_is_another_part_by_another_name_is_written_too(path: Any) -> None:
    rng = np.random.default_rng(0)
    fmt = signed(8, 4)
    network = quantized(
        conv("x", "a", "w"),
        Reshape(name="b", ifm="a", ofm="b"),
        joined(("b", "a"), "y"),
        maps={
            **{name: (fmt, (3, SIZE, SIZE)) for name in ("x", "a", "b")},
            "y": (fmt, (6, SIZE, SIZE)),
        },
        weights={"w": constant(rng.integers(-9, 10, (3, 3, 3, 3)), 4, bits=8)},
    )
    image = rng.normal(0, 1, (3, SIZE, SIZE))
    found = ExactNetwork(network, path=path).run(image).tensors
    expected = run_step_by_step(network, image)
    for name, raw in expected.items():
        np.testing.assert_array_equal(found[name], raw, name)


def test_parts_are_those_of_the_first_concatenation() -> None:
    parts = find_placements(dense_block(8, (3, 5, 7)))
    assert parts == {
        "a": Placement(joined="ab", first=0, channels=3),
        "b": Placement(joined="ab", first=3, channels=5),
        "ab": Placement(joined="abc", first=0, channels=8),
        "c": Placement(joined="abc", first=8, channels=7),
        "p": Placement(joined="y", first=0, channels=3),
        "d": Placement(joined="y", first=3, channels=5),
    }


@pytest.mark.parametrize(
    ("inputs", "axis", "fmt"),
    [
        (("a", "a"), 0, signed(8, 4)),  # twice
        (("a", "x"), 0, signed(8, 4)),  # what no layer makes
        (("a", "b"), 1, signed(8, 4)),  # not by channels
        (("a", "b"), 0, unsigned(8, 4)),  # of another format
    ],
)
def test_other_concatenations_copy(inputs: tuple[str, ...], axis: int, fmt: QFormat) -> None:
    rng = np.random.default_rng(0)
    own = signed(8, 4)
    weights = constant(rng.integers(-9, 10, (3, 3, 3, 3)), 4, bits=8)
    shape = (6, SIZE, SIZE) if axis == 0 else (3, 2 * SIZE, SIZE)
    network = quantized(
        conv("x", "a", "w"),
        conv("x", "b", "w"),
        joined(inputs, "y", axis),
        maps={
            **{name: (own, (3, SIZE, SIZE)) for name in ("x", "a", "b")},
            "y": (fmt, shape),
        },
        weights={"w": weights},
    )
    assert find_placements(network) == {}
    image = rng.normal(0, 1, (3, SIZE, SIZE))
    found = ExactNetwork(network).run(image).tensors["y"]
    np.testing.assert_array_equal(found, run_step_by_step(network, image)["y"])
