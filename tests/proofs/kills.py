"""`make prove kills`: whatever of a flow run is ended, nothing of it is left, on SQLite and on PostgreSQL.

Three kinds of runs: a command whose processes no signal reaches (deaf to SIGTERM, in sessions of their own, some
without their parent), a corpus build with two Beam workers, a training. Each is cancelled, and each of its levels is
ended by SIGTERM and by SIGKILL: the command, the supervisor of the command, the flow, Prefect's worker, the supervisor
of the worker. Prints the table for docs/proofs.md; takes half an hour on two cores.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from kill_matrix import (
    LEVELS,
    Run,
    end_level,
    make_corpus,
    start_corpus,
    start_training,
    start_tree,
    wait_for_nothing,
)
from postgresql import postgresql
from prefect_services import Services
from processes import wait_until

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
# Prefect's worker leaves a cancelled run so long.
CANCEL_SECONDS = 30.0
ENDED = {"CANCELLED", "COMPLETED", "CRASHED", "FAILED"}


def say(text: str) -> None:
    """Show progress and results as they come."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def kinds(services: Services, folder: Path) -> dict[str, Callable[[str], Run]]:
    """How a run of each kind is started; each gets a name of its own."""
    root, config = make_corpus(services, DATA, folder)
    return {
        "deaf tree": lambda name: start_tree(services, folder / name),
        "corpus build": lambda name: start_corpus(services, folder / name, DATA / "warc", config),
        "training": lambda name: start_training(services, root, folder / name, config),
    }


def matrix(database: str, services: Services, folder: Path) -> None:
    """All kinds, levels and signals on one database."""
    for kind, start in kinds(services, folder).items():
        for level, numbers in LEVELS.items():
            for number in numbers:
                how = "cancelled" if number is None else f"{number.name} of the {level}"
                name = f"{kind}-{how}".replace(" ", "-")
                run = start(name)
                end_level(services, run, level, number)
                grace = CANCEL_SECONDS if number in {None, signal.SIGTERM} else 0.0
                seconds = wait_for_nothing(run, level, grace)
                state = "goes on" if level in {"command", "supervisor"} else _ended(services, run)
                saved = " yes" if kind == "training" and list((folder / name / "checkpoints").glob("*")) else ""
                say(f"| {database} | {kind} | {how} | {len(run.processes)} | {seconds:.1f} | 0 | {state} |{saved} |")
                if state == "goes on":
                    end_level(services, run, "cancelled", None)
                    _ended(services, run)


def _ended(services: Services, run: Run) -> str:
    def state() -> str | None:
        kind = str(services.state(run.id)["type"])
        return kind if kind in ENDED else None

    return str(wait_until(state, f"the end of run {run.id}", 900)).lower()


def main() -> None:
    """Both databases, one after the other."""
    say("| database | run | what was ended | its processes | seconds until none was left | left | state | saved |")
    say("|---|---|---|---:|---:|---:|---|---|")
    settings = ("port=0", "heartbeat_seconds=30", "lost_after_seconds=60", "gpu_slots=1", "grace_seconds=5")
    for database in ("SQLite", "PostgreSQL"):
        with tempfile.TemporaryDirectory(prefix="prove-kills-") as place:
            folder = Path(place)
            with postgresql(folder / "database") if database == "PostgreSQL" else nullcontext("") as url:
                env = {"CORPUSMILL_DATABASE_URL": url} if url else {}
                services = Services(folder / "home", settings, env, folder)
                services.up()
                try:
                    services.deploy_probes()
                    matrix(database, services, folder)
                finally:
                    services.down()
                wait_until(lambda services=services: not services.processes(), "the end of all processes", 30)
    say("kills: nothing was left of any run")


if __name__ == "__main__":
    main()
