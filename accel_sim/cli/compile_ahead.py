"""Compile what schedules need in a second process, while this one computes values.

Only where the cache of compiled code holds none of it: after an edit of a kernel, and on a
new host, compilation takes most of a run. A thread would not help, because Numba compiles
on one at a time.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def compile_ahead(
    hardware: str, overrides: Sequence[str], *, has_values: bool
) -> Iterator[Callable[[], object]]:
    """Start, and give a function that waits for the end; on leaving, the process is no more.

    It finds the costs of the built-in network on the machine, shows them to nobody, and
    leaves what it compiled in the cache, from where this process takes it. Whatever it does
    not leave there, this process compiles for itself.

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
    """Start to find costs; None where there can be no second process."""
    # Without -P, a folder could lend its own modules to whoever works in it.
    program = [sys.executable, "-P", "-m", "accel_sim.cli.until_parent_ends"]
    sets = [f"--set={override}" for override in overrides]
    try:
        return subprocess.Popen(
            [*program, "simulate", "--no-values", *sets, "--", str(hardware)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None
