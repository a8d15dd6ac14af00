"""Becomes another program, which is told to stop once whoever started it is gone, however that one ended.

    python -m flows.with_parent PARENT COMMAND [ARGUMENT ...]

A server or worker that outlived a killed `commons serve` would keep its port, and the next one could not begin.
"""

import ctypes
import os
import signal
import sys

_SET_PARENT_DEATH_SIGNAL = 1  # prctl(2); it is kept when another program takes over


def main(parent: int, command: list[str]) -> None:
    """Runs the command in the place of this process. Elsewhere than on Linux it is left alone when its parent is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, int(signal.SIGTERM))
        if os.getppid() != parent:  # it was gone before we asked
            sys.exit(1)
    os.execv(command[0], command)  # noqa: S606  (our own words only)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
