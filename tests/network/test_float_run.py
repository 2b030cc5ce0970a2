"""Does the float reference compute what a layer says, and by the constants that it is given?"""

import numpy as np
import pytest

from quantizer.network.float_run import FloatRunner
from quantizer.network.graph import Network
from quantizer.network.layers import Add, BatchNorm, Clamp, Layer, PRelu, Upsample

IFM = np.random.default_rng(1).normal(size=(3, 4, 5)).astype(np.float32)
CONSTANTS = {
    "k": np.arange(3, dtype=np.float32).reshape(3, 1, 1),
    "s": np.array([1, -2, 3], np.float32),
    "one": np.array([0.5], np.float32),
}


def run(layer: Layer, ofm_shape: tuple[int, ...] = IFM.shape, **replaced: np.ndarray) -> np.ndarray:
    network = Network(
        name="one layer",
        digest="",
        input="x",
        outputs=("y",),
        layers=(layer,),
        shapes={"x": IFM.shape, "y": ofm_shape},
        constants=CONSTANTS,
    )
    return FloatRunner(network, replaced).run(IFM.astype(np.float64))["y"]


@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
def test_a_sum_has_the_signs_of_its_layer(signs: tuple[int, int]) -> None:
    layer = Add(name="a", ofm="y", inputs=("x",), constant="k", signs=signs, clamp=None)
    expected = signs[0] * IFM + signs[1] * CONSTANTS["k"]
    np.testing.assert_array_equal(run(layer), expected)


def test_a_clamp_holds_what_the_layer_computes() -> None:
    clamp = Clamp(low=-0.5, high=np.inf)
    layer = Add(name="a", ofm="y", inputs=("x", "x"), constant=None, signs=(1, 1), clamp=clamp)
    np.testing.assert_array_equal(run(layer), np.maximum(IFM + IFM, -0.5))


def test_constants_can_be_replaced_by_name() -> None:
    layer = BatchNorm(name="n", ofm="y", ifm="x", weights="s", bias="s", clamp=None)
    other = np.array([4, 5, 6], np.float32)
    found = run(layer, s=other)
    np.testing.assert_allclose(found, IFM * other[:, None, None] + other[:, None, None], rtol=1e-6)


def test_one_slope_is_for_all_channels() -> None:
    layer = PRelu(name="p", ofm="y", ifm="x", slopes="one", clamp=None)
    np.testing.assert_array_equal(run(layer), np.where(IFM < 0, IFM / 2, IFM))


def test_repetition_is_exact_whatever_the_factor() -> None:
    layer = Upsample(name="u", ofm="y", ifm="x", factors=(1, 7, 49))
    found = run(layer, (3, 28, 245))
    np.testing.assert_array_equal(found, IFM.repeat(7, axis=1).repeat(49, axis=2))
