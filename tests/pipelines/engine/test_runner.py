"""Pipelines in this process and in two, what a failure says, and what a kill leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import psutil
import pytest
from processes import alive, wait_until

from pipelines.engine.lifeline import OWNER_VARIABLE, own_children, watch_owner
from pipelines.engine.runner import run_pipeline
from pipelines.engine.settings import Engine
from schemas.errors import InputError, StageError
from schemas.lease import process_start
from schemas.storage import Folder

_FAIL = """
from pipelines.engine.runner import run_pipeline
from pipelines.engine.settings import Engine
from schemas.errors import CorpusmillError, InputError
from schemas.process_exit import leave
from schemas.storage import Folder
import apache_beam as beam

def fail(number):
    from schemas.errors import InputError
    raise InputError("cannot read x: give another") if number else KeyError("what")

for elements in ([1], [0]):
    try:
        build = lambda p: p | beam.Create(elements) | beam.Reshuffle() | "Do it" >> beam.Map(fail)
        run_pipeline(build, Engine(workers=2), "try", Folder("."))
    except CorpusmillError as error:
        print(type(error).__name__, error)
leave(0)
"""
_SLOW = """
import sys, time
from pathlib import Path
from pipelines.engine.runner import run_pipeline
from pipelines.engine.settings import Engine
from schemas.process_exit import leave
from schemas.storage import Folder
import apache_beam as beam

def sleep(number, folder):
    import os, time
    from pathlib import Path
    Path(folder, str(os.getpid())).touch()
    time.sleep(0.2)
    return number

def build(p):
    return p | beam.Create(range(int(sys.argv[2]))) | beam.Reshuffle() | beam.Map(sleep, sys.argv[1])

run_pipeline(build, Engine(workers=2), "slow", Folder("."))
leave(0)
"""


class Note(beam.DoFn):
    """Leaves a file named after the process that handled an element."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def process(self, element: int) -> Iterator[int]:
        Path(self._folder, f"{element}-{os.getpid()}").touch()
        yield element


def test_one_worker_is_this_process(tmp_path: Path) -> None:
    note = beam.ParDo(Note(str(tmp_path)))
    run_pipeline(lambda p: p | beam.Create([1, 2]) | note, Engine(workers=1), "note", Folder(str(tmp_path)))
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"1-{os.getpid()}", f"2-{os.getpid()}"]


def fail(kind: type[Exception]) -> None:
    raise kind("cannot read x: give another")


def test_a_failure_in_this_process_is_said_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match=r"^cannot read x: give another$"):
        run_pipeline(lambda p: p | beam.Create([InputError]) | beam.Map(fail), Engine(), "try", Folder(str(tmp_path)))
    with pytest.raises(StageError, match=r"^try failed: ValueError: cannot read x: give another \[while running 'Map"):
        run_pipeline(lambda p: p | beam.Create([ValueError]) | beam.Map(fail), Engine(), "try", Folder(str(tmp_path)))
    assert not [record for record in caplog.records if record.name.startswith("apache_beam")]
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.slow
def test_a_failure_in_a_worker_process_is_the_same_error() -> None:
    result = subprocess.run([sys.executable, "-c", _FAIL], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == [
        "InputError cannot read x: give another",
        "StageError try failed: KeyError: \"what [while running 'Do it']\"",
    ]
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_two_workers_are_two_processes_that_share_the_bundles_and_end_with_the_run(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", _SLOW, str(tmp_path), "16"], check=True)
    pids = [int(path.name) for path in tmp_path.iterdir()]
    assert len(pids) == 2
    assert not any(map(alive, pids))


def two_of(run: psutil.Process) -> list[psutil.Process]:
    """Its two workers, once it has both."""
    found = run.children(recursive=True)
    return found if len(found) == 2 else []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_and_its_busy_workers_within_seconds(
    shared_data: Path, tmp_path: Path, number: signal.Signals
) -> None:
    words = ["run", "clean", "--root", str(tmp_path), "--source", "web", "--partition", "1", "--workers", "2"]
    command = [sys.executable, "-m", "flows.cli", *words, "--input", str(shared_data / "warc"), "--set", "rules=[]"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        below = psutil.Process(run.pid)
        workers = wait_until(lambda: two_of(below), "two workers")
        asked = time.monotonic()
        run.send_signal(number)  # to it alone, as a supervisor does; a terminal tells its workers too
        try:
            _, told = run.communicate(timeout=60)
        finally:
            run.kill()
    assert run.returncode == 128 + number
    assert time.monotonic() - asked < 15
    assert not any(map(alive, workers))
    assert told.splitlines()[-1] == "corpusmill: interrupted; run the same command to go on"
    assert "Traceback" not in told
    assert "exited with return code" not in told


@pytest.mark.slow
def test_after_sigkill_of_the_run_its_workers_end_within_seconds(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", _SLOW, str(tmp_path), "1000"], stderr=subprocess.DEVNULL)
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2, "two workers at work")
    workers = [psutil.Process(int(path.name)) for path in tmp_path.iterdir()]
    assert all(map(alive, workers))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not any(map(alive, workers)), "the end of the workers", 60)


def test_a_worker_leaves_out_clients_of_services_and_they_can_be_imported_afterwards() -> None:
    program = (
        "import importlib.util, sys; from pipelines.engine.worker import _UNUSED, _harness; harness = _harness(); "
        "print(callable(harness.main), [name for name in _UNUSED if name in sys.modules], "
        "importlib.util.find_spec('google.cloud.storage') is not None)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.split("\n")[0] == "True [] True"


def test_a_watcher_ends_its_process_when_the_owner_is_gone() -> None:
    owner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    program = "import time; from pipelines.engine.lifeline import watch_owner; watch_owner(); time.sleep(600)"
    env = {**os.environ, OWNER_VARIABLE: f"{owner.pid}:{process_start(owner.pid)}"}
    watcher = subprocess.Popen([sys.executable, "-c", program], env=env)
    stranger = {**env, OWNER_VARIABLE: f"{owner.pid}:another process had this number"}
    assert subprocess.run([sys.executable, "-c", program], env=stranger, check=False).returncode == 1
    assert watcher.poll() is None
    owner.kill()
    owner.wait()
    assert watcher.wait(timeout=60) == 1


_WORKER_ENDING = """
import ctypes, os, sys, types
aborting = ctypes.CFUNCTYPE(None)(os.abort)
ctypes.CDLL(None).__cxa_atexit(aborting, None, None)
for name in ("apache_beam", "apache_beam.runners", "apache_beam.runners.worker"):
    sys.modules[name] = types.ModuleType(name)
sys.modules[name].sdk_worker = types.ModuleType("sdk_worker")
sys.modules[name].sdk_worker_main = types.SimpleNamespace(main=lambda argv: print("served"))
from pipelines.engine.worker import main
main()
"""


def test_a_library_that_aborts_at_the_end_of_a_worker_fails_no_run() -> None:
    done = subprocess.run([sys.executable, "-c", _WORKER_ENDING], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "served\n", "")


def test_the_owner_does_not_watch_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    monkeypatch.delenv(OWNER_VARIABLE, raising=False)
    before = threading.active_count()
    watch_owner()
    own_children()
    assert os.environ[OWNER_VARIABLE] == f"{os.getpid()}:{process_start(os.getpid())}"
    watch_owner()
    assert threading.active_count() == before
    monkeypatch.delenv(OWNER_VARIABLE)
