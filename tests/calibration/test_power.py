"""Are two factors found that made the powers of a chip, and does its file say so?"""

from dataclasses import replace

import numpy as np
import pytest

from accel_sim import calibrate_power, calibrated_yaml, load_hardware, predict_power_mW
from accel_sim.builtin import find_builtin
from accel_sim.calibration.factor_fit import fit_factors
from accel_sim.calibration.measured_layers import MeasuredLayer
from accel_sim.energy.scaling import scaled_constant
from accel_sim.hardware.load import find_machine
from benchmarks.eyeriss import PINS, calibrate, convolutions
from quantizer.errors import InputError

MACHINE = "edge_16x16"
NETWORK = convolutions()
WHOLE = find_builtin("alexnet").without_weights()
LAYERS = tuple(
    MeasuredLayer(layer=name, power_mW=1, latency_ms=ms, zero_ifm_fraction=zeros)
    for name, ms, zeros in [
        ("conv1", 4, 0.0), ("conv2", 9, 0.4), ("conv3", 3, 0.7), ("conv5", 5, 0.5),
    ]
)  # fmt: skip


def chip(clock=1.0, mac=1.0):
    """The machine with both entries times a factor of their own."""
    hardware = load_hardware(MACHINE)
    entries = ", ".join(
        f"{name}: {{value: {scaled_constant(name, hardware).value * factor!r}, source: x}}"
        for name, factor in (("clock_control_pJ", clock), ("mac_8x8_pJ", mac))
    )
    return load_hardware(MACHINE, [f"energy_table={{{entries}}}"])


def measure(hardware):
    powers = predict_power_mW(hardware, NETWORK, LAYERS)
    return tuple(
        replace(layer, power_mW=power) for layer, power in zip(LAYERS, powers, strict=True)
    )


def factors(calibration):
    return [factor.value for factor in calibration.factors]


def test_the_factors_of_a_chip_are_found_again():
    calibration = calibrate_power(load_hardware(MACHINE), NETWORK, measure(chip(1.7, 0.6)))
    assert factors(calibration) == pytest.approx([1.7, 0.6])
    for factor in calibration.factors:
        assert factor.left_out == pytest.approx([factor.value] * len(LAYERS))
        assert not factor.is_at_end
    assert calibration.worst_before_fraction > 0.1
    assert calibration.worst_after_fraction == pytest.approx(0, abs=1e-9)
    assert calibration.worst_left_out_fraction == pytest.approx(0, abs=1e-9)


def test_a_factor_stays_inside_the_band_of_its_entry():
    calibration = calibrate_power(load_hardware(MACHINE), NETWORK, measure(chip(3, 1)))
    clock, mac = calibration.factors
    assert (clock.value, clock.band, clock.is_at_end) == (pytest.approx(2), (0.5, 2), True)
    # What the clock may not explain goes to the MACs, as far as these may.
    assert 1 < mac.value <= mac.band[1] == pytest.approx(1.68)
    low = calibrate_power(load_hardware(MACHINE), NETWORK, measure(chip(0.1, 0.1)))
    assert factors(low) == pytest.approx([0.5, 0.56])


@pytest.mark.parametrize("seed", range(20))
def test_no_factors_inside_the_bands_come_nearer(seed):
    rng = np.random.default_rng(seed)
    parts = rng.uniform(0, 1, (4, 2))
    missing = rng.normal(0, 1, 4)
    bands = [(0.5, 2.0), (0.56, 1.68)]
    found = fit_factors(parts, missing, bands)
    grid = np.stack(np.meshgrid(*(np.linspace(*band, 301) for band in bands)), axis=-1)

    def squares(point):
        return np.sum(((point - 1) @ parts.T - missing) ** 2, axis=-1)

    assert all(low <= value <= high for value, (low, high) in zip(found, bands, strict=True))
    assert squares(found) <= squares(grid).min() + 1e-12


def test_where_layers_cannot_tell_the_factors_apart_both_move_alike():
    parts = np.array([[1.0, 1.0], [2.0, 2.0]])
    found = fit_factors(parts, np.array([0.2, 0.4]), [(0.5, 2.0), (0.5, 2.0)])
    assert found == pytest.approx([1.1, 1.1])


def test_power_does_not_depend_on_the_time_of_the_model():
    """A slower link stalls the machine; tiles, counts and the measured time stay."""
    fast, slow = (
        calibrate(f"dram.bandwidth_GBps={speed}", PINS, "mapping.objective=dram_bytes")
        for speed in (0.48, 0.1)
    )
    for one, other in zip(fast.layers, slow.layers, strict=True):
        assert other.model_latency_ms > 1.3 * one.model_latency_ms
        assert other.before_mW == pytest.approx(one.before_mW, rel=1e-9)


