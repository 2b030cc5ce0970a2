"""Does the list of constants name everything that a machine resolves to?"""

from dataclasses import fields, is_dataclass

import pytest

from accel_sim.energy.band import Constant
from accel_sim.energy.constants import energy_constants
from accel_sim.hardware.load import load_hardware, shipped_machines
from accel_sim.report.constants import list_constants


def constants_in(value):
    if isinstance(value, Constant):
        yield value
    elif isinstance(value, tuple):
        for one in value:
            yield from constants_in(one)
    elif is_dataclass(value):
        for field in fields(value):
            yield from constants_in(getattr(value, field.name))


@pytest.mark.parametrize("name", shipped_machines())
def test_all_constants_are_named_once(name):
    machine = load_hardware(name)
    listed = dict(list_constants(machine))
    assert len(listed) == len(list(list_constants(machine)))
    shown = list(listed.values())
    for constant in constants_in(energy_constants(machine)):
        # Operands that share a memory have constants that differ in their names alone.
        same = [
            one for one in shown if (one.value, one.source) == (constant.value, constant.source)
        ]
        assert same or constant.high == 0, constant.name
    for prefix in ("mac ", "zero mac ", "gated mac "):
        modes = [what for what in listed if what.startswith(prefix)]
        assert len(modes) == len(machine.precision.modes)
    for mode in machine.precision.modes:
        what = f"mac w{mode.weight_bits} a{mode.activation_bits} along {mode.along}"
        assert listed[f"gated {what}"].value <= listed[f"zero {what}"].value
        assert listed[f"zero {what}"].value < listed[what].value < listed["mac"].value
        assert f" {mode.weight_bits}-bit weights" in listed[what].source
