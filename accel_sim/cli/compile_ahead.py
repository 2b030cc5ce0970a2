"""Compile what schedules need in a second process, while this one computes values.

Only where the cache of compiled code holds none of it: after an edit of a kernel, and on a
new host, compilation takes most of a run. A thread would not help, because Numba compiles
on one at a time. Run as a program, this module is that second process.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def compile_ahead(
    hardware: str, overrides: Sequence[str], *, has_values: bool
) -> Iterator[Callable[[], object]]:
    """Start, and give a function that waits for the end; on leaving, the process is no more.

    It finds schedules for the built-in network on the machine, and leaves what it compiled for
    that in the cache, from where this process takes it. Whatever it does not leave there, this
    process compiles for itself.

    Parameters
    ----------
    has_values
        Whether this process has other work meanwhile.
    """
    from accel_sim.hardware.load import find_machine
    from accel_sim.timing.schedule_kernel import run_schedule
    from quantizer.fixedpoint.jit import is_compiled
    from quantizer.ordered_map import worker_count

    # As it is behind all links: what is stdin here is not stdin there.
    path = find_machine(hardware).resolve()
    process = None
    if has_values and worker_count() > 1 and path.is_file() and not is_compiled(run_schedule):
        process = _start(path, overrides)
    if process is None:
        yield lambda: None
        return
    with process:
        try:
            yield process.wait
        finally:
            process.kill()


def _start(hardware: Path, overrides: Sequence[str]) -> subprocess.Popen[bytes] | None:
    """Start to compile; None where there can be no second process."""
    # Without -P, a folder could lend its own modules to whoever works in it.
    program = [sys.executable, "-P", "-m", __name__]
    try:
        return subprocess.Popen(
            [*program, str(hardware), *overrides],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None


def _compile(hardware: str, overrides: Sequence[str]) -> None:
    from accel_sim.builtin import DIGITS
    from accel_sim.hardware.load import load_hardware
    from accel_sim.machine_fit import find_schedules
    from accel_sim.simulation import choose_bits
    from quantizer.network.onnx_import import load_onnx

    machine = load_hardware(hardware, overrides)
    find_schedules(machine, load_onnx(DIGITS.onnx_path), choose_bits(machine))


def _end_with_parent() -> None:
    """Wait until nobody holds the other end of stdin, at the latest by the end of the parent."""
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _compile(sys.argv[1], sys.argv[2:])
