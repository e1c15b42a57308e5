"""A command that starts what no signal reaches: processes deaf to SIGTERM, in sessions of their own, some orphaned."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["RANK", "RANKS", "pids", "tree_command"]

RANKS = 4  # two, and an orphan of each

# Deaf to SIGTERM, as a rank that hangs is; its own child has left session and parent.
RANK = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
open(sys.argv[1] + "/rank-" + str(os.getpid()), "w").close()
time.sleep(600)
"""
AGENT = f"""
import os, subprocess, sys, time
for _ in range(2):
    subprocess.Popen([sys.executable, "-c", {RANK!r}, sys.argv[1]], start_new_session=True)
open(sys.argv[1] + "/agent-" + str(os.getpid()), "w").close()
{{then}}
"""


def tree_command(folder: Path, then: str = "time.sleep(600)") -> list[str]:
    """The command; each of its processes leaves its pid as a file in the folder; `then` is what the first one does."""
    return [sys.executable, "-c", AGENT.format(then=then), str(folder)]


def pids(folder: Path, kind: str) -> list[int]:
    """Of the processes that have left their file so far; the kind is `agent` or `rank`."""
    return [int(path.name.partition("-")[2]) for path in folder.glob(f"{kind}-*")]
