"""Where on disk lies what can be computed again."""

import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """Folder for one kind of content: ``$XDG_CACHE_HOME/accel-sim/NAME`` or ``~/.cache/...``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "accel-sim" / name
