"""Is a network refused that memory cannot hold, before any image runs?"""

import numpy as np
import pytest

from accel_sim.hardware.load import load_hardware
from accel_sim.simulation import simulate
from quantizer.errors import InputError
from quantizer.network import memory
from quantizer.network.memory import available_bytes, estimate_bytes
from quantizer.quantize import quantize
from quantizer.quantized import BitWidths
from tests.digits import load_digits

REFUSED = (
    r"digits: needs [\d.]+ MB of memory for \d+ images at once, and there are 0\.1 MB; expected"
)


@pytest.fixture(scope="module")
def network():
    return load_digits(2)[0]


@pytest.fixture(scope="module")
def images():
    return load_digits(2)[1]


def test_what_memory_cannot_hold_is_refused_before_an_image_runs(network, images, monkeypatch):
    quantized = quantize(network, images, BitWidths())
    done = []
    monkeypatch.setattr(memory, "available_bytes", lambda: 100_000)
    with pytest.raises(InputError, match=REFUSED):
        quantize(network, images, BitWidths(), progress=lambda *steps: done.append(steps))
    hardware = load_hardware("edge_16x16")
    with pytest.raises(InputError, match=REFUSED):
        simulate(hardware, quantized, images, progress=lambda *steps: done.append(steps))
    assert not done
    simulate(hardware, quantized)  # costs alone need no memory


def test_the_estimate_grows_with_maps_threads_and_what_is_kept(network, monkeypatch):
    maps = sum(
        np.prod(network.shapes[name])
        for name in (network.input, *(layer.ofm for layer in network.layers))
    )
    one = estimate_bytes(network, keeps_maps=False)
    assert one > 12 * maps
    assert estimate_bytes(network, keeps_maps=True) >= one + 4 * maps
    monkeypatch.setattr(memory, "worker_count", lambda: 100)
    assert estimate_bytes(network, keeps_maps=False) > 100 * 12 * maps


@pytest.mark.parametrize(
    ("limit", "expected"), [("max", 4096 * 1024), ("3000000", 2_000_000), ("1", 0)]
)
def test_a_container_may_have_less_than_the_machine(tmp_path, monkeypatch, limit, expected):
    info, most, taken = (tmp_path / name for name in ("meminfo", "memory.max", "memory.current"))
    info.write_text("MemTotal: 9999 kB\nMemAvailable:    4096 kB\n")
    most.write_text(limit + "\n")
    taken.write_text("1000000\n")
    monkeypatch.setattr(memory, "MEMORY_INFO", info)
    monkeypatch.setattr(memory, "CGROUP_LIMITS", ((most, taken), (tmp_path / "no", taken)))
    assert available_bytes() == expected
