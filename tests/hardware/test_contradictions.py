"""Is a machine whose keys contradict each other refused, in one sentence?"""

import jsonschema
import pytest

from accel_sim.hardware.buffers import OPERANDS
from accel_sim.hardware.load import (
    config_digest,
    find_machine,
    hardware_schema,
    load_hardware,
    read_text,
)
from quantizer.errors import InputError
from tests.hardware.complaints import EDGE, complaint, complaint_of_text, line_of

HOLD_AN_OPERAND = ["weight_stationary", "input_stationary", "channel_parallel"]
ROWS = ["mac_array.dataflow=row_stationary", "mac_array.drain=hidden"]
FILES = "mac_array.register_files={ifm_words: 12, weight_words: 224, psum_words: 24}"
NETWORKS = "mac_array.networks={ifm_bits: 16, weight_bits: 64, psum_bits: 64}"
NARROW = "{weight_bits: 4, activation_bits: 4, macs_per_pe: 4, along: reduction}"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (
            "zero_rl",
            "dram.compression: expected a section of keys or none, zero_rle; got 'zero_rl'",
        ),
        ("[zero_rle]", "dram.compression: expected a section of keys, got a list"),
        ("{scheme: zero_rle}", "dram.compression: missing key 'run_bits'"),
        ("{scheme: none, run_bits: 5}", "dram.compression.scheme: expected zero_rle; got 'none'"),
        (
            "{scheme: zero_rle, run_bit: 5}",
            "dram.compression: unknown key 'run_bit'; did you mean 'run_bits'?",
        ),
        (
            "{scheme: zero_rle, run_bits: 0}",
            "dram.compression.run_bits: expected at least 1, got 0",
        ),
        (
            "{scheme: zero_rle, run_bits: 17}",
            "dram.compression.run_bits: expected at most 16, got 17",
        ),
    ],
)
@pytest.mark.parametrize("machine", ["edge_16x16", "mcu_4x4"])
def test_a_compression_that_is_none_is_refused(machine, value, problem):
    override = f"dram.compression={value}"
    assert complaint(machine, [override]) == f"--set {override}: {problem}"


def test_a_machine_without_values_has_nothing_to_measure_compression_on():
    override = "dram.compression=zero_rle"
    assert complaint("eyeriss_12x14", [override]) == (
        f"eyeriss_12x14:{line_of(read_text(find_machine('eyeriss_12x14')), 'dram:')}: "
        "dram.compression: how short zero_rle gets is measured on the values of a run, and a "
        "machine that cuts its partial sums (precision.psum_storage_bits) has none; use none"
    )
    whole = load_hardware("eyeriss_12x14", [override, "precision.psum_storage_bits=32"])
    assert whole.zero_run_bits == 5


def test_zero_rle_alone_has_the_runs_of_eyeriss():
    word, section = (
        load_hardware("edge_16x16", [f"dram.compression={value}"])
        for value in ("zero_rle", "{scheme: zero_rle, run_bits: 5}")
    )
    assert word == section
    assert config_digest(word) == config_digest(section)
    assert section.zero_run_bits == 5
    assert load_hardware("edge_16x16").zero_run_bits is None
    assert load_hardware("edge_16x16", ["dram.compression=none"]) == load_hardware("edge_16x16")


def test_a_row_stationary_array_has_register_files_and_networks():
    assert load_hardware("edge_16x16", [*ROWS, FILES, NETWORKS]).mac_array.networks.ifm_bits == 16
    assert load_hardware("edge_16x16").mac_array.register_files is None


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (
            [*ROWS, NETWORKS],
            "register_files: missing; a row_stationary array needs ifm_words, weight_words, "
            "psum_words",
        ),
        (
            [*ROWS, FILES],
            "networks: missing; a row_stationary array needs ifm_bits, weight_bits, psum_bits",
        ),
        (
            [FILES],
            "register_files: only row_stationary arrays have them; leave it out",
        ),
        (
            [*ROWS, FILES, NETWORKS, "mac_array.depthwise=block_diagonal"],
            "depthwise: block_diagonal lays groups side by side, which row_stationary does not; "
            "use serial",
        ),
        (
            [*ROWS, FILES.replace("12", "0"), NETWORKS],
            "register_files.ifm_words: expected at least 1, got 0",
        ),
        (
            [*ROWS, FILES, NETWORKS, f"precision.modes=[{NARROW}]"],
            "precision.modes: the multipliers of a row_stationary array cannot be composed; use []",
        ),
        (
            [*ROWS, FILES, NETWORKS, "precision.psum_storage_bits=33"],
            "precision.psum_storage_bits: expected at most the 32 bits of the accumulator, got 33",
        ),
    ],
)
def test_a_contradiction_about_row_stationary_arrays_is_one_sentence(overrides, problem):
    message = complaint("edge_16x16", overrides)
    assert message.endswith(problem)
    assert message.count(problem) == 1


