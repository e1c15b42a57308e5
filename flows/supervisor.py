"""Runs one command and sees to it that nothing of it is left: a process between a run and the command it waits for.

Run as a plain file by an isolated interpreter, `python -I -S supervisor.py PARENT COMMAND…`: it starts within 60 ms on
a slow core, imports the standard library alone and has one thread, so that asking the kernel for something between
fork and exec cannot block. It is the subreaper (prctl(2), Linux) of all that the command starts: processes that leave
their parent, their group or their session, as each rank of torchrun does, become its own children, and it kills them
when the command ends, however that ends, and when PARENT dies, by SIGKILL too. Signals that ask to stop are for the
command, which gets them as a member of the group.

A process that has `CORPUSMILL_SPARED` in its environment, such as the one that cancels a job on a cluster after the run
that submitted it is gone, gets twelve seconds to end by itself.

It ends as the command did: with its exit code, or by the same signal.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
from pathlib import Path

__all__ = ["main"]

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_PARENT_DIED = signal.SIGUSR1
_FOR_THE_COMMAND = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOOK_SECONDS = 1.0
# A process in an uninterruptible wait, for a disk or a GPU that does not answer, does not end; it is not waited for.
_KILL_SECONDS = 10.0
_SPARED, _SPARED_SECONDS = b"CORPUSMILL_SPARED=", 12.0


def _prctl(what: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(what, value)


def _start(command: list[str]) -> int:
    mine = os.getpid()
    child = os.fork()
    if child:
        return child
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != mine:
        os._exit(1)
    # A shell starts background jobs with SIGINT ignored, and a command would inherit that.
    for number in (*_FOR_THE_COMMAND, _PARENT_DIED):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execv(command[0], command)  # noqa: S606  # no shell is wanted
    except OSError as error:
        sys.stderr.write(f"corpusmill: cannot run {command[0]}: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(127)


def _parents() -> dict[int, int]:
    """By pid of every process: the pid of its parent."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text(errors="replace")
            except OSError:
                continue
            found[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    return found


def _descendants() -> list[int]:
    parents = _parents()
    found, new = [], [os.getpid()]
    while new:
        new = [pid for pid, parent in parents.items() if parent in new]
        found += new
    return found


def _reap() -> bool:
    """Take leave of children that have ended; whether any are left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _is_spared(pid: int) -> bool:
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(one.startswith(_SPARED) for one in variables)


def _kill_all() -> None:
    """Kill all that descends from this process, and what that starts meanwhile."""
    started = time.monotonic()
    spared = True
    while _reap() and time.monotonic() < started + _KILL_SECONDS + (_SPARED_SECONDS if spared else 0):
        found = _descendants()
        left_alone = [pid for pid in found if time.monotonic() < started + _SPARED_SECONDS and _is_spared(pid)]
        spared = bool(left_alone)
        for pid in set(found) - set(left_alone):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.01 if not spared else 0.1)


def _wait_for(command: int, parent: int) -> int | None:
    """Wait until the command has ended; gives its wait status, or None where the parent is gone."""
    signals = {signal.SIGCHLD, _PARENT_DIED}
    while True:
        if os.getppid() != parent:
            return None
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == command:
                    return ended[1]
        except ChildProcessError:
            return 0
        if hasattr(signal, "sigtimedwait"):
            signal.sigtimedwait(signals, _LOOK_SECONDS)
        else:
            time.sleep(_LOOK_SECONDS / 10)


def main() -> None:
    """Run the command, end what it leaves, and end as it did."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, _PARENT_DIED})
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _prctl(_PR_SET_PDEATHSIG, _PARENT_DIED)
    for number in _FOR_THE_COMMAND:
        signal.signal(number, signal.SIG_IGN)
    status = _wait_for(_start(command), parent) if os.getppid() == parent else None
    _kill_all()
    if status is None:
        os._exit(1)
    if os.WIFSIGNALED(status):
        ended_by = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the command's own is the one to look at
        if ended_by != signal.SIGKILL:
            signal.signal(ended_by, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.kill(os.getpid(), ended_by)
    os._exit(os.WEXITSTATUS(status))


if __name__ == "__main__":
    main()
