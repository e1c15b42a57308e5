"""A real Flink cluster on the loopback, and the chain of data stages on real pages, driven as users drive them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from processes import command_of, marked, wait_until

from flows.flink import toolchain
from pipelines.engine.flink.rest import FlinkJob, FlinkRest, FlinkUnreachableError
from schemas.errors import CorpusmillError

MARK = "CORPUSMILL_TEST_FLINK"  # an environment variable that all processes of a cluster inherit
_SKEWED = "the mill ran day and night until the river froze over and then the millers told each other stories of"
SHARES = ("test=0.05", "validation=0.05")
# Sentences of one and of four of the pages, and one of none, as if evaluation items asked for them.
QUESTIONS = (
    "One way of accomplishing this is by doing a pull and then a push using the multiengine client.",
    "Best of all the user can use both of these interfaces at the same time to take advantage or both of their "
    "strengths.",
    "In which year did the miller of the old valley near the river sell the last wheel of his mill to a stranger?",
)
# Each stage with its settings and the Beam jobs that it runs; `clean` and `decontaminate` also get inputs.
STAGES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "clean": (("rules=[]", "extractor=resiliparse"), ("clean",)),
    "dedup": ((), ("dedup-signatures", "dedup-edges")),
    "decontaminate": ((), ("decontaminate-overlaps",)),
    "tokenizer": (("vocabulary_size=1000", "sample_bytes=200000", *SHARES), ()),
    "tokenize": (SHARES, ("tokenize",)),
}


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        """Its last line."""
        return dict(json.loads(self.out.splitlines()[-1]))


@dataclass(frozen=True)
class Cluster:
    """A cluster in a folder of its own."""

    folder: Path
    settings: Sequence[str] = field(default=("task_managers=2", "slots=1", "heartbeat_seconds=4"))

    def environment(self) -> dict[str, str]:
        return {**os.environ, "CORPUSMILL_FLINK": str(self.folder), MARK: str(self.folder)}

    def call(self, *words: str) -> Ended:
        """Run `corpusmill` against this cluster."""
        command = [sys.executable, "-m", "flows.cli", *words]
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, check=False, timeout=600)
        return Ended(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start `corpusmill` against this cluster."""
        command = [sys.executable, "-m", "flows.cli", *words]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=self.environment(), stdout=pipe, stderr=pipe, text=True)

    def up(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        ended = self.call("flink", "up", *(word for one in self.settings for word in ("--set", one)))
        assert ended.code == 0, ended.err

    def down(self) -> None:
        assert self.call("flink", "down").code == 0

    def status(self) -> dict[str, Any]:
        return self.call("flink", "status", "--json").json()

    def rest(self) -> FlinkRest:
        return FlinkRest(json.loads((self.folder / "cluster.json").read_text())["rest"])

    def daemon(self, name: str) -> int:
        """Pid of a daemon, now."""
        return int(json.loads((self.folder / "processes.json").read_text())[name])

    def newest_worker(self) -> int:
        """Pid of the Python worker that was started last, once there is one."""

        def newest() -> int | None:
            with suppress(psutil.NoSuchProcess):
                found = max(self.workers(), key=lambda one: one.create_time(), default=None)
                return found and found.pid
            return None

        return int(wait_until(newest, "a Python worker"))

    def processes(self) -> list[psutil.Process]:
        """All that run for this cluster and its jobs."""
        return marked(MARK, str(self.folder))

    def listening(self) -> set[tuple[str, int]]:
        """Addresses and ports at which its processes listen."""
        found: set[tuple[str, int]] = set()
        for process in self.processes():
            try:
                found |= {tuple(one.laddr) for one in process.net_connections() if one.status == psutil.CONN_LISTEN}
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def ports(self) -> list[int]:
        """Where its processes listen."""
        return sorted({port for _, port in self.listening()})

    def named(self, word: str) -> list[psutil.Process]:
        """Those of its processes whose command line has this word; one that ends while it is looked at is not there."""
        return [process for process in self.processes() if word in command_of(process)]

    def workers(self) -> list[psutil.Process]:
        """Its Python workers."""
        return self.named("worker_boot")


def running(cluster: Cluster, job: str, process: subprocess.Popen[str], step: str = "") -> FlinkJob:
    """Wait until the job of this name that a process submits runs and, where a step is named, that step is at work."""
    rest = cluster.rest()
    began = psutil.Process(process.pid).create_time() * 1000 - 1000  # jobs of other tests may not have ended yet

    def at_work() -> FlinkJob | None:
        assert process.poll() is None, f"no job {job} was seen at work: {process.communicate()}"
        with suppress(FlinkUnreachableError):  # a busy manager
            for one in rest.get("/jobs/overview")["jobs"]:
                mine = one["name"].startswith(f"corpusmill-{job}-") and one["start-time"] >= began
                if mine and one["state"] == "RUNNING":
                    seen = rest.details(one["jid"])
                    if not step or any(vertex.state == "RUNNING" and step in vertex.steps for vertex in seen.vertices):
                        return seen
        return None

    return wait_until(at_work, f"job {job} at work {step}")


def stage_command(stage: str, root: Path, inputs: Path, *more: str, runner: str = "flink") -> list[str]:
    """The words of `corpusmill run`."""
    settings, _ = STAGES[stage]
    words = ["run", stage, "--root", str(root), "--runner", runner, *more]
    words += ["--source", "pages", "--partition", "one"] if stage != "tokenizer" else []
    given = {"clean": inputs, "decontaminate": questions(inputs)}
    words += ["--input", str(given[stage])] if stage in given else []
    return [*words, *(word for one in settings for word in ("--set", one)), "--json"]


def require(ended: Ended) -> Ended:
    """That it went well."""
    assert ended.code == 0, f"{ended.out}\n{ended.err}"
    return ended


def chain(
    cluster: Cluster, root: Path, inputs: Path, runner: str, *more: str, stages: Iterable[str] = tuple(STAGES)
) -> str:
    """All stages, or some, one after the other; gives the corpus digest."""
    for stage in stages:
        require(cluster.call(*stage_command(stage, root, inputs, *more, runner=runner)))
    return digest(cluster, root)


def digest(cluster: Cluster, root: Path) -> str:
    """The corpus digest."""
    return str(require(cluster.call("digest", str(root), "--json")).json()["digest"])


def conserved(root: Path) -> tuple[int, int, int, int]:
    """Items, and what became of them, as the manifest of `clean` has them."""
    counts = json.loads((root / "documents" / "pages" / "one" / "manifest.json").read_text())["counts"]
    numbers = (counts["items"], counts["documents"], counts["dropped"], counts["dead"])
    assert numbers[0] == sum(numbers[1:])
    return numbers


def kill_during(
    cluster: Cluster, root: Path, inputs: Path, stage: str, job: str, victim: Callable[[], int], step: str = ""
) -> Ended:
    """Run a stage, SIGKILL a process when the job is at work, and wait for the end of the run."""
    with cluster.start(*stage_command(stage, root, inputs)) as process:
        running(cluster, job, process, step)
        os.kill(victim(), signal.SIGKILL)
        out, err = process.communicate(timeout=300)
    return Ended(process.returncode, out, err)


def questions(inputs: Path) -> Path:
    """The evaluation set that goes with an input; its name is that of its file, so it is the same for all inputs."""
    return inputs.with_name(f"{inputs.name}-items") / "questions.jsonl"


def write_questions(inputs: Path) -> None:
    """Write the evaluation set that goes with an input."""
    questions(inputs).parent.mkdir()
    lines = [json.dumps({"id": str(number), "question": text}) for number, text in enumerate(QUESTIONS)]
    questions(inputs).write_text("\n".join(lines))


def write_pages(data: Path, folder: Path, every: int = 1) -> Path:
    """Real input: WARC files, pages of a documentation site, and 400 texts, half of them the same; and questions.

    Of the site, each so many-th page is taken, and those that have a sentence of the questions.
    """
    shutil.copytree(data / "warc", folder / "warc")
    write_questions(folder)
    with tarfile.open(data / "html" / "ipython-docs.tar.xz") as archive:
        for number, member in enumerate(
            archive
        ):  # `extractall` wants a filter from Python 3.12 on, and knows none before 3.11.4
            stream = archive.extractfile(member)
            if stream is None:
                continue
            html = stream.read()
            if number % every == 0 or b"both of these" in html:
                page = folder / "html" / member.name
                page.parent.mkdir(parents=True, exist_ok=True)
                page.write_bytes(html)
    words = _SKEWED.split()
    with (folder / "skewed.jsonl").open("w") as stream:
        for number in range(400):  # one key of the shuffle gets half of these
            text = " ".join(words * 3 + [f"number {number}" if number % 2 else "the same"])
            stream.write(json.dumps({"id": str(number), "text": text}) + "\n")
    return folder


def has_java() -> str:
    """Why no cluster can be started here; empty where one can."""
    try:
        toolchain.find_java()
        toolchain.jars()
    except CorpusmillError as error:
        return str(error)
    return ""
