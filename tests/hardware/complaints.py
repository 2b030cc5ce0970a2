"""Machines that are refused, and what is said of them."""

from pathlib import Path

import pytest

from accel_sim.hardware.load import find_machine, load_hardware, read_text
from quantizer.errors import InputError

EDGE = read_text(find_machine("edge_16x16"))


def complaint(path_or_name, overrides=()):
    with pytest.raises(InputError) as caught:
        load_hardware(path_or_name, overrides)
    return str(caught.value)


def complaint_of_text(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    Path("hw.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return complaint("hw.yaml")


def line_of(text, fragment):
    return next(at for at, line in enumerate(text.splitlines(), 1) if fragment in line)
