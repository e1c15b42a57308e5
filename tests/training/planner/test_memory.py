"""Counts are compared with what PyTorch keeps: each storage that autograd saves, once, weights left out."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from schemas.configs.model import ModelConfig
from training.hardware import matrix_precision
from training.model import loss as loss_module
from training.model.gpt import GPT
from training.planner import memory
from training.planner.memory import (
    PROCESS_BYTES,
    Layout,
    activation_bytes,
    checkpoint_bytes,
    peak_memory,
    stored_parameters,
)

SHAPES: dict[str, dict[str, Any]] = {
    "dense, weights written out": {"context": 96, "sparse": False},
    "dense, fused": {"context": 520, "sparse": False},
    "banded": {"context": 96, "sparse": True, "band": 16},
    "a band that does not divide the context": {"context": 100, "sparse": True, "band": 16},
    "dropout": {"context": 96, "band": 16, "embedding_dropout": 0.1, "attention_dropout": 0.1, "residual_dropout": 0.1},
}


def config(**shape: Any) -> ModelConfig:
    return ModelConfig(vocabulary_size=100, layers=4, heads=4, width=40, **shape)


def kept_bytes(model: GPT, tokens: torch.Tensor, precision: str) -> int:
    """Bytes that the forward pass leaves for the backward pass, weights and their copies left out."""
    shapes = {tuple(parameter.shape) for parameter in model.parameters()}
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    found: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        is_weight = storage.data_ptr() in weights or {tuple(tensor.shape), tuple(tensor.T.shape)} & shapes
        if tensor.is_floating_point() and not is_weight:
            found[storage.data_ptr()] = storage.nbytes()
            held.append(tensor)
        return tensor

    held: list[torch.Tensor] = []
    hooks = torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor)
    with hooks, matrix_precision(precision, tokens.device):
        model(tokens)
    return sum(found.values())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.filterwarnings("ignore:The use of `x.T` on tensors of dimension other than 2:UserWarning")
def test_activations_are_those_that_pytorch_keeps(name: str, precision: str) -> None:
    shape = config(**SHAPES[name])
    tokens = torch.zeros(3, shape.context, dtype=torch.int64)
    size = {"fp32": 4, "bf16": 2}[precision]
    expected = tokens.numel() * activation_bytes(shape, size, "cpu")
    assert kept_bytes(GPT(shape).train(), tokens, precision) == pytest.approx(expected, rel=0.002)


def test_computing_again_keeps_less() -> None:
    model = config(context=1024, band=128)
    kept = [activation_bytes(model, 2, "cuda", one) for one in ("none", "selective", "block")]
    assert kept == sorted(kept, reverse=True)
    assert len(set(kept)) == 3


def test_the_state_of_adam_is_sixteen_bytes_a_parameter() -> None:
    model = config(context=96, band=16)
    memory = peak_memory(model, Layout(batch=4, micro_batch=1), size=4, device="cpu")
    assert memory.parameters + memory.gradients + memory.optimizer == 16 * stored_parameters(model)
    assert checkpoint_bytes(model) == 12 * stored_parameters(model)
    assert stored_parameters(model) == sum(parameter.numel() for parameter in GPT(model).parameters())


def test_gradients_wait_for_the_end_where_nothing_is_accumulated() -> None:
    model = config(context=520, sparse=False)
    whole = peak_memory(model, Layout(batch=4, micro_batch=4), size=4, device="cpu")
    parts = peak_memory(model, Layout(batch=8, micro_batch=4), size=4, device="cpu")
    assert (whole.gradients, whole.activations) == (0, parts.activations)
    assert parts.total == whole.total + parts.gradients


def test_sharding_divides_the_state_and_not_the_activations() -> None:
    model = ModelConfig(vocabulary_size=50_257, context=1024, layers=24, heads=16, width=1024, sparse=False)
    one = peak_memory(model, Layout(batch=64, micro_batch=2))
    many = peak_memory(model, Layout(batch=64, micro_batch=2, gpus=8, sharding="fsdp"))
    assert many.optimizer * 8 == pytest.approx(one.optimizer, rel=1e-6)
    assert many.activations == one.activations
    assert many.total < one.total


def test_validation_may_be_the_fullest_moment() -> None:
    model = ModelConfig(vocabulary_size=50_257, context=1024, layers=2, heads=2, width=128, sparse=False)
    layout = Layout(batch=1, micro_batch=1)
    without, within = (peak_memory(model, layout, windows=windows) for windows in (0, 64))
    assert within.total > without.total
    assert within.activations == 0
    assert within.logits == 2**25 // 50_257 * 50_257 * (2 + 8)


WIDE = {"context": 512, "layers": 1, "heads": 2, "width": 64, "sparse": False}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    ("shape", "rows"),
    [({"vocabulary_size": 6000, **WIDE}, 2), ({"vocabulary_size": 50_257, **WIDE}, 3)],
    ids=["one chunk", "chunks"],
)
def test_a_step_holds_at_its_fullest_what_is_planned(shape: dict[str, Any], rows: int, precision: str) -> None:
    """The peak of a real forward and backward pass, counted by PyTorch's own profiler."""
    model, size = ModelConfig(**shape), {"fp32": 4, "bf16": 2}[precision]
    gpt, tokens = GPT(model).train(), torch.zeros(rows, model.context, dtype=torch.int64)
    with torch.profiler.profile(profile_memory=True, activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        with matrix_precision(precision, torch.device("cpu")):
            loss = gpt(tokens, labels_BT=tokens)
        (loss / tokens.numel()).backward()
    highest = current = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            current += event.nbytes()
            highest = max(highest, current)
    planned = peak_memory(model, Layout(batch=rows, micro_batch=rows), size=size, device="cpu", moments=0)
    assert planned.total - planned.parameters - PROCESS_BYTES == pytest.approx(highest, rel=0.03)


def test_the_planner_and_the_loss_cut_logits_alike() -> None:
    assert memory._LOGITS == loss_module._LOGITS
