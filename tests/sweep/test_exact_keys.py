"""Does a point that finds exact runs of others on disk give what it gives by itself?

Every field of the machine, of the numbers, of the network and of the images is changed once.
"""

from dataclasses import replace

import numpy as np
import pytest

from accel_sim.cli.formats import quantize_for
from accel_sim.cli.inputs import FormatRequest
from accel_sim.cli.points import make_experiment
from accel_sim.cli.workload import Workload
from accel_sim.hardware import choices
from accel_sim.hardware.load import load_hardware
from accel_sim.report.as_csv import flatten
from accel_sim.report.facts import Datapath
from accel_sim.simulation import choose_bits, simulate
from accel_sim.sweep.dispatch import Dispatch, PointDone
from accel_sim.sweep.exact_cache import ExactCache
from accel_sim.sweep.point_records import totals_record
from accel_sim.sweep.points import SweepPoint
from accel_sim.sweep.runner import PointRunner
from accel_sim.sweep.workers import ThisProcess
from quantizer.errors import InputError
from quantizer.fixedpoint.qformat import Overflow
from quantizer.network.images import Preprocessing
from quantizer.quantized import LayerBits
from tests.digits import load_digits
from tests.sweep.points import NARROW_ACCUMULATORS

pytestmark = pytest.mark.slow

NUMBERS = FormatRequest(
    input_bits=None, bias_bits=None, bits=None, per_channel=False, method=None, estimator=None,
    headroom_bits=None, formats=None, tune=False, tune_passes=None, tune_budget=None,
    tune_measure=None,
)  # fmt: skip
BASES = {
    "wrap": ("edge_16x16",),
    "saturate": ("edge_16x16", *NARROW_ACCUMULATORS),
}  # fmt: skip
NAMES = sorted(
    {
        str(member.value)
        for kind in (*vars(choices).values(), Overflow)
        if isinstance(kind, type) and hasattr(kind, "__members__")
        for member in kind
    }
)
"""All that a field with a name may say; each takes few of them."""
OTHERS = {
    "technology.supply_V": [["technology.supply_V=0.8"]],
    "technology.sram_cell": [["technology.sram_cell=hp", "buffers.psum.port_bits=256"]],
    "precision.psum_storage_bits": [["precision.psum_storage_bits=12"]],
    "precision.modes": [
        ["precision.modes=[{weight_bits: 4, activation_bits: 4, macs_per_pe: 4, along: reduction}]"]
    ],
    "mac_array.dataflow": [["mac_array.dataflow=weight_stationary", "mac_array.drain=hidden"]],
    "buffers.shared": [["buffers.shared=[ifm, ofm]"]],
    "dram.model": [
        ["dram={model: flat, bandwidth_GBps: 10, latency_ns: 80, energy_pJ_per_bit: 8}"]
    ],
    "dram.device": [["dram.device=DDR4-2400"], ["dram.device=LPDDR4-2400"]],
    "dram.compression": [["dram.compression=zero_rle"]],
    "mapping.pin": [["mapping.pin=[{layer: conv1, tile: {filters: 8}}]"]],
}
"""Where neither a name nor a number is another value, or others must follow."""
WITHOUT_CHANGE = {
    "name": "determines nothing",
    "fitted": "tells where other values come from",
    "energy_table": "is about constants of energy, which no exact run knows",
    "dram.address_map": "is row_linear for all devices of the table",
    "mac_array.register_files": "belongs to row_stationary machines",
    "mac_array.networks": "belongs to row_stationary machines",
}


@pytest.fixture(scope="module")
def workload():
    network, images = load_digits(2)
    return Workload(network=network, calibration=images, images=images)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, workload):
    """A cache of the exact runs of all bases."""
    folder = tmp_path_factory.mktemp("exact")
    for base in BASES.values():
        run(make_point(*base), workload, NUMBERS, folder)
    return folder


def make_point(machine, *overrides, datapath=Datapath.FIXED, **bits):
    hardware = load_hardware(machine, overrides)
    widths = replace(choose_bits(hardware, datapath=datapath), **bits)
    return SweepPoint(hardware=hardware, changes={}, bits=widths, datapath=datapath)


def run(point, workload, numbers, folder):
    """The totals of a point in a sweep, or why there are none."""
    experiments = [make_experiment(workload, numbers)]
    with ThisProcess(PointRunner(experiments)) as workers:
        (outcome,) = Dispatch([point], experiments, workers, ExactCache(folder)).run()
    return outcome.totals if isinstance(outcome, PointDone) else str(outcome.error)


def run_alone(point, workload, numbers):
    """The same from one simulation, by none of the code of sweeps."""
    try:
        is_rebuilt = point.datapath is Datapath.REBUILT
        network = quantize_for(
            point.hardware, workload, point.bits, numbers, lambda *_: None, is_rebuilt=is_rebuilt
        )
        report = simulate(point.machine_for(network), network, workload.images)
    except InputError as error:
        return str(error)
    return {**totals_record(report.to_document()), "datapath": str(point.datapath)}


