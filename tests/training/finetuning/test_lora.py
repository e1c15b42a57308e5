from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from schemas.configs.export import ExportConfig
from schemas.configs.finetune import FinetuneConfig, LoraSettings
from schemas.configs.model import ModelConfig
from schemas.run import RunConfig, write_run
from schemas.storage import Folder
from training.checkpoints import CheckpointState, load_model, save
from training.export.export import export_run
from training.finetuning.finetune import finetune
from training.finetuning.job import Sources
from training.finetuning.lora import LowRankLinear, adapters_of, add_adapters, merge_adapters
from training.finetuning.result import FinetuneResult
from training.model.gpt import GPT

SHAPE = ModelConfig(vocabulary_size=320, context=32, layers=3, heads=4, width=32, sparse=False)
BANDED = SHAPE.model_copy(update={"sparse": True, "band": 8})
SCRIPT = Path(__file__).resolve().parents[2] / "support" / "peft_process.py"
CONFIG = FinetuneConfig(method="lora", epochs=60, batch=4, learning_rate=0.05, precision="fp32", weight_decay=0)
IDS = torch.randint(1, 320, (2, 32), generator=torch.Generator().manual_seed(1))


def trained_adapters(shape: ModelConfig, settings: LoraSettings) -> GPT:
    """A model whose adapters are far from zero."""
    model = GPT(shape, seed=1).eval()
    add_adapters(model, settings, seed=2)
    for number, layer in enumerate(adapters_of(model).values()):
        layer.lora_b.data.normal_(std=0.1, generator=torch.Generator().manual_seed(number))
    return model


@pytest.mark.parametrize("shape", [SHAPE, BANDED])
def test_a_fresh_adapter_changes_no_bit_and_a_merged_one_gives_equal_logits(shape: ModelConfig) -> None:
    model = GPT(shape, seed=1).eval()
    before = model(IDS)
    add_adapters(model, LoraSettings(rank=4), seed=0)
    assert torch.equal(model(IDS), before)
    for rank, alpha in ((1, 1.0), (8, 16.0), (64, 4.0)):
        model = trained_adapters(shape, LoraSettings(rank=rank, alpha=alpha))
        with torch.no_grad():
            beside = model(IDS)
            merge_adapters(model)
            merged = model(IDS)
        assert not adapters_of(model)
        assert (beside - before).abs().max() > 0.01
        torch.testing.assert_close(merged, beside, rtol=0, atol=1e-5)


def test_only_adapters_of_the_named_layers_are_trained() -> None:
    model = GPT(SHAPE, seed=1)
    add_adapters(model, LoraSettings(rank=4, targets=("attention.qkv", "perceptron.projection")), seed=0)
    trained = {name for name, one in model.named_parameters() if one.requires_grad}
    layers = [f"blocks.{n}.{name}" for n in range(3) for name in ("attention.qkv", "perceptron.projection")]
    assert trained == {f"{layer}.lora_{one}" for layer in layers for one in "ab"}
    model(IDS[:, :-1], labels_BT=IDS[:, 1:]).backward()
    assert {name for name, one in model.named_parameters() if one.grad is not None} == trained


def test_the_gradient_is_that_of_the_product_of_both_matrices() -> None:
    linear = torch.nn.Linear(6, 5)
    layer = LowRankLinear(linear, LoraSettings(rank=2, alpha=3.0), torch.Generator().manual_seed(0))
    layer.lora_b.data.normal_()
    x = torch.randn(4, 6)
    layer(x).square().sum().backward()
    whole = (linear.weight + 1.5 * layer.lora_b @ layer.lora_a).detach().requires_grad_()
    torch.nn.functional.linear(x, whole, linear.bias).square().sum().backward()
    assert whole.grad is not None
    torch.testing.assert_close(layer.lora_a.grad, 1.5 * layer.lora_b.detach().T @ whole.grad)
    torch.testing.assert_close(layer.lora_b.grad, 1.5 * whole.grad @ layer.lora_a.detach().T)


