"""Networks of depthwise convolutions, each of width 1.0 for 224 x 224 pixels.

MobileNetV1: Howard et al., arXiv:1704.04861, table 1. MobileNetV2: Sandler et al., CVPR 2018,
table 2, padded as torchvision does. EfficientNet-Lite0: Tan, Le, ICML 2019, table 1, without
squeeze-and-excite and with Relu6 (tensorflow/tpu, models/official/efficientnet/lite). Batch
normalization is folded.
"""

from dataclasses import dataclass

from accel_sim.builtin.topologies.builder import RELU6, TopologyBuilder
from accel_sim.builtin.topologies.topology import Topology
from quantizer.network.layers import Pads


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Equal inverted residuals one behind another; the stride is that of the first."""

    expansion: int
    channels: int
    depth: int
    stride: int
    kernel: int = 3


V1_STAGES = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1),
    (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip
"""Channels behind every pair of convolutions, and its stride. (The stride of 2 that the
paper's last row has is a slip: the map stays 7 x 7.)"""

V2_STAGES = (
    Stage(expansion=1, channels=16, depth=1, stride=1),
    Stage(expansion=6, channels=24, depth=2, stride=2),
    Stage(expansion=6, channels=32, depth=3, stride=2),
    Stage(expansion=6, channels=64, depth=4, stride=2),
    Stage(expansion=6, channels=96, depth=3, stride=1),
    Stage(expansion=6, channels=160, depth=3, stride=2),
    Stage(expansion=6, channels=320, depth=1, stride=1),
)

LITE0_STAGES = (
    Stage(expansion=1, channels=16, depth=1, stride=1),
    Stage(expansion=6, channels=24, depth=2, stride=2),
    Stage(expansion=6, channels=40, depth=2, stride=2, kernel=5),
    Stage(expansion=6, channels=80, depth=3, stride=2),
    Stage(expansion=6, channels=112, depth=3, stride=1, kernel=5),
    Stage(expansion=6, channels=192, depth=4, stride=2, kernel=5),
    Stage(expansion=6, channels=320, depth=1, stride=1),
)


def mobilenet_v1() -> Topology:
    """MobileNetV1 for 224 x 224 pixels."""
    net = TopologyBuilder("mobilenet_v1", (3, 224, 224))
    x = net.conv("conv", net.image, 32, 3, stride=2, pads=_same(3, 2), clamp=RELU6)
    for place, (channels, stride) in enumerate(V1_STAGES, 1):
        x = net.depthwise(
            f"depthwise{place}", x, 3, stride=stride, pads=_same(3, stride), clamp=RELU6
        )
        x = net.conv(f"pointwise{place}", x, channels, 1, clamp=RELU6)
    return net.build(net.dense("fc", net.global_average_pool("pool", x), 1000, clamp=None))


def mobilenet_v2() -> Topology:
    """MobileNetV2 for 224 x 224 pixels."""
    net = TopologyBuilder("mobilenet_v2", (3, 224, 224), residual_sums=_count_sums(V2_STAGES))
    return _inverted_residuals(net, V2_STAGES, pads_like_tensorflow=False)


def efficientnet_lite0() -> Topology:
    """EfficientNet-Lite0 for 224 x 224 pixels."""
    sums = _count_sums(LITE0_STAGES)
    net = TopologyBuilder("efficientnet_lite0", (3, 224, 224), residual_sums=sums)
    return _inverted_residuals(net, LITE0_STAGES, pads_like_tensorflow=True)


def _count_sums(stages: tuple[Stage, ...]) -> int:
    """Every block but the first of a stage adds its input."""
    return sum(stage.depth - 1 for stage in stages)


def _inverted_residuals(
    net: TopologyBuilder, stages: tuple[Stage, ...], *, pads_like_tensorflow: bool
) -> Topology:
    def pads(kernel: int, stride: int) -> int | Pads:
        return _same(kernel, stride) if pads_like_tensorflow else kernel // 2

    x = net.conv("stem", net.image, 32, 3, stride=2, pads=pads(3, 2), clamp=RELU6)
    for number, stage in enumerate(stages, 1):
        for place in range(stage.depth):
            name, block_input = f"block{number}.{place}", x
            is_first = place == 0
            stride = stage.stride if is_first else 1
            if stage.expansion > 1:
                channels = stage.expansion * net.channels(x)
                x = net.conv(f"{name}.expand", x, channels, 1, clamp=RELU6)
            x = net.depthwise(
                f"{name}.depthwise",
                x,
                stage.kernel,
                stride=stride,
                pads=pads(stage.kernel, stride),
                clamp=RELU6,
            )
            x = net.conv(
                f"{name}.project", x, stage.channels, 1, clamp=None, ends_branch=not is_first
            )
            if not is_first:
                x = net.add(name, block_input, x, clamp=None)
    x = net.conv("head", x, 1280, 1, clamp=RELU6)
    return net.build(net.dense("fc", net.global_average_pool("pool", x), 1000, clamp=None))


def _same(kernel: int, stride: int) -> Pads:
    """Give the pads of TensorFlow's SAME for a map whose size is a multiple of the stride."""
    total = kernel - stride
    before = total // 2
    return before, before, total - before, total - before