def check(point, workload, numbers, folder):
    expected = run_alone(point, workload, numbers)
    assert run(point, workload, numbers, folder) == expected


def find_change(base, key, value):
    """The overrides that change one field, and those that must follow."""
    machine, *overrides = base
    candidates = [*OTHERS.get(key, []), *([f"{key}={name}"] for name in NAMES)]
    if isinstance(value, bool):
        candidates = [[f"{key}={str(not value).lower()}"]]
    elif isinstance(value, int | float):
        numbers = (value * 2, value / 2, value + 1, value - 1, value - 2)
        candidates += [[f"{key}={number:g}"] for number in numbers]
    for candidate in candidates:
        changed = {item.partition("=")[0] for item in candidate}
        kept = [item for item in overrides if item.partition("=")[0] not in changed]
        try:
            hardware = load_hardware(machine, [*kept, *candidate])
        except InputError:
            continue
        if flatten(hardware.model_dump(mode="json")).get(key) != value:
            return [machine, *kept, *candidate]
    return None


def fields():
    for name, (machine, *overrides) in BASES.items():
        tree = load_hardware(machine, overrides).model_dump(mode="json")
        for key, value in flatten(tree).items():
            yield pytest.param(name, key, value, id=f"{name}-{key}")


@pytest.mark.parametrize(("base", "key", "value"), [*fields()])
def test_every_field_of_a_machine_counts_if_it_matters(workload, folder, base, key, value):
    change = find_change(BASES[base], key, value)
    if change is None:
        assert key in WITHOUT_CHANGE
        return
    check(make_point(*change), workload, NUMBERS, folder)


def other_numbers(tmp_path):
    formats = tmp_path / "formats.json"
    formats.write_text('{"conv1.weight": {"bits": 5, "frac_bits": 4, "signed": true}}')
    yield {"method": "min_max"}
    yield {"estimator": "maximum_likelihood"}
    yield {"headroom_bits": 1}
    yield {"per_channel": True}
    yield {"formats": formats}
    yield {"tune": True}
    yield {"tune": True, "tune_passes": 2}
    yield {"tune": True, "tune_budget": 3}
    yield {"tune": True, "tune_measure": "top1"}


WIDTHS = (
    {"weights": 5},
    {"activations": 5},
    {"inputs": 5},
    {"biases": 9},
    {"layers": {"conv1": LayerBits(weights=4)}},
    {"layers": {"conv1": LayerBits(activations=4)}},
    {"layers": {"conv1": LayerBits(biases=6)}},
    {"weights": 4, "activations": 4, "inputs": 4, "datapath": Datapath.REBUILT},
)


@pytest.mark.parametrize("base", ["wrap", "saturate"])
def test_every_choice_of_numbers_counts(workload, folder, tmp_path, base):
    for widths in WIDTHS:
        check(make_point(*BASES[base], **widths), workload, NUMBERS, folder)
    for change in other_numbers(tmp_path):
        check(make_point(*BASES[base]), workload, replace(NUMBERS, **change), folder)


def other_workloads(workload):
    network, images = workload.network, workload.images
    name, weights = next(iter(network.constants.items()))
    moved = weights.copy()
    moved.flat[0] += 1
    pixels = images.images.copy()
    pixels[0, 0] ^= 255
    yield {"network": replace(network, constants={**network.constants, name: moved},
                              digest="0" * 64)}  # fmt: skip
    for kind in ("images", "calibration"):
        yield {kind: replace(images, images=pixels)}
        yield {kind: replace(images, images=images.images[:1], labels=images.labels[:1])}
        for preprocessing in (Preprocessing(mean=(9.0,)), Preprocessing(scale=(0.5,))):
            yield {kind: replace(images, preprocessing=preprocessing)}
    yield {"images": replace(images, labels=(images.labels + 1) % 10)}
    yield {"images": replace(images, labels=None)}
    yield {"images": None}


@pytest.mark.parametrize("base", ["wrap", "saturate"])
def test_every_change_of_network_and_images_counts(workload, folder, base):
    before = run_alone(make_point(*BASES[base]), workload, NUMBERS)
    assert run(make_point(*BASES[base]), workload, NUMBERS, folder) == before
    for change in other_workloads(workload):
        check(make_point(*BASES[base]), replace(workload, **change), NUMBERS, folder)


def test_the_machines_of_these_tests_do_saturate_and_the_images_tell_them_apart(workload):
    assert not np.array_equal(workload.images.images[0], workload.images.images[1])
    wrap, saturate = (run_alone(make_point(*BASES[name]), workload, NUMBERS)
                      for name in ("wrap", "saturate"))  # fmt: skip
    assert wrap["sqnr_dB"] != saturate["sqnr_dB"]
