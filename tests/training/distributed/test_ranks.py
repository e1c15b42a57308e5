"""Two and four ranks against one: the same losses, gradients, weights and validation, however the work is shared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from schemas.run import checkpoint_folder, checkpoint_steps
from training.checkpoints import load_model, restore
from training.model.gpt import GPT
from training.process_group import Ranks

pytestmark = pytest.mark.slow

PLAIN = ["ddp", "fsdp", "ddp-accumulated", "fsdp-accumulated", "fsdp-recomputed"]


def close(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Equal but for the order in which float32 numbers were added."""
    for one, two in zip(found["rows"], expected["rows"], strict=True):
        assert one == pytest.approx(two, rel=2e-5)


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("name", PLAIN)
def test_many_ranks_train_as_one_does(groups, size: int, name: str) -> None:
    found, expected = groups.told(size)[name], groups.told(1)["ddp"]
    close(found, expected)
    assert found["validation"] == pytest.approx(expected["validation"], rel=1e-5)
    assert found["kind"] == ("FSDPGPT" if name.startswith("fsdp") else "DistributedDataParallel")


@pytest.mark.parametrize("size", [2, 4])
def test_tokens_count_alike_wherever_they_fall(groups, size: int) -> None:
    expected = groups.told(1)["ragged-ddp"]
    for name in ("ragged-ddp", "ragged-fsdp"):
        found = groups.told(size)[name]
        close(found, expected)
        assert found["tokens"] == expected["tokens"]
        assert found["sums"] == pytest.approx(expected["sums"], rel=1e-6)


@pytest.mark.parametrize("size", [2, 4])
def test_dropout_draws_the_same_for_any_number_of_ranks(groups, size: int) -> None:
    for name in ("ddp-dropout", "fsdp-dropout"):
        close(groups.told(size)[name], groups.told(1)["ddp-dropout"])
    assert groups.told(1)["ddp-dropout"]["rows"][0] != pytest.approx(groups.told(1)["ddp"]["rows"][0], rel=1e-3)


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_a_run_stopped_twice_goes_on_bit_for_bit_with_dropout_on(groups, size: int, kind: str) -> None:
    whole, cut = (groups.told(size)[f"{kind}-{how}"] for how in ("dropout", "resumed"))
    assert cut["rows"] == whole["rows"]
    assert (cut["weights"], cut["validation"]) == (whole["weights"], whole["validation"])


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("name", ["ddp", "fsdp"])
def test_one_process_loads_what_many_have_saved(groups, size: int, name: str) -> None:
    run = str(groups.runs(size) / name)
    assert checkpoint_steps(run) == [6]
    files = list((checkpoint_folder(run, 6) / "model").iterdir())
    assert len(files) == size
    loaded = load_model(run)
    assert (loaded.step, groups.told(size)[name]["weights"]) == (6, digest_of(loaded.model))
    sizes = [path.stat().st_size for path in files]
    assert max(sizes) < 1.2 * sum(sizes) / size, "each rank writes its part"


def digest_of(model: GPT) -> str:
    from training_ranks import digest

    return digest(model)


@pytest.mark.parametrize("size", [2, 4])
def test_optimizer_state_is_read_by_another_number_of_ranks(groups, size: int, tmp_path: Path) -> None:
    """The sharded state of `size` ranks is that of the copies, which each rank has whole."""
    states = []
    for name in ("ddp", "fsdp"):
        run = str(groups.runs(size) / name)
        model = load_model(run).model
        optimizer = torch.optim.AdamW(model.parameters())
        restore(run, 6, model, optimizer, Ranks(torch.device("cpu")))
        states.append([optimizer.state[parameter] for parameter in model.parameters()])
    for one, two in zip(*states, strict=True):
        assert one.keys() == two.keys() == {"step", "exp_avg", "exp_avg_sq"}
        assert one["step"].item() == two["step"].item() == 6
        for key in ("exp_avg", "exp_avg_sq"):
            torch.testing.assert_close(one[key], two[key], rtol=1e-3, atol=1e-7)
