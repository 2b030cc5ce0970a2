"""Whether a network fits a machine, and how it runs there."""

from accel_sim.hardware.choices import Activations
from accel_sim.hardware.config import HardwareConfig
from accel_sim.hardware.precision import MultiplierMode
from accel_sim.mapping.layer_nests import OperandWidths, build_loop_nests
from accel_sim.scheduling import (
    LayerSchedule,
    datapath_operands,
    lay_out_layers,
    schedule_layers,
)
from accel_sim.word_lengths import WordLengths, plan_word_lengths, read_word_lengths
from quantizer.errors import InputError
from quantizer.network.graph import Network
from quantizer.network.layers import MacLayer
from quantizer.quantized import BitWidths, QuantizedNetwork

COSTS_ALONE = "--no-values gives costs alone, "
"""What a run can do on a machine that has no values."""


def check_fit(
    hardware: HardwareConfig, network: QuantizedNetwork | Network, bits: BitWidths
) -> None:
    """Refuse what a machine cannot run, before any image does.

    Parameters
    ----------
    bits
        Widths of a float network.

    Raises
    ------
    InputError
        An operand is wider than the datapath, a tile fits no buffer, or no layer computes.
    """
    graph, widths = find_word_lengths(network, bits)
    nests = lay_out_layers(
        hardware,
        graph,
        widths.feature_maps,
        widths.constants,
        widths.requantized_inputs,
    )
    _check_work(graph, not all(nest.kind.is_free for nest in nests))


def check_values(hardware: HardwareConfig, *, otherwise: str = "") -> None:
    """Refuse to compute values on a machine that cuts bits off its partial sums.

    Parameters
    ----------
    otherwise
        What can be done without them, such as `COSTS_ALONE`.

    Raises
    ------
    InputError
        Naming the ``--set`` that would keep them.
    """
    precision = hardware.precision
    if not precision.keeps_psums_exact:
        raise InputError(
            f"{hardware.name}: precision.psum_storage_bits",
            f"partial sums of {precision.accumulator_bits} bits are cut to "
            f"{precision.psum_storage_bits} in memory, which is not simulated; {otherwise}"
            f"--set precision.psum_storage_bits={precision.accumulator_bits} keeps them whole",
        )


def check_signs(hardware: HardwareConfig, network: QuantizedNetwork) -> None:
    """Refuse feature maps whose sign the multipliers of a machine do not take.

    Raises
    ------
    InputError
        A layer with multipliers reads signed values on an unsigned machine, or the
        reverse: unsigned values use the bit that is the sign of a signed operand.
    """
    takes = hardware.precision.activations
    if takes is Activations.EITHER:
        return
    for layer in network.network.layers:
        if isinstance(layer, MacLayer):
            is_signed = network.formats[layer.ifm].signed
            if is_signed != (takes is Activations.SIGNED):
                raise InputError(
                    f"layer {layer.name!r}",
                    f"its input {layer.ifm!r} is {'signed' if is_signed else 'unsigned'}, the "
                    f"datapath of {hardware.name} takes {takes} operands; "
                    "--set precision.activations=either builds one that takes both",
                )


def rebuild_datapath(
    hardware: HardwareConfig, network: QuantizedNetwork | Network, bits: BitWidths
) -> HardwareConfig:
    """Build the datapath of a machine anew: as wide as the operands of a network, and no wider.

    One chip runs all layers, so that the widest operand decides, the network input included.
    Such a datapath has no modes: its multipliers are as narrow as the operands already. All
    else stays, the accumulators as well.

    Parameters
    ----------
    bits
        Widths of a float network.
    """
    graph, widths = find_word_lengths(network, bits)
    nests = build_loop_nests(
        graph,
        OperandWidths(feature_maps=widths.feature_maps, constants=widths.constants),
        hardware.mapping.batch,
        widths.requantized_inputs,
    )
    needed: dict[str, int] = {}
    for nest in nests:
        for _, key, operand_bits in datapath_operands(nest):
            needed[key] = max(operand_bits, needed.get(key, 0))
    built = hardware.precision
    return set_datapath(
        hardware,
        weight_bits=needed.get("weight_bits", built.weight_bits),
        activation_bits=needed.get("activation_bits", built.activation_bits),
        modes=(),
    )


def set_datapath(
    hardware: HardwareConfig,
    *,
    weight_bits: int,
    activation_bits: int,
    modes: tuple[MultiplierMode, ...],
) -> HardwareConfig:
    """Give a machine a datapath of other widths, which hold the modes."""
    precision = hardware.precision.model_copy(
        update={"weight_bits": weight_bits, "activation_bits": activation_bits, "modes": modes}
    )
    return hardware.model_copy(update={"precision": precision})


def find_schedules(
    hardware: HardwareConfig, network: QuantizedNetwork | Network, bits: BitWidths
) -> tuple[LayerSchedule, ...]:
    """Find how a machine runs every layer.

    Parameters
    ----------
    bits
        Widths of a float network.

    Raises
    ------
    InputError
        An operand is wider than the datapath, a tile fits no buffer, or no layer computes.
    """
    graph, widths = find_word_lengths(network, bits)
    schedules = schedule_layers(
        hardware,
        graph,
        widths.feature_maps,
        widths.constants,
        widths.requantized_inputs,
    )
    _check_work(graph, any(schedule.cycles.total for schedule in schedules))
    return schedules


def find_word_lengths(
    network: QuantizedNetwork | Network, bits: BitWidths
) -> tuple[Network, WordLengths]:
    """Give the float network, and its word lengths: those that it has, or will have."""
    if isinstance(network, QuantizedNetwork):
        return network.network, read_word_lengths(network)
    return network, plan_word_lengths(network, bits)


def _check_work(network: Network, has_work: bool) -> None:
    if not has_work:
        raise InputError(network.name, "has no layer that computes; give a network with one")
