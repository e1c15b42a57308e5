"""Ends one process of a flow run, at every level, and looks what is left of the run."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from prefect_services import Services
from process_tree import RANKS, pids
from processes import alive, command_of, wait_until

__all__ = [
    "LEVELS",
    "Run",
    "end_level",
    "make_corpus",
    "start_corpus",
    "start_training",
    "start_tree",
    "wait_for_nothing",
]

# Each with the signals that end it; a run is cancelled by its state, as the UI and the command line do.
LEVELS: dict[str, tuple[signal.Signals | None, ...]] = {
    "cancelled": (None,),
    "command": (signal.SIGTERM, signal.SIGKILL),
    "supervisor": (signal.SIGKILL,),
    "flow": (signal.SIGTERM, signal.SIGKILL),
    "worker": (signal.SIGTERM, signal.SIGKILL),
    "supervisor of the worker": (signal.SIGKILL,),
}
SETTINGS = """
[clean]
rules = []
extractor = "resiliparse"
[tokenizer]
vocabulary_size = 1000
test = 0.05
validation = 0.05
[tokenize]
test = 0.05
validation = 0.05
[mix]
name = "main"
sequence_length = 64
samples = 400000
[train]
batch = 4
warmup_tokens = 1000
checkpoint_every = 0
validation_every = 0
sample_every = 0
threads = 1
[train.model]
context = 64
layers = 2
heads = 2
width = 32
band = 16
"""
# What may run on after a kill: none of it for 15 seconds, beyond the grace that was asked for.
GONE_SECONDS = 15.0


@dataclass(frozen=True)
class Run:
    """A flow run at work.

    Attributes:
        id: of the flow run.
        flow: its process.
        supervisor: what the process of the run has started.
        command: what that waits for.
        processes: all of these, and all below them.
    """

    id: str
    flow: psutil.Process
    supervisor: psutil.Process
    command: psutil.Process
    processes: tuple[psutil.Process, ...]


def _run_of(run: str, command: psutil.Process) -> Run:
    supervisor = command.parent()
    flow = supervisor.parent()
    return Run(run, flow, supervisor, command, (flow, *flow.children(recursive=True)))


def start_tree(services: Services, folder: Path) -> Run:
    """A run whose command has started what no signal reaches."""
    folder.mkdir(parents=True)
    run = services.run("probe-tree", folder=str(folder))
    wait_until(lambda: len(pids(folder, "rank")) == RANKS and pids(folder, "agent"), "the tree of a run")
    return _run_of(run, psutil.Process(pids(folder, "agent")[0]))


def _command_with(services: Services, words: tuple[str, ...], ready: Callable[[psutil.Process], Any]) -> psutil.Process:
    def found() -> psutil.Process | None:
        for one in services.processes():
            line = command_of(one)
            if all(word in line for word in words) and "supervisor.py" not in line and ready(one):
                return one
        return None

    process: psutil.Process = wait_until(found, f"the command {' '.join(words)}")
    return process


def start_corpus(services: Services, root: Path, inputs: Path, config: Path) -> Run:
    """A run of `corpus-build` in whose first stage two Beam workers are at work."""
    about = {"root": str(root), "source": "web", "partition": "1", "inputs": [str(inputs)]}
    run = services.run("corpus-build", parameters={**about, "workers": 2, "config": str(config)})

    def has_workers(command: psutil.Process) -> bool:
        try:
            below = command.children(recursive=True)
        except psutil.NoSuchProcess:
            return False
        return sum("pipelines.engine.worker" in command_of(one) for one in below) == 2

    return _run_of(run, _command_with(services, ("run", "clean", str(root)), has_workers))


def start_training(services: Services, root: Path, folder: Path, config: Path) -> Run:
    """A run of `pretrain` that has taken some steps."""
    about = {"root": str(root), "mixture": "main", "run": str(folder), "config": str(config)}
    run = services.run("pretrain", parameters=about)
    metrics = folder / "metrics.jsonl"

    def at_work() -> bool:
        assert services.state(run)["type"] in {"SCHEDULED", "PENDING", "RUNNING"}, services.state(run)
        return metrics.exists() and metrics.read_text().count('"loss"') >= 3

    wait_until(at_work, "three steps of the training")
    return _run_of(run, _command_with(services, ("training", "train", str(folder)), alive))


def end_level(services: Services, run: Run, level: str, number: signal.Signals | None) -> None:
    """Send the signal to the process of a level, or cancel the run."""
    if number is None:
        state = {"type": "CANCELLING", "name": "Cancelling"}
        services.rest().post(f"/flow_runs/{run.id}/set_state", {"state": state})
        return
    outer = psutil.Process(services.daemon("worker-1"))
    worker = next(one for one in outer.children() if "worker start" in command_of(one))
    victims = {
        "command": run.command,
        "supervisor": run.supervisor,
        "flow": run.flow,
        "worker": worker,
        "supervisor of the worker": outer,
    }
    victims[level].send_signal(number)


def wait_for_nothing(run: Run, level: str, grace_seconds: float) -> float:
    """Wait until no process of a run is left; gives the seconds that it took.

    The process of the flow itself goes on where only its command was ended: it has a failure to report, and may try
    again what can be tried again.
    """
    started = time.monotonic()
    left = [one for one in run.processes if level not in {"command", "supervisor"} or one != run.flow]
    wait_until(lambda: not any(map(alive, left)), f"the end of {len(left)} processes", GONE_SECONDS + grace_seconds)
    return time.monotonic() - started


def make_corpus(services: Services, data: Path, folder: Path) -> tuple[Path, Path]:
    """A corpus of real pages with a mixture `main`, and a file of settings that make a training of it long."""
    config = folder / "settings.toml"
    config.write_text(SETTINGS)
    root = folder / "corpus"
    about = ("--root", str(root), "--config", str(config))
    for stage, more in (
        ("clean", ("--source", "web", "--partition", "0", "--input", str(data / "warc"))),
        ("tokenizer", ()),
        ("tokenize", ()),
        ("mix", ()),
    ):
        said = services.call("run", stage, *about, *more)
        assert said.code == 0, said.err
    return root, config
