"""The command as a program that ends with the process that started it; see `compile_ahead`."""

import os
import sys
import threading

from accel_sim.cli.main import main


def _end_with_parent() -> None:
    """Wait until nobody holds the other end of stdin, at the latest by the end of the parent."""
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.exit(main(sys.argv[1:]))
