"""Do report files keep their contract, and appear complete or not at all?"""

import csv
import io
import json
import os
import stat
from pathlib import Path

import jsonschema
import pytest

from accel_sim.report.as_csv import layer_records, to_csv_bytes
from accel_sim.report.as_json import read_report, report_schema, to_json_bytes
from accel_sim.report.output_file import check_writable, write_file
from quantizer.errors import InputError
from tests.report.sample import with_values, without_values

REPORTS = pytest.mark.parametrize("make", [with_values, without_values])


@REPORTS
def test_the_file_obeys_its_own_schema(make):
    jsonschema.validate(make().to_json_dict(), report_schema())


def test_the_schema_refuses_what_is_no_report():
    file = with_values().to_json_dict()
    file["totals"]["latency_us"] = "fast"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(file, report_schema())


@REPORTS
def test_the_same_report_gives_the_same_bytes(make):
    assert to_json_bytes(make().to_json_dict()) == to_json_bytes(make().to_json_dict())


@REPORTS
def test_a_report_reads_back_as_it_was(make, tmp_path):
    path = tmp_path / "report.json"
    document = make().to_document()
    path.write_bytes(to_json_bytes(document.model_dump(mode="json")))
    assert read_report(path) == document


def test_a_report_of_a_newer_minor_version_reads_past_its_new_fields(tmp_path):
    path = tmp_path / "report.json"
    file = with_values().to_json_dict()
    file["totals"]["carbon_g"] = 1
    path.write_text(json.dumps(file))
    assert read_report(path) == with_values().to_document()


def test_infinity_is_never_written():
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        to_json_bytes({"x": float("inf")})


def changed(**changes):
    return json.dumps(with_values().to_json_dict() | changes)


BAD_REPORTS = [
    ("{", "is not a JSON file; give one that --json wrote"),
    ("[]", "is not a report; give a file that --json wrote"),
    ('{"a": 1}', "is not a report; give a file that --json wrote"),
    (
        changed(schema_version=2),
        "has schema_version 2; this version reads 1, so write the report again",
    ),
    (
        changed(tool={"name": "accel-sim"}),
        "tool.version: field required; give a file that --json wrote",
    ),
    (
        changed(totals={**with_values().to_json_dict()["totals"], "macs": 10**400}),
        "totals.macs: input should be less than 9223372036854775808; give a file that --json wrote",
    ),
]


@pytest.mark.parametrize(("text", "problem"), BAD_REPORTS)
def test_what_is_no_report_is_refused_in_one_sentence(text, problem, tmp_path):
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_report(path)
    assert str(error.value) == f"{path}: {problem}"


def test_a_missing_report_is_named(tmp_path):
    with pytest.raises(InputError) as error:
        read_report(tmp_path / "no.json")
    assert str(error.value) == (
        f"{tmp_path / 'no.json'}: cannot be read (No such file or directory); "
        "expected a file that --json wrote"
    )


def test_csv_has_one_line_per_layer_under_the_paths_of_the_json():
    document = with_values().to_document()
    text = to_csv_bytes(layer_records(document)).decode()
    conv, pool, flatten = csv.DictReader(io.StringIO(text))
    assert conv["name"] == "model/first/conv2d/Conv2D"
    assert conv["cycles.total"] == "2510"
    assert conv["energy_pJ.mac_high"] == "16000.0"
    assert json.loads(conv["weight_frac_bits"]) == [7, 6]
    assert json.loads(conv["mapping.loop_order"]) == ["groups", "filters", "pixels", "channels"]
    assert pool["weight_bits"] == ""
    assert flatten["mapping.tile.filters"] == ""
    assert conv["exact"] == "false"


def test_all_records_have_the_same_keys():
    first, *others = with_values().to_records()
    assert all(list(record) == list(first) for record in others)
    assert "mapping" not in first


def test_a_file_appears_whole_with_ordinary_permissions(tmp_path):
    target = tmp_path / "out.json"
    write_file(target, lambda file: file.write(b"whole"))
    assert target.read_bytes() == b"whole"
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~mask


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "link.json").symlink_to("real.json")
    write_file(tmp_path / "link.json", lambda file: file.write(b"whole"))
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real.json").read_bytes() == b"whole"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "out.json"
    target.write_text("old")

    def fail_half_way(file):
        file.write(b"half")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        write_file(target, fail_half_way)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_the_users_to_mend(tmp_path):
    target = tmp_path / "out.json"

    def fill(file):
        raise OSError(28, os.strerror(28))

    with pytest.raises(InputError) as error:
        write_file(target, fill)
    assert str(error.value) == (
        f"{target}: cannot be written (No space left on device); choose another place"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_cannot_be_written_is_refused_before_work(tmp_path):
    check_writable("--json", tmp_path / "out.json")
    for path, problem in (
        (tmp_path, f"'{tmp_path}' is a folder; give a file name"),
        (
            tmp_path / "no" / "out.json",
            f"folder '{tmp_path / 'no'}' does not exist; make it first",
        ),
        (Path("/dev/null"), "'/dev/null' is not an ordinary file; give a file name"),
        # Nobody may make files here, not even root.
        (Path("/proc/out.json"), "folder '/proc' is not writable; choose another"),
    ):
        with pytest.raises(InputError) as error:
            check_writable("--json", path)
        assert str(error.value) == f"--json: {problem}"
