"""Replaces itself with a command that the kernel ends when its parent does.

Run as a plain file by an isolated interpreter, `python -I -S guarded_exec.py PARENT COMMAND…`, so that it starts in
some 20 ms and imports the standard library alone. The request to the kernel has to be made in the child, between fork
and exec; doing so in a forked copy of a process with threads may block for ever, in a fresh process it cannot.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask for SIGKILL at the parent's death, make sure that it still lives, and become the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)
    # A shell starts background jobs with SIGINT ignored, and a command would inherit that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execv(command[0], command)  # noqa: S606  # no shell is wanted


if __name__ == "__main__":
    main()
