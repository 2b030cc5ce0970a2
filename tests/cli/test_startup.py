"""Is the command quick to ask, quiet to leave, and plain where nobody looks?"""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

HEAVY = ("numpy", "numba", "scipy", "onnx", "onnxruntime", "altair", "vl_convert", "yaml", "PIL")
VERBS = ("simulate", "compare", "sweep", "widths", "quantize", "check", "init", "list", "schema")
COMMAND = (sys.executable, "-c", "from accel_sim.cli.main import run; run()")


def test_help_imports_nothing_heavy():
    commands = [["--help"], ["--version"], *([verb, "--help"] for verb in VERBS)]
    script = (
        "import sys\n"
        "from accel_sim.cli.main import main\n"
        f"for command in {commands}:\n"
        "    assert main(command) == 0, command\n"
        f"    heavy = [name for name in {HEAVY} if name in sys.modules]\n"
        "    assert not heavy, (command, heavy)\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.count("Usage:") == 1 + len(VERBS)


def test_importing_the_package_imports_nothing_heavy():
    script = f"import sys, accel_sim\nprint([name for name in {HEAVY} if name in sys.modules])"
    finished = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert finished.stdout == "[]\n"


def test_the_command_alone_shows_its_help(run):
    outcome = run()
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out == run("--help").out
    assert all(verb in outcome.out for verb in VERBS)


def test_a_reader_that_leaves_is_no_error():
    with subprocess.Popen(
        [*COMMAND, "schema", "hardware"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


def test_an_interrupt_is_one_line_and_status_130():
    script = (
        "import time, accel_sim.hardware.load as load\n"
        "def wait(*arguments):\n"
        "    print('waiting', flush=True)\n"
        "    time.sleep(60)\n"
        "load.load_hardware = wait\n"
        "from accel_sim.cli.main import run\n"
        "run()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, "check", "edge_16x16"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "waiting\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == "accel-sim: interrupted\n"
        assert process.wait() == 130


def test_an_interrupt_that_compiled_code_turns_into_another_error_is_one_all_the_same():
    script = (
        "import os, signal, accel_sim.hardware.load as load\n"
        "def interrupted_import(*arguments):\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    except KeyboardInterrupt:\n"
        "        raise ImportError('initialization failed')\n"
        "load.load_hardware = interrupted_import\n"
        "from accel_sim.cli.main import run\n"
        "run()"
    )
    finished = subprocess.run(
        [sys.executable, "-c", script, "check", "edge_16x16"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (finished.returncode, finished.stderr) == (130, "accel-sim: interrupted\n")


def test_a_bug_keeps_its_traceback():
    script = (
        "import accel_sim.hardware.load as load\n"
        "load.load_hardware = None\n"
        "from accel_sim.cli.main import run\n"
        "run()"
    )
    finished = subprocess.run(
        [sys.executable, "-c", script, "check", "edge_16x16"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 1
    assert finished.stderr.startswith("Traceback (most recent call last):\n")
    assert finished.stderr.endswith("TypeError: 'NoneType' object is not callable\n")


def test_nothing_but_text_goes_into_a_pipe():
    finished = subprocess.run(
        [*COMMAND, "simulate", "edge_16x16", "--limit-images", "2"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert finished.stderr == ""
    assert "\x1b" not in finished.stdout
    assert max(map(len, finished.stdout.split("\nNext:\n")[0].splitlines())) <= 100
    assert not any(line.endswith(" ") for line in finished.stdout.splitlines())


@pytest.mark.parametrize(
    ("redirection", "status", "stderr"),
    [
        (">&-", 0, ""),
        (">/dev/full", 2, "stdout: cannot be written (No space left on device)\n"),
    ],
)
def test_a_stdout_that_takes_nothing_is_no_traceback(redirection, status, stderr):
    for verb in ("check edge_16x16", "schema", "--version"):
        finished = subprocess.run(
            ["sh", "-c", f'exec "$0" "$1" "$2" {verb} {redirection}', *COMMAND],
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        assert (finished.returncode, finished.stderr) == (status, stderr)


def test_a_closed_stderr_leaves_the_status():
    finished = subprocess.run(
        ["sh", "-c", 'exec "$0" "$1" "$2" check nobody 2>&-', *COMMAND],
        stdout=subprocess.PIPE,
        check=False,
    )
    assert (finished.returncode, finished.stdout) == (2, b"")


def test_letters_that_the_terminal_does_not_have_are_spelled_out(tmp_path):
    finished = subprocess.run(
        [*COMMAND, "init", "größe.yml"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert finished.stdout == (
        "Wrote gr\\xf6\\xdfe.yml. Edit it, then: accel-sim simulate gr\\xf6\\xdfe.yml\n"
    )


def show_on_terminal(*arguments: str, **environment: str) -> str:
    """What a command writes to a terminal that is both its stdout and its stderr."""
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100", **environment},
    ) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # EIO is how a terminal says that nobody writes
            while part := os.read(ours, 1 << 16):
                shown += part
    os.close(ours)
    assert process.returncode == 0
    return shown.decode()


def test_a_terminal_has_bold_headings_unless_no_color_is_set():
    assert "\x1b[1m" in show_on_terminal("check", "edge_16x16", NO_COLOR="")
    assert "\x1b" not in show_on_terminal("check", "edge_16x16", NO_COLOR="1")


def test_long_work_shows_its_progress_on_a_terminal():
    shown = show_on_terminal("simulate", "edge_16x16", "--limit-images", "2", NO_COLOR="1")
    assert "Quantizing" in shown
    assert "Running" in shown
