"""The meeting point: exact values and modelled costs of one network on one machine."""

import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from accel_sim.accumulation import NO_PLANS, Plans
from accel_sim.compression import compress_maps
from accel_sim.hardware.config import HardwareConfig
from accel_sim.hardware.load import config_digest
from accel_sim.machine_fit import (
    COSTS_ALONE,
    check_fit,
    check_signs,
    check_values,
    find_schedules,
)
from accel_sim.performance import LayerActivity, LayerPerformance, price_layers
from accel_sim.report.bottleneck import double_bottleneck
from accel_sim.report.facts import (
    Datapath,
    ImageFacts,
    NetworkFacts,
    QuantizationFacts,
    RunFacts,
)
from accel_sim.report.layer import LayerReport
from accel_sim.report.model import RunReport
from accel_sim.scheduling import LayerSchedule, collect_plans
from quantizer.bits_file import GivenBits
from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import Overflow
from quantizer.network.graph import Network
from quantizer.network.images import ImageSet
from quantizer.network.layers import Layer, LocalResponseNorm, WeightedLayer
from quantizer.network.memory import check_memory
from quantizer.quantized import DEFAULT_BIAS_BITS, BitWidths, QuantizedNetwork

if TYPE_CHECKING:
    from accel_sim.measure import ValueReport

Save = Callable[[int, Mapping[str, NDArray[np.int32]]], None]


def ignore_progress(done: int, total: int) -> None:
    """Show nothing."""
    del done, total


def _do_nothing() -> None: ...


def choose_bits(
    hardware: HardwareConfig,
    *,
    weights: int | None = None,
    activations: int | None = None,
    inputs: int | None = None,
    biases: int | None = None,
    given: GivenBits | None = None,
    datapath: Datapath = Datapath.FIXED,
) -> BitWidths:
    """Fill in the widths that are None, from a bits file or by what the machine is built for.

    The input has 8 bits or the activations' width, the larger, but is not wider than
    the machine's activations. Biases have 16 bits.

    Parameters
    ----------
    datapath
        A rebuilt one is as wide as the activations, and so the input is no wider than these.
    given
        Content of a bits file.
    """
    built, given = hardware.precision, given or GivenBits()
    activations = activations or given.default.activations or built.activation_bits
    widest = activations if datapath is Datapath.REBUILT else built.activation_bits
    return BitWidths(
        weights=weights or given.default.weights or built.weight_bits,
        activations=activations,
        inputs=inputs or given.inputs or min(max(8, activations), widest),
        biases=biases or given.default.biases or DEFAULT_BIAS_BITS,
        layers=given.layers,
        source=given.source,
    )


def simulate(
    hardware: HardwareConfig,
    network: QuantizedNetwork | Network,
    images: ImageSet | None = None,
    *,
    bits: BitWidths | None = None,
    explain: bool = False,
    progress: Callable[[int, int], None] = ignore_progress,
    save: Save | None = None,
    before_schedules: Callable[[], object] = _do_nothing,
) -> RunReport:
    """Run a network on a machine: integers, SQNR, cycles, traffic and energy.

    Parameters
    ----------
    hardware
        The machine; its numeric rules hold, whatever the network was quantized under.
    network
        A float network has costs alone: its integers are not known.
    images
        Where the values come from; None for costs alone.
    bits
        Widths of a float network; None is what the machine is built for.
    explain
        Whether to run the model again with twice of what bounds the run.
    progress
        Called with images done and images in all.
    save
        Called per image, in order, with its index and the raw integers of every feature
        map by tensor name.
    before_schedules
        Called before schedules are searched for, to wait for what they need.

    Raises
    ------
    InputError
        An operand is wider than the datapath or has a sign that this does not take, a
        tile fits no buffer, a label is no output, memory is too small for the images at work, or
        a float network is given images.
    """
    started = time.perf_counter()
    bits = bits or choose_bits(hardware)
    if isinstance(network, QuantizedNetwork):
        if images is not None:
            check_memory(network.network, keeps_maps=save is not None)
            check_values(hardware, otherwise=COSTS_ALONE)
        check_signs(hardware, network)
        network = replace(network, rules=hardware.numeric_rules)
    elif images is not None:
        raise InputError(network.name, "is not quantized; call quantize() first, or give no images")
    check_fit(hardware, network, bits)

    def schedule() -> tuple[LayerSchedule, ...]:
        before_schedules()
        return find_schedules(hardware, network, bits)

    def measure(plans: Plans) -> "ValueReport | None":
        if images is None or not isinstance(network, QuantizedNetwork):
            return None
        # Costs alone need no kernels, which take a second to load.
        from accel_sim.measure import measure_values

        return measure_values(
            network,
            images,
            plans=plans,
            zero_run_bits=hardware.zero_run_bits,
            progress=progress,
            save=save,
        )

    if hardware.precision.accumulator_overflow is Overflow.SAT:
        # Values depend on the order in which the machine adds.
        schedules = schedule()
        values = measure(collect_plans(schedules))
    else:
        values = measure(NO_PLANS)
        schedules = schedule()
    return assemble_report(
        hardware,
        network,
        images,
        schedules,
        values,
        bits=bits,
        explain=explain,
        started=started,
    )


