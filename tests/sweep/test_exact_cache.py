"""Is an exact run from disk the one that was kept, or none?"""

import pytest

from accel_sim.sweep.exact_cache import ExactCache
from accel_sim.sweep.runner import PointRunner
from quantizer.quantized import QuantizedNetwork
from tests.digits import load_digits
from tests.sweep.points import make_experiment, make_point

KEY = "0" * 64


@pytest.fixture(scope="module")
def run():
    network, images = load_digits(3)
    point = make_point(6, "dram.compression=zero_rle")
    runner = PointRunner([make_experiment(network, images)])
    return runner.run_exact(point, None)


def test_a_run_comes_back_as_it_was_kept(run, tmp_path):
    cache = ExactCache(tmp_path / "made")
    assert cache.find(KEY) is None
    cache.keep(KEY, run)
    assert ExactCache(tmp_path / "made").find(KEY) == run
    assert cache.find("1" * 64) is None
    assert cache.damaged == 0


def test_its_formats_are_those_of_the_network_and_its_integers_take_no_memory(run):
    network, _ = load_digits(3)
    point = make_point(6)
    filled = run.formats.without_integers(network, point.hardware.numeric_rules)
    experiment = make_experiment(*load_digits(3))
    whole = experiment.quantize(point, lambda *_: None)
    assert isinstance(filled, QuantizedNetwork)
    for name in ("bits", "method", "formats", "per_channel", "tuning", "rules"):
        assert getattr(filled, name) == getattr(whole, name)
    for kind in ("weights", "biases"):
        constants, expected = getattr(filled, kind), getattr(whole, kind)
        assert list(constants) == list(expected)
        for name, constant in constants.items():
            assert constant.bits == expected[name].bits
            assert constant.frac_bits.tolist() == expected[name].frac_bits.tolist()
            assert constant.raw.shape == expected[name].raw.shape
            assert not any(constant.raw.strides)


def damage(content: bytes):
    yield "a byte", content[:-20] + bytes([content[-20] ^ 1]) + content[-19:]
    yield "its end", content[: len(content) // 2]
    yield "all of it", b""
    yield "no text", b"\xff\xfe" + content
    yield "its checksum", b"0" * 64 + content[64:]


@pytest.mark.parametrize("what", ["a byte", "its end", "all of it", "no text", "its checksum"])
def test_what_is_damaged_is_not_found(run, tmp_path, what):
    cache = ExactCache(tmp_path)
    cache.keep(KEY, run)
    path = tmp_path / f"{KEY}.json"
    path.write_bytes(dict(damage(path.read_bytes()))[what])
    assert cache.find(KEY) is None
    assert cache.damaged == 1
    cache.keep(KEY, run)
    assert cache.find(KEY) == run


def test_the_run_of_another_key_is_not_found(run, tmp_path):
    cache = ExactCache(tmp_path)
    cache.keep(KEY, run)
    (tmp_path / f"{KEY}.json").rename(tmp_path / f"{'1' * 64}.json")
    assert cache.find("1" * 64) is None
    assert cache.damaged == 1


def test_a_folder_that_cannot_be_made_keeps_nothing(run, tmp_path):
    (tmp_path / "file").touch()
    cache = ExactCache(tmp_path / "file" / "exact")
    cache.keep(KEY, run)
    assert cache.find(KEY) is None
    assert cache.damaged == 0
