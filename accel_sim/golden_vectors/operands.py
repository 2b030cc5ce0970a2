"""Operands of a layer as the loops of the machine see them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel_sim.mapping.folds import Fold
from accel_sim.mapping.loop_nest import LoopNest
from quantizer.network.graph import as_image
from quantizer.network.layers import Conv, Dense
from quantizer.quantized import QuantizedNetwork

Raw = NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerOperands:
    """Feature maps and weights of one layer, by the indices of its loop nest.

    Attributes
    ----------
    nest
        Groups side by side are one group of its loops.
    maps
        int32[N, C, H, W], of all groups.
    filters
        int32[K, C/groups, R, S], of all groups.
    """

    nest: LoopNest
    maps: Raw
    filters: Raw

    def ifm(self, fold: Fold, products: NDArray[np.int64]) -> Raw:
        """Gather what the pixels of a fold read for some products of its ``[C, R, S]``.

        Returns
        -------
        int32[pixels, products]
            Where blocks are apart, int32[pixels, products, filters]: of each filter's block.
        """
        nest = self.nest
        image, row, col = (place[:, None] for place in fold.place_pixels().T)
        channel, r, s = self._split(products)
        if nest.blocks_are_apart:
            image, row, col = (place[..., None] for place in (image, row, col))
            channel, r, s = (place[:, None] for place in (channel, r, s))
            block = np.array(fold.filters) // (nest.filters // nest.blocks)
            channel = channel + block * (nest.channels // nest.blocks)
        y = row * nest.stride[0] + r * nest.dilation[0] - nest.pads[0]
        x = col * nest.stride[1] + s * nest.dilation[1] - nest.pads[1]
        is_inside = (y >= 0) & (y < self.maps.shape[2]) & (x >= 0) & (x < self.maps.shape[3])
        values = self.maps[
            image, fold.group * nest.channels + channel, np.where(is_inside, y, 0),
            np.where(is_inside, x, 0),
        ]  # fmt: skip
        return np.where(is_inside, values, 0)

    def weights(self, fold: Fold, products: NDArray[np.int64]) -> Raw:
        """Gather the weights of a fold's filters for some products, int32[filters, products].

        Zero where filter and channel belong to different blocks that are not apart.
        """
        nest = self.nest
        filters = np.array(fold.filters)[:, None]
        channel, r, s = self._split(products)
        own_channels = nest.channels // nest.blocks
        values = self.filters[self.filter_numbers(fold)[:, None], channel % own_channels, r, s]
        if nest.blocks_are_apart:
            return values
        is_own = filters // (nest.filters // nest.blocks) == channel // own_channels
        return np.where(is_own, values, 0)

    def filter_numbers(self, fold: Fold) -> NDArray[np.int64]:
        """Give the output channels of the layer that a fold's filters are."""
        return fold.group * self.nest.filters + np.array(fold.filters)

    def _split(self, products: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        window = (self.nest.channels, self.nest.filter_rows, self.nest.filter_cols)
        return np.unravel_index(products, window)


def lay_out_operands(
    network: QuantizedNetwork,
    layer: Conv | Dense,
    nest: LoopNest,
    maps: Sequence[Raw],
) -> LayerOperands:
    """See the maps of all images of a batch, and the weights, as the loops do.

    Parameters
    ----------
    maps
        Of the layer's input, one per image.
    """
    filters = network.weights[layer.weights].raw.astype(np.int32)
    stacked = np.stack(maps)
    if isinstance(layer, Dense):
        # Positions of a dense layer are rows of pixels, one column wide.
        by_position = stacked.reshape(len(maps), -1, filters.shape[1])
        return LayerOperands(
            nest=nest,
            maps=by_position.transpose(0, 2, 1)[..., None],
            filters=filters[:, :, None, None],
        )
    image = as_image(network.network.shapes[layer.ifm])
    return LayerOperands(nest=nest, maps=stacked.reshape(len(maps), *image), filters=filters)
