"""The process that starts the daemons of a cluster, starts again those that die, and takes all with it when it ends.

Run as `python -m flows.flink.keeper FOLDER SETTINGS STARTER` by `corpusmill flink up`, the settings as JSON and STARTER
the pid of the process that started it. Python workers watch the process that started them, as daemons are bound to
the keeper; so nothing of a cluster outlives it.
"""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from flows.flink.daemons import ClusterPlan, free_ports
from flows.flink.toolchain import find_java, jars
from flows.keeping.keeper import Keeper, run_keeper
from pipelines.engine.flink.description import description_file, listens
from pipelines.engine.flink.rest import FlinkRest, FlinkUnreachableError
from schemas.configs.flink import FlinkConfig
from schemas.lease import process_start

__all__ = ["CONFIG_FILE", "ClusterKeeper", "main"]

CONFIG_FILE = "settings.json"
# 50 s were seen on two cores that sixteen processes wanted.
_READY_SECONDS = 300.0


class ClusterKeeper(Keeper):
    """A cluster that is up as long as `keep` runs."""

    def __init__(self, plan: ClusterPlan) -> None:
        super().__init__(plan.folder)
        self.plan = plan

    def _is_up(self) -> bool:
        ports = ["job", *(["pool"] if self.plan.pool() else [])]
        if not all(listens(f"localhost:{self.plan.ports[name]}") for name in ports):
            return False
        if self.plan.embedded:
            return True
        with suppress(FlinkUnreachableError):
            return FlinkRest(f"http://localhost:{self.plan.ports['rest']}").slots()[1] == self.plan.slots
        return False

    def start(self, starter: int) -> None:
        """Start everything and wait until it takes jobs, or until it is stopped or its starter is gone.

        Args:
            starter: pid of the process that waits for the cluster, as that process gave it.

        Raises:
            StageError: it does not come up.
        """
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)
        self.plan.write_files()
        for daemon in self.plan.daemons():
            self.start_daemon(daemon)
        if not self.wait_until(self._is_up, starter, _READY_SECONDS):
            return
        about = self.plan.describe(os.getpid(), process_start(os.getpid()))
        file = description_file(self.folder)
        file.with_suffix(".tmp").write_text(about.model_dump_json(indent=1) + "\n")
        file.with_suffix(".tmp").replace(file)
        self.note("up", slots=self.plan.slots)

    def stop(self) -> None:
        """End all daemons, and forget that there was a cluster."""
        description_file(self.folder).unlink(missing_ok=True)
        self.stop_daemons()
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)


def main() -> int:
    """Keep a cluster up; gives the exit code."""
    folder, settings, starter = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])

    def make() -> ClusterKeeper:
        description_file(folder).unlink(missing_ok=True)
        (folder / CONFIG_FILE).write_text(settings)
        config = FlinkConfig.model_validate_json(settings)
        return ClusterKeeper(ClusterPlan(config, folder, free_ports(), find_java(), jars()))

    return run_keeper(folder, "a cluster", starter, make)


if __name__ == "__main__":
    sys.exit(main())
