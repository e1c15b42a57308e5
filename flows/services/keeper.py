"""The process that keeps a Prefect server and its workers up, and takes all with it when it ends.

Run as `python -m flows.services.keeper HOME STARTER` by `corpusmill up`; settings are in the home, secrets in the
environment. The keeper holds the socket that the server serves: while a server that died is started again, requests
wait.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows.keeping.keeper import Keeper, run_keeper
from flows.launch import start_guarded, stop_group
from flows.prefect_server import listening_socket
from flows.services.daemons import POOL, WEBHOOK_VARIABLE, ServicesPlan, client_environment, read_settings
from flows.services.home import auth_string, description_file
from flows.services.rest import PrefectRest, ServerUnreachableError
from schemas.errors import InputError, StageError

__all__ = ["ServicesKeeper", "main", "setup_command"]

# A first start makes the database: 13 s on two free cores; then it is set up, and workers load for some seconds.
_READY_SECONDS = 600.0


def setup_command(home: Path) -> list[str]:
    """The command that sets up the server of a home."""
    return [sys.executable, "-m", "flows.services.setup", str(home)]


class ServicesKeeper(Keeper):
    """A server with workers that is up as long as `keep` runs."""

    def __init__(self, plan: ServicesPlan) -> None:
        super().__init__(plan.home)
        self.plan = plan
        self._setup: subprocess.Popen[bytes] | None = None
        self._workers_started = False
        self._began = datetime.now(UTC)
        self._rest = PrefectRest(f"{plan.listens}/api", auth_string(plan.home))

    def _set_up(self) -> bool:
        """Whether the server has been set up.

        Raises:
            StageError: it cannot be.
        """
        log = self.folder / "log" / "setup.log"
        if self._setup is None:
            env = client_environment(self.folder, self.plan.describe(), self.plan.config)
            if WEBHOOK_VARIABLE in os.environ:
                env[WEBHOOK_VARIABLE] = os.environ[WEBHOOK_VARIABLE]
            with log.open("wb") as stream:
                self._setup = start_guarded(setup_command(self.folder), env=env, stdout=stream, stderr=stream)
        code = self._setup.poll()
        if code:
            said = log.read_text(errors="replace").strip().splitlines()
            raise StageError(f"setting up the server failed: {said[-1] if said else f'exit code {code}'}")
        return code == 0

    def _workers_poll(self) -> bool:
        try:
            found: list[dict[str, Any]] = self._rest.all_of(f"/work_pools/{POOL}/workers/filter")
        except ServerUnreachableError:
            return False
        # Those of a server that was up a moment ago count as online for a while.
        now_alive = [one for one in found if datetime.fromisoformat(one["last_heartbeat_time"]) > self._began]
        return len(now_alive) >= self.plan.config.workers

    def _is_up(self) -> bool:
        if not self._set_up():
            return False
        if not self._workers_started:
            for worker in self.plan.workers():
                self.start_daemon(worker)
            self._workers_started = True
        return self._workers_poll()

    def start(self, starter: int) -> None:
        """Start everything and wait until workers poll, or until it is stopped or its starter is gone.

        Args:
            starter: pid of the process that waits for it, as that process gave it.

        Raises:
            StageError: it does not come up.
        """
        self.start_daemon(self.plan.server())
        if not self.wait_until(self._is_up, starter, _READY_SECONDS):
            return
        file = description_file(self.folder)
        file.with_suffix(".tmp").write_text(self.plan.describe().model_dump_json(indent=1) + "\n")
        file.with_suffix(".tmp").replace(file)
        self.note("up", url=self.plan.url)
        # From here on work may be running: a server that cannot be started for a while must not end it.
        self.patient = True

    def stop(self) -> None:
        """End all daemons, the workers first, so that they can say how their runs ended."""
        description_file(self.folder).unlink(missing_ok=True)
        if self._setup is not None:
            stop_group(self._setup)
            self._setup.wait()
        self.stop_daemons(*(worker.name for worker in self.plan.workers()))


def _plan(home: Path) -> ServicesPlan:
    config = read_settings(home)
    try:
        listener = listening_socket(config.host, config.port)
    except OSError as error:
        raise InputError(
            f"cannot listen on port {config.port} of {config.host}: {error.strerror}; give another, "
            f"--set port={config.port + 1}, or stop what listens there"
        ) from error
    plan = ServicesPlan(config, home, listener)
    if not plan.database and config.workers > 1:
        raise InputError(
            f"up.workers: {config.workers} workers on SQLite lock each other out; give a PostgreSQL database, or one "
            "worker"
        )
    return plan


def main() -> int:
    """Keep a server up; gives the exit code."""
    home, starter = Path(sys.argv[1]), int(sys.argv[2])

    def make() -> ServicesKeeper:
        description_file(home).unlink(missing_ok=True)
        return ServicesKeeper(_plan(home))

    return run_keeper(home, "a server", starter, make)


if __name__ == "__main__":
    sys.exit(main())
