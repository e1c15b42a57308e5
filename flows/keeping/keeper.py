"""What every keeper does: it starts daemons, starts again those that die, and takes all with it when it ends.

A keeper is a process of its own, which owns a folder by a lock that goes with it. Until all is up it ends with the
process that started it; from then on only when it is asked to. The kernel ends every daemon when the keeper dies, by
SIGKILL too; so nothing that it started outlives it.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from flows.launch import start_guarded, stop_group
from flows.process_marks import kill_marked, marked_environment
from pipelines.engine.lifeline import OWNER_VARIABLE
from schemas.errors import CorpusmillError, StageError
from schemas.lease import process_start

__all__ = ["EVENTS_FILE", "LOCK_FILE", "PROCESSES_FILE", "Daemon", "Keeper", "keeper_of", "run_keeper", "take_lock"]

EVENTS_FILE = "events.jsonl"
LOCK_FILE = "lock"
PROCESSES_FILE = "processes.json"
_LOOK_SECONDS = 0.3
# A daemon that dies so often within a minute will not live by being started once more.
_DEATHS, _DEATHS_WITHIN_SECONDS = 5, 60.0


@dataclass(frozen=True)
class Daemon:
    """A process that is kept up.

    Attributes:
        name: of the daemon, and of its log.
        argv: its command line; the first word is a path.
        env: its whole environment; the keeper's own where not given.
        pass_fds: open files that it gets.
        stop_seconds: how long it may take to stop when asked to.
        start: what starts it.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] | None = None
    pass_fds: tuple[int, ...] = ()
    stop_seconds: float = 5.0
    start: Callable[..., subprocess.Popen[bytes]] = start_guarded


@dataclass
class _Running:
    daemon: Daemon
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    mark: str
    deaths: list[float] = field(default_factory=list)
    again_at: float | None = None  # of one that has died and is not started again yet