def test_twice_the_time_leaves_the_constant_power_alone():
    (power,) = predict_power_mW(chip(), NETWORK, LAYERS[:1])
    (half,) = predict_power_mW(chip(), NETWORK, [replace(LAYERS[0], latency_ms=8)])
    (never,) = predict_power_mW(chip(), NETWORK, [replace(LAYERS[0], latency_ms=1e12)])
    assert half - never == pytest.approx((power - never) / 2)
    assert never > 0


def test_an_earlier_fit_is_taken_away_first(tmp_path):
    measured = measure(chip(1.7, 0.6))
    first = calibrate_power(load_hardware(MACHINE), NETWORK, measured)
    file = tmp_path / "chip.yaml"
    file.write_text(calibrated_yaml(MACHINE, first, "our chip"))
    again = calibrate_power(load_hardware(file), NETWORK, measured)
    assert again == first
    assert calibrated_yaml(file, again, "our chip") == file.read_text()


def test_what_the_user_states_is_where_a_fit_starts():
    own = load_hardware(
        MACHINE, ["energy_table={mac_8x8_pJ: {value: 2, low: 1, high: 3, source: ours}}"]
    )
    mac = calibrate_power(own, NETWORK, measure(chip(1, 1))).mac
    assert mac.band == (0.5, 1.5)
    assert mac.is_at_end


def test_the_new_file_gives_the_calibrated_powers(tmp_path):
    noise = (1.05, 0.97, 1.02, 0.96)
    measured = tuple(
        replace(layer, power_mW=layer.power_mW * factor)
        for layer, factor in zip(measure(chip(1.3, 0.8)), noise, strict=True)
    )
    calibration = calibrate_power(load_hardware(MACHINE), NETWORK, measured)
    text = calibrated_yaml(MACHINE, calibration, 'our chip: "A", 2024')
    file = tmp_path / "chip.yaml"
    file.write_text(text)
    hardware = load_hardware(file)
    # Four digits stand in the file.
    assert predict_power_mW(hardware, NETWORK, measured) == pytest.approx(
        [layer.after_mW for layer in calibration.layers], rel=1e-3
    )
    for factor in calibration.factors:
        entry = hardware.own_entries[factor.constant.name]
        assert entry.source == 'fitted to the power of our chip: "A", 2024'
        ends = [end * factor.constant.value for end in (min(factor.left_out), max(factor.left_out))]
        assert [entry.low, entry.high] == pytest.approx(ends, rel=1e-3)
    clock, mac = hardware.fitted
    assert (clock.key, mac.key) == (
        "energy_table.clock_control_pJ.value", "energy_table.mac_8x8_pJ.value",
    )  # fmt: skip
    assert clock.reason == (
        f"A factor of {calibration.clock_control.value:.3g} (inside its band of 0.5 to 2) on 81.6 "
        'pJ, fitted to the power of 4 layers: our chip: "A", 2024. Power per layer is off by '
        f"{calibration.worst_before_fraction:.1%} at most without the fit, "
        f"{calibration.worst_after_fraction:.1%} with it, and "
        f"{calibration.worst_left_out_fraction:.1%} where the layer is left out of it."
    ).replace("81.6", f"{calibration.clock_control.constant.value:.4g}")
    # The old file is all there, comments too.
    assert text.startswith(find_machine(MACHINE).read_text().rstrip())


def test_a_factor_at_the_end_of_its_band_is_told():
    calibration = calibrate_power(load_hardware(MACHINE), NETWORK, measure(chip(3, 1)))
    text = calibrated_yaml(MACHINE, calibration, "our chip")
    assert "A factor of 2 (an end of its band, 0.5 to 2) on" in text


@pytest.mark.parametrize(
    ("measured", "complaint"),
    [
        *(
            (
                LAYERS[:count],
                f"measured layers: {count} measured; expected at least 3, to fit two factors and "
                "to leave one out",
            )
            for count in (0, 2)
        ),
        (
            (*LAYERS, replace(LAYERS[0], layer="cnv1", where="t.csv:6")),
            "t.csv:6: the network has no layer 'cnv1'; did you mean 'conv1'?",
        ),
        (
            (*LAYERS, replace(LAYERS[0], layer="flatten", where="t.csv:6")),
            "t.csv:6: layer 'flatten' costs this machine nothing; expected one that it runs",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_fitted_is_told_in_one_sentence(measured, complaint):
    with pytest.raises(InputError) as caught:
        calibrate_power(load_hardware(MACHINE), WHOLE, measured)
    assert str(caught.value) == complaint


def test_a_layer_of_no_name_like_it_is_told_what_there_is():
    odd = replace(LAYERS[0], layer="zzz")
    with pytest.raises(InputError) as caught:
        predict_power_mW(load_hardware(MACHINE), NETWORK, [odd])
    assert str(caught.value).startswith(
        "measured layers: the network has no layer 'zzz'; it has conv1, "
    )
