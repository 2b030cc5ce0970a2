"""Does a machine's file mean what it says, and is every mistake one clear sentence?"""

from pathlib import Path

import pytest

from accel_sim.hardware.choices import Objective, Packing, RoundingName
from accel_sim.hardware.load import (
    config_digest,
    find_machine,
    hardware_schema,
    load_hardware,
    shipped_machines,
)
from quantizer.fixedpoint.qformat import Overflow, Rounding
from tests.hardware.complaints import EDGE, complaint, complaint_of_text, line_of


def test_numbers_have_the_declared_type(tmp_path):
    path = tmp_path / "hw.yaml"
    path.write_text(EDGE.replace("clock_MHz: 500 ", "clock_MHz: 1e3 "))
    assert load_hardware(path).clock_MHz == 1000.0
    config = load_hardware("edge_16x16")
    assert config.mac_array.rows == 16
    assert config.mapping.objective is Objective.ENERGY_DELAY
    assert config.dram.packing is Packing.DENSE
    assert config.precision.requantize_rounding is RoundingName.TIES_POS


def test_keys_that_are_no_physical_quantity_may_be_left_out():
    short = load_hardware(
        "edge_16x16",
        [
            "dram={model: flat, bandwidth_GBps: 10, latency_ns: 80, energy_pJ_per_bit: 8}",
            "mapping={objective: latency}",
        ],
    )
    assert short.dram.packing is Packing.DENSE
    assert (short.mapping.reduction, short.mapping.residency, short.mapping.batch) == (
        "free",
        "auto",
        1,
    )
    assert load_hardware("edge_16x16").buffers.shared == ()


def test_numeric_rules_are_those_of_the_file():
    rules = load_hardware(
        "edge_16x16", ["precision.requantize_rounding=to_zero", "precision.accumulator_bits=24"]
    ).numeric_rules
    assert rules.requantize_rounding is Rounding.TO_ZERO
    assert rules.average_pool_rounding is Rounding.TIES_POS
    assert rules.accumulator_bits == 24
    assert rules.accumulator_overflow is Overflow.WRAP


def test_a_path_and_a_name_give_the_same_machine():
    assert load_hardware(find_machine("edge_16x16")) == load_hardware("edge_16x16")


def test_overrides_apply_in_order():
    config = load_hardware("edge_16x16", ["mac_array.rows=8", "mac_array.rows=4", "name=mine"])
    assert (config.mac_array.rows, config.name) == (4, "mine")


def test_a_whole_section_can_be_overridden():
    flat = (
        "dram={model: flat, bandwidth_GBps: 10, latency_ns: 80, energy_pJ_per_bit: 8, "
        "packing: byte}"
    )
    assert load_hardware("edge_16x16", [flat]).dram.bandwidth_GBps == 10.0
    assert load_hardware("edge_16x16", ["buffers.psum=in_ofm"]).buffers.psum == "in_ofm"


