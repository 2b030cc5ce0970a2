"""ResNet: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.

With the strides of torchvision: in ResNet-50 a stage halves its maps in the 3x3 convolution
("v1.5"), not in the 1x1 before it. Batch normalization is folded.
"""

from accel_sim.builtin.topologies.builder import RELU, TopologyBuilder
from accel_sim.builtin.topologies.topology import Topology

WIDTHS = (64, 128, 256, 512)
EXPANSION = 4
"""Channels of a bottleneck's output for each inside."""


def resnet18() -> Topology:
    """ResNet-18 for 224 x 224 pixels."""
    depths = (2, 2, 2, 2)
    net = TopologyBuilder("resnet18", (3, 224, 224), residual_sums=sum(depths))
    x = _stem(net)
    for stage, (depth, width) in enumerate(zip(depths, WIDTHS, strict=True), 1):
        for place in range(depth):
            stride = 2 if stage > 1 and place == 0 else 1
            x = _basic_block(net, f"layer{stage}.{place}", x, width, stride)
    return _head(net, x)


def resnet50() -> Topology:
    """ResNet-50 v1.5 for 224 x 224 pixels."""
    depths = (3, 4, 6, 3)
    net = TopologyBuilder("resnet50", (3, 224, 224), residual_sums=sum(depths))
    x = _stem(net)
    for stage, (depth, width) in enumerate(zip(depths, WIDTHS, strict=True), 1):
        for place in range(depth):
            stride = 2 if stage > 1 and place == 0 else 1
            x = _bottleneck(net, f"layer{stage}.{place}", x, width, stride)
    return _head(net, x)


def _stem(net: TopologyBuilder) -> str:
    x = net.conv("conv1", net.image, 64, 7, stride=2, pads=3)
    return net.max_pool("maxpool", x, 3, stride=2, pads=1)


def _head(net: TopologyBuilder, ifm: str) -> Topology:
    return net.build(net.dense("fc", net.global_average_pool("avgpool", ifm), 1000, clamp=None))


def _basic_block(net: TopologyBuilder, name: str, ifm: str, width: int, stride: int) -> str:
    x = net.conv(f"{name}.conv1", ifm, width, 3, stride=stride, pads=1)
    shortcut = _shortcut(net, name, ifm, width, stride)
    x = net.conv(f"{name}.conv2", x, width, 3, pads=1, clamp=None, ends_branch=shortcut == ifm)
    return net.add(name, x, shortcut, clamp=RELU)


def _bottleneck(net: TopologyBuilder, name: str, ifm: str, width: int, stride: int) -> str:
    x = net.conv(f"{name}.conv1", ifm, width, 1)
    x = net.conv(f"{name}.conv2", x, width, 3, stride=stride, pads=1)
    shortcut = _shortcut(net, name, ifm, EXPANSION * width, stride)
    x = net.conv(f"{name}.conv3", x, EXPANSION * width, 1, clamp=None, ends_branch=shortcut == ifm)
    return net.add(name, x, shortcut, clamp=RELU)


def _shortcut(net: TopologyBuilder, name: str, ifm: str, channels: int, stride: int) -> str:
    """Give the block's own input, or a projection of it where the shapes differ.

    The sum of a projection and a full branch has twice the mean square, and its Relu halves it.
    """
    if stride == 1 and net.channels(ifm) == channels:
        return ifm
    return net.conv(f"{name}.downsample", ifm, channels, 1, stride=stride, clamp=None)
