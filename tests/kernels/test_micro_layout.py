"""Does a micro-kernel, which checks no bounds, stay inside of what it is given?"""

import numpy as np
from hypothesis import given, settings

from accel_sim.kernels.micro_bands import Shape
from accel_sim.layer_steps.packed_sums import PackedBand, PackedLayer, pack_layer
from quantizer.network.layers import Conv
from tests.functional.packed_layers import Case, convolutions, on_all_kernels


def pack(case: Case) -> list[tuple[str, PackedLayer]]:
    """Prepare a convolution on every path that takes it, with wide kernels and with narrow ones."""
    layer, shapes = case.layer, case.network.network.shapes
    assert isinstance(layer, Conv)
    channels, rows, cols = shapes[layer.ifm]
    filters, out_rows, out_cols = shapes[layer.ofm]
    shape = Shape(
        ifm=(channels, rows, cols),
        ofm=(filters, out_rows, out_cols),
        window=case.network.weights["w"].raw.shape[2:],
        stride=layer.stride,
        first_pads=layer.pads[:2],
        dilation=layer.dilation,
        groups=layer.groups,
    )
    found = [
        (width, pack_layer(case.network, layer, shape, path)) for width, path in on_all_kernels()
    ]
    return [(width, packed) for width, packed in found if packed is not None]


@settings(max_examples=300, derandomize=True, deadline=None)
@given(case=convolutions())
def test_no_tile_reads_outside_of_its_operands(case: Case) -> None:
    for width, packed in pack(case):
        size = packed.layout.size
        for band in packed.bands:
            check_band(band, size)
        assert packed.pack(case.ifm).size == size, width


def check_band(band: PackedBand, size: int) -> None:
    """Go through what each tile reads of the weights, and of a packed map of some size."""
    layout, filters, kernel = band.layout, band.layout.filters, band.layout.kernel
    weights = layout.packed_weights
    of_blocks = np.stack([filters.segments, np.full_like(filters.segments, filters.lanes)], 1)
    for tile in range(0, len(layout.tiles.runs), 2):
        for block, (_, _, channel) in enumerate(filters.blocks.tolist()):
            for plane in range(len(weights)):
                segments = of_blocks
                if band.carries is not None:
                    begin, end = band.carries.ends[plane, block]
                    segments = band.carries.segments[begin:end, :2]
                assert segments[:, 1].sum() == weights.shape[2] * weights.shape[3]
                width = (
                    np.full(len(segments), kernel.filters)
                    if layout.shape.is_depthwise
                    else segments[:, 1] * kernel.lane_values
                )
                first = layout.tiles.runs[tile : tile + 2, 0] + channel
                last = first + (kernel.run_pixels - 1) * layout.tiles.pixel_step
                assert first.size == 2
                assert first.min() + segments[:, 0].min() >= 0
                assert last.max() + (segments[:, 0] + width).max() <= size
