"""GoogLeNet: Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, table 1.

The original with 5x5 convolutions and local response normalization, as Caffe's
bvlc_googlenet has it; without the auxiliary classifiers, which only training uses.
"""

from dataclasses import dataclass

from accel_sim.builtin.topologies.builder import TopologyBuilder
from accel_sim.builtin.topologies.topology import Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class Inception:
    """Filters of one inception module, called as the columns of table 1."""

    one: int
    three_reduce: int
    three: int
    five_reduce: int
    five: int
    pool: int


def _row(*filters: int) -> Inception:
    one, three_reduce, three, five_reduce, five, pool = filters
    return Inception(
        one=one,
        three_reduce=three_reduce,
        three=three,
        five_reduce=five_reduce,
        five=five,
        pool=pool,
    )


STAGES = {
    3: {"a": _row(64, 96, 128, 16, 32, 32), "b": _row(128, 128, 192, 32, 96, 64)},
    4: {
        "a": _row(192, 96, 208, 16, 48, 64),
        "b": _row(160, 112, 224, 24, 64, 64),
        "c": _row(128, 128, 256, 24, 64, 64),
        "d": _row(112, 144, 288, 32, 64, 64),
        "e": _row(256, 160, 320, 32, 128, 128),
    },
    5: {"a": _row(256, 160, 320, 32, 128, 128), "b": _row(384, 192, 384, 48, 128, 128)},
}
CEILED = (0, 0, 1, 1)
"""Padding that makes the pools' sizes round up, as Caffe's do."""


def googlenet() -> Topology:
    """GoogLeNet for 224 x 224 pixels."""
    net = TopologyBuilder("googlenet", (3, 224, 224))
    x = net.conv("conv1", net.image, 64, 7, stride=2, pads=3)
    x = _normalize(net, "norm1", net.max_pool("pool1", x, 3, stride=2, pads=CEILED))
    x = net.conv("conv2_reduce", x, 64, 1)
    x = _normalize(net, "norm2", net.conv("conv2", x, 192, 3, pads=1))
    x = net.max_pool("pool2", x, 3, stride=2, pads=CEILED)
    for stage, modules in STAGES.items():
        for letter, module in modules.items():
            x = _inception(net, f"inception{stage}{letter}", x, module)
        if stage < max(STAGES):
            x = net.max_pool(f"pool{stage}", x, 3, stride=2, pads=CEILED)
    return net.build(net.dense("fc", net.global_average_pool("pool5", x), 1000, clamp=None))


def _normalize(net: TopologyBuilder, name: str, ifm: str) -> str:
    return net.local_response_norm(name, ifm, size=5, alpha=1e-4, beta=0.75, bias=1.0)


def _inception(net: TopologyBuilder, name: str, ifm: str, module: Inception) -> str:
    one = net.conv(f"{name}.1x1", ifm, module.one, 1)
    three = net.conv(f"{name}.3x3_reduce", ifm, module.three_reduce, 1)
    three = net.conv(f"{name}.3x3", three, module.three, 3, pads=1)
    five = net.conv(f"{name}.5x5_reduce", ifm, module.five_reduce, 1)
    five = net.conv(f"{name}.5x5", five, module.five, 5, pads=2)
    pool = net.max_pool(f"{name}.pool", ifm, 3, stride=1, pads=1)
    pool = net.conv(f"{name}.pool_proj", pool, module.pool, 1)
    return net.concat(name, one, three, five, pool)
