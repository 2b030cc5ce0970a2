"""Row stationary: how the array takes a tile in passes, as Eyeriss does.

A processing element (PE) keeps one row of some filters for some channels and slides it along a
row of the ifm. The PEs of a column add up the rows of a filter: a *set* of filter rows by a
*strip* of output rows. Sets work side by side on further rows, filters and channels; those of
channels stand above one another, so that sums run on through them. In a *pass* all sets keep
their weights while every image and every column of the tile goes by; partial sums come from
their memory and go back to it.

Source: Chen, Krishna, Emer, Sze, "Eyeriss: An Energy-Efficient Reconfigurable Accelerator for
Deep Convolutional Neural Networks", JSSC 52(1), 2017.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel_sim.hardware.config import HardwareConfig
from accel_sim.mapping.loop_nest import LoopNest
from accel_sim.mapping.stored_bits import stored_bits
from quantizer.errors import InputError
from quantizer.fixedpoint.jit import jit

Counts = NDArray[np.int64]


class RowLayer(NamedTuple):
    """What passes depend on: the array, its register files and ports, the window of a layer.

    Attributes
    ----------
    ifm_words, weight_words, psum_words
        Of the register files of a PE; 0 on arrays that have none.
    """

    rows: int
    cols: int
    ifm_words: int
    weight_words: int
    psum_words: int
    filter_rows: int
    filter_cols: int
    row_stride: int
    row_dilation: int
    psum_bits: int
    psum_port_bits: int


class RowPass(NamedTuple):
    """How all passes of a layer use the array; those at an edge use less.

    Attributes
    ----------
    filter_rows
        Of a set: a part of the filter's where the array has fewer rows than these.
    strip_rows, strips
        Output rows of a set, and sets beside each other for further rows.
    filters, filter_sets
        Filters that a PE keeps, and sets for further filters.
    channels, channel_sets
        Channels that a PE keeps, and sets for further channels.
    """

    filter_rows: int
    strip_rows: int
    strips: int
    filters: int
    filter_sets: int
    channels: int
    channel_sets: int


class Steps(NamedTuple):
    """Passes along filters or channels, and how many of these a PE takes in all of them."""

    passes: int
    of_pe: int


def row_layer(nest: LoopNest, hardware: HardwareConfig) -> RowLayer:
    """Collect what the passes of a layer depend on."""
    array = hardware.mac_array
    files = array.register_files
    return RowLayer(
        rows=array.rows,
        cols=array.cols,
        ifm_words=files.ifm_words if files else 0,
        weight_words=files.weight_words if files else 0,
        psum_words=files.psum_words if files else 0,
        filter_rows=nest.filter_rows,
        filter_cols=nest.filter_cols,
        row_stride=nest.stride[0],
        row_dilation=nest.dilation[0],
        psum_bits=stored_bits(nest, hardware).psum,
        psum_port_bits=hardware.buffers.psum_memory.port_bits,
    )


def check_register_files(nest: LoopNest, hardware: HardwareConfig) -> None:
    """Refuse a layer of which a PE cannot keep one row of one filter.

    Raises
    ------
    InputError
        Layer, words needed, words there.
    """
    files = hardware.mac_array.register_files
    if files is None:
        return
    for name in ("ifm_words", "weight_words"):
        if nest.filter_cols > getattr(files, name):
            raise InputError(
                f"layer {nest.layer!r}",
                f"a row of its filters has {nest.filter_cols} weights, "
                f"mac_array.register_files.{name} is {getattr(files, name)}; "
                f"--set mac_array.register_files.{name}={nest.filter_cols} would hold it",
            )


@jit
def kept_channels(layer: RowLayer, channels: int) -> int:
    """Channels that a PE keeps of a tile's: as many as fit, in passes as even as can be."""
    most = min(layer.ifm_words, layer.weight_words) // layer.filter_cols
    return -(-channels // -(-channels // most))


@jit
def take_steps(elements: int, of_pe: int, sets: int) -> Steps:
    """Deal elements to sets, `of_pe` to each in its turn, in as many passes as that takes."""
    whole = elements // (of_pe * sets)
    rest = elements - whole * of_pe * sets
    return Steps(whole + (rest > 0), whole * of_pe + min(rest, of_pe))


@jit
def read_rows(layer: RowLayer, shape: RowPass, output_rows: int) -> int:
    """Rows of the ifm that one filter pass reads of one channel, over all strips and row folds.

    The rows from the first to the last that some strip needs, once for all sets; row by row
    for each output row where that is less.
    """
    together = shape.strip_rows * shape.strips
    whole = output_rows // together
    rest = output_rows - whole * together
    total = 0
    for tap in range(0, layer.filter_rows, shape.filter_rows):
        taps = min(shape.filter_rows, layer.filter_rows - tap)
        total += whole * _read_together(layer, together, taps)
        if rest > 0:
            total += _read_together(layer, rest, taps)
    return total


@jit
def _read_together(layer: RowLayer, output_rows: int, taps: int) -> int:
    """Rows of the ifm under so many output rows and rows of a filter."""
    span = (output_rows - 1) * layer.row_stride + (taps - 1) * layer.row_dilation + 1
    return min(span, output_rows * taps)


@jit
def count_sum_words(filters: int, of_pe: int, bits: int, port_bits: int) -> int:
    """Port words of a tile's sums for one output position.

    A word holds those of filters that one PE keeps, which come one after another.
    """
    whole = filters // of_pe
    words: int = whole * -(-of_pe * bits // port_bits)
    return words + -(-(filters - whole * of_pe) * bits // port_bits)


@jit
def choose_pass(
    layer: RowLayer,
    output_rows: int,
    output_cols: int,
    ifm_words: int,
    filters: int,
    channels: int,
) -> RowPass:
    """Find the passes of a tile: those that take the fewest cycles, then the fewest words.

    Parameters
    ----------
    output_rows, output_cols, filters, channels
        Of the tile.
    ifm_words
        Port words that a row of the tile's ifm takes.

    Notes
    -----
    As many of the tile's output rows as can be go side by side, in few long strips; what room
    they leave is dealt to channels and filters. Channels of a PE follow from the tile's alone,
    because they decide in which order a sum is added up. Filters take as few passes as can be.
    Strips, and the filters of the PEs, are as even as can be.
    """
    row_folds = -(-layer.filter_rows // layer.rows)
    filter_rows = -(-layer.filter_rows // row_folds)
    n_strips = -(-output_rows // layer.cols)
    strip_rows = -(-output_rows // n_strips)
    stack, beside = layer.rows // filter_rows, layer.cols // strip_rows
    strip_groups = -(-n_strips // (stack * beside))
    strips = -(-n_strips // strip_groups)
    of_pe = kept_channels(layer, channels)
    most_filters = max(1, min(layer.psum_words, layer.weight_words // (of_pe * layer.filter_cols)))
    # Channel sets of one strip stand above one another.
    room = stack // -(-strips // beside)
    best = RowPass(filter_rows, strip_rows, strips, 1, 1, of_pe, 1)
    least_cycles, least_words = 0, 0
    read = read_rows(layer, best, output_rows)
    for channel_sets in range(1, min(room, -(-channels // of_pe)) + 1):
        most_sets = stack * beside // (strips * channel_sets)
        of_set = -(-filters // min(filters, most_sets))
        passes = -(-of_set // most_filters)
        kept = -(-of_set // passes)
        filter_sets = min(most_sets, -(-filters // kept))
        shape = RowPass(filter_rows, strip_rows, strips, kept, filter_sets, of_pe, channel_sets)
        in_channels = take_steps(channels, of_pe, channel_sets)
        in_filters = take_steps(filters, kept, filter_sets)
        # A cycle for each product of a row, and one to add what comes from below.
        cycles = in_filters.of_pe * (layer.filter_cols * in_channels.of_pe + in_channels.passes)
        reads = in_filters.passes * channels * read
        sums = output_rows * output_cols
        sums *= count_sum_words(filters, kept, layer.psum_bits, layer.psum_port_bits)
        words = reads * ifm_words + 2 * in_channels.passes * row_folds * sums
        is_better = cycles < least_cycles or (cycles == least_cycles and words < least_words)
        if channel_sets == 1 or is_better:
            best, least_cycles, least_words = shape, cycles, words
    return best


@jit
def count_weight_words(
    layer: RowLayer, shape: RowPass, channels: int, bits: int, port_bits: int
) -> int:
    """Port words of the weights of one filter for a tile's channels.

    A word never spans two passes, nor two filters.
    """
    together = shape.channels * shape.channel_sets
    whole = channels // together
    rest = channels - whole * together
    total = 0
    for tap in range(0, layer.filter_rows, shape.filter_rows):
        taps = min(shape.filter_rows, layer.filter_rows - tap) * layer.filter_cols
        total += whole * -(-together * taps * bits // port_bits)
        total += -(-rest * taps * bits // port_bits)
    return total
