"""Dataflow without an account: every job's graph is checked, and runs behind the service's real interface."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dataflow_emulator import Emulator, dataflow_emulator
from processes import PATIENCE_SECONDS, wait_until

from flows.registry import stage_entry
from flows.stage_request import build_request
from pipelines.corpus_digest import corpus_digest
from schemas.corpus_root import CorpusRoot

STAGES: dict[str, tuple[str, ...]] = {
    "clean": ("rules=[]",),
    "dedup": (),
    "decontaminate": ("ngram=8",),
    "tokenizer": ("vocabulary_size=300", "sample_bytes=100000"),
    "tokenize": (),
}
IMAGE = "registry.example/corpusmill/worker:1"


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with dataflow_emulator() as running:
        yield running


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    words = ["river", "mill", "stone", "grain", "water", "wheel", "farmer", "bread", "flour", "village", "road"]
    texts = [
        " ".join(words[(n // 2 * 7 + i * (n // 2 + 3)) % len(words)] for i in range(90 + n % 2)) for n in range(40)
    ]
    file = tmp_path / "texts.jsonl"
    file.write_text("\n".join([json.dumps({"text": text}) for text in texts] + ["{damaged"]) + "\n")
    return file


def command(stage: str, root: Path, inputs: Path, runner: str) -> list[str]:
    words = [sys.executable, "-m", "flows.cli", "run", stage, "--root", str(root), "--runner", runner, "--workers", "1"]
    words += ["--source", "s", "--partition", "p", "--input", str(inputs)] if stage == "clean" else []
    return [*words, *(word for one in STAGES[stage] for word in ("--set", one)), "--json"]


def call(words: list[str], settings: Path | str = "/nowhere/dataflow.toml", **more: str) -> tuple[int, str, str]:
    env = {**os.environ, "CORPUSMILL_DATAFLOW": str(settings), **more}
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
def test_the_chain_gives_the_same_rows_behind_dataflows_interface(
    emulator: Emulator, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORPUSMILL_DATAFLOW", str(emulator.toml(tmp_path)))
    digests = set()
    evaluation = tmp_path / "set.jsonl"
    evaluation.write_text(json.dumps({"text": json.loads(inputs.read_text().splitlines()[20])["text"]}) + "\n")
    for runner in ("local", "dataflow"):
        root = str(tmp_path / runner)
        for stage, settings in STAGES.items():
            given: dict[str, Any] = {"source": "s", "partition": "p", "inputs": [str(inputs)]}
            given = given if stage == "clean" else {"inputs": [str(evaluation)]} if stage == "decontaminate" else {}
            request = build_request(stage, root, runner=runner, workers=1, overrides=settings, **given)
            stage_entry(stage).run(request)
        digests.add(corpus_digest(CorpusRoot(root)).total)
    assert len(digests) == 1
    names = [job.name.rpartition("-")[0] for job in emulator.jobs.values()]
    jobs = ["clean", "dedup-signatures", "dedup-edges", "decontaminate-overlaps", "tokenize"]
    assert names == [f"corpusmill-{job}" for job in jobs]
    request = next(iter(emulator.jobs.values())).request
    (pool,) = request["environment"]["workerPools"]
    assert pool["workerHarnessContainerImage"] == IMAGE
    assert pool["machineType"] == "n2-highmem-4"
    assert pool["autoscalingSettings"]["maxNumWorkers"] == 1
    assert pool["numThreadsPerWorker"] == 1
    assert not pool.get("packages")  # nothing is staged: the image holds the code


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_run_takes_its_job_with_it(emulator: Emulator, inputs: Path, tmp_path: Path, how: int) -> None:
    env = {**os.environ, "CORPUSMILL_DATAFLOW": str(emulator.toml(tmp_path))}
    with subprocess.Popen(command("clean", tmp_path / "c", inputs, "dataflow"), env=env, stderr=subprocess.PIPE) as run:
        wait_until(lambda: emulator.jobs or run.poll() is not None, "a job at the service")
        (job,) = emulator.jobs.values()
        job.process.send_signal(signal.SIGSTOP)  # at work for as long as it takes
        run.send_signal(how)
        run.communicate(timeout=PATIENCE_SECONDS)
    wait_until(lambda: job.cancelled, "the job cancelled")


@pytest.mark.slow
def test_what_dataflow_refuses_and_what_fails_there_is_said_in_one_line(
    emulator: Emulator, inputs: Path, tmp_path: Path
) -> None:
    settings = emulator.toml(tmp_path)
    emulator.refusal = "Dataflow API has not been used in project test-project before"
    code, _, err = call(command("clean", tmp_path / "c", inputs, "dataflow"), settings)
    assert code == 2
    assert re.fullmatch(
        rf"corpusmill: Dataflow refuses corpusmill-clean-\w+: .*{emulator.refusal}", err.splitlines()[-1]
    )
    emulator.refusal = ""
    env = {**os.environ, "CORPUSMILL_DATAFLOW": str(settings)}
    pipe = subprocess.PIPE
    words = command("clean", tmp_path / "c", inputs, "dataflow")
    with subprocess.Popen(words, env=env, stdout=pipe, stderr=pipe, text=True) as run:
        wait_until(lambda: emulator.jobs or run.poll() is not None, "a job at the service")
        next(iter(emulator.jobs.values())).process.kill()
        _, err = run.communicate(timeout=PATIENCE_SECONDS)
    assert run.returncode == 1
    assert err.splitlines()[-1] == "corpusmill: clean failed: nobody says why"


def test_without_settings_credentials_or_a_bucket_one_line_says_what_to_do(inputs: Path, tmp_path: Path) -> None:
    words = command("clean", tmp_path / "c", inputs, "dataflow")
    code, _, err = call(words)
    assert code == 2
    assert "Dataflow is not set up (/nowhere/dataflow.toml is missing); write project, region" in err
    settings = tmp_path / "dataflow.toml"
    settings.write_text(
        f'project = "test-project"\nregion = "europe-west4"\ntemp_location = "gs://bucket/tmp"\nimage = "{IMAGE}"\n'
    )
    code, _, err = call(words, settings)
    assert code == 2
    assert f"{inputs} lies on this machine, where Dataflow's workers cannot read it; copy it to a bucket" in err


def test_every_job_of_the_chain_can_be_given_to_dataflow() -> None:
    words = [sys.executable, "-m", "flows.cli", "dataflow", "check", "--json"]
    given = {"project": "test-project", "region": "europe-west4", "temp_location": "gs://bucket/tmp", "image": IMAGE}
    code, out, err = call([*words, *(word for pair in given.items() for word in ("--set", "=".join(pair)))])
    assert code == 0, err
    jobs = {job["job"]: job for job in json.loads(out)["jobs"]}
    names = ("clean", "dedup-signatures", "dedup-edges", "decontaminate-overlaps", "tokenize", "replay")
    assert set(jobs) == {f"corpusmill-{name}" for name in names}
    assert "Candidates/Group" in " ".join(jobs["corpusmill-dedup-edges"]["shuffles"])
