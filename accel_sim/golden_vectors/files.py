"""A folder of golden vectors: hexadecimal files, an index for benches, and a manifest."""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel_sim.golden_vectors.tile import GoldenTile
from quantizer.errors import InputError

INDEX = "tiles.txt"
MANIFEST = "manifest.json"

_FLAT_LIST = re.compile(r"\[\n\s+([^][{}]*?)\n\s+\]")
_LINE_BREAK = re.compile(r"\n\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class WordBits:
    """Widths of what a tile's files hold."""

    ifm: int
    weights: int
    psum: int
    ofm: int


def write_tile(
    folder: Path, name: str, tile: GoldenTile, ofm: NDArray[np.int32] | None, bits: WordBits
) -> dict[str, Any]:
    """Write the files of one tile and its line of the index.

    Parameters
    ----------
    ofm
        Outputs, if the sums are finished; a bench for the array alone has no use for them.

    Returns
    -------
    dict
        What the manifest says of the files, by operand: name, shape, width, SHA-256.
    """
    arrays = {
        "ifm": (tile.ifm, bits.ifm),
        "weights": (tile.weights, bits.weights),
        "psum_in": (tile.psum_in, bits.psum),
        "psum_out": (tile.psum_out, bits.psum),
        "ofm": (ofm, bits.ofm),
    }
    entries = {}
    for operand, (array, width) in arrays.items():
        if array is None:
            continue
        path = folder / f"{name}_{operand}.hex"
        content = to_hex(array, width)
        path.write_bytes(content)
        entries[operand] = {
            "file": path.name,
            "shape": list(array.shape),
            "bits": width,
            "sha256": hashlib.sha256(content).hexdigest(),
        }
    extents = tile.extents
    fields = (
        name,
        extents["rows"],
        extents["cols"],
        extents["steps"],
        extents["outputs"],
        int(tile.psum_in is not None),
        tile.cycles,
        tile.clamped_additions,
    )
    with (folder / INDEX).open("a") as index:
        index.write(" ".join(map(str, fields)) + "\n")
    return entries


def to_hex(array: NDArray[np.integer[Any]], bits: int) -> bytes:
    """Spell integers as ``$readmemh`` reads them: two's complement, one per line."""
    digits, mask = count_digits(bits), (1 << bits) - 1
    flat = array.reshape(-1).tolist()
    return "".join([f"{value & mask:0{digits}x}\n" for value in flat]).encode()


def count_digits(bits: int) -> int:
    """Hexadecimal digits of a word."""
    return -(-bits // 4)


def to_manifest(content: Mapping[str, Any]) -> bytes:
    """Spell the manifest as JSON: keys in their order, lists of numbers or words on one line."""
    text = json.dumps(content, indent=1)
    # No string can be cut by this: it would spell its line breaks.
    joined = _FLAT_LIST.sub(lambda found: f"[{_LINE_BREAK.sub(' ', found[1])}]", text)
    return (joined + "\n").encode()


def check_space(where: str, directory: Path, needed_bytes: int) -> None:
    """Refuse to fill a disk.

    Raises
    ------
    InputError
        There is less room than needed.
    """
    free_bytes = shutil.disk_usage(directory.parent).free
    if needed_bytes > free_bytes:
        raise InputError(
            where,
            f"the vectors need {needed_bytes / 2**20:,.0f} MiB, there are "
            f"{free_bytes / 2**20:,.0f}; --tiles writes fewer of each layer, --layer one layer",
        )
