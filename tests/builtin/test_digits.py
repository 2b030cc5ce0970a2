"""Is what the built-in network promises true of the shipped files?"""

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from accel_sim.builtin import DIGITS, builtin_names, find_builtin
from quantizer.errors import InputError


def load(path):
    with np.load(path, allow_pickle=False) as arrays:
        assert set(arrays.files) == {"images", "labels"}
        return arrays["images"], arrays["labels"]


def test_the_file_is_small_enough_to_ship():
    assert DIGITS.onnx_path.stat().st_size < 200_000


def test_onnxruntime_recognizes_at_least_98_percent_of_the_held_out_images():
    images, labels = load(DIGITS.test_path)
    session = ort.InferenceSession(DIGITS.onnx_path)
    inputs = (images.transpose(0, 3, 1, 2) - np.float64(DIGITS.mean)) * DIGITS.scale
    (logits,) = session.run(None, {"image": inputs.astype(np.float32)})
    assert logits.shape == (len(labels), 10)
    assert np.mean(logits.argmax(axis=1) == labels) >= 0.98


@pytest.mark.parametrize(
    ("path", "count"), [(DIGITS.calibration_path, 200), (DIGITS.test_path, 500)]
)
def test_images_are_uint8_nhwc_with_values_0_to_16(path, count):
    images, labels = load(path)
    assert images.dtype == np.uint8
    assert images.shape == (count, 8, 8, 1)
    assert (images.min(), images.max()) == (0, 16)
    assert labels.dtype == np.int32
    assert labels.shape == (count,)
    assert set(labels) == set(range(10))


def test_no_test_image_is_a_calibration_image():
    calibration, _ = load(DIGITS.calibration_path)
    test, _ = load(DIGITS.test_path)
    assert not {image.tobytes() for image in calibration} & {image.tobytes() for image in test}


def test_the_network_shows_every_kind_of_layer_and_no_unfolded_batch_norm():
    model = onnx.load(DIGITS.onnx_path)
    onnx.checker.check_model(model, full_check=True)
    operators = {node.op_type for node in model.graph.node}
    assert operators == {
        "Conv", "Relu", "Add", "MaxPool", "Concat", "GlobalAveragePool", "Flatten", "Gemm",
    }  # fmt: skip
    (groups,) = {
        attribute.i
        for node in model.graph.node
        for attribute in node.attribute
        if attribute.name == "group" and attribute.i != 1
    }
    assert groups == 48


def test_the_first_built_in_network_is_digits():
    assert find_builtin(builtin_names()[0]) == DIGITS


def test_every_name_finds_the_network_of_that_name():
    assert [find_builtin(name).name for name in builtin_names()] == list(builtin_names())


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(InputError) as error:
        find_builtin("digit")
    assert str(error.value) == (
        "digit: no built-in network has this name; there is digits, alexnet, vgg16, googlenet, "
        "resnet18, resnet50, mobilenet_v1, mobilenet_v2, squeezenet1_1, efficientnet_lite0; "
        "did you mean 'digits'?"
    )