def test_modes_may_be_listed_as_none():
    assert load_hardware("edge_16x16", ["precision.modes=[]"]).precision.modes == ()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "edge_16x61",
            "edge_16x61: no file or shipped machine of this name (`accel-sim list machines` shows "
            "those); did you mean 'edge_16x16'?",
        ),
        (
            "qqq",
            "qqq: no file or shipped machine of this name "
            "(`accel-sim list machines` shows those)",
        ),
        ("", ": no file or shipped machine of this name "
             "(`accel-sim list machines` shows those)"),
        ("nowhere.yaml", "nowhere.yaml: no such file"),
        ("no/where", "no/where: no such file"),
    ],
)  # fmt: skip
def test_a_machine_that_is_not_there(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    assert complaint(name) == message


def test_a_folder_is_no_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("hw.yaml").mkdir()
    assert complaint("hw.yaml") == "hw.yaml: is a folder; expected a YAML file"


def test_a_file_that_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a").write_text("x")
    assert complaint("a/hw.yaml") == "a/hw.yaml: cannot be read: Not a directory"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "hw.yaml: nothing is written here; expected YAML"),
        ("# only a comment\n", "hw.yaml: nothing is written here; expected YAML"),
        ("---\n", "hw.yaml:2: expected a section of keys, got nothing"),
        ("just words", "hw.yaml:1: expected a section of keys, got 'just words'"),
        ("- a\n- b\n", "hw.yaml:1: expected a section of keys, got a list"),
        (b"\xff\xfe\x00\x01", "hw.yaml: not a text file; expected YAML"),
        (b"name: a\x00b", "hw.yaml: not a text file; expected YAML"),
        ("a: [1, 2\nb: 3", "hw.yaml:2: not valid YAML: expected ',' or ']', but got ':'"),
        (
            "\tname: x",
            "hw.yaml:1: not valid YAML: found character '\\t' that cannot start any token",
        ),
        ("a: &x 1\nb: *x", "hw.yaml:1: anchors and aliases are not read; write the value out"),
        ("a: *x", "hw.yaml:1: anchors and aliases are not read; write the value out"),
        ("a: !!int 1", "hw.yaml:1: the tag tag:yaml.org,2002:int is not read; remove it"),
        ("a: 1\n---\nb: 2", "hw.yaml:2: a second document begins; expected one"),
        ("[" * 500, "hw.yaml:1: nested more than 20 deep"),
        ("a: {b: 1,\n b: 2}", "hw.yaml:2: a: key 'b' is given twice"),
        ("a: 1\na: 2", "hw.yaml:2: key 'a' is given twice"),
        ("? [a]\n: 1", "hw.yaml:1: a key must be a word"),
        ("x" * (1 << 20) + "y", "hw.yaml: larger than 1 MiB; expected a machine description"),
        (
            "nam: x",
            "hw.yaml:1: unknown key 'nam'; did you mean 'name'?",
        ),
        (
            "qqqqqqq: x",
            "hw.yaml:1: unknown key 'qqqqqqq'; expected one of name, clock_MHz, technology, "
            "precision, mac_array, buffers, dram, post_processing, mapping, energy_table, fitted",
        ),
        ("name: x", "hw.yaml:1: missing key 'clock_MHz'"),
    ],
)
def test_a_file_that_is_no_machine(tmp_path, monkeypatch, text, message):
    assert complaint_of_text(tmp_path, monkeypatch, text) == message


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("  rows: 16", "  row: 16", "mac_array: unknown key 'row'; did you mean 'rows'?"),
        ("  rows: 16", "  rows: on", "mac_array.rows: expected int, got 'on'"),
        ("  rows: 16", "  rows: 010", "mac_array.rows: expected int, got '010'"),
        ("  rows: 16", "  rows: 1_6", "mac_array.rows: expected int, got '1_6'"),
        ("  rows: 16", "  rows: '16'", "mac_array.rows: expected int, got '16'"),
        ("  rows: 16", "  rows: 16.0", "mac_array.rows: expected int, got '16.0'"),
        ("  rows: 16", "  rows:", "mac_array.rows: expected int, got nothing"),
        ("  rows: 16", "  rows: [16]", "mac_array.rows: expected int, got a list"),
        ("  rows: 16", "  rows: 0", "mac_array.rows: expected at least 1, got 0"),
        ("  rows: 16", "  rows: 1025", "mac_array.rows: expected at most 1024, got 1025"),
        (
            "  rows: 16", "  rows: " + "9" * 100,
            f"mac_array.rows: expected int, got '{'9' * 57}...'",
        ),
        (
            "dataflow: output_stationary", "dataflow: os",
            "mac_array.dataflow: expected one of output_stationary, weight_stationary, "
            "input_stationary, channel_parallel, row_stationary; got 'os'",
        ),
        (
            "fold_overlap: none", "fold_overlap: weight_preload",
            "mac_array.fold_overlap: an output-stationary array holds no weights to preload; "
            "use none or full",
        ),
        (
            "depthwise: serial", "depthwise: native",
            "mac_array.depthwise: native gives every column an ifm of its own, which "
            "output_stationary does not; use serial or block_diagonal",
        ),
        (
            "accumulator_overflow: wrap", "accumulator_overflow: clamp",
            "precision.accumulator_overflow: expected one of wrap, saturate; got 'clamp'",
        ),
        ("zero_gating: true", "zero_gating: yes",
         "mac_array.zero_gating: expected true or false, got 'yes'"),
        ("clock_MHz: 500", "clock_MHz: 12:30:00",
         "clock_MHz: expected a number, got '12:30:00'"),
        ("clock_MHz: 500", "clock_MHz: .inf", "clock_MHz: expected a number, got '.inf'"),
        ("clock_MHz: 500", "clock_MHz: 1e999",
         "clock_MHz: expected at most 10000, got inf"),
        ("name: edge_16x16", "name: ''", "name: expected a word, got nothing"),
        ("name: edge_16x16", f"name: {'x' * 81}", "name: expected at most 80 characters"),
        ("  shared: []", "  shared: ifm", "buffers.shared: expected a list, got 'ifm'"),
        ("  shared: []", "  shared: [ifm, ofn]",
         "buffers.shared[1]: expected one of ifm, weights, psum, ofm; got 'ofn'"),
        ("  shared: []", "  shared: [ifm]",
         "buffers.shared: expected two operands or more, got ifm alone"),
        ("  shared: []", "  shared: [ifm, ofm, ifm]",
         "buffers.shared: ifm is named twice; expected each operand once"),
        ("reduction: free", "reduction: fix",
         "mapping.reduction: expected one of free, fixed; got 'fix'"),
        ("residency: auto", "residency: never",
         "mapping.residency: expected one of auto, none; got 'never'"),
        ("device: LPDDR4-3200", "device: LPDDR4-3100",
         "dram.device: expected one of DDR4-2400, DDR3-1600, LPDDR4-3200, HBM2-2000; "
         "got 'LPDDR4-3100'; did you mean 'LPDDR4-3200'?"),
        ("address_map: row_linear", "address_map: row_lin",
         "dram.address_map: LPDDR4-3200 was measured with row_linear; got 'row_lin'; "
         "did you mean 'row_linear'?"),
        ("  model: device", "  model: divice",
         "dram.model: expected one of device, flat; got 'divice'"),
        ("node_nm: 32", "node_nm: 5",
         "technology.node_nm: expected 7 to 65 (energy tables), got 5"),
        ("node_nm: 32", "node_nm: 66",
         "technology.node_nm: expected 7 to 65 (energy tables), got 66"),
        ("supply_V: 0.9", "supply_V: 1.2",
         "technology.supply_V: expected 0.63 to 1.17 at 32 nm, got 1.2"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_its_line(tmp_path, monkeypatch, old, new, problem):
    text = EDGE.replace(old, new, 1)
    assert text != EDGE
    expected = f"hw.yaml:{line_of(text, new)}: {problem}"
    assert complaint_of_text(tmp_path, monkeypatch, text) == expected


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("mac_array.row=8", "mac_array: unknown key 'row'; did you mean 'rows'?"),
        ("mac_aray.rows=8", "unknown key 'mac_aray'; did you mean 'mac_array'?"),
        ("mac_array.rows=eight", "mac_array.rows: expected int, got 'eight'"),
        ("mac_array.rows=", "nothing is written here; expected YAML"),
        ("mac_array.rows=[", "not valid YAML: expected the node content, but found "
                             "'<stream end>'"),
        ("mac_array.rows", "expected KEY=VALUE, as in mac_array.rows=16"),
        ("=8", "expected KEY=VALUE, as in mac_array.rows=16"),
        ("mac_array..rows=8", "expected KEY=VALUE, as in mac_array.rows=16"),
        ("mac_array.rows.x=8", "mac_array.rows holds a value; it has no key 'x'"),
        ("mac_array=8", "mac_array: expected a section of keys, got '8'"),
        ("buffers.ifm.banks=3", "buffers.ifm.banks: double buffering needs 1 bank or an even "
                                "number, got 3"),
        ("buffers.ifm.capacity_KiB=0", "buffers.ifm.capacity_KiB: expected more than 0, got 0.0"),
        ("buffers.psum.banks=7", "buffers.psum.banks: 32 KiB do not divide into 7 banks of "
                                 "whole bytes"),
        ("buffers.psum=ofm", "buffers.psum: expected a section of keys or in_ofm; got 'ofm'"),
        ("buffers.psum=[]", "buffers.psum: expected a section of keys, got a list"),
        ("buffers.ifm.capacity_KiB=2", "buffers.ifm.capacity_KiB: expected 2 to 4096 KiB in each "
                                       "bank (SRAM table), got 1"),
        ("buffers.ofm.port_bits=1024", "buffers.ofm.port_bits: expected 8 to 512 (SRAM table), "
                                       "got 1024"),
        ("dram={}", "dram: missing key 'model'"),
        ("dram=3", "dram: expected a section of keys, got '3'"),
        ("dram={model: flat}", "dram: missing key 'bandwidth_GBps'"),
        ("precision.modes=[{weight_bits: 4, activation_bits: 9, macs_per_pe: 2, "
         "along: reduction}]",
         "precision.modes: [0] takes 4 x 9 bits, the datapath 8 x 8; a mode is no wider"),
        ("precision.modes=[{weight_bits: 4, activation_bits: 4, macs_per_pe: 5, "
         "along: filters}]",
         "precision.modes: [0] makes 5 multipliers of 4 x 4 bits from one of 8 x 8, which has no "
         "parts for them; macs_per_pe: at most 4"),
        ("precision.modes=[{weight_bits: 8, activation_bits: 5, macs_per_pe: 2, "
         "along: filters}]",
         "precision.modes: [0] makes 2 multipliers of 8 x 5 bits from one of 8 x 8, which has no "
         "parts for them; leave it out"),
        ("precision.modes=[{weight_bits: 4, activation_bits: 4, macs_per_pe: 4, "
         "along: filters}, {weight_bits: 4, activation_bits: 4, macs_per_pe: 2, along: filters}]",
         "precision.modes: [1] is a second one of 4 x 4 bits along filters; expected one"),
        ("precision.modes=[{weight_bits: 4, activation_bits: 4, macs_per_pe: 1, "
         "along: filters}]",
         "precision.modes[0].macs_per_pe: expected at least 2, got 1"),
        ("precision.modes=[{weight_bits: 4, activation_bits: 4, macs_per_pe: 4, "
         "along: filter}]",
         "precision.modes[0].along: expected one of reduction, filters; got 'filter'"),
        ("precision.modes=[{weight_bits: 4}]", "precision.modes[0]: missing key "
                                               "'activation_bits'"),
    ],
)  # fmt: skip
def test_a_wrong_override_is_named_as_it_was_written(override, problem):
    assert complaint("edge_16x16", [override]) == f"--set {override}: {problem}"


