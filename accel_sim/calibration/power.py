"""Power calibration: two factors that make the energy model agree with the layers of a chip.

One factor is on clock and control, which cost the same every cycle, and one on the MAC; both
stay inside the bands that the tables give these entries. All else is left as it is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel_sim.calibration.factor_fit import fit_factors
from accel_sim.calibration.measured_layers import MeasuredLayer
from accel_sim.energy.band import Constant
from accel_sim.energy.scaling import scaled_constant
from accel_sim.hardware.config import HardwareConfig
from accel_sim.hardware.energy_table import EnergyTable, TableEntry
from accel_sim.performance import LayerActivity, LayerPerformance, price_layers
from accel_sim.scheduling import LayerSchedule, schedule_layers
from quantizer.errors import InputError, nearest
from quantizer.network.graph import Network

ENTRIES = ("clock_control_pJ", "mac_8x8_pJ")
"""Of the energy tables: what the factors are on, in the order of all arrays here."""
LEAST_LAYERS = 3
"""Two factors from what is left when one layer is left out."""
_MS_PER_US = 1e-3
_MW_PER_PJ_PER_MS = 1e-6
_NEAR_END = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedFactor:
    """A factor on an entry of the energy tables.

    Attributes
    ----------
    constant
        The entry before the fit, at the machine's node and supply, by the name of the entry.
    value
        Inside the band of `constant`.
    left_out
        The factor of each fit that leaves a layer out.
    """

    constant: Constant
    value: float
    left_out: tuple[float, ...]

    @property
    def band(self) -> tuple[float, float]:
        """Ends of the factor."""
        return _band(self.constant)

    @property
    def is_at_end(self) -> bool:
        """Whether the band keeps the factor from going further."""
        return any(abs(self.value - end) <= _NEAR_END for end in self.band)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratedLayer:
    """Power of the chip in a layer, in mW: measured, and as the model has it.

    Attributes
    ----------
    model_latency_ms
        What the model takes; powers are over the time that was measured.
    before_mW, after_mW
        Without the fit, and with it.
    left_out_mW
        With a fit to all other layers.
    """

    measured: MeasuredLayer
    model_latency_ms: float
    before_mW: float
    after_mW: float
    left_out_mW: float

    def error_fraction(self, power_mW: float) -> float:
        """Of a power, relative to the measured one."""
        return power_mW / self.measured.power_mW - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerCalibration:
    """Both factors, and how near they bring each layer."""

    clock_control: FittedFactor
    mac: FittedFactor
    layers: tuple[CalibratedLayer, ...]

    @property
    def factors(self) -> tuple[FittedFactor, FittedFactor]:
        """In the order of `ENTRIES`."""
        return self.clock_control, self.mac

    @property
    def worst_before_fraction(self) -> float:
        """Largest error of a layer without the fit."""
        return max(abs(layer.error_fraction(layer.before_mW)) for layer in self.layers)

    @property
    def worst_after_fraction(self) -> float:
        """Largest error of a layer with the fit."""
        return max(abs(layer.error_fraction(layer.after_mW)) for layer in self.layers)

    @property
    def worst_left_out_fraction(self) -> float:
        """Largest error of a layer with the fit to all others."""
        return max(abs(layer.error_fraction(layer.left_out_mW)) for layer in self.layers)


def calibrate_power(
    hardware: HardwareConfig, network: Network, measured: Sequence[MeasuredLayer]
) -> PowerCalibration:
    """Fit a factor on clock and control and one on the MAC to measured layers.

    Least squares of the relative errors of power, solved exactly inside both bands. What an
    earlier fit wrote into the machine's file is taken away first.

    Parameters
    ----------
    network
        Holds the layers that were measured; all operands are as wide as the datapath.

    Raises
    ------
    InputError
        If there are fewer than `LEAST_LAYERS`, one is not of the network or costs nothing, or
        the network does not fit the machine.
    """
    if len(measured) < LEAST_LAYERS:
        raise InputError(
            measured[0].where if measured else "measured layers",
            f"{len(measured)} measured; expected at least {LEAST_LAYERS}, to fit two factors and "
            "to leave one out",
        )
    before = _without_fit(hardware)
    schedules = _schedule(before, network)
    constants = [scaled_constant(entry, before) for entry in ENTRIES]

    def predict(*factors: float) -> NDArray[np.float64]:
        values = {
            constant.name: constant.value * factor
            for constant, factor in zip(constants, factors, strict=True)
        }
        return _powers_mW(_with_entries(before, values), network, schedules, measured)

    # Energy is linear in both entries, and the schedules stay.
    at_tables = predict(1, 1)
    parts = np.stack([at_tables - predict(0, 1), at_tables - predict(1, 0)], axis=1)
    target = np.array([layer.power_mW for layer in measured])
    relative, missing = parts / target[:, None], 1 - at_tables / target
    bands = [_band(constant) for constant in constants]
    factors = fit_factors(relative, missing, bands)
    left_out = np.array(
        [
            fit_factors(np.delete(relative, row, axis=0), np.delete(missing, row), bands)
            for row in range(len(measured))
        ]
    )
    after = at_tables + parts @ (factors - 1)
    others = at_tables + np.sum(parts * (left_out - 1), axis=1)
    clock_control, mac = (
        FittedFactor(
            constant=constant, value=float(factor), left_out=tuple(map(float, factors_left_out))
        )
        for constant, factor, factors_left_out in zip(constants, factors, left_out.T, strict=True)
    )
    cycles = {schedule.nest.layer: schedule.cycles.total for schedule in schedules}
    return PowerCalibration(
        clock_control=clock_control,
        mac=mac,
        layers=tuple(
            CalibratedLayer(
                measured=layer,
                model_latency_ms=cycles[layer.layer] / hardware.clock_MHz * _MS_PER_US,
                before_mW=float(at_tables[row]),
                after_mW=float(after[row]),
                left_out_mW=float(others[row]),
            )
            for row, layer in enumerate(measured)
        ),
    )


def predict_power_mW(
    hardware: HardwareConfig, network: Network, measured: Sequence[MeasuredLayer]
) -> tuple[float, ...]:
    """Power of the chip in each measured layer, with the machine as it is; nothing is fitted.

    Clock, control and leakage cost the same power for however long. Everything else is an energy
    that follows from counts and the zeros, spent over the measured time: so the model's own time
    does not enter.

    Raises
    ------
    InputError
        See `calibrate_power`.
    """
    powers = _powers_mW(hardware, network, _schedule(hardware, network), measured)
    return tuple(map(float, powers))


def _without_fit(hardware: HardwareConfig) -> HardwareConfig:
    """Return the machine without the entries that its file names under ``fitted``."""
    keys = {f"energy_table.{entry}.value": entry for entry in ENTRIES}
    found = {keys[fitted.key] for fitted in hardware.fitted if fitted.key in keys}
    table = hardware.energy_table or EnergyTable()
    return hardware.model_copy(
        update={
            "energy_table": table.model_copy(update=dict.fromkeys(found)),
            "fitted": tuple(one for one in hardware.fitted if one.key not in keys),
        }
    )


def _with_entries(hardware: HardwareConfig, values: dict[str, float]) -> HardwareConfig:
    table = hardware.energy_table or EnergyTable()
    entries = {name: TableEntry(value=value, source="fit") for name, value in values.items()}
    return hardware.model_copy(update={"energy_table": table.model_copy(update=entries)})


def _schedule(hardware: HardwareConfig, network: Network) -> tuple[LayerSchedule, ...]:
    precision = hardware.precision
    return schedule_layers(
        hardware,
        network,
        dict.fromkeys(network.shapes, precision.activation_bits),
        dict.fromkeys(network.constants, precision.weight_bits),
    )


def _powers_mW(
    hardware: HardwareConfig,
    network: Network,
    schedules: tuple[LayerSchedule, ...],
    measured: Iterable[MeasuredLayer],
) -> NDArray[np.float64]:
    activity = {
        layer.layer: LayerActivity(
            zero_ifm_fraction=layer.zero_ifm_fraction,
            zero_weight_fraction=layer.zero_weight_fraction,
        )
        for layer in measured
    }
    priced = {layer.name: layer for layer in price_layers(hardware, network, schedules, activity)}
    return np.array([_power_mW(hardware, layer, priced) for layer in measured])


def _power_mW(
    hardware: HardwareConfig, measured: MeasuredLayer, priced: dict[str, LayerPerformance]
) -> float:
    layer = priced.get(measured.layer)
    if layer is None:
        hint = nearest(measured.layer, list(priced)) or f"; it has {', '.join(priced)}"
        raise InputError(measured.where, f"the network has no layer {measured.layer!r}{hint}")
    if layer.cycles.total == 0:
        raise InputError(
            measured.where,
            f"layer {measured.layer!r} costs this machine nothing; expected one that it runs",
        )
    model_ms = layer.cycles.total / hardware.clock_MHz * _MS_PER_US
    constant_pJ = layer.energy.clock_control.value_pJ + layer.energy.leakage.value_pJ
    counted_pJ = layer.energy.chip.value_pJ - constant_pJ
    return _MW_PER_PJ_PER_MS * (constant_pJ / model_ms + counted_pJ / measured.latency_ms)


def _band(constant: Constant) -> tuple[float, float]:
    """Give the ends of the factor on a constant; that on a 0 stays 1."""
    if constant.value == 0:
        return 1.0, 1.0
    return constant.low / constant.value, constant.high / constant.value
