"""A machine's file with what was fitted to its chip."""

import json
import textwrap
from pathlib import Path

from accel_sim.calibration.power import FittedFactor, PowerCalibration
from accel_sim.hardware.load import find_machine, parse_hardware, read_text
from accel_sim.hardware.yaml_edit import set_items

DIGITS = 4
"""Significant digits of a value in a file."""
COLUMNS = 114
"""Of the lines of a reason, without what they are indented by."""


def calibrated_yaml(
    path_or_name: str | Path, calibration: PowerCalibration, measured_of: str
) -> str:
    """Text of a machine's file with both entries and why they are so; all else stays.

    Entries go to ``energy_table``, with the span of the fits that leave a layer out as their
    band, and their reasons to ``fitted``.

    Parameters
    ----------
    measured_of
        What was measured, and who published it: ``AlexNet on Eyeriss, JSSC 2017``.

    Raises
    ------
    InputError
        If the file cannot be read, is written in braces, or is no machine.
    """
    name = str(path_or_name)
    text = read_text(find_machine(path_or_name))
    parse_hardware(text, name)
    factors = {factor.constant.name: factor for factor in calibration.factors}
    text = set_items(
        text,
        name,
        "energy_table",
        {entry: f"{entry}: {_write_entry(one, measured_of)}" for entry, one in factors.items()},
    )
    reasons = {
        f"energy_table.{entry}.value": _write_reason(one, calibration, measured_of)
        for entry, one in factors.items()
    }
    text = set_items(
        text,
        name,
        "fitted",
        {key: f"- key: {key}\n  reason: >-\n{reason}" for key, reason in reasons.items()},
    )
    parse_hardware(text, name)
    return text


def _write_entry(factor: FittedFactor, measured_of: str) -> str:
    """Write what stands in ``energy_table``; its band is the span of the fits."""
    factors = (factor.value, *factor.left_out)
    value, low, high = (
        f"{one * factor.constant.value:.{DIGITS}g}"
        for one in (factor.value, min(factors), max(factors))
    )
    source = json.dumps(f"fitted to the power of {measured_of}", ensure_ascii=False)
    return f"{{value: {value}, low: {low}, high: {high}, source: {source}}}"


def _write_reason(factor: FittedFactor, calibration: PowerCalibration, measured_of: str) -> str:
    low, high = factor.band
    band = (
        f"an end of its band, {low:.3g} to {high:.3g}"
        if factor.is_at_end
        else f"inside its band of {low:.3g} to {high:.3g}"
    )
    words = (
        f"A factor of {factor.value:.3g} ({band}) on "
        f"{factor.constant.value:.4g} pJ, fitted to the power of {len(calibration.layers)} layers: "
        f"{measured_of}. Power per layer is off by {calibration.worst_before_fraction:.1%} at most "
        f"without the fit, {calibration.worst_after_fraction:.1%} with it, and "
        f"{calibration.worst_left_out_fraction:.1%} where the layer is left out of it."
    )
    lines = textwrap.wrap(words, COLUMNS, break_long_words=False, break_on_hyphens=False)
    return textwrap.indent("\n".join(lines), "    ")
