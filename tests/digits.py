"""The built-in digits network, and some of its test images."""

from accel_sim.builtin import TrainedNetwork, find_builtin
from quantizer.network.graph import Network
from quantizer.network.images import ImageSet, Preprocessing, load_images
from quantizer.network.onnx_import import load_onnx


def load_digits(images: int) -> tuple[Network, ImageSet]:
    """Read the network and its first test images."""
    builtin = find_builtin("digits")
    assert isinstance(builtin, TrainedNetwork)
    network = load_onnx(builtin.onnx_path)
    return network, load_images(
        builtin.test_path,
        shape=network.shapes[network.input],
        preprocessing=Preprocessing(mean=builtin.mean, scale=builtin.scale),
        limit=images,
    )
