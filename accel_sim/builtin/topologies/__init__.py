"""Networks of published shape, whose weights are synthetic."""

from collections.abc import Callable, Mapping

from accel_sim.builtin.topologies.alexnet import alexnet
from accel_sim.builtin.topologies.googlenet import googlenet
from accel_sim.builtin.topologies.mobilenet import (
    efficientnet_lite0,
    mobilenet_v1,
    mobilenet_v2,
)
from accel_sim.builtin.topologies.resnet import resnet18, resnet50
from accel_sim.builtin.topologies.squeezenet import squeezenet1_1
from accel_sim.builtin.topologies.topology import Topology
from accel_sim.builtin.topologies.vgg import vgg16

TOPOLOGIES: Mapping[str, Callable[[], Topology]] = {
    "alexnet": alexnet,
    "vgg16": vgg16,
    "googlenet": googlenet,
    "resnet18": resnet18,
    "resnet50": resnet50,
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "squeezenet1_1": squeezenet1_1,
    "efficientnet_lite0": efficientnet_lite0,
}
