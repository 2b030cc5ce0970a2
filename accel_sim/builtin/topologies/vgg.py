"""VGG-16: Simonyan, Zisserman, ICLR 2015, configuration D."""

from accel_sim.builtin.topologies.builder import TopologyBuilder
from accel_sim.builtin.topologies.topology import Topology

STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
"""Convolutions and their filters, between two pools."""


def vgg16() -> Topology:
    """VGG-16 for 224 x 224 pixels."""
    net = TopologyBuilder("vgg16", (3, 224, 224))
    x = net.image
    for stage, (depth, filters) in enumerate(STAGES, 1):
        for place in range(1, depth + 1):
            x = net.conv(f"conv{stage}_{place}", x, filters, 3, pads=1)
        x = net.max_pool(f"pool{stage}", x, 2, stride=2)
    x = net.flatten("flatten", x)
    x = net.dense("fc6", x, 4096)
    x = net.dense("fc7", x, 4096)
    return net.build(net.dense("fc8", x, 1000, clamp=None))
