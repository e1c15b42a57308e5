"""`make prove flink`: the data chain gives the local runner's rows on Flink, whatever is killed.

Starts real clusters, runs the chain on the pages and WARC files of the test data and on texts of which one repeats 200
times, kills task managers, Python workers and the JobManager in the middle of jobs, shows what each mistake says, and
looks for processes and ports that are left. Prints the tables for docs/proofs.md; takes ten minutes on two cores.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from flink_chain import STAGES, Cluster, Ended, chain, conserved, digest, require, running, stage_command, write_pages

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
SIZE = ("task_managers=2", "slots=1", "heartbeat_seconds=4")


def say(text: str) -> None:
    """Show progress and results as they come."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@dataclass
class Proof:
    """What was seen so far."""

    folder: Path
    pages: Path
    expected: str = ""
    rows: list[str] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)
    failed: bool = False

    def note(self, what: str, root: Path, seconds: float, cluster: Cluster) -> None:
        """A row of the table: a corpus and its digest."""
        found, items = digest(cluster, root), conserved(root)
        self.expected = self.expected or found
        same = found == self.expected
        self.failed |= not same
        counts = f"{items[0]} = {items[1]} + {items[2]} + {items[3]}"
        self.rows.append(f"| {what} | `{found[:16]}…` | {'equal' if same else 'DIFFERS'} | {counts} | {seconds:.0f} |")
        say(self.rows[-1])
        shutil.rmtree(root)

    def run(self, what: str, cluster: Cluster, work: Callable[[Path], object]) -> None:
        """Make a corpus and note it."""
        root, started = self.folder / f"corpus-{len(self.rows)}", time.monotonic()
        work(root)
        self.note(what, root, time.monotonic() - started, cluster)

    def mistake(self, what: str, ended: Ended, code: int, words: str) -> None:
        """A row of the other table: what a mistake says."""
        lines = [line for line in ended.err.strip().splitlines() if line.startswith("corpusmill: ")]
        last = ended.err.strip().splitlines()[-1:] or [""]
        good = ended.code == code and lines == last and words in last[0] and "Traceback" not in ended.err
        self.failed |= not good
        said = last[0].removeprefix("corpusmill: ").replace(str(self.folder), "…")
        self.mistakes.append(f"| {what} | {ended.code} | {said} | {'' if good else 'NOT AS EXPECTED'} |")
        say(self.mistakes[-1])

    def gone(self, cluster: Cluster, ports: list[int]) -> None:
        """Nothing of a cluster may be left."""
        left = cluster.processes()
        again = [port for port in ports if port in cluster.ports()]
        self.failed |= bool(left or again or not ports)
        say(f"down: {len(ports)} ports were open, {len(again)} are; {len(left)} processes are left")


def chain_with_kills(cluster: Cluster, root: Path, pages: Path, victim: Callable[[], int]) -> None:
    """The chain; in each of its Flink jobs something gets SIGKILL."""
    for stage, (_, jobs) in STAGES.items():
        with cluster.start(*stage_command(stage, root, pages)) as process:
            for job in jobs:
                running(cluster, job, process)
                pid = victim()
                os.kill(pid, signal.SIGKILL)
                say(f"  killed {pid} during {job}")
            out, err = process.communicate(timeout=600)
        require(Ended(process.returncode, out, err))


def standalone(proof: Proof) -> None:
    """The cluster as users have it, undisturbed and disturbed."""
    cluster = Cluster(proof.folder / "standalone", SIZE)
    cluster.up()
    ports = cluster.ports()
    proof.run("local runner, 2 workers", cluster, lambda root: chain(cluster, root, proof.pages, "local"))
    proof.run("standalone Flink", cluster, lambda root: chain(cluster, root, proof.pages, "flink"))
    one = ("--workers", "1")
    proof.run("standalone Flink, one slot", cluster, lambda root: chain(cluster, root, proof.pages, "flink", *one))

    # In turn: the keeper gives a cluster up in which one daemon dies five times within a minute.
    managers = cycle(("taskmanager-1", "taskmanager-2"))
    for what, victim in (
        ("a task manager", lambda: cluster.daemon(next(managers))),
        ("a Python worker", cluster.newest_worker),
    ):
        proof.run(
            f"standalone Flink, {what} killed in each of its {sum(len(jobs) for _, jobs in STAGES.values())} jobs",
            cluster,
            lambda root, victim=victim: chain_with_kills(cluster, root, proof.pages, victim),  # type: ignore[misc]
        )

    def job_manager(root: Path) -> None:
        with cluster.start(*stage_command("clean", root, proof.pages)) as process:
            running(cluster, "clean", process)
            os.kill(cluster.daemon("jobmanager"), signal.SIGKILL)
            out, err = process.communicate(timeout=600)
        proof.mistake("JobManager killed", Ended(process.returncode, out, err), 1, "run the same command again")
        while cluster.status().get("slots_now") != 2:
            time.sleep(0.5)
        chain(cluster, root, proof.pages, "flink")

    proof.run("standalone Flink, JobManager killed during clean, then the same commands again", cluster, job_manager)
    mistakes(proof, cluster)
    say(f"started again meanwhile: {', '.join(cluster.status()['restarted'])}")
    cluster.down()
    proof.gone(cluster, ports)


