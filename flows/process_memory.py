"""How much memory a process and all that descend from it hold."""

from __future__ import annotations

from pathlib import Path

__all__ = ["tree_memory_bytes"]


def _children(pid: int) -> list[int]:
    children: list[int] = []
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            children += map(int, (thread / "children").read_text().split())
    except OSError:  # the process or the thread has just ended
        pass
    return children


def _own_bytes(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def tree_memory_bytes(pid: int) -> int:
    """Memory of a process and its descendants now, pages that several of them share counted once; 0 off Linux.

    `ru_maxrss` would not do: a process inherits the peak of the one that started it.
    """
    total, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        total += _own_bytes(one)
        waiting += _children(one)
    return total
