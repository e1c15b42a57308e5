"""The process that starts the daemons of a cluster, starts again those that die, and takes all with it when it ends.

Run as `python -m flows.flink.keeper FOLDER SETTINGS STARTER` by `corpusmill flink up`, the settings as JSON. Until the
cluster is up it ends with the process STARTER, a pid, which started it; from then on only when it is asked to.
The kernel kills every daemon when the keeper dies, by SIGKILL too, and Python workers watch the process that started
them; so nothing of a cluster outlives its keeper.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from flows.flink.daemons import ClusterPlan, Daemon, free_ports
from flows.flink.toolchain import find_java, jars
from flows.launch import start_guarded, stop_group
from pipelines.engine.flink.description import description_file, listens
from pipelines.engine.flink.rest import FlinkRest, FlinkUnreachableError
from pipelines.engine.lifeline import OWNER_VARIABLE
from schemas.configs.flink import FlinkConfig
from schemas.errors import CorpusmillError, StageError
from schemas.lease import process_start

__all__ = ["CONFIG_FILE", "EVENTS_FILE", "LOCK_FILE", "PROCESSES_FILE", "Keeper", "keeper_of", "main"]

CONFIG_FILE = "settings.json"
EVENTS_FILE = "events.jsonl"
LOCK_FILE = "lock"
PROCESSES_FILE = "processes.json"
# 50 s were seen on two cores that sixteen processes wanted.
_READY_SECONDS = 300.0
_LOOK_SECONDS = 0.3
_STOP_SECONDS = 5.0
# A daemon that dies so often within a minute will not live by being started once more.
_DEATHS, _DEATHS_WITHIN_SECONDS = 5, 60.0


@dataclass
class _Running:
    daemon: Daemon
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    deaths: list[float] = field(default_factory=list)


class Keeper:
    """A cluster that is up as long as `keep` runs."""

    def __init__(self, plan: ClusterPlan) -> None:
        self.plan = plan
        self._running: dict[str, _Running] = {}
        self._stopping = False

    def note(self, event: str, **about: object) -> None:
        """Write a line to the cluster's events."""
        with (self.plan.folder / EVENTS_FILE).open("a") as stream:
            stream.write(json.dumps({"time": round(time.time(), 3), "event": event, **about}) + "\n")

    def _start(self, daemon: Daemon, deaths: list[float] | None = None) -> None:
        log = (self.plan.folder / "log" / f"{daemon.name}.log").open("ab")
        env = {name: value for name, value in os.environ.items() if name != OWNER_VARIABLE}
        process = start_guarded(daemon.argv, stdout=log, stderr=log, env=env, cwd=self.plan.folder)
        self._running[daemon.name] = _Running(daemon, process, log, deaths or [])
        self._write_processes()

    def _write_processes(self) -> None:
        found = {name: one.process.pid for name, one in self._running.items()}
        temporary = self.plan.folder / f"{PROCESSES_FILE}.tmp"
        temporary.write_text(json.dumps(found))
        temporary.replace(self.plan.folder / PROCESSES_FILE)

    def _is_up(self) -> bool:
        ports = ["job", *(["pool"] if self.plan.pool() else [])]
        if not all(listens(f"localhost:{self.plan.ports[name]}") for name in ports):
            return False
        if self.plan.embedded:
            return True
        with suppress(FlinkUnreachableError):
            return FlinkRest(f"http://localhost:{self.plan.ports['rest']}").slots()[1] == self.plan.slots
        return False

    def _last_words(self, name: str) -> str:
        lines = (self.plan.folder / "log" / f"{name}.log").read_text(errors="replace").splitlines()
        return next((line for line in reversed(lines) if "ERROR" in line or "Exception" in line), "")[:300]

    def _look_after(self) -> None:
        """Start again what has died.

        Raises:
            StageError: one dies again and again.
        """
        for name, one in list(self._running.items()):
            code = one.process.poll()
            if code is None:
                continue
            one.log.close()
            stop_group(one.process)
            now = time.monotonic()
            deaths = [moment for moment in one.deaths if now - moment < _DEATHS_WITHIN_SECONDS] + [now]
            self.note("died", daemon=name, exit_code=code)
            if len(deaths) >= _DEATHS:
                raise StageError(f"{name} does not stay up: {self._last_words(name) or f'exit code {code}'}")
            self._start(one.daemon, deaths)

    def start(self, starter: int) -> None:
        """Start everything and wait until it takes jobs, or until it is stopped or its starter is gone.

        Args:
            starter: pid of the process that waits for the cluster, as that process gave it: a starter that was killed
                while this one was still loading must be missed too.

        Raises:
            StageError: it does not come up.
        """
        shutil.rmtree(self.plan.folder / "tmp", ignore_errors=True)
        self.plan.write_files()
        for daemon in self.plan.daemons():
            self._start(daemon)
        deadline = time.monotonic() + _READY_SECONDS
        while not self._is_up():
            self._stopping = self._stopping or os.getppid() != starter
            if self._stopping:
                return
            self._look_after()
            if time.monotonic() > deadline:
                raise StageError(f"the cluster was not up after {_READY_SECONDS:.0f} s; see {self.plan.folder}/log")
            time.sleep(_LOOK_SECONDS)
        about = self.plan.describe(os.getpid(), process_start(os.getpid()))
        file = description_file(self.plan.folder)
        file.with_suffix(".tmp").write_text(about.model_dump_json(indent=1) + "\n")
        file.with_suffix(".tmp").replace(file)
        self.note("up", slots=self.plan.slots)

    def keep(self) -> None:
        """Keep it up until told to stop.

        Raises:
            StageError: a daemon dies again and again.
        """
        while not self._stopping:
            self._look_after()
            time.sleep(_LOOK_SECONDS)

    def ask_to_stop(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """Let `keep` return."""
        self._stopping = True

    def stop(self) -> None:
        """End all daemons, and forget that there was a cluster."""
        description_file(self.plan.folder).unlink(missing_ok=True)
        for one in self._running.values():
            stop_group(one.process, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        for one in self._running.values():
            with suppress(subprocess.TimeoutExpired):
                one.process.wait(max(0.0, deadline - time.monotonic()))
            stop_group(one.process)
            one.process.wait()
            one.log.close()
        (self.plan.folder / PROCESSES_FILE).unlink(missing_ok=True)
        shutil.rmtree(self.plan.folder / "tmp", ignore_errors=True)
        self.note("down")


def _take_lock(folder: Path) -> bool:
    """Take the folder for this process, and write down which one that is; the lock goes with the process."""
    lock = os.open(folder / LOCK_FILE, os.O_CREAT | os.O_RDWR)
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
    except FileNotFoundError:
        return None
    return int(pid) if pid and process_start(int(pid)) == start else None


def main() -> int:
    """Keep a cluster up; gives the exit code."""
    folder, settings, starter = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    if not _take_lock(folder):
        sys.stderr.write(f"a cluster is up already in {folder}\n")
        return 2
    description_file(folder).unlink(missing_ok=True)
    (folder / CONFIG_FILE).write_text(settings)
    try:
        keeper = Keeper(
            ClusterPlan(FlinkConfig.model_validate_json(settings), folder, free_ports(), find_java(), jars())
        )
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
    return 0


if __name__ == "__main__":
    sys.exit(main())