class Keeper:
    """Daemons that are up as long as `keep` runs.

    `patient` says what is done about a daemon that dies again and again: start it after longer and longer pauses, or
    give all of it up.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stopping = False
        self.patient = False
        self._running: dict[str, _Running] = {}

    def start(self, starter: int) -> None:
        """Start what is to be kept up; `starter` as in `wait_until`.

        Raises:
            StageError: it does not come up.
        """

    def stop(self) -> None:
        """End all of it."""
        self.stop_daemons()

    def note(self, event: str, **about: object) -> None:
        """Write a line to the folder's events."""
        with (self.folder / EVENTS_FILE).open("a") as stream:
            stream.write(json.dumps({"time": round(time.time(), 3), "event": event, **about}) + "\n")

    def start_daemon(self, daemon: Daemon, deaths: list[float] | None = None) -> None:
        """Start a daemon, to be kept up from now on."""
        log = self._log_file(daemon.name).open("ab")
        inherited = os.environ if daemon.env is None else daemon.env
        env, mark = marked_environment({name: value for name, value in inherited.items() if name != OWNER_VARIABLE})
        process = daemon.start(daemon.argv, stdout=log, stderr=log, env=env, cwd=self.folder, pass_fds=daemon.pass_fds)
        self._running[daemon.name] = _Running(daemon, process, log, mark, deaths or [])
        self._write_processes()

    def _log_file(self, name: str) -> Path:
        return self.folder / "log" / f"{name}.log"

    def _write_processes(self) -> None:
        found = {name: one.process.pid for name, one in self._running.items() if one.again_at is None}
        temporary = self.folder / f"{PROCESSES_FILE}.tmp"
        temporary.write_text(json.dumps(found))
        temporary.replace(self.folder / PROCESSES_FILE)

    def _last_words(self, name: str) -> str:
        lines = self._log_file(name).read_text(errors="replace").splitlines()
        return next((line for line in reversed(lines) if "ERROR" in line or "Error" in line), "")[:300]

    def _take_note_of_death(self, name: str, one: _Running, code: int) -> None:
        one.log.close()
        stop_group(one.process)
        kill_marked(one.mark)  # where its supervisor was killed with it
        now = time.monotonic()
        one.deaths = [moment for moment in one.deaths if now - moment < _DEATHS_WITHIN_SECONDS] + [now]
        self.note("died", daemon=name, exit_code=code)
        if len(one.deaths) >= _DEATHS and not self.patient:
            raise StageError(f"{name} does not stay up: {self._last_words(name) or f'exit code {code}'}")
        # At once, then after 1, 2, 4, … seconds; with patience as often as a minute lets it.
        one.again_at = now + (2.0 ** (len(one.deaths) - 2) if self.patient and len(one.deaths) > 1 else 0.0)
        self._write_processes()

    def look_after(self) -> None:
        """Start again what has died.

        Raises:
            StageError: one dies again and again.
        """
        for name, one in list(self._running.items()):
            code = one.process.poll()
            if code is None:
                continue
            if one.again_at is None:
                self._take_note_of_death(name, one, code)
            if one.again_at is not None and time.monotonic() >= one.again_at:
                self.start_daemon(one.daemon, one.deaths)

    def wait_until(self, is_up: Callable[[], bool], starter: int, seconds: float) -> bool:
        """Wait for a condition while daemons are looked after; False where this process is to stop instead.

        Args:
            is_up: the condition.
            starter: pid of the process that waits for all of this, as that process gave it: a starter that was killed
                while this one was still loading must be missed too.
            seconds: how long it may take.

        Raises:
            StageError: it takes longer, or a daemon dies again and again.
        """
        deadline = time.monotonic() + seconds
        while not is_up():
            self.stopping = self.stopping or os.getppid() != starter
            if self.stopping:
                return False
            self.look_after()
            if time.monotonic() > deadline:
                raise StageError(f"it was not up after {seconds:.0f} s; see {self.folder}/log")
            time.sleep(_LOOK_SECONDS)
        return True

    def keep(self) -> None:
        """Keep all up until told to stop.

        Raises:
            StageError: a daemon dies again and again, and there is no patience with it.
        """
        while not self.stopping:
            self.look_after()
            time.sleep(_LOOK_SECONDS)

    def ask_to_stop(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """Let `keep` return."""
        self.stopping = True

    def _stop(self, ones: Sequence[_Running]) -> None:
        for one in ones:
            stop_group(one.process, signal.SIGTERM)
        started = time.monotonic()
        for one in ones:
            with suppress(subprocess.TimeoutExpired):
                one.process.wait(max(0.0, started + one.daemon.stop_seconds - time.monotonic()))
            stop_group(one.process)
            one.process.wait()
            kill_marked(one.mark)
            one.log.close()

    def stop_daemons(self, *first: str) -> None:
        """End all daemons; those named first end before the others are asked to."""
        ahead = [one for name, one in self._running.items() if name in first]
        for ones in (ahead, [one for one in self._running.values() if one not in ahead]):
            self._stop(ones)
        (self.folder / PROCESSES_FILE).unlink(missing_ok=True)
        self.note("down")


def run_keeper(folder: Path, what: str, starter: int, make: Callable[[], Keeper]) -> int:
    """Keep something up in this process, until it is asked to stop; gives the exit code, errors go to stderr.

    Args:
        folder: of the keeper, which it takes for itself.
        what: is kept up, in words: `a cluster`.
        starter: pid of the process that waits for it to be up.
        make: makes the keeper, once the folder is its own.
    """
    if not take_lock(folder):
        sys.stderr.write(f"{what} is up already in {folder}\n")
        return 2
    # Every process from here on inherits the mark; it is the second line, behind supervisors.
    environment, mark = marked_environment(os.environ)
    os.environ.update(environment)
    try:
        keeper = make()
    except CorpusmillError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, keeper.ask_to_stop)
    try:
        keeper.start(starter)
        keeper.keep()
    except StageError as error:
        keeper.note("failed", message=str(error))
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        keeper.stop()
        kill_marked(mark)
    return 0


def take_lock(folder: Path) -> bool:
    """Take the folder for this process, and write down which one that is; the lock goes with the process."""
    lock = os.open(folder / LOCK_FILE, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return False
    os.truncate(lock, 0)
    os.write(lock, f"{os.getpid()}:{process_start(os.getpid())}".encode())
    return True


def keeper_of(folder: Path) -> int | None:
    """Pid of the live keeper of a folder; None where there is none."""
    try:
        pid, _, start = (folder / LOCK_FILE).read_text().partition(":")
    except (FileNotFoundError, NotADirectoryError):
        return None
    return int(pid) if pid and process_start(int(pid)) == start else None
