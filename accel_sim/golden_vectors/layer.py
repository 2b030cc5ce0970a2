"""Golden vectors of one layer: its array tiles, and what becomes of their sums."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from accel_sim.accumulation import AccumulationPlan
from accel_sim.golden_vectors.operands import LayerOperands, lay_out_operands
from accel_sim.golden_vectors.tile import GoldenTile, make_tile
from accel_sim.hardware.config import HardwareConfig
from accel_sim.layer_steps.output_stage import OutputStage, prepare_output_stage
from accel_sim.layer_steps.planned_sums import PlannedSums, plan_sums
from accel_sim.mapping.array_axes import array_axes
from accel_sim.mapping.folds import Fold, list_folds
from accel_sim.mapping.loop_nest import LoopNest
from accel_sim.mapping.tile import LayerMapping, Loop
from accel_sim.scheduling import LayerSchedule
from quantizer.network.layers import Conv, Dense
from quantizer.quantized import QuantizedNetwork

Raw = NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldVectors:
    """A fold of a layer as a tile of the array.

    Attributes
    ----------
    ofm
        Outputs, where the sums are finished, in the axes of the tile's sums; else None.
    """

    fold: Fold
    tile: GoldenTile
    ofm: Raw | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerVectors:
    """A layer on the array, ready to give the vectors of any of its folds.

    Attributes
    ----------
    folds
        All of them, in the order in which they run.
    """

    layer: Conv | Dense
    hardware: HardwareConfig
    nest: LoopNest
    mapping: LayerMapping
    plan: AccumulationPlan
    folds: tuple[Fold, ...]
    stage: OutputStage
    operands: LayerOperands
    sums: PlannedSums

    @property
    def sum_products(self) -> int:
        """Products in one sum."""
        return self.sums.order.products.size

    def make(self, fold: Fold) -> FoldVectors:
        """Work out the operands and sums of one fold.

        The stored sum that it goes on from is that of the products before.
        """
        psum_in = None
        if fold.reduction.start:
            before = replace(fold, reduction=range(fold.reduction.start))
            psum_in = self._run(before, None).psum_out
        tile = self._run(fold, psum_in)
        ofm = None
        if fold.reduction.stop == self.sum_products:
            ofm = self._finish(fold, tile)
        return FoldVectors(fold=fold, tile=tile, ofm=ofm)

    def _run(self, fold: Fold, psum_in: NDArray[np.int64] | None) -> GoldenTile:
        sums = self.sums.part(fold.reduction.start, fold.reduction.stop)
        products = sums.order.products
        ifm, weights = (
            self.operands.ifm(fold, products),
            self.operands.weights(fold, products),
        )
        axes = array_axes(self.hardware.mac_array.dataflow)
        if axes.keeps_sums:
            ifm, weights = ifm.T, weights.T
        elif axes.cols is Loop.PIXELS:
            ifm = ifm.T
        else:
            weights = weights.T
        return make_tile(
            self.hardware.mac_array,
            sums,
            np.ascontiguousarray(ifm),
            np.ascontiguousarray(weights),
            psum_in,
        )

    def _finish(self, fold: Fold, tile: GoldenTile) -> Raw:
        """Put finished sums through the output stage."""
        has_filters_last = array_axes(self.hardware.mac_array.dataflow).cols is Loop.FILTERS
        acc = tile.psum_out.T if has_filters_last else tile.psum_out
        acc = np.ascontiguousarray(acc[:, None, :])
        stage = self.stage.of_channels(self.operands.filter_numbers(fold))
        ofm, _ = stage.run(acc, 0, np.empty(acc.shape, np.int32))
        return np.ascontiguousarray(ofm[:, 0].T if has_filters_last else ofm[:, 0])


def prepare_layer(
    hardware: HardwareConfig,
    network: QuantizedNetwork,
    layer: Conv | Dense,
    schedule: LayerSchedule,
    maps: Sequence[Raw],
) -> LayerVectors:
    """Lay out a scheduled layer.

    Parameters
    ----------
    maps
        int32: the layer's input, one per image of the batch.
    """
    nest, mapping, plan = schedule.nest, schedule.mapping, schedule.accumulation
    assert mapping is not None
    assert plan is not None
    apart = nest.blocks if nest.blocks_are_apart else 1
    ifm = network.formats[layer.ifm]
    largest_weight = int(np.abs(network.weights[layer.weights].raw.astype(np.int64)).max())
    return LayerVectors(
        layer=layer,
        hardware=hardware,
        nest=nest,
        mapping=mapping,
        plan=plan,
        folds=tuple(list_folds(nest, mapping, hardware.mac_array)),
        stage=prepare_output_stage(network, layer),
        operands=lay_out_operands(network, layer, nest, maps),
        sums=plan_sums(
            plan,
            (nest.channels // apart, nest.filter_rows, nest.filter_cols),
            max(-ifm.raw_min, ifm.raw_max) * largest_weight,
        ),
    )