@dataclass(frozen=True)
class Tuned:
    """A base and the run that was fine-tuned from it."""

    base: str
    out: str
    result: FinetuneResult


@pytest.fixture(scope="module")
def tuned(tokenizer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tuned]:
    """A dense and a banded model, each with a trained adapter."""
    root = tmp_path_factory.mktemp("lora")
    pairs = root / "pairs.jsonl"
    pairs.write_text(
        "".join(json.dumps({"prompt": f"the {w}", "answer": "red dog"}) + "\n" for w in ("a", "b", "c", "d"))
    )
    found = {}
    for name, shape in (("dense", SHAPE), ("banded", BANDED)):
        base, out = str(root / name), str(root / f"{name}-tuned")
        Folder(base).put_whole("tokenizer.json", tokenizer.to_str().encode())
        about = {"root": "", "mixture": "", "plan_digest": "", "tokenizer": "tiny", "end_of_text": 0}
        write_run(base, RunConfig(**about, model=shape, seed=5, settings={}))
        model = GPT(shape, seed=5)
        for parameter in model.parameters():
            parameter.data.mul_(4)  # a frozen output matrix as small as fresh ones bounds all logits by 1
        save(base, CheckpointState(step=1, tokens=0, plan_digest="", data={}, seed=5), model)
        found[name] = Tuned(base, out, finetune(Sources(base=base, data=str(pairs)), out, CONFIG))
    return found


def test_an_adapter_learns_with_a_fraction_of_the_state(tuned: dict[str, Tuned]) -> None:
    result = tuned["dense"].result
    losses = [json.loads(line)["loss"] for line in Path(tuned["dense"].out, "metrics.jsonl").read_text().splitlines()]
    assert losses[-1] < 1 < 5 < losses[0]
    # Of a block: rank 8 beside (32, 96), (32, 32), (32, 128) and (128, 32).
    assert result.trainable_parameters == 3 * 8 * (32 + 96 + 32 + 32 + 32 + 128 + 128 + 32)
    # A gradient and two moments, four bytes each, and a step of four bytes for each tensor.
    assert result.state_bytes == 12 * result.trainable_parameters + 4 * 3 * 4 * 2
    assert result.forgetting.note.startswith("task pretraining-text scores a split of the mixture")


def test_peft_reads_the_adapter_and_gives_the_logits_of_our_merged_model(
    tuned: dict[str, Tuned], tmp_path: Path
) -> None:
    pytest.importorskip("peft", reason="comes with the packages for development")
    job = {}
    for name, one in tuned.items():
        model = str(tmp_path / name)
        export_run(one.base, model, ExportConfig())
        job[name] = {"model": model, "adapter": f"{one.out}/adapter", "ids": IDS.tolist()}
    (tmp_path / "job.json").write_text(json.dumps(job))
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(SCRIPT), str(tmp_path / "job.json"), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "missing" not in done.stderr.lower(), done.stderr
    logits, facts = load_file(tmp_path / "peft.safetensors"), json.loads((tmp_path / "peft.json").read_text())
    for name, one in tuned.items():
        with torch.no_grad():
            ours, before = (load_model(run).model(IDS) for run in (one.out, one.base))
        for how in ("beside", "merged"):
            torch.testing.assert_close(logits[f"{name} {how}"], ours, rtol=0, atol=1e-4)
        torch.testing.assert_close(logits[f"{name} without"], before, rtol=0, atol=1e-4)
        assert (ours - before).abs().max() > 0.1
        assert facts[name]["names"] == sorted(load_file(Path(one.out) / "adapter" / "adapter_model.safetensors"))
        assert facts[name]["difference"] == 0
    assert [facts[name]["class"] for name in ("dense", "banded")] == ["GPT2LMHeadModel", "CorpusmillForCausalLM"]