def test_a_cell_that_the_tables_lack():
    overrides = ["technology={node_nm: 65, supply_V: 1.0, sram_cell: hp}"]
    assert complaint("edge_16x16", overrides) == (
        f"--set {overrides[0]}: technology.sram_cell: no hp SRAM at 65 nm in the tables; use lstp"
    )


@pytest.mark.parametrize("node_nm", [65, 55])
@pytest.mark.parametrize(
    ("buffer", "problem"),
    [("capacity_KiB=2048", "capacity_KiB: expected 2 to 512 KiB in each bank (SRAM table), "
                           "got 1024"),
     ("port_bits=8", "port_bits: expected 16 to 256 (SRAM table), got 8")],
)  # fmt: skip
def test_a_coarse_grid_is_refused_beyond_its_own_ends(node_nm, buffer, problem):
    """A node between two reaches as far as both of them."""
    overrides = [
        f"technology={{node_nm: {node_nm}, supply_V: 1.0, sram_cell: lstp}}",
        "buffers.psum.port_bits=256",
        f"buffers.ifm.{buffer}",
    ]
    assert complaint("edge_16x16", overrides) == f"--set {overrides[-1]}: buffers.ifm.{problem}"


def test_a_node_between_two_has_memories_as_large_as_both():
    overrides = [
        "technology={node_nm: 28, supply_V: 0.9, sram_cell: lstp}",
        "buffers.ifm.capacity_KiB=8192",
    ]
    assert load_hardware("edge_16x16", overrides).buffers.ifm.bank_bytes == 4 << 20


