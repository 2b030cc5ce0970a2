"""Memory that images on their way through a network take, found out before any of them starts."""

import math
import os
from pathlib import Path

from quantizer.errors import InputError
from quantizer.network.graph import Network
from quantizer.ordered_map import most_alive, worker_count

MEMORY_INFO = Path("/proc/meminfo")
CGROUP_LIMITS = (
    # What a container may have, and what it has taken: version 2 and version 1.
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)

_FLOAT_BYTES = _RAW_BYTES = 4
_CONSTANT_BYTES = 16
"""Of a constant: as it was read, and as two float networks and the exact one hold it."""
_MAPS_AT_ONCE = 3
"""Of every image: of both float networks and of the exact one."""
_WORK_BYTES = 24
"""Of an element of the map in work: two of 64 bits, and what is compared."""


def check_memory(network: Network, *, keeps_maps: bool = False) -> None:
    """Refuse a network that is too large for the memory of this machine.

    Parameters
    ----------
    keeps_maps
        Whether all feature maps of an image are wanted after its run.

    Raises
    ------
    InputError
        What it needs and what there is.
    """
    needed = estimate_bytes(network, keeps_maps=keeps_maps)
    available = available_bytes()
    if needed > available:
        raise InputError(
            network.name,
            f"needs {_shown(needed)} of memory for {worker_count()} images at once, and there are "
            f"{_shown(available)}; expected a smaller input, or a machine with more memory",
        )


def estimate_bytes(network: Network, *, keeps_maps: bool) -> int:
    """Estimate what the images at work take, and the constants; not the program itself."""
    names = (network.input, *(layer.ofm for layer in network.layers))
    sizes = [math.prod(network.shapes[name]) for name in names]
    constants = sum(value.size for value in network.constants.values())
    maps, largest = sum(sizes), max(sizes)
    running = maps * _FLOAT_BYTES * _MAPS_AT_ONCE + largest * _WORK_BYTES
    finished = (most_alive() - worker_count()) * maps * _RAW_BYTES if keeps_maps else 0
    return constants * _CONSTANT_BYTES + worker_count() * running + finished


def available_bytes() -> int:
    """Tell how much memory is free, the limits of a container included."""
    limits = [_free_bytes()]
    for limit, taken in CGROUP_LIMITS:
        if limit.is_file() and taken.is_file():
            text = limit.read_text().strip()
            if text.isdigit():
                limits.append(int(text) - int(taken.read_text()))
    return max(0, min(limits))


def _free_bytes() -> int:
    if MEMORY_INFO.is_file():
        for line in MEMORY_INFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _shown(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"