def mistakes(proof: Proof, cluster: Cluster) -> None:
    """What goes wrong is said in one line."""
    root = proof.folder / "mistakes"
    clean = stage_command("clean", root, proof.pages)
    proof.mistake("one slot too few", cluster.call(*clean, "--workers", "3"), 2, "give --workers 2")
    other = Cluster(proof.folder / "none", SIZE)
    proof.mistake("no cluster", other.call(*clean), 2, "start one with `corpusmill flink up`")
    environment = {**other.environment(), "PATH": str(proof.folder)}
    environment.pop("JAVA_HOME", None)
    command = [sys.executable, "-m", "flows.cli", "flink", "up"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    proof.mistake("no Java", Ended(done.returncode, done.stdout, done.stderr), 2, "install it")
    small = proof.folder / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(small)], check=False)
    if mounted.returncode == 0:
        try:
            full = cluster.call(*stage_command("clean", small / "corpus", proof.pages))
            proof.mistake("disk full", full, 2, "free some")
        finally:
            subprocess.run(["umount", str(small)], check=True)
    else:
        proof.mistakes.append("| disk full | | not tried: no file system of its own could be mounted here | |")
    dead_task_managers(proof)
    spent_memory(proof)
    shutil.rmtree(root, ignore_errors=True)


def dead_task_managers(proof: Proof) -> None:
    """Both task managers die in the middle of a job, and nobody starts them again."""
    cluster = Cluster(proof.folder / "dead", (*SIZE, "slot_wait_seconds=8", "restart_attempts=1"))
    cluster.up()
    keeper = json.loads((cluster.folder / "cluster.json").read_text())["keeper_pid"]
    with cluster.start(*stage_command("clean", proof.folder / "dead-corpus", proof.pages)) as process:
        running(cluster, "clean", process)
        os.kill(keeper, signal.SIGSTOP)
        for name in ("taskmanager-1", "taskmanager-2"):
            os.kill(cluster.daemon(name), signal.SIGKILL)
        out, err = process.communicate(timeout=600)
    os.kill(keeper, signal.SIGCONT)
    proof.mistake("dead task managers", Ended(process.returncode, out, err), 1, "corpusmill flink status")
    cluster.down()


def spent_memory(proof: Proof) -> None:
    """A page of 19 MB and workers that may not take what it needs."""
    cluster = Cluster(proof.folder / "tight", ("task_managers=1", "slots=1", "worker_mb=512", "restart_attempts=0"))
    pages = proof.folder / "large-page"
    pages.mkdir()
    (pages / "large.html").write_text("<body>" + "<p>The mill ran day and night until the river froze.</p>\n" * 330_000)
    cluster.up()
    said = cluster.call(*stage_command("clean", proof.folder / "tight-corpus", pages, "--workers", "1"))
    proof.mistake("a worker's memory spent", said, 1, "give it more (flink.worker_mb)")
    cluster.down()


def another(proof: Proof, what: str, *settings: str) -> None:
    """The chain on a cluster of another kind."""
    cluster = Cluster(proof.folder / what.replace(" ", "-"), (*SIZE, *settings))
    cluster.up()
    ports = cluster.ports()
    proof.run(what, cluster, lambda root: chain(cluster, root, proof.pages, "flink"))
    cluster.down()
    proof.gone(cluster, ports)


def main() -> int:
    """Prove it in a temporary folder, which stays where something failed."""
    folder = Path(tempfile.mkdtemp(prefix="flink-proof-"))
    proof = Proof(folder, write_pages(DATA, folder / "pages"))
    standalone(proof)
    another(proof, "standalone Flink, workers started by task managers", "environment=process")
    another(proof, "embedded Flink", "mode=embedded")
    say(f"\n{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {os.cpu_count()} cores\n")
    say("| where | corpus digest | | items = kept + dropped + dead | seconds |\n|---|---|---|---|---:|")
    say("\n".join(proof.rows))
    say("\n| mistake | exit code | what it says | |\n|---|---:|---|---|")
    say("\n".join(proof.mistakes))
    if proof.failed:
        say(f"\nnot proven; see {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
