"""Can a data file, or the network, reach into a run?"""

import ast
import socket
from pathlib import Path

import pytest

from accel_sim.cli.main import main
from tests.architecture import PACKAGES, read_modules

ROOT = Path(__file__).parent.parent
FORBIDDEN = {
    "eval", "exec", "compile", "pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal",
    "shelve", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "yaml.Loader", "os.system",
    "os.popen", "np.fromfile",
}  # fmt: skip


def complain(module):
    """Give what runs code that a file could bring."""
    for node in ast.walk(module.tree):
        match node:
            case ast.Import(names=names):
                found = {alias.name for alias in names}
            case ast.ImportFrom(module=name):
                found = {name}
            case ast.Name(id=name):
                found = {name}
            case ast.Attribute():
                found = {ast.unparse(node)}
            case ast.keyword(arg="allow_pickle" | "shell", value=ast.Constant(value=True)):
                found = {f"{node.arg}=True"}
            case _:
                continue
        for name in found & FORBIDDEN | {name for name in found if name and name.endswith("=True")}:
            yield f"{module.at(node)}: {name}"


def test_no_source_runs_what_a_file_says():
    modules = read_modules(ROOT, *PACKAGES)
    assert [line for module in modules.values() for line in complain(module)] == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle", "from pickle import loads", "eval('1')", "yaml.load(text)",
        "np.load(path, allow_pickle=True)", "subprocess.run('ls', shell=True)", "os.system('ls')",
    ],
)  # fmt: skip
def test_such_a_source_would_be_found(tmp_path, line):
    (tmp_path / "accel_sim").mkdir()
    (tmp_path / "accel_sim" / "bad.py").write_text(f"{line}\n")
    (module,) = read_modules(tmp_path, "accel_sim").values()
    assert list(complain(module))


def test_images_that_hold_pickled_objects_are_refused(tmp_path, capsys):
    import numpy as np

    np.savez(tmp_path / "x.npz", images=np.array([{"a": 1}], dtype=object))
    assert main(["simulate", "edge_16x16", "--images", str(tmp_path / "x.npz")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    [
        ("simulate", "edge_16x16", "--limit-images", "2", "--html", "r.html", "--json", "r.json"),
        ("compare", "edge_16x16", "mcu_4x4", "--no-values", "--html", "c.html"),
        ("sweep", "edge_16x16", "--limit-images", "2", "--weight-bits", "4,8", "-o", "s.db"),
        ("quantize", "digits", "-o", "d.q.onnx"),
    ],
    ids=lambda command: command[0],
)
def test_no_command_opens_a_connection(command, monkeypatch, tmp_path):
    def refuse(*arguments, **options):
        raise AssertionError("a connection was opened")

    for name in ("connect", "connect_ex", "sendto", "bind"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.chdir(tmp_path)
    assert main(list(command)) == 0