def test_a_fitted_value_names_a_key_of_its_machine():
    fitted = "fitted=[{key: mac_array.pipeline_cycles, reason: none}]"
    assert load_hardware("edge_16x16", [fitted]).fitted[0].key == "mac_array.pipeline_cycles"
    wrong = complaint("edge_16x16", [fitted.replace("cycles", "cycle")])
    assert wrong.endswith(
        "fitted: this machine has no value at 'mac_array.pipeline_cycle'; did you mean "
        "'mac_array.pipeline_cycles'?"
    )


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        # A key that may be in a file, but is not in this one.
        ("precision.psum_storage_bits", "; did you mean 'precision.accumulator_bits'?"),
        ("power_mW", "; expected one such as mac_array.rows"),
        ("mac_array", "; did you mean 'mac_array.rows'?"),  # a section is not a value
    ],
)
def test_a_fitted_key_has_a_value(key, problem):
    wrong = complaint("edge_16x16", [f"fitted=[{{key: {key}, reason: none}}]"])
    assert wrong.endswith(f"fitted: this machine has no value at {key!r}{problem}")


def test_a_key_is_fitted_once():
    one = "{key: mac_array.rows, reason: none}"
    assert complaint("edge_16x16", [f"fitted=[{one}, {one}]"]).endswith(
        "fitted: mac_array.rows is named twice; expected one entry for it"
    )


def test_one_key_of_a_section_that_the_file_leaves_out_is_not_enough():
    for machine, key, missing in (
        ("tpu_256x256", "buffers.ofm.port_bits", "capacity_KiB"),
        ("edge_16x16", "mac_array.networks.ifm_bits", "weight_bits"),
    ):
        section = key.rpartition(".")[0]
        assert complaint(machine, [f"{key}=64"]) == (
            f"--set {key}=64: {section}: missing key {missing!r}; the file leaves {section} out, "
            "give all of its keys"
        )


MEMORY = "{capacity_KiB: 64, port_bits: 128, ports: 1r1w, banks: 2, double_buffered: true}"
WIDER = MEMORY.replace("128", "256")


@pytest.mark.parametrize(
    ("buffers", "problem"),
    [
        (
            {"weights": MEMORY, "psum": MEMORY, "ofm": MEMORY, "shared": "[ifm, ofm]"},
            "buffers.shared: key 'ifm' is missing; the first operand named describes the memory "
            "of all",
        ),
        (
            {"ifm": MEMORY, "psum": MEMORY, "shared": "[ifm, ofm]"},
            "buffers: missing key 'weights'",
        ),
        ({"ifm": MEMORY, "weights": MEMORY, "psum": MEMORY}, "buffers: missing key 'ofm'"),
        (
            {"ifm": MEMORY, "weights": MEMORY, "psum": MEMORY, "ofm": WIDER,
             "shared": "[ifm, ofm]"},
            "buffers.ofm: shares the memory that ifm describes, with another port_bits; leave the "
            "key out",
        ),
        (
            {"ofm": MEMORY, "ifm": MEMORY, "weights": MEMORY, "psum": "in_ofm",
             "shared": "[ofm, psum]"},
            "buffers.psum: in_ofm is a place among the outputs, and shared gives partial sums one "
            "of their own; leave out one of the two",
        ),
        (
            {"weights": MEMORY.replace("64", "1"), "ifm": MEMORY, "psum": MEMORY,
             "shared": "[weights, ofm]"},
            "buffers.weights.capacity_KiB: expected 2 to 4096 KiB in each bank (SRAM table), "
            "got 0.5",
        ),
    ],
)  # fmt: skip
def test_a_contradiction_about_shared_memories_is_one_sentence(buffers, problem):
    section = f"buffers={{{', '.join(f'{key}: {keys}' for key, keys in buffers.items())}}}"
    with pytest.raises(InputError) as error:
        load_hardware("edge_16x16", [section])
    assert str(error.value) == f"--set {section}: {problem}"


