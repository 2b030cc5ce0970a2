"""Runs mutants in one process, under limits, and tells what became of them.

    python -m tests.fuzz.campaign KIND SEED COUNT

prints JSON: how many ended well or in one line, how many passed the reader and reached the
simulation, the places that refused, and every mutant that ended otherwise.
"""

import contextlib
import io
import json
import os
import resource
import signal
import sys
import tempfile
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.random import Generator
from numpy.typing import NDArray

import accel_sim.hardware.load as load
import accel_sim.machine_fit as machine_fit
import quantizer.errors as errors
from accel_sim.builtin import DIGITS
from accel_sim.cli.main import main
from tests.fuzz.mutants import mutate_bytes, mutate_json, mutate_onnx, mutate_yaml

SECONDS = 10
LIMIT_BYTES = 6 << 30
EDGE = "edge_16x16"
_SHIPPED = ("edge_16x16", "camera_16x16", "eyeriss_12x14", "fusion_16x16", "micro_8x16", "iot_8x8")


class TooLong(BaseException):
    """A mutant took too long."""


@dataclass
class Tally:
    """What became of the mutants of a campaign."""

    mutants: int = 0
    done: int = 0
    parsed: int = 0
    simulated: int = 0
    sites: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


@dataclass
class _Marks:
    parsed: bool = False
    simulated: bool = False
    site: str = ""


MARKS = _Marks()


def watch() -> None:
    """Note what a mutant reaches, and where it is refused."""
    parse, schedule, begin = (
        load.parse_hardware,
        machine_fit.schedule_layers,
        errors.InputError.__init__,
    )

    def parse_hardware(*arguments: Any, **options: Any) -> Any:
        config = parse(*arguments, **options)
        MARKS.parsed = True
        return config

    def schedule_layers(*arguments: Any, **options: Any) -> Any:
        MARKS.simulated = True
        return schedule(*arguments, **options)

    def refuse(self: Any, where: str, problem: str) -> None:
        frame = sys._getframe(1)
        MARKS.site = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        begin(self, where, problem)

    load.parse_hardware = parse_hardware
    machine_fit.schedule_layers = schedule_layers
    errors.InputError.__init__ = refuse  # type: ignore[method-assign]


def run(arguments: Sequence[str]) -> tuple[int, str]:
    """Run one command; give its status, and what is wrong with how it ended, if anything is."""
    out, err = io.StringIO(), io.StringIO()
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(list(arguments))
    except TooLong:
        return -1, f"took more than {SECONDS} s"
    except BaseException:  # whatever it is
        return 1, traceback.format_exc()
    finally:
        signal.alarm(0)
    return status, _complain(status, out.getvalue(), err.getvalue(), arguments)


def _complain(status: int, out: str, err: str, arguments: Sequence[str]) -> str:
    if status not in (0, 2, 3):
        return f"status {status}"
    is_partial = "report" in arguments  # lists the rows that are whole, and fails all the same
    if status == 2 and (err.count("\n") != 1 or not err.endswith("\n") or (out and not is_partial)):
        return f"not one line: {out[:200]!r} {err[:400]!r}"
    if not all(letter.isprintable() or letter == "\n" for letter in out + err):
        return f"unprintable: {out[:200]!r} {err[:400]!r}"
    return ""


Draw = Callable[[Generator], list[str]]
"""Writes a mutant into the working folder, and gives the command that reads it."""


TOPOLOGY = (
    "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, "
    "Strides,\nfirst, 18, 18, 3, 3, 8, 16, 1,\nsecond, 16, 16, 1, 1, 16, 8, 1,\n"
)


def machines() -> Draw:
    texts = [load.read_text(load.find_machine(name)) for name in _SHIPPED]
    Path("t.csv").write_text(TOPOLOGY)

    def draw(rng: Generator) -> list[str]:
        Path("m.yaml").write_bytes(mutate_yaml(texts[int(rng.integers(len(texts)))], rng))
        if rng.integers(32):
            return ["simulate", "m.yaml", "--network", "t.csv", "--no-values"]
        return ["simulate", "m.yaml", "--limit-images", "1"]

    return draw


def networks() -> Draw:
    model = onnx.load(DIGITS.onnx_path)
    with np.load(DIGITS.test_path) as archive:
        images = archive["images"][:2]

    def draw(rng: Generator) -> list[str]:
        Path("n.onnx").write_bytes(mutate_onnx(model, rng))
        command = ["simulate", EDGE, "--network", "n.onnx"]
        if rng.integers(3):
            return [*command, "--no-values"]
        np.savez("i.npz", images=images)
        return [*command, "--calibration", "i.npz", "--scale", "1/16"]

    return draw


