"""Checks of Beam, Flink and a corpus: which engine runs, where workers are, and what killed runs have left."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flows.doctor.finding import Check, Finding, Patient, fail, ok, warn
from flows.process_marks import MARK_VARIABLE
from pipelines.engine.flink.description import ClusterDescription, description_file, listens, read_cluster
from pipelines.engine.job_record import RECORD_NAME
from pipelines.engine.settings import Engine, default_workers
from schemas.errors import InputError
from schemas.lease import process_start, read_leases
from schemas.storage import Folder

__all__ = ["CORPUS_CHECKS"]

_HERE = frozenset({"localhost", "127.0.0.1", "::1"})


def _engine(_patient: Patient) -> Iterator[Finding]:
    import apache_beam as beam

    from pipelines.engine.runner import run_pipeline

    seen: list[str] = []

    def build(pipeline: beam.Pipeline) -> Any:
        seen.append(type(pipeline.runner).__name__)
        return pipeline | beam.Create([b"one"]) | beam.Map(len)

    with tempfile.TemporaryDirectory() as folder:
        run_pipeline(build, Engine(), "doctor", Folder(folder))
    if seen == ["FnApiRunner"]:
        yield ok("engine", f"Beam {beam.__version__} runs pipelines on {seen[0]}")
    else:
        yield fail(
            "engine",
            f"Beam {beam.__version__} ran a pipeline on {seen}",
            "the engine of local runs is FnApiRunner: another may need the network; reinstall corpusmill",
            *("B#34612", "B#35867"),
        )


def _cluster(patient: Patient) -> Iterator[Finding]:
    if not description_file(patient.cluster).exists():
        yield ok("flink", "no Flink cluster is described; stages run on this machine")
        return
    try:
        about = read_cluster(patient.cluster)
    except InputError as error:
        yield fail("flink", str(error), "write the file anew: `corpusmill flink down`, then up")
        return
    if about.keeper_pid is not None and process_start(about.keeper_pid) != about.keeper_start:
        yield ok("flink", "the cluster that was up here is down")
        return
    if not listens(about.job_endpoint):
        yield fail("flink", f"nobody listens at {about.job_endpoint}", "start the cluster, or correct its description")
        return
    yield ok("flink", f"job server at {about.job_endpoint}, {about.slots} slots")
    yield _workers_of(about)
    yield _parallelism_of(about)
    yield from _reach_of(about, patient)


def _workers_of(about: ClusterDescription) -> Finding:
    kind, name = about.environment_type.upper(), "flink-workers"
    seen = f"{kind} {about.environment_config}"
    if kind == "LOOPBACK":
        remedy = "all user code runs in the process that submits: use EXTERNAL with a worker pool, or PROCESS"
        return fail(name, seen, remedy, "B#19550")
    if kind == "EXTERNAL" and not listens(about.environment_config):
        return fail(name, f"{seen}: nobody listens there", "start a worker pool beside each task manager")
    if kind == "DOCKER":
        return warn(name, seen, "each task manager needs docker; EXTERNAL beside it works without", "B#19550")
    return ok(name, seen)


def _parallelism_of(about: ClusterDescription) -> Finding:
    name, seen = "flink-parallelism", f"{about.slots} slots, {about.slots_of_task_manager} of each task manager"
    if about.slots == 1 and default_workers() > 1:
        return warn(name, f"{seen}, on {default_workers()} cores", "give more: --set task_managers=N --set slots=M")
    return ok(name, seen)


def _reach_of(about: ClusterDescription, patient: Patient) -> Iterator[Finding]:
    if patient.root is None:
        return
    elsewhere = about.job_endpoint.rpartition(":")[0] not in _HERE
    if elsewhere and patient.root.folder.is_local:
        yield warn(
            "shared-corpus",
            f"the cluster is at {about.job_endpoint} and the corpus at {patient.root.url}",
            "the path must be the same shared disk on every machine; or keep the corpus in a bucket",
            *("B#32743", "B#24367"),
        )
    else:
        yield ok("shared-corpus", "workers reach the corpus as this machine does")


def _left_in_corpus(patient: Patient) -> Iterator[Finding]:
    root = patient.root
    if root is None:
        return
    leases = read_leases(root)
    clean = f"`corpusmill gc --root {root.url}` removes it, and so does the next run of its unit"
    if leases.left:
        yield warn("leases", f"{len(leases.left)} of runs that are gone, {len(leases.held)} of live ones", clean)
    else:
        yield ok("leases", f"{len(leases.held)} of live runs, none left behind")
    work, own = root.folder.child(".work"), root.lease_folder()
    spared = [f"{root.work_folder(stage, key).url}/" for stage, key in leases.held] + [f"{own.url}/"]
    left = [path for path in work.files_below() if not f"{work.url}/{path}".startswith(tuple(spared))]
    jobs = [path for path in left if path.endswith(RECORD_NAME)]
    if left:
        yield warn("work-folders", f"{len(left)} temporary files of runs that are gone", clean)
    else:
        yield ok("work-folders", "nothing of runs that are gone")
    if jobs:
        yield warn(
            "remote-jobs",
            f"runs that are gone had submitted {len(jobs)} jobs to a cluster, which may still run",
            "run the same stage again: it cancels them first",
            "P#15874",
        )
    else:
        yield ok("remote-jobs", "none of runs that are gone")


def _orphans(_patient: Patient) -> Iterator[Finding]:
    """Processes of runs whose run is gone: they have its mark, and the first process for a parent."""
    found = []
    processes = Path("/proc")
    for entry in processes.iterdir() if processes.is_dir() else ():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            marked = f"\0{MARK_VARIABLE}=".encode() in b"\0" + (entry / "environ").read_bytes()
            parent = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue  # ended meanwhile, or of somebody else
        if marked and parent == "1" and b"flows.services.keeper" not in command and b"flows.cli" not in command:
            found.append(int(entry.name))
    if found:
        yield fail(
            "orphans",
            f"processes of runs that are gone: {', '.join(map(str, found))}",
            f"end them: kill {' '.join(map(str, found))}",
            *("P#20979", "pytorch#113231"),
        )
    else:
        yield ok("orphans", "no process of a run that is gone")


CORPUS_CHECKS: tuple[Check, ...] = (_engine, _cluster, _left_in_corpus, _orphans)
