"""Does the tool work for someone who has only the wheel, or only a fresh clone?"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import accel_sim
from tests.architecture import PACKAGES, THIRD_PARTY, imports, read_modules

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DISTRIBUTIONS = {"PIL": "pillow", "yaml": "pyyaml", "vl_convert": "vl-convert-python"}


def run(*command, cwd):
    """Run a command as a user would, with nothing of this run's Python or make in the way."""
    ours = ("PYTHONPATH", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if name not in ours},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = run(
        sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, cwd=ROOT
    )
    assert build.returncode == 0, build.stdout + build.stderr
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_every_module_and_table_and_the_shipped_machines(wheel):
    shipped = set(zipfile.ZipFile(wheel).namelist())
    sources = [
        path.relative_to(ROOT).as_posix()
        for folder in ("quantizer", "accel_sim", "hw_configs")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    ]
    expected = {f"accel_sim/{path}" if path.startswith("hw_") else path for path in sources}
    assert "accel_sim/hw_configs/edge_16x16.yaml" in expected
    assert "accel_sim/builtin/digits.onnx" in expected
    assert expected - shipped == set()


def test_the_wheel_holds_nothing_but_the_two_packages(wheel):
    folders = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {folder for folder in folders if not folder.endswith(".dist-info")} == {
        "accel_sim",
        "quantizer",
    }


@pytest.mark.slow
def test_the_wheel_runs_from_an_empty_environment_and_any_folder(wheel, tmp_path):
    environment, elsewhere = tmp_path / "environment", tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert run(sys.executable, "-m", "venv", environment, cwd=tmp_path).returncode == 0
    python, command = environment / "bin" / "python", environment / "bin" / "accel-sim"
    install = run(python, "-m", "pip", "install", "--quiet", wheel, cwd=elsewhere)
    assert install.returncode == 0, install.stderr

    simulated = run(command, "simulate", "edge_16x16", cwd=elsewhere)
    assert simulated.returncode == 0, simulated.stderr
    assert "digits" in simulated.stdout
    machines = run(command, "list", "machines", cwd=elsewhere)
    assert machines.returncode == 0, machines.stderr
    assert "edge_16x16" in machines.stdout
    assert list(elsewhere.iterdir()) == []


def test_the_citation_names_the_current_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == accel_sim.__version__


def distributions(requirements):
    return {re.match(r"[\w-]+", requirement)[0] for requirement in requirements}


def test_every_dependency_is_declared_and_no_other():
    extras = PROJECT["optional-dependencies"]
    declared = distributions([*PROJECT["dependencies"], *extras["distributed"]])
    assert declared == {DISTRIBUTIONS.get(package, package) for package in THIRD_PARTY}


def test_the_tests_import_only_what_is_declared():
    declared = distributions([*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]])
    modules = read_modules(ROOT, "tests")
    imported = {
        name.split(".")[0] for test in modules.values() for name, _ in imports(test, modules)
    }
    outside = imported - sys.stdlib_module_names - {"tests", "tools", "benchmarks", *PACKAGES}
    assert {DISTRIBUTIONS.get(package, package) for package in outside} <= declared


def test_every_dependency_is_bounded_on_both_sides():
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    bounded = re.compile(r"[\w-]+>=[\d.]+,<[\d.]+")
    assert [name for names in groups for name in names if not bounded.fullmatch(name)] == []


PRETENCES = {
    "no Python": "exit 127",
    "an old Python": "exec {python} -c "
    "'import sys; sys.version_info = (3, 9, 2); exec(sys.argv[2])' \"$@\"",
    "no venv": "exec {python} -c "
    '\'import sys; sys.modules["ensurepip"] = None; exec(sys.argv[2])\' "$@"',
}


@pytest.mark.parametrize("target", ["run", "test"])
@pytest.mark.parametrize(
    ("pretence", "sentence"),
    [
        (
            "no Python",
            "No Python at './python'; install Python 3.11 or newer with its venv module "
            "(Debian: apt install python3 python3-venv), or name one: PYTHON=/path/to/python3.",
        ),
        (
            "an old Python",
            "./python is Python 3.9 but 3.11 or newer is needed; "
            "install one with its venv module and name it: PYTHON=python3.11.",
        ),
        (
            "no venv",
            "./python cannot make environments; install its venv module "
            f"(Debian: apt install python3.{sys.version_info.minor}-venv).",
        ),
    ],
)
def test_make_says_in_one_line_what_the_machine_lacks(tmp_path, target, pretence, sentence):
    for file in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / file, tmp_path)
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{PRETENCES[pretence].format(python=sys.executable)}\n")
    python.chmod(0o755)

    made = run("make", target, "PYTHON=./python", cwd=tmp_path)
    assert made.returncode == 2
    assert made.stdout == ""
    assert re.fullmatch(r"Makefile:\d+: \*\*\* (.*)  Stop\.\n", made.stderr)[1] == sentence
    assert not (tmp_path / ".venv").exists()


def test_make_leaves_no_environment_behind_that_could_not_be_finished(tmp_path):
    for file in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / file, tmp_path)
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\n"
        '[ "$1" = -m ] && { mkdir -p .venv/bin; touch .venv/bin/python; exit 1; }\n'
        f'exec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    assert run("make", "run", "PYTHON=./python", cwd=tmp_path).returncode == 2
    assert not (tmp_path / ".venv").exists()
