"""Are synthetic weights what they promise: seeded, normal, and harmless to the values?"""

import hashlib
import math
from statistics import NormalDist

import numpy as np
import pytest

from accel_sim.builtin import builtin_names, find_builtin
from accel_sim.builtin.topologies.builder import (
    LARGEST_MEAN_SQUARE,
    RELU,
    TopologyBuilder,
)
from accel_sim.builtin.topologies.seeded import (
    IMAGE_MEAN,
    IMAGE_SCALE,
    make_images,
    normal_values,
)
from quantizer.network.float_run import FloatRunner
from quantizer.network.images import ImageSet, Preprocessing
from quantizer.network.layers import Conv, Dense

TOPOLOGIES = builtin_names()[1:]
LARGE = ("alexnet", "vgg16")
EACH = [
    pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in TOPOLOGIES
]


def digest(array):
    return hashlib.sha256(array.tobytes()).hexdigest()[:16]


def test_weights_are_these_bytes_everywhere():
    values = normal_values("network/tensor", (3, 1000), 0.5)
    assert values.dtype == np.float32
    assert digest(values) == "fbdac74bf10e8fe3"


def test_images_are_these_bytes_everywhere():
    assert digest(make_images((3, 10, 11), range(2))) == "5dc4c21f97a5a3d4"


def test_a_value_is_a_quantile_that_16_bits_of_philox_choose():
    key = int.from_bytes(hashlib.sha256(b"a/b").digest()[:16], "little")
    word = int(np.random.Philox(key=key).random_raw())
    codes = [word >> shift & 0xFFFF for shift in (0, 16, 32, 48)]
    expected = [2.0 * NormalDist().inv_cdf((code + 0.5) / 65536) for code in codes]
    assert normal_values("a/b", (2, 2), 2.0).ravel().tolist() == pytest.approx(expected, rel=1e-6)


def test_long_tensors_go_on_where_short_ones_end():
    long = normal_values("a/b", (1 << 19,), 1.0)
    assert np.array_equal(long[: 3 * 1000], normal_values("a/b", (3, 1000), 1.0).ravel())
    assert not np.array_equal(long[: 1 << 18], long[1 << 18 :])


def test_values_are_normal():
    values = np.sort(normal_values("a/b", (1 << 19,), 3.0).astype(np.float64))
    uniform = (np.arange(values.size) + 0.5) / values.size
    # Kolmogorov-Smirnov: the largest distance of so many samples is below this with
    # probability 1 - 1e-6.
    distance = np.abs([NormalDist(sigma=3.0).cdf(value) for value in values[::64]] - uniform[::64])
    assert distance.max() < math.sqrt(math.log(2 / 1e-6) / (2 * values.size))


def test_names_decide_the_values():
    one, other = (normal_values(name, (100,), 1.0) for name in ("a/b", "a/c"))
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("window", LARGEST_MEAN_SQUARE)
def test_the_largest_of_a_window_has_the_mean_square_stated(window):
    # Quantiles of the largest of n independent values; the rectified have mean square 1/2.
    levels = (np.arange(200_000) + 0.5) / 200_000
    largest = [NormalDist().inv_cdf(level) for level in levels ** (1 / window)]
    mean_square = 2 * np.mean(np.maximum(largest, 0) ** 2)
    assert mean_square == pytest.approx(LARGEST_MEAN_SQUARE[window], abs=0.0005)


def test_images_have_a_mean_square_near_one():
    images = make_images((3, 224, 224), range(3))
    assert images.shape == (3, 3, 224, 224)
    real = (images - IMAGE_MEAN) * IMAGE_SCALE
    assert np.mean(real**2, axis=(1, 2, 3)) == pytest.approx(1, abs=0.15)


