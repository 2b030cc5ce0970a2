"""Pages of docs/, as scripts: their files are written, their commands run, in their order.

A fence that follows "`NAME`:" is the content of a file. In a fence that begins with "$ ", every
such line is a command for the shell, and what follows is what it prints: stdout, then stderr. A
line "..." stands for any number of lines. Python's own "python" is the one that runs this.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

FENCE = re.compile(r"```(?P<language>\w*)\n(?P<body>.*?)```", re.DOTALL)
_NAMED = re.compile(r"`(?P<name>[\w./-]+)`:\s*$")
_OMITTED = "...\n"


def run_page(text: str, folder: Path) -> str:
    """Give the page with the output of every command as it is now, run in a folder."""
    parts, end = [], 0
    for fence in FENCE.finditer(text):
        before, body = text[end : fence.start()], fence["body"]
        named = _NAMED.search(before)
        if named is not None:
            (folder / named["name"]).write_text(body)
        elif body.startswith("$ "):
            body = _run_commands(body, folder)
        parts += [before, f"```{fence['language']}\n{body}```"]
        end = fence.end()
    return "".join([*parts, text[end:]])


def count_commands(text: str) -> int:
    """Count the commands of a page."""
    return sum(
        line.startswith("$ ")
        for fence in FENCE.finditer(text)
        for line in fence["body"].split("\n")
    )


def _run_commands(body: str, folder: Path) -> str:
    shown = []
    for block in re.split(r"^(?=\$ )", body, flags=re.MULTILINE)[1:]:
        command, expected = re.fullmatch(
            r"\$ ((?:[^\n]*\\\n)*[^\n]*)\n(.*)", block, re.DOTALL
        ).groups()
        shown.append(f"$ {command}\n{_omit(run_command(command, folder), expected)}")
    return "".join(shown)


def run_command(command: str, folder: Path, **environment: str) -> str:
    """What a command prints into pipes, run in a folder by the shell."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PATH": path, **environment},
    )
    if done.returncode not in (0, 2, 3):
        raise RuntimeError(f"{command}: status {done.returncode}\n{done.stderr}")
    return done.stdout + done.stderr


def _omit(printed: str, expected: str) -> str:
    """Leave out what the page leaves out: between as many lines as it shows before and after."""
    if _OMITTED not in expected:
        return printed
    above, _, below = expected.partition(_OMITTED)
    lines = printed.splitlines(keepends=True)
    head, tail = above.count("\n"), below.count("\n")
    if head + tail >= len(lines):
        return printed
    return "".join([*lines[:head], _OMITTED, *lines[len(lines) - tail :]])
