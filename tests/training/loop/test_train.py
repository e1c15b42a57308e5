from __future__ import annotations

import json
import math
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from schemas.corpus_root import CorpusRoot
from schemas.errors import CheckpointError, ConfigError, DivergedError, LeaseError, StageError
from schemas.mixture import Extended, MixturePlan, Phase, write_mixture
from schemas.run import checkpoint_steps
from training.checkpoints import load_model, untrained_model
from training.data.batch_documents import batch_documents
from training.data.batches import BatchReader
from training.data.shards import open_streams
from training.data.skips import append_skips, read_skips
from training.loop import learner as module
from training.loop.bad_steps import read_bad_steps
from training.loop.interruption import hold_run
from training.loop.prepare import PreparedRun, prepare_run
from training.loop.run_log import read_log
from training.loop.train import train
from training.model.gpt import GPT

Prepare = Callable[..., PreparedRun]


def losses(run: str) -> list[float]:
    return [row["loss"] for row in read_log(run, "metrics.jsonl")]


def test_a_run_writes_its_contract(prepared: Prepare, run_folder: str) -> None:
    result = train(prepared(validation_every=5, sample_every=5, checkpoint_every=4, sample_prompts=("the cat", "")))
    rows = read_log(run_folder, "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(1, 11))
    assert [row["tokens"] for row in rows] == [256 * step for step in range(1, 11)]
    for row in rows:
        assert {"loss", "learning_rate", "seconds", "grad_norm", "tokens_per_second"} <= row.keys()
    assert [row["step"] for row in rows if "validation_loss" in row] == [5, 10]
    assert set(rows[-1]["validation_loss_by_source"]) == {"books", "web"}
    assert rows[0]["learning_rate"] == pytest.approx(0.01 * 256 / 600)
    assert rows[-1]["learning_rate"] == pytest.approx(0.001)
    assert rows[-1]["loss"] < rows[0]["loss"] - 1
    samples = read_log(run_folder, "samples.jsonl")
    assert [(row["step"], row["prompt"]) for row in samples] == [(5, "the cat"), (5, ""), (10, "the cat"), (10, "")]
    assert checkpoint_steps(run_folder) == [8, 10]
    assert (result.step, result.tokens, result.loss) == (10, 2560, rows[-1]["loss"])
    assert result.validation_loss == rows[-1]["validation_loss"]


def test_two_runs_are_equal_bit_for_bit(prepared: Prepare, tmp_path: Path) -> None:
    runs = [str(tmp_path / name) for name in ("one", "two")]
    for run in runs:
        train(prepared(run, model={**SMALL_DROPOUT}))
    assert losses(runs[0]) == losses(runs[1])
    one, two = (load_model(run).model.state_dict() for run in runs)
    assert all(torch.equal(one[name], two[name]) for name in one)


SMALL_DROPOUT: dict[str, Any] = {
    "context": 32,
    "layers": 2,
    "heads": 2,
    "width": 32,
    "band": 8,
    "embedding_dropout": 0.1,
    "attention_dropout": 0.1,
    "residual_dropout": 0.1,
}


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_run_stopped_at_any_step_resumes_bit_for_bit(
    prepared: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    settings: dict[str, Any] = {
        "model": SMALL_DROPOUT,
        "optimizer": optimizer,
        "checkpoint_every": 3,
        "validation_every": 2,
        "sample_every": 2,
    }
    whole, cut = str(tmp_path / "whole"), str(tmp_path / "cut")
    train(prepared(whole, **settings))
    real = module.train_step
    for last in (5, 8):

        def fail_after(*args: Any, last: int = last, **kwargs: Any) -> Any:
            if kwargs["step"] > last:
                raise RuntimeError("power cut")
            return real(*args, **kwargs)

        monkeypatch.setattr(module, "train_step", fail_after)
        with pytest.raises(RuntimeError, match="power cut"):
            train(prepared(cut, **settings))
    monkeypatch.setattr(module, "train_step", real)
    train(prepared(cut, **settings))

    def facts(run: str, name: str) -> list[dict[str, Any]]:
        timings = {
            "seconds",
            "data_seconds",
            "tokens_per_second",
            "elapsed_seconds",
            "goodput",
            "memory_bytes",
            "mfu",
            "mfu_windowed",
        }
        return [{k: v for k, v in row.items() if k not in timings} for row in read_log(run, name)]

    assert facts(cut, "metrics.jsonl") == facts(whole, "metrics.jsonl")
    assert facts(cut, "samples.jsonl") == facts(whole, "samples.jsonl")
    one, two = (load_model(run).model.state_dict() for run in (whole, cut))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_validation_does_not_depend_on_micro_batches_and_the_loss_hardly(prepared: Prepare, tmp_path: Path) -> None:
    runs = {size: str(tmp_path / f"micro-{size}") for size in (8, 3, 1)}
    results = {size: train(prepared(run, micro_batch=size, steps=4)) for size, run in runs.items()}
    for size in (3, 1):
        assert losses(runs[size]) == pytest.approx(losses(runs[8]), abs=2e-5)
        assert results[size].validation_loss == pytest.approx(results[8].validation_loss, abs=2e-5)


def test_micro_batch_may_change_between_resumes(prepared: Prepare, run_folder: str) -> None:
    train(prepared(micro_batch=8))
    prepared(micro_batch=2)


def test_a_batch_ramp_reads_the_plan_in_order(prepared: Prepare, run_folder: str, corpus_root: CorpusRoot) -> None:
    run = prepared(ramp_start=2, ramp_tokens=512, steps=8)
    sizes = [b - a for a, b in map(run.schedule.sample_range, range(8))]
    assert sizes[0] == 2
    assert sizes[-1] == 8
    train(run)
    tokens = [row["tokens"] for row in read_log(run_folder, "metrics.jsonl")]
    assert tokens == [32 * sum(sizes[: i + 1]) for i in range(8)]


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_windows(
    prepared: Prepare, run_folder: str, monkeypatch: pytest.MonkeyPatch, corpus_root: CorpusRoot
) -> None:
    run = prepared(steps=3)
    reader = BatchReader(run.plan, open_streams(corpus_root, run.plan, "train"), 0)
    expected = reader.describe(reader.take(8).samples)
    forward = GPT.forward
    monkeypatch.setattr(GPT, "forward", lambda *given, **named: forward(*given, **named) * math.nan)
    with pytest.raises(StageError, match="step 1: loss nan, gradient norm nan; the weights of step 0") as caught:
        train(run)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sigterm_saves_a_checkpoint_and_the_next_call_goes_on(
    prepared: Prepare, run_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = prepared(steps=40)
    pid = os.getpid()
    real = module.train_step

    def signalled(*args: Any, **kwargs: Any) -> Any:
        if kwargs["step"] == 4:
            os.kill(pid, signal.SIGTERM)
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(module, "train_step", signalled)
        with pytest.raises(StageError, match="stopped by SIGTERM at step 4 of 40, a checkpoint is saved"):
            train(run)
    assert checkpoint_steps(run_folder) == [4]
    assert train(run).step == 40
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_two_processes_cannot_train_in_one_folder(prepared: Prepare, run_folder: str) -> None:
    run = prepared()
    with hold_run(run_folder), pytest.raises(LeaseError, match=r"another process trains in .*run; wait for it"):
        train(run)


def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_takes_over(prepared: Prepare, run_folder: str) -> None:
    run = prepared(checkpoint_every=5)
    train(run)
    expected = losses(run_folder)
    newest = Path(run_folder) / "checkpoints" / "step-000010"
    (weights,) = (newest / "model").iterdir()
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"step-000010/model/.*\.safetensors is damaged: .* delete .*step-000010"):
        train(run)
    shutil.rmtree(newest)
    train(run)
    assert losses(run_folder) == expected


def test_the_untrained_model_is_the_one_the_run_began_with(prepared: Prepare, run_folder: str) -> None:
    run = prepared(steps=1, warmup_tokens=0)
    train(run)
    loaded, fresh = load_model(run_folder), untrained_model(run_folder)
    assert (loaded.step, fresh.step, loaded.mixture) == (1, 0, "main")
    expected = GPT(run.description.model, run.config.seed).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in fresh.model.state_dict().items())
    assert not torch.equal(loaded.model.token_embedding.weight, fresh.model.token_embedding.weight)
    assert not loaded.model.training
    assert loaded.tokenizer.decode(loaded.tokenizer.encode("the cat").ids) == "the cat"
    assert loaded.root == run.root.url


def test_metrics_are_json_lines(prepared: Prepare, run_folder: str) -> None:
    train(prepared(steps=2, warmup_tokens=0))
    lines = (Path(run_folder) / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2]


def extended(plan: MixturePlan, after: int) -> MixturePlan:
    """A plan that goes on from another one after so many samples, with web alone."""
    first = plan.phases[0].model_copy(update={"samples": after})
    share = plan.phases[0].shares[1].model_copy(update={"samples": 80, "weight": 1.0})
    return plan.model_copy(
        update={
            "name": "second",
            "phases": (first, Phase(samples=80, planned=80, shares=(share,))),
            "extends": Extended(name=plan.name, digest=plan.digest(), samples=after),
        }
    )


def test_a_run_goes_on_under_a_plan_that_goes_on_from_its_own(
    prepared, corpus_root: CorpusRoot, run_folder: str
) -> None:
    run = prepared()
    train(run)  # 10 steps of 8 samples
    write_mixture(corpus_root.mixture_folder(), extended(run.plan, 40))
    longer = run.config.model_copy(update={"steps": 15})
    with pytest.raises(
        ConfigError, match="80 samples of mixture main were trained on, and mixture second goes on after"
    ):
        prepare_run(longer, corpus_root.url, "second", run_folder)
    plan = extended(run.plan, 80).model_copy(update={"name": "third"})
    write_mixture(corpus_root.mixture_folder(), plan)
    again = prepare_run(longer, corpus_root.url, "third", run_folder)
    assert train(again).step == 15
    assert [row["step"] for row in read_log(run_folder, "metrics.jsonl")] == list(range(1, 16))
    reader = BatchReader(plan, open_streams(corpus_root, plan, "train"), again.config.seed)
    reader.restore({"sample": 80})
    assert set(reader.take(40).samples.sources.tolist()) == {1}


def spoiled(monkeypatch: pytest.MonkeyPatch, bad: set[tuple[int, int]], factor: float = math.nan) -> None:
    """Have the loss of the batches that begin with some (source, window) multiplied."""
    real, forward = BatchReader.take, GPT.forward
    now: list[bool] = []

    def take(self: BatchReader, *given: Any) -> Any:
        batch = real(self, *given)
        now[:] = [(int(batch.samples.sources[0]), int(batch.samples.windows[0])) in bad]
        return batch

    def spoil(*given: Any, **named: Any) -> Any:
        found = forward(*given, **named)
        return found * factor if now == [True] and named.get("labels_BT") is not None and given[0].training else found

    monkeypatch.setattr(BatchReader, "take", take)
    monkeypatch.setattr(GPT, "forward", spoil)


def first_window(run: PreparedRun, root: CorpusRoot, step: int) -> tuple[int, int]:
    """The first (source, window) of a step in the plan's order."""
    reader = BatchReader(run.plan, open_streams(root, run.plan, "train"), run.config.seed)
    samples = reader.locate(*run.schedule.sample_range(step - 1))
    return int(samples.sources[0]), int(samples.windows[0])


def test_a_bad_step_may_be_skipped(
    prepared: Prepare, run_folder: str, monkeypatch: pytest.MonkeyPatch, corpus_root: CorpusRoot, capfd
) -> None:
    run = prepared(on_bad_step="skip")
    spoiled(monkeypatch, {first_window(run, corpus_root, 4)})
    assert train(run).step == 10
    rows = read_log(run_folder, "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(1, 11))
    assert [row.get("finding") for row in rows] == [None] * 3 + ["not finite"] + [None] * 6
    assert (rows[3]["loss"], rows[3]["grad_norm"]) == (None, None)
    assert rows[9]["loss"] < rows[2]["loss"]
    err = capfd.readouterr().err
    assert "step 4: loss nan, gradient norm nan; the weights of step 3 were kept. The step's windows: " in err


def test_a_spike_is_found_and_rolled_back_and_its_windows_are_left_out(
    prepared: Prepare, run_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, corpus_root: CorpusRoot
) -> None:
    """What comes out is, bit for bit, the run that never had those windows, in one go or resumed."""
    settings: dict[str, Any] = {
        "steps": 30,
        "checkpoint_every": 5,
        "on_spike": "rollback",
        "spike_deviations": 20.0,
        "spike_steps": 16,
        "learning_rate": 0.001,
        "model": SMALL_DROPOUT,
    }
    run = prepared(**settings)
    bad = first_window(run, corpus_root, 23)
    with monkeypatch.context() as patch:
        spoiled(patch, {bad}, 100.0)
        assert train(run).step == 30
    (skip,) = read_skips(run_folder)
    assert (skip.step, skip.start, skip.stop) == (23, 176, 184)
    assert skip.reason.startswith("a spike: loss ")
    assert skip.windows.count("windows") >= 1
    (written,) = read_bad_steps(run_folder)
    assert (written.step, written.action, written.finding, written.windows) == (
        23,
        "rollback",
        skip.reason,
        skip.windows,
    )
    assert written.documents == []
    assert written.documents_unknown.startswith("mixture main pins no index of ")
    other = str(tmp_path / "other")
    clean = prepared(other, **settings)
    append_skips(other, [skip])
    train(clean)
    assert losses(run_folder) == losses(other)
    assert [row["step"] for row in read_log(run_folder, "metrics.jsonl")] == list(range(1, 31))


def test_a_spike_is_reported_once_with_its_documents_and_trained_on(
    prepared: Prepare, run_folder: str, monkeypatch: pytest.MonkeyPatch, corpus_root: CorpusRoot, with_indexes, capfd
) -> None:
    settings: dict[str, Any] = {"steps": 30, "checkpoint_every": 20, "spike_deviations": 20.0, "learning_rate": 0.001}
    plan = with_indexes(corpus_root, prepared(**settings).plan)
    shutil.rmtree(run_folder)
    write_mixture(corpus_root.mixture_folder(), plan.model_copy(update={"name": "indexed"}))
    run = prepare_run(prepared(run_folder + "-other", **settings).config, corpus_root.url, "indexed", run_folder)
    bad = first_window(run, corpus_root, 23)
    spoiled(monkeypatch, {bad}, 100.0)
    train(run)
    (written,) = read_bad_steps(run_folder)
    rows = read_log(run_folder, "metrics.jsonl")
    assert (written.step, written.action, written.loss) == (23, "report", rows[22]["loss"])
    assert [row["step"] for row in rows if "finding" in row] == [23]
    reader = BatchReader(run.plan, open_streams(corpus_root, run.plan, "train"), run.config.seed)
    samples = reader.locate(*run.schedule.sample_range(22))
    assert written.documents == batch_documents(corpus_root, run.plan, samples)
    assert sum(one.tokens for one in written.documents) == 8 * 33
    assert "it was trained on. The step's windows: " in capfd.readouterr().err
    shutil.rmtree(Path(run_folder) / "checkpoints" / "step-000030")
    train(run)
    assert read_bad_steps(run_folder) == [written]


def test_without_a_checkpoint_a_rollback_begins_anew(
    prepared: Prepare, run_folder: str, monkeypatch: pytest.MonkeyPatch, corpus_root: CorpusRoot
) -> None:
    run = prepared(on_bad_step="rollback", steps=4)
    spoiled(monkeypatch, {first_window(run, corpus_root, 3)})
    assert train(run).step == 4
    assert [one.start for one in read_skips(run_folder)] == [16]


def test_many_bad_steps_in_a_row_end_the_run(
    prepared: Prepare, run_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = prepared(on_bad_step="skip", steps=20)
    forward = GPT.forward
    monkeypatch.setattr(GPT, "forward", lambda *given, **named: forward(*given, **named) * math.nan)
    with pytest.raises(DivergedError, match="10 bad steps in a row are no accident: lower learning_rate"):
        train(run)


def test_a_run_that_learns_no_more_ends_early_and_stays_so(
    prepared: Prepare, run_folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = prepared(steps=40, patience=2, validation_every=2, learning_rate=1e-9)
    result = train(run)
    assert result.stopped_early
    assert result.step < 40
    assert checkpoint_steps(run_folder)[-1] == result.step
    again = train(run)
    assert (again.step, again.stopped_early, again.loss) == (result.step, True, result.loss)


def test_a_profile_of_a_step_is_a_trace_and_a_table(prepared: Prepare, run_folder: str) -> None:
    train(prepared(steps=3, warmup_tokens=0, profile_step=2))
    folder = Path(run_folder) / "profile"
    assert sorted(path.name for path in folder.iterdir()) == ["step-000002-rank-0.json", "step-000002-rank-0.txt"]
    assert "aten::addmm" in (folder / "step-000002-rank-0.txt").read_text()
    assert json.loads((folder / "step-000002-rank-0.json").read_text())["traceEvents"]


# What PyTorch's compiler warns of while it traces itself.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.slow
def test_compiled_steps_are_near_plain_ones_and_resume_bit_for_bit(prepared: Prepare, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"model": SMALL_DROPOUT, "steps": 6, "checkpoint_every": 3, "recompute": "selective"}
    plain, whole, cut = (str(tmp_path / name) for name in ("plain", "whole", "cut"))
    no_dropout = {"model": {**SMALL_DROPOUT, **dict.fromkeys(("residual_dropout", "attention_dropout"), 0.0)}}
    train(prepared(plain, **{**settings, **no_dropout}))
    train(prepared(whole, compile=True, **{**settings, **no_dropout}))
    assert losses(whole) == pytest.approx(losses(plain), rel=1e-4)
    whole = str(tmp_path / "dropped")
    train(prepared(whole, compile=True, **settings))
    train(prepared(cut, compile=True, **settings))
    shutil.rmtree(Path(cut) / "checkpoints" / "step-000006")
    train(prepared(cut, compile=True, **settings))
    assert losses(cut) == losses(whole)
    one, two = (load_model(run).model.state_dict() for run in (whole, cut))
    assert all(torch.equal(one[name], two[name]) for name in one)
