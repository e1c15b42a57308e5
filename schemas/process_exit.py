"""Ends a process whose work is done without the destructors of C++ libraries."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from contextlib import suppress

__all__ = ["leave"]


def leave(code: int) -> None:
    """End the process here, unless threads are left that have to be waited for.

    The destructors of C++ libraries do not run then: one of Arrow's thread pools was seen to abort in them, once in
    about a thousand commands, after all was done and said.

    Args:
        code: the exit code.
    """
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        return
    atexit._run_exitfuncs()
    with suppress(OSError, ValueError):  # whoever read our output is gone
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
