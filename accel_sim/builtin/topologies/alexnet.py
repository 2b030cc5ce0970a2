"""AlexNet: Krizhevsky, Sutskever, Hinton, NIPS 2012, on two processors.

The network of the paper: 96 filters first, groups where a processor sees its own half only,
normalization behind the first two convolutions and before the pools. The paper says 224
pixels; its 55 x 55 maps need 227.
"""

from accel_sim.builtin.topologies.builder import TopologyBuilder
from accel_sim.builtin.topologies.topology import Topology


def alexnet() -> Topology:
    """AlexNet for 227 x 227 pixels."""
    net = TopologyBuilder("alexnet", (3, 227, 227))

    def normalize(name: str, ifm: str) -> str:
        # The paper does not divide its alpha of 1e-4 by the size; ONNX does.
        return net.local_response_norm(name, ifm, size=5, alpha=5e-4, beta=0.75, bias=2.0)

    x = normalize("norm1", net.conv("conv1", net.image, 96, 11, stride=4))
    x = net.max_pool("pool1", x, 3, stride=2)
    x = normalize("norm2", net.conv("conv2", x, 256, 5, pads=2, groups=2))
    x = net.max_pool("pool2", x, 3, stride=2)
    x = net.conv("conv3", x, 384, 3, pads=1)
    x = net.conv("conv4", x, 384, 3, pads=1, groups=2)
    x = net.conv("conv5", x, 256, 3, pads=1, groups=2)
    x = net.flatten("flatten", net.max_pool("pool5", x, 3, stride=2))
    x = net.dense("fc6", x, 4096)
    x = net.dense("fc7", x, 4096)
    return net.build(net.dense("fc8", x, 1000, clamp=None))
