"""SqueezeNet 1.1: Iandola et al., arXiv:1602.07360, in its authors' second release."""

from accel_sim.builtin.topologies.builder import TopologyBuilder
from accel_sim.builtin.topologies.topology import Topology

FIRES = {2: (16, 64), 3: (16, 64), 4: (32, 128), 5: (32, 128), 6: (48, 192), 7: (48, 192),
         8: (64, 256), 9: (64, 256)}  # fmt: skip
"""Filters that squeeze, and filters of each of the two that expand."""

POOLED = (3, 5)
"""Fires with a pool behind them."""


def squeezenet1_1() -> Topology:
    """SqueezeNet 1.1 for 224 x 224 pixels."""
    net = TopologyBuilder("squeezenet1_1", (3, 224, 224))
    x = net.conv("conv1", net.image, 64, 3, stride=2)
    x = net.max_pool("pool1", x, 3, stride=2)
    for number, (squeeze, expand) in FIRES.items():
        name = f"fire{number}"
        squeezed = net.conv(f"{name}.squeeze1x1", x, squeeze, 1)
        one = net.conv(f"{name}.expand1x1", squeezed, expand, 1)
        three = net.conv(f"{name}.expand3x3", squeezed, expand, 3, pads=1)
        x = net.concat(name, one, three)
        if number in POOLED:
            x = net.max_pool(f"pool{number}", x, 3, stride=2)
    x = net.conv("conv10", x, 1000, 1)
    return net.build(net.global_average_pool("pool10", x))
