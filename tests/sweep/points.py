"""Points and experiments for the tests of sweeps."""

from accel_sim.hardware.load import load_hardware
from accel_sim.report.facts import Datapath
from accel_sim.simulation import choose_bits
from accel_sim.sweep.points import Experiment, SweepPoint
from quantizer.quantize import quantize

NARROW_ACCUMULATORS = (
    "precision.accumulator_bits=16",
    "precision.accumulator_overflow=saturate",
)


def make_point(weights, *overrides, activations=8, datapath=Datapath.FIXED, experiment=0):
    hardware = load_hardware("edge_16x16", overrides)
    changes = dict(override.split("=", 1) for override in overrides)
    bits = choose_bits(hardware, weights=weights, activations=activations, datapath=datapath)
    return SweepPoint(
        hardware=hardware, changes=changes, bits=bits, datapath=datapath, experiment=experiment
    )


class QuantizeOn:
    """What quantizes on some images, in whatever process, and counts its calls in this one."""

    def __init__(self, network, images):
        self.network, self.images, self.calls = network, images, []

    def __call__(self, point, progress):
        self.calls.append(point)
        rules = point.hardware.numeric_rules
        return quantize(self.network, self.images, point.bits, rules, progress=progress)


def count_calls(network, images):
    """The points that were quantized for, as they come, and what quantizes."""
    quantize_once = QuantizeOn(network, images)
    return quantize_once.calls, quantize_once


def make_experiment(network, images, quantize=None, **options):
    return Experiment(
        network=network,
        images=images,
        quantize=quantize or QuantizeOn(network, images),
        settings={"images": 0 if images is None else len(images)},
        **options,
    )