def test_a_list_of_overrides_needs_a_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("hw.yaml").write_text("words")
    assert complaint("hw.yaml", ["mac_array.rows=8"]) == (
        "hw.yaml:1: expected a section of keys, got 'words'"
    )


def test_a_missing_key_is_told_at_its_section(tmp_path, monkeypatch):
    text = EDGE.replace("  rows: 16\n", "")
    expected = f"hw.yaml:{line_of(text, 'cols: 16')}: mac_array: missing key 'rows'"
    assert complaint_of_text(tmp_path, monkeypatch, text) == expected


def test_the_digest_sees_values_and_not_their_writing(tmp_path):
    path = tmp_path / "hw.yaml"
    path.write_text("# another comment\n" + EDGE.replace("clock_MHz: 500 ", "clock_MHz: 5e2 "))
    edge = config_digest(load_hardware("edge_16x16"))
    assert config_digest(load_hardware(path)) == edge
    assert config_digest(load_hardware("edge_16x16", ["clock_MHz=501"])) != edge
    assert len(edge) == 64


def test_the_schema_knows_every_section():
    schema = hardware_schema()
    assert set(schema["properties"]) - set(schema["required"]) == {"energy_table", "fitted"}
    assert {"mac_array", "buffers", "dram"} <= set(schema["properties"])
    assert schema["additionalProperties"] is False


def test_shipped_machines_are_sorted_and_found():
    names = shipped_machines()
    assert {"edge_16x16", "mcu_4x4", "server_32x32"} <= set(names)
    assert list(names) == sorted(names)
    for name in names:
        assert load_hardware(name).name == name
