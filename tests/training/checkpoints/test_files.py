from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from schemas.errors import CheckpointError, InputError, OutputError
from schemas.run import checkpoint_steps, latest_step
from training.checkpoints import CheckpointSaver, CheckpointState, load_weights, restore, save
from training.checkpoints import saver as module
from training.process_group import Ranks


def state(step: int) -> CheckpointState:
    return CheckpointState(step=step, tokens=step * 10, plan_digest="d", data={"sample": step}, seed=3)


def model_and_optimizer(seed: int = 0, width: int = 4) -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.Sequential(nn.Linear(width, 3), nn.LayerNorm(3))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(torch.ones(2, width)).square().sum().backward()
    optimizer.step()
    return model, optimizer


def test_what_is_saved_is_restored_bit_for_bit(run_folder: str) -> None:
    model, optimizer = model_and_optimizer(1)
    save(run_folder, state(5), model, optimizer)
    other, other_optimizer = model_and_optimizer(2)
    found = restore(run_folder, 5, other, other_optimizer)
    assert (found.step, found.tokens, found.data, found.seed) == (5, 50, {"sample": 5}, 3)
    assert {name.split("/")[0] for name in found.files} == {"model", "optimizer"}
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        for key, value in optimizer.state[a].items():
            assert torch.equal(value, other_optimizer.state[b][key]), key


def test_only_the_newest_are_kept(run_folder: str) -> None:
    model, optimizer = model_and_optimizer()
    for step in (1, 2, 3, 10, 1_000_000):
        save(run_folder, state(step), model, optimizer, keep=2)
    assert checkpoint_steps(run_folder) == [10, 1_000_000]
    assert latest_step(run_folder) == 1_000_000
    assert latest_step("/nowhere") is None


def test_a_save_that_dies_half_way_leaves_the_last_one_and_its_leftovers_go(
    run_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, optimizer = model_and_optimizer()
    save(run_folder, state(1), model, optimizer)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            save(run_folder, state(2), model, optimizer)
    folder = Path(run_folder) / "checkpoints"
    assert len(list(folder.glob(".step-000002.tmp"))) == 1
    assert latest_step(run_folder) == 1
    save(run_folder, state(2), model, optimizer)
    assert sorted(path.name for path in folder.iterdir()) == ["step-000001", "step-000002"]


def test_a_step_can_be_saved_again(run_folder: str) -> None:
    model, optimizer = model_and_optimizer()
    for _ in range(2):
        save(run_folder, state(1), model, optimizer)
    assert checkpoint_steps(run_folder) == [1]


def test_weights_alone_can_be_saved(run_folder: str) -> None:
    model, optimizer = model_and_optimizer(1)
    save(run_folder, state(1), model)
    other, _ = model_and_optimizer(2)
    load_weights(run_folder, 1, other)
    assert torch.equal(model[0].weight, other[0].weight)
    with pytest.raises(CheckpointError, match=r"step-000001/optimizer is missing"):
        restore(run_folder, 1, model, optimizer)


@pytest.mark.parametrize("name", ["model", "optimizer"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_damaged_file_is_named(run_folder: str, name: str, damage: str) -> None:
    model, optimizer = model_and_optimizer()
    (path,) = (save(run_folder, state(7), model, optimizer) / name).iterdir()
    content = path.read_bytes()
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(content[:-1] + (bytes([content[-1] ^ 1]) if damage == "flip" else b""))
    with pytest.raises(CheckpointError, match=rf"step-000007/{name}/.* is (damaged|missing).*; delete .*step-000007"):
        restore(run_folder, 7, model, optimizer)


def test_a_damaged_or_foreign_state_is_named(run_folder: str) -> None:
    model, optimizer = model_and_optimizer()
    path = save(run_folder, state(7), model, optimizer) / "state.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "schema_version": 9}))
    with pytest.raises(CheckpointError, match=r"state\.json has version 9, this program reads 2; train the run anew"):
        restore(run_folder, 7, model, optimizer)
    path.write_text("{")
    with pytest.raises(CheckpointError, match=r"state\.json is damaged"):
        restore(run_folder, 7, model, optimizer)


def test_a_checkpoint_of_another_shape_is_refused(run_folder: str) -> None:
    save(run_folder, state(1), *model_and_optimizer())
    other, optimizer = model_and_optimizer(width=5)
    with pytest.raises(
        CheckpointError,
        match=r"step-000001/model does not fit the model: 0\.weight has shape \(3, 4\) there and \(3, 5\) here",
    ):
        restore(run_folder, 1, other, optimizer)


def test_a_missing_step_lists_those_that_are_there(run_folder: str) -> None:
    model, optimizer = model_and_optimizer()
    save(run_folder, state(1), model, optimizer)
    with pytest.raises(InputError, match=r"has no checkpoint of step 2 \(there: 1\)"):
        restore(run_folder, 2, model, optimizer)


def test_a_full_disk_is_one_line(run_folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_tensors", full)
    with pytest.raises(OutputError, match=r"cannot write checkpoint .*step-000001: .*No space left on device"):
        save(run_folder, state(1), *model_and_optimizer())


def test_what_changes_while_a_checkpoint_is_written_does_not_reach_it(
    run_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, optimizer = model_and_optimizer(1)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    moments = [state["exp_avg"].clone() for state in optimizer.state.values()]
    let_go, real = threading.Event(), module.write_tensors

    def slowly(*given: Any) -> None:
        assert let_go.wait(60)
        real(*given)

    monkeypatch.setattr(module, "write_tensors", slowly)
    saver = CheckpointSaver(run_folder, Ranks(torch.device("cpu")), meanwhile=True)
    saver.save(state(5), model, optimizer)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
        for one in optimizer.state.values():
            one["exp_avg"].add_(1)
    assert checkpoint_steps(run_folder) == []
    let_go.set()
    saver.wait()
    saver.close()
    other, other_optimizer = model_and_optimizer(2)
    restore(run_folder, 5, other, other_optimizer)
    for parameter, expected, moment in zip(other.parameters(), before, moments, strict=True):
        assert torch.equal(parameter, expected)
        assert torch.equal(other_optimizer.state[parameter]["exp_avg"], moment)


def test_a_checkpoint_that_could_not_be_written_meanwhile_is_told_at_the_next(
    run_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_tensors", full)
    saver = CheckpointSaver(run_folder, Ranks(torch.device("cpu")), meanwhile=True)
    saver.save(state(1), *model_and_optimizer())
    with pytest.raises(OutputError, match=r"cannot write checkpoint .*step-000001: .*No space left on device"):
        saver.save(state(2), *model_and_optimizer())
    saver.close()


def test_multiples_of_a_number_of_steps_stay(run_folder: str) -> None:
    saver = CheckpointSaver(run_folder, Ranks(torch.device("cpu")), keep=1, keep_every=4)
    for step in (2, 4, 6, 8, 10):
        saver.save(state(step), *model_and_optimizer())
    assert checkpoint_steps(run_folder) == [4, 8, 10]


def test_a_file_holds_what_is_saved_and_no_more(run_folder: str) -> None:
    whole = torch.zeros(1000, 4)
    model = nn.Linear(4, 3, bias=False)
    model.weight = nn.Parameter(whole[:3])  # a view of something larger
    (path,) = (save(run_folder, state(1), model) / "model").iterdir()
    assert path.stat().st_size < 48 + 200
