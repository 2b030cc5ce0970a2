"""Is a wrong --reference-data refused, and does a run end by saying why it skipped?"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")
SUITE = """
import pytest

def test_with_data(reference_data):
    assert reference_data.is_absolute()

def test_with_more_data(reference_data):
    pass

@pytest.mark.skipif(True, reason="the moon is full")
def test_by_moonlight():
    pass

def test_that_speaks(record_property):
    record_property("note", "a note from a test")
"""


@pytest.fixture
def suite(tmp_path):
    shutil.copy(CONFTEST, tmp_path)
    (tmp_path / "test_suite.py").write_text(SUITE)
    return tmp_path


def run_suite(suite, *options, **environment):
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("ACCEL_")}
    inherited["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options],
        cwd=suite,
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def data(tmp_path):
    for name in ("networks", "images", "references"):
        (tmp_path / "data" / name).mkdir(parents=True)
    return tmp_path / "data"


def test_the_last_line_tells_the_reason_of_each_group_of_skips(suite):
    lines = run_suite(suite, "-p", "xdist", "--numprocesses=1").stdout.splitlines()
    assert lines[-1] == (
        "1 passed, 3 skipped: "
        "2 because no reference data (--reference-data=DIR or $ACCEL_SIM_REFERENCE_DATA); "
        "1 because the moon is full"
    )
    assert "a note from a test" in lines


def test_the_option_and_the_environment_variable_both_give_the_folder(suite, data):
    for given in (
        run_suite(suite, "--reference-data=data"),
        run_suite(suite, ACCEL_SIM_REFERENCE_DATA=str(data)),
    ):
        assert given.stdout.splitlines()[-1] == "3 passed, 1 skipped: 1 because the moon is full"


def test_a_folder_without_the_data_is_a_usage_error(suite, data):
    (data / "images").rmdir()
    refused = run_suite(suite, "--reference-data=data")
    assert refused.returncode == pytest.ExitCode.USAGE_ERROR
    assert refused.stderr.strip() == (
        "ERROR: --reference-data data: no folder 'images' here; "
        "a folder holding networks, images, references is needed"
    )