def images() -> Draw:
    with np.load(DIGITS.test_path) as archive:
        pixels, labels = archive["images"][:3], archive["labels"][:3]

    def odd(array: NDArray[Any], rng: Generator) -> Any:
        kinds: list[Callable[[], Any]] = [
            lambda: array.astype(np.float64), lambda: array.astype(np.float32) * np.nan,
            lambda: array[:0], lambda: array.reshape(-1), lambda: array[..., None],
            lambda: array.astype(str), lambda: array.astype(object), lambda: array.astype(bool),
            lambda: np.float32(3), lambda: array - 3, lambda: array.astype(np.complex64),
            lambda: array[::-1], lambda: array,
        ]  # fmt: skip
        return kinds[int(rng.integers(len(kinds)))]()

    def draw(rng: Generator) -> list[str]:
        np.savez("i.npz", images=odd(pixels, rng), labels=odd(labels, rng))
        if rng.integers(2):
            Path("i.npz").write_bytes(mutate_bytes(Path("i.npz").read_bytes(), rng))
        if rng.integers(8) == 0:
            with zipfile.ZipFile("i.npz", "w") as archive:
                archive.writestr("images.npy", b"nothing")
        return ["simulate", EDGE, "--images", "i.npz"]

    return draw


def json_files() -> Draw:
    formats = json.dumps(
        {
            "conv1.weight": {"bits": 8, "frac_bits": 7, "signed": True},
            "image": {"bits": 8, "frac_bits": 7, "signed": False},
        }
    )
    bits = json.dumps({"default": {"weight_bits": 6}, "conv1": 8, "conv2": {"bias_bits": 9}})
    assert main(["simulate", EDGE, "--no-values", "--json", "r.json"]) == 0
    report = Path("r.json").read_text()

    def draw(rng: Generator) -> list[str]:
        kind = int(rng.integers(4))
        text = (formats, bits, report, report)[kind]
        Path("x.json").write_bytes(mutate_json(text, rng))
        return [
            ["simulate", EDGE, "--limit-images", "1", "--formats", "x.json"],
            ["simulate", EDGE, "--no-values", "--bits", "x.json"],
            ["compare", "r.json", "x.json"],
            ["check", "x.json"],
        ][kind]

    return draw


def tables() -> Draw:
    sweep = ["sweep", EDGE, "--no-values", "--set", "mac_array.rows=8,16", "-o", "s.db"]
    assert main(sweep) == 0
    results = Path("s.db").read_bytes()

    def draw(rng: Generator) -> list[str]:
        if rng.integers(2):
            Path("t.csv").write_bytes(mutate_bytes(TOPOLOGY.encode(), rng))
            return ["simulate", EDGE, "--network", "t.csv", "--no-values"]
        Path("x.db").write_bytes(mutate_bytes(results, rng))
        Path("x.db-journal").unlink(missing_ok=True)
        return ["report", "x.db"]

    return draw


def command_lines() -> Draw:
    commands = [
        ["simulate", EDGE, "--no-values", "--set", "mac_array.rows=8", "--weight-bits", "6"],
        ["sweep", EDGE, "--no-values", "--set", "mac_array.rows=4:8", "--weight-bits", "4,8"],
        ["compare", EDGE, "mcu_4x4", "--no-values", "--fail-if", "energy_uJ>+2%"],
        ["widths", EDGE, "--no-values", "--bits", "4:6"],
        ["check", EDGE, "--set", "clock_MHz=100"],
        ["simulate", EDGE, "--limit-images", "1", "--scale", "1/16", "--batch", "2"],
    ]
    words = [
        "", "-", "--", "--json", "x", "0", "-1", "1e9", "99999999999999999999", "a=b", "=", "*",
        "[", "4:", ":", "8:4", "nan", "\n", "é", "--help", "--weight-bits",
    ]  # fmt: skip

    def draw(rng: Generator) -> list[str]:
        command = list(commands[int(rng.integers(len(commands)))])
        for _ in range(int(rng.integers(1, 3))):
            place = int(rng.integers(len(command)))
            kind = int(rng.integers(4))
            if kind == 0:
                del command[place]
            elif kind == 1:
                command.insert(place, str(words[int(rng.integers(len(words)))]))
            elif kind == 2:
                command[place] = str(words[int(rng.integers(len(words)))])
            else:
                command[place] = mutate_bytes(command[place].encode() or b"x", rng).decode(
                    errors="ignore"
                )
            command = command or ["simulate"]
        # No system can pass on a NUL.
        return [word.replace("\0", "") for word in command]

    return draw


KINDS: dict[str, Callable[[], Draw]] = {
    "machines": machines,
    "networks": networks,
    "images": images,
    "json": json_files,
    "tables": tables,
    "commands": command_lines,
}


def run_campaign(kind: str, seed: int, count: int) -> Tally:
    """Draw and run mutants in the working folder."""
    tally, draw = Tally(), KINDS[kind]()
    watch()
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        command = draw(rng)
        MARKS.parsed = MARKS.simulated = False
        MARKS.site = ""
        status, problem = run(command)
        tally.mutants += 1
        tally.parsed += MARKS.parsed
        tally.simulated += MARKS.simulated
        tally.done += status in (0, 3)
        if status == 2:
            tally.sites[MARKS.site] += 1
        if problem:
            tally.failures.append(f"{kind} {seed} {number}: {' '.join(command)!r}\n{problem}")
    return tally


def _refuse_to_go_on(*_: object) -> None:
    raise TooLong


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    signal.signal(signal.SIGALRM, _refuse_to_go_on)
    printed = os.dup(1)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            found = run_campaign(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
        os.chdir("/")
    os.write(printed, json.dumps(vars(found)).encode())