def assemble_report(
    hardware: HardwareConfig,
    network: QuantizedNetwork | Network,
    images: ImageSet | None,
    schedules: tuple[LayerSchedule, ...],
    values: "ValueReport | None",
    *,
    bits: BitWidths,
    explain: bool,
    started: float,
    datapath: Datapath = Datapath.FIXED,
) -> RunReport:
    """Join schedules and values that were found before.

    Parameters
    ----------
    schedules
        From `find_schedules`.
    bits
        Widths of a float network.
    started
        `time.perf_counter` at the start of the run.
    datapath
        Whether the machine was rebuilt for the network.
    """
    if isinstance(network, QuantizedNetwork):
        graph = network.network
        quantization = QuantizationFacts(
            method=network.method,
            bits=network.bits,
            per_channel=network.per_channel,
            tuning=network.tuning,
        )
    else:
        graph = network
        quantization = QuantizationFacts(method=None, bits=bits, per_channel=False, tuning=None)

    activity = None if values is None else _activity(values)

    def price(
        machine: HardwareConfig, its_schedules: tuple[LayerSchedule, ...]
    ) -> tuple[LayerPerformance, ...]:
        pairs = None if values is None else values.zero_run_pairs
        charged = compress_maps(machine, network, its_schedules, pairs, bits)
        return price_layers(machine, graph, charged, activity)

    def run(machine: HardwareConfig) -> tuple[LayerPerformance, ...]:
        return price(machine, find_schedules(machine, network, bits))

    costs = price(hardware, schedules)
    layers = tuple(
        _join(network, layer, cost, values) for layer, cost in zip(graph.layers, costs, strict=True)
    )
    return RunReport(
        run=RunFacts(
            host=platform.node(),
            kernel_path=_kernel_path(values),
            threads=len(os.sched_getaffinity(0)),
            seconds=round(time.perf_counter() - started, 3),
        ),
        hardware=hardware,
        hardware_digest=config_digest(hardware),
        datapath=datapath,
        network=NetworkFacts(
            name=graph.name,
            digest=graph.digest,
            macs=graph.macs,
            parameters=graph.parameters,
            notes=graph.notes,
        ),
        quantization=quantization,
        images=None if images is None or values is None else _describe(images),
        layers=layers,
        values=values,
        doubling=double_bottleneck(hardware, costs, run) if explain else None,
    )


def _activity(values: "ValueReport") -> dict[str, LayerActivity]:
    return {
        name: LayerActivity(
            zero_ifm_fraction=layer.zero_ifm_fraction,
            zero_weight_fraction=layer.zero_weight_fraction or 0.0,
        )
        for name, layer in values.layers.items()
    }


def _kernel_path(values: "ValueReport | None") -> str:
    if values is None:
        return "none"
    from accel_sim.kernels.micro_kernels import HOST_PATHS

    return HOST_PATHS[0].name


def _join(
    network: QuantizedNetwork | Network,
    layer: Layer,
    cost: LayerPerformance,
    values: "ValueReport | None",
) -> LayerReport:
    on_host = isinstance(layer, LocalResponseNorm)
    if isinstance(network, Network):
        return LayerReport(
            performance=cost,
            on_host=on_host,
            weight_frac_bits=None,
            ifm_frac_bits=None,
            ofm_frac_bits=None,
            values=None,
        )
    weight_frac_bits = None
    if isinstance(layer, WeightedLayer):
        weight_frac_bits = _merge(network.weights[layer.weights].frac_bits.tolist())
    return LayerReport(
        performance=cost,
        on_host=on_host,
        weight_frac_bits=weight_frac_bits,
        ifm_frac_bits=_merge([network.formats[name].frac_bits for name in layer.inputs]),
        ofm_frac_bits=network.formats[layer.ofm].frac_bits,
        values=None if values is None else values.layers[layer.name],
    )


def _merge(lengths: list[int]) -> tuple[int, ...]:
    return tuple(lengths) if len(set(lengths)) > 1 else tuple(lengths[:1])


def _describe(images: ImageSet) -> ImageFacts:
    preprocessing = images.preprocessing
    return ImageFacts(
        source=images.source,
        count=len(images),
        mean=preprocessing.mean,
        scale=preprocessing.scale,
        layout=preprocessing.layout,
    )
