"""Parts of a model that are run for a moment, and the comparison that a run ends with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from schemas.configs.model import ModelConfig
from schemas.configs.train import TrainConfig
from training.cli import main
from training.planner import run_check
from training.planner.machine import StepCost, cores, measure_step, memory_of_machine, number_bytes
from training.planner.run_check import PLAN_NAME, RunCheck, begin_check, forget_peak, predicted_memory, resident_bytes

CPU = torch.device("cpu")
SHAPE = {"context": 32, "layers": 4, "heads": 2, "width": 32, "band": 8}
SMALL = ModelConfig(vocabulary_size=320, **SHAPE)


def settings(**more: Any) -> TrainConfig:
    return TrainConfig.model_validate({"model": SHAPE, "batch": 8, "precision": "fp32", **more})


class Clock:
    """Gives 0, 1, 2, …: every action takes one second."""

    def __init__(self) -> None:
        self.now = -1.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def test_a_step_is_added_up_from_layers_ends_and_optimizer() -> None:
    cost = measure_step(SMALL, settings(micro_batch=2), CPU, Clock())
    # Two dense and two banded layers, four micro-batches a step, a second each.
    assert (cost.dense_layers, cost.banded_layers, cost.ends) == (8.0, 8.0, 4.0)
    layer, ends = 12 * 32**2 + 13 * 32, (320 + 32 + 2) * 32
    assert cost.optimizer == pytest.approx((4 * layer + ends) / (layer + ends))
    assert cost.tokens == 8 * 32
    assert cost.tokens_per_second == pytest.approx(cost.tokens / cost.seconds)


def test_a_dense_model_has_no_banded_layers() -> None:
    dense = SMALL.model_copy(update={"sparse": False})
    cost = measure_step(dense, settings(), CPU, Clock())
    assert (cost.dense_layers, cost.banded_layers) == (4.0, 0.0)


def test_what_is_measured_depends_on_no_shared_randomness_and_leaves_it_alone() -> None:
    before = torch.random.get_rng_state()
    measure_step(SMALL, settings(), CPU)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_this_machine_has_memory_and_cores() -> None:
    assert memory_of_machine() > 2**28
    assert cores() >= 1
    assert number_bytes(settings(), CPU) == 4
    assert number_bytes(settings(precision="bf16"), CPU) == 2


def test_errors_are_relative_to_what_was_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cost = StepCost(dense_layers=1.0, banded_layers=0.5, ends=0.25, optimizer=0.25, tokens=400)
    monkeypatch.setattr(run_check, "measure_step", lambda *_: cost)
    monkeypatch.setattr(run_check, "predicted_memory", lambda *_: 900)
    held = iter([5_000, 6_000])
    monkeypatch.setattr(run_check, "resident_bytes", lambda _: next(held))
    monkeypatch.setattr(run_check, "forget_peak", lambda: True)
    check = RunCheck(SMALL, settings(), CPU)
    assert check.finish(str(tmp_path)) is None
    for seconds in (9.0, 9.0, 9.0, 2.0, 2.5, 3.0):
        check.note(400, seconds)
    result = check.finish(str(tmp_path))
    assert result is not None
    assert (result.planned_tokens_per_second, result.tokens_per_second) == (200.0, 160.0)
    assert (result.tokens_per_second_error, result.memory_error) == (0.25, -0.1)
    assert json.loads((tmp_path / PLAN_NAME).read_text()) == result.model_dump()


def test_where_the_system_tells_no_memory_none_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run_check, "forget_peak", lambda: False)
    check = RunCheck(SMALL, settings(), CPU)
    for _ in range(4):
        check.note(1, 1.0)
    result = check.finish(str(tmp_path))
    assert result is not None
    assert (result.memory_bytes, result.memory_error) == (None, None)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system has no /proc")
def test_the_peak_is_counted_anew() -> None:
    block = torch.ones(2**26)  # 256 MiB
    assert resident_bytes("VmHWM") >= block.nbytes
    del block
    if not forget_peak():
        pytest.skip("the system does not let a process forget its peak")
    before = resident_bytes("VmHWM")
    again = torch.ones(2**26)
    grown = resident_bytes("VmHWM")
    assert before is not None
    assert grown is not None
    assert grown - before >= 0.9 * again.nbytes


def test_short_runs_and_those_told_not_to_are_not_checked() -> None:
    assert begin_check(SMALL, settings(), 19, CPU) is None
    assert begin_check(SMALL, settings(check_plan=False), 100, CPU) is None
    assert begin_check(SMALL, settings(), 20, CPU) is not None


def test_predicted_memory_knows_the_optimizer() -> None:
    adam, sgd = (predicted_memory(SMALL, settings(optimizer=one), CPU) for one in ("adam", "sgd"))
    assert adam - sgd == 4 * SMALL.num_parameters()


def test_a_run_ends_with_the_comparison(
    make_corpus: Callable[..., object], corpus_root, run_folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_corpus()
    sets = [f"model.{key}={value}" for key, value in {**SHAPE, "layers": 2}.items()]
    sets += ["batch=8", "steps=24", "warmup_tokens=0", "precision=fp32", "sample_tokens=2"]
    command = ["train", "--root", corpus_root.url, "--mixture", "main", "--run", run_folder, "--json"]
    for one in sets:
        command += ["--set", one]
    assert main(command) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    stored = json.loads((Path(run_folder) / PLAN_NAME).read_text())
    assert stored["steps"] == 21
    assert said["planned_tokens_per_second"] == stored["planned_tokens_per_second"] > 0
    assert said["tokens_per_second"] == stored["tokens_per_second"] > 0
    error = stored["planned_tokens_per_second"] / stored["tokens_per_second"] - 1
    assert stored["tokens_per_second_error"] == pytest.approx(error, abs=0.001)
