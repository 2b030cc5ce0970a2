"""One layer of the exact run, from operands in memory to calls of kernels.

Each layer is prepared once (operands packed, shifts and bounds worked out, ranges proved)
and then runs on any number of images, from any number of threads.
"""

from accel_sim.accumulation import AccumulationPlan
from accel_sim.kernels.micro_kernels import HOST_PATHS, Path
from accel_sim.layer_steps import elementwise, functions, mac_layers, moves, pools
from accel_sim.layer_steps.feature_map import storage
from accel_sim.layer_steps.joined_maps import NO_PLACEMENTS, Placements
from accel_sim.layer_steps.step import Events, Maps, Raw, Step
from quantizer.network.layers import (
    Add,
    AveragePool,
    BatchNorm,
    Clip,
    Concat,
    Conv,
    ConvTranspose,
    Dense,
    Layer,
    LocalResponseNorm,
    Lookup,
    MaxPool,
    Mul,
    Pad,
    PRelu,
    Reshape,
    Slice,
    Transpose,
    Upsample,
)
from quantizer.quantized import QuantizedNetwork


def prepare_step(
    network: QuantizedNetwork,
    layer: Layer,
    plan: AccumulationPlan | None = None,
    path: Path = HOST_PATHS[0],
    placements: Placements = NO_PLACEMENTS,
) -> Step:
    """Make the function that runs one layer; its ofm is as `feature_map` says.

    Parameters
    ----------
    plan
        How the machine adds up a layer of multiply-accumulates; None where accumulators
        wrap, because the order cannot matter then.
    path
        Whose micro-kernels to use; the fastest of the host. It changes no bit.
    placements
        Of maps that are written as parts of others, for which the step finds room. They change
        no bit either.

    Raises
    ------
    InputError
        Formats lie so far apart that an exact result needs more than 61 bits, a function
        has no value at some input, or a window of an average pool counts nothing.
    """
    run = _prepare(network, layer, plan, path, placements)
    shape, dtype = network.network.shapes[layer.ofm], storage(network.formats[layer.ofm])
    placement = placements.get(layer.ofm)

    def step(maps: Maps) -> tuple[Raw, Events]:
        ofm, events = run(maps)
        ofm = ofm.astype(dtype, copy=False).reshape(shape)
        if placement is not None:
            place = placement.find(maps)
            if not _lies_at(ofm, place):
                place[:] = ofm
            return place, events
        return ofm, events

    return step


def _lies_at(raw: Raw, place: Raw) -> bool:
    """Tell whether a map is that place: same memory in the same order."""
    # To share some memory is not enough: a map may be another part by another name.
    return raw.__array_interface__ == place.__array_interface__


def _prepare(
    network: QuantizedNetwork,
    layer: Layer,
    plan: AccumulationPlan | None,
    path: Path,
    placements: Placements,
) -> Step:
    match layer:
        case Conv():
            return mac_layers.prepare_conv(network, layer, plan, path, placements.get(layer.ofm))
        case ConvTranspose():
            return mac_layers.prepare_transposed_conv(network, layer, plan)
        case Dense():
            return mac_layers.prepare_dense(network, layer, plan, path)
        case BatchNorm():
            return elementwise.prepare_batch_norm(network, layer)
        case Add():
            return elementwise.prepare_add(network, layer)
        case Mul():
            return elementwise.prepare_mul(network, layer)
        case PRelu():
            return elementwise.prepare_prelu(network, layer)
        case Lookup():
            return functions.prepare_lookup(network, layer)
        case LocalResponseNorm():
            return functions.prepare_local_response_norm(network, layer)
        case AveragePool():
            return pools.prepare_average_pool(network, layer)
        case MaxPool():
            return pools.prepare_max_pool(network, layer)
        case Clip():
            return moves.prepare_clip(network, layer)
        case Concat():
            if any(one.joined == layer.ofm for one in placements.values()):
                return lambda maps: (maps[layer.ofm], Events())
            return moves.prepare_concat(network, layer)
        case Reshape():
            return moves.prepare_reshape(layer)
        case Transpose():
            return moves.prepare_transpose(layer)
        case Slice():
            return moves.prepare_slice(network, layer)
        case Pad():
            return moves.prepare_pad(network, layer)
        case Upsample():
            return moves.prepare_upsample(layer)