def test_a_shared_memory_is_one_and_is_described_once():
    section = f"buffers={{ofm: {WIDER}, weights: {MEMORY}, psum: in_ofm, shared: [ofm, ifm]}}"
    buffers = load_hardware("edge_16x16", [section]).buffers
    assert buffers.ifm == buffers.ofm
    assert buffers.ifm.port_bits == 256
    assert buffers.memories == {"weights": buffers.weights, "ofm": buffers.ofm}
    assert [buffers.memory_key(name) for name in OPERANDS] == ["ofm", "weights", "ofm", "ofm"]
    assert buffers.keeps_maps
    assert not load_hardware("edge_16x16").buffers.keeps_maps
    said_twice = section.replace("weights:", f"ifm: {WIDER}, weights:")
    assert load_hardware("edge_16x16", [said_twice]).buffers == buffers


def test_the_schema_lets_shared_operands_be_described_once():
    def machine(*names, **keys):
        whole = load_hardware("edge_16x16").model_dump(mode="json")
        buffers = {name: whole["buffers"][name] for name in names}
        return whole | {"buffers": buffers | keys}

    def is_valid(machine):
        return jsonschema.Draft202012Validator(hardware_schema()).is_valid(machine)

    assert is_valid(machine(*OPERANDS))
    assert is_valid(machine("ifm", "weights", "psum", shared=["ifm", "ofm"]))
    assert not is_valid(machine("ifm", "weights", "psum"))
    assert not is_valid(machine("ifm", "weights", "psum", shared=["ofm"]))


@pytest.mark.parametrize(
    ("pins", "problem"),
    [
        ("conv1", "mapping.pin: expected a list, got 'conv1'"),
        ("[{tile: {filters: 4}}]", "mapping.pin[0]: missing key 'layer'"),
        (
            "[{layer: a, tile: {rows: 4}}]",
            "mapping.pin[0].tile: unknown key 'rows'; did you mean 'groups'?",
        ),
        (
            "[{layer: a, tile: {filters: 0}}]",
            "mapping.pin[0].tile.filters: expected at least 1, got 0",
        ),
        (
            "[{layer: a, tile: {filters: }}]",
            "mapping.pin[0].tile.filters: expected int, got nothing",
        ),
        (
            "[{layer: a, loop_order: [groups, pixels, filters]}]",
            "mapping.pin[0].loop_order: expected groups first, then pixels, filters and channels "
            "in any order",
        ),
        (
            "[{layer: a, loop_order: [pixels, groups, filters, channels]}]",
            "mapping.pin[0].loop_order: expected groups first, then pixels, filters and channels "
            "in any order",
        ),
        (
            "[{layer: a}, {layer: b}, {layer: a}]",
            "mapping.pin: layer 'a' is pinned twice; expected one entry for it",
        ),
    ],
)
def test_a_malformed_pin_is_one_sentence(pins, problem):
    with pytest.raises(InputError) as error:
        load_hardware("edge_16x16", [f"mapping.pin={pins}"])
    assert str(error.value) == f"--set mapping.pin={pins}: {problem}"


@pytest.mark.parametrize("dataflow", HOLD_AN_OPERAND)
def test_sums_that_do_not_stay_are_not_drained(tmp_path, monkeypatch, dataflow):
    text = EDGE.replace("dataflow: output_stationary", f"dataflow: {dataflow}")
    assert complaint_of_text(tmp_path, monkeypatch, text) == (
        f"hw.yaml:{line_of(text, '  drain: rows')}: mac_array.drain: with {dataflow} sums leave "
        "the columns as they are made; use hidden"
    )


@pytest.mark.parametrize("overlap", ["none", "weight_preload", "full"])
@pytest.mark.parametrize("dataflow", HOLD_AN_OPERAND)
def test_an_operand_that_stays_can_be_loaded_ahead(dataflow, overlap):
    array = load_hardware(
        "edge_16x16",
        [f"mac_array.{key}" for key in
         (f"dataflow={dataflow}", "drain=hidden", f"fold_overlap={overlap}")],
    ).mac_array  # fmt: skip
    assert (array.dataflow, array.fold_overlap) == (dataflow, overlap)


@pytest.mark.parametrize("dataflow", ["weight_stationary", "input_stationary"])
def test_only_trees_take_an_ifm_for_each_column(dataflow):
    keys = [f"mac_array.dataflow={dataflow}", "mac_array.drain=hidden"]
    assert complaint("edge_16x16", [*keys, "mac_array.depthwise=native"]) == (
        "--set mac_array.depthwise=native: mac_array.depthwise: native gives every column an ifm "
        f"of its own, which {dataflow} does not; use serial or block_diagonal"
    )
    trees = load_hardware(
        "edge_16x16",
        ["mac_array.dataflow=channel_parallel", *keys[1:], "mac_array.depthwise=native"],
    )
    assert trees.mac_array.depthwise == "native"