def test_an_image_is_the_same_whichever_others_are_asked_for():
    images = make_images((1, 9, 9), range(3))
    assert np.array_equal(images[2:], make_images((1, 9, 9), range(2, 3)))
    assert len({image.tobytes() for image in images}) == 3


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_without_weights_a_network_has_all_but_values(name):
    topology = find_builtin(name)
    network = topology.without_weights()
    assert network.parameters == topology.parameters
    assert not any(any(constant.strides) for constant in network.constants.values())
    assert network.notes == ("synthetic weights (He-normal, seeded by tensor name)",)


def test_with_weights_only_the_values_differ():
    topology = find_builtin("squeezenet1_1")
    bare, full = topology.without_weights(), topology.with_weights()
    for field in ("name", "digest", "input", "outputs", "layers", "shapes", "notes"):
        assert getattr(bare, field) == getattr(full, field)
    assert {name: value.shape for name, value in bare.constants.items()} == {
        name: value.shape for name, value in full.constants.items()
    }
    assert all(value.dtype == np.float32 for value in full.constants.values())


def test_digests_tell_topologies_apart_and_do_not_change():
    digests = {name: find_builtin(name).digest for name in TOPOLOGIES}
    assert len(set(digests.values())) == len(digests)
    assert digests == {name: find_builtin(name).digest for name in TOPOLOGIES}


def test_weights_are_he_normal_where_the_map_has_mean_square_one():
    net = TopologyBuilder("test", (4, 8, 8), residual_sums=5)
    x = net.conv("rectified", net.image, 6, 3, pads=1)
    x = net.conv("linear", x, 6, 3, pads=1, clamp=None, ends_branch=True)
    x = net.conv("grouped", x, 6, 1, groups=2)
    constants = net.build(x).constants
    assert constants["rectified.weight"].deviation == math.sqrt(2 / (4 * 9))
    assert constants["linear.weight"].deviation == math.sqrt(1 / (6 * 9) / 5)
    assert constants["grouped.weight"].shape == (6, 3, 1, 1)
    assert constants["grouped.weight"].deviation == math.sqrt(2 / 3)


def test_weights_make_up_for_pools_and_normalizations():
    net = TopologyBuilder("test", (4, 8, 8))
    x = net.max_pool("pool", net.image, 2, stride=2)
    x = net.local_response_norm("norm", x, size=5, alpha=1e-4, beta=0.75, bias=2.0)
    x = net.dense("dense", net.flatten("flatten", x), 10, clamp=RELU)
    mean_square = math.sqrt(LARGEST_MEAN_SQUARE[4]) / 2**1.5
    deviation = net.build(x).constants["dense.weight"].deviation
    assert deviation == pytest.approx(math.sqrt(2 / 64 / mean_square), rel=1e-15)


@pytest.mark.parametrize("name", EACH)
def test_no_feature_map_leaves_the_range(name):
    network = find_builtin(name).with_weights()
    images = ImageSet(
        images=make_images(network.shapes[network.input], range(2)),
        labels=None,
        preprocessing=Preprocessing(mean=(IMAGE_MEAN,), scale=(IMAGE_SCALE,)),
        source="seeded",
    )
    runner = FloatRunner(network)
    for index in range(len(images)):
        maps = runner.run(images.real(index))
        assert maps.keys() == network.shapes.keys()
        rms = {
            tensor: math.sqrt(np.mean(np.square(values, dtype=np.float64)))
            for tensor, values in maps.items()
        }
        assert {tensor: value for tensor, value in rms.items() if not 0.1 < value < 10} == {}
        assert {tensor: values.shape for tensor, values in maps.items()} == network.shapes


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_every_layer_reads_maps_that_are_there_and_every_map_is_read(name):
    network = find_builtin(name).without_weights()
    known = {network.input}
    for layer in network.layers:
        assert known.issuperset(layer.inputs)
        assert layer.ofm not in known
        known.add(layer.ofm)
        if isinstance(layer, Conv | Dense):
            assert {layer.weights, layer.bias} <= network.constants.keys()
    assert known == network.shapes.keys()
    unread = {tensor for tensor in known if not network.consumers(tensor)}
    assert unread == {network.output}
