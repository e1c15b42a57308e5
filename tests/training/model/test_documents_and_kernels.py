"""Attention within documents, FlexAttention against the mask path, activations computed again."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from schemas.configs.model import ModelConfig
from training.loop.micro_batches import document_numbers
from training.model.attention import banded_attention, dense_attention, masked_attention, same_document, visible
from training.model.flex import batch_mask, flexible_attention, shape_mask
from training.model.gpt import GPT

SHAPE = ModelConfig(vocabulary_size=50, context=48, layers=3, heads=2, width=16, band=6)
CPU = torch.device("cpu")


def tokens(rows: int, length: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 50, (rows, length), generator=torch.Generator().manual_seed(seed))


def numbers(rows: int, length: int) -> Tensor:
    """Documents that begin at 7, 20 and 21 of the first row, and at other places of the others."""
    starts = [0, 7, 20, 21, *(row * length + place for row in range(1, rows) for place in (0, 11 + row))]
    return document_numbers(torch.tensor([*starts, rows * length]), rows, length)


def test_documents_are_numbered_from_where_they_begin() -> None:
    found = document_numbers(torch.tensor([0, 2, 4, 7, 8]), 2, 4)
    assert [[a == b for a, b in pairwise(row)] for row in found.tolist()] == [
        [True, False, True],
        [True, True, False],
    ]
    assert found[0, 3] != found[1, 0]


@pytest.mark.parametrize("length", [21, 48])
def test_what_one_document_says_changes_no_bit_of_anothers_logits(length: int) -> None:
    model = GPT(SHAPE, seed=1).eval()
    inputs, documents = tokens(2, length), numbers(2, length)
    changed = inputs.clone()
    changed[0, 7:20] = (changed[0, 7:20] + 1) % 50
    with torch.no_grad():
        one, two = (model(given, documents_BT=documents) for given in (inputs, changed))
        open_one, open_two = (model(given) for given in (inputs, changed))
    others = [*range(7), *range(20, length)]
    assert torch.equal(one[0, others], two[0, others])
    assert torch.equal(one[1], two[1])
    assert not torch.equal(one[0, 7:20], two[0, 7:20])
    # As GPT-3 was trained, they do see each other.
    assert not torch.equal(open_one[0, 20:], open_two[0, 20:])


def test_a_document_is_seen_as_if_it_stood_alone() -> None:
    model = GPT(SHAPE, seed=1).eval()
    inputs = tokens(1, 30)
    with torch.no_grad():
        # The first one, since positions are learned.
        alone = model(inputs[:, :7])
        within = model(inputs, documents_BT=numbers(1, 30))
    torch.testing.assert_close(within[:, :7], alone, rtol=1e-5, atol=1e-6)


def random_qkv(length: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(length)
    return [torch.randn(2, 2, length, 8, generator=generator, requires_grad=True) for _ in range(3)]


def outputs_and_gradients(function: Any, tensors: list[Tensor]) -> list[Tensor]:
    for tensor in tensors:
        tensor.grad = None
    out = function(*tensors)
    (out * torch.linspace(-1, 1, out.numel()).view(out.shape)).sum().backward()
    return [out.detach(), *(tensor.grad.clone() for tensor in tensors if tensor.grad is not None)]


def by_mask(length: int, band: int | None, documents: Tensor | None) -> Any:
    positions = torch.arange(length)
    mask = visible(positions, positions, band)
    if documents is not None:
        mask = mask & same_document(documents, documents)[:, None]
    return lambda q, k, v: masked_attention(q, k, v, mask, 0.0)


@pytest.mark.parametrize("length", [22, 48, 600])
@pytest.mark.parametrize("band", [None, 5, 16])
def test_within_documents_every_path_agrees_with_the_mask_forward_and_backward(length: int, band: int | None) -> None:
    tensors, documents = random_qkv(length), numbers(2, length)
    expected = outputs_and_gradients(by_mask(length, band, documents), tensors)

    def path(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if band is None:
            return dense_attention(q, k, v, 0.0, documents)
        return banded_attention(q, k, v, band, 0.0, documents)

    for one, two in zip(outputs_and_gradients(path, tensors), expected, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("band", [None, 5])
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("within", [False, True])
def test_flexible_attention_agrees_with_the_mask(band: int | None, within: bool) -> None:
    # On a CPU PyTorch has it forward alone.
    length = 48
    tensors, documents = random_qkv(length), numbers(2, length)
    expected = outputs_and_gradients(by_mask(length, band, documents if within else None), tensors)
    mask = batch_mask(documents, band) if within else shape_mask(length, band, CPU)
    found = flexible_attention(*(tensor.detach() for tensor in tensors), mask)
    torch.testing.assert_close(found, expected[0], rtol=1e-4, atol=1e-5)


def test_masks_are_made_once_for_a_shape() -> None:
    assert shape_mask(64, 16, CPU) is shape_mask(64, 16, CPU)
    assert shape_mask(64, 16, CPU) is not shape_mask(64, 8, CPU)


@pytest.mark.parametrize("what", ["selective", "block"])
def test_activations_computed_again_give_the_same_gradients_bit_for_bit(what: Any) -> None:
    shape = SHAPE.model_copy(
        update={"residual_dropout": 0.2, "attention_dropout": 0.2, "embedding_dropout": 0.2, "context": 600}
    )
    found = []
    for recompute in ("none", what):
        model = GPT(shape, seed=1).train()
        for block in model.blocks:
            block.recompute = recompute
        inputs = tokens(2, 48)
        with torch.random.fork_rng([]):
            torch.default_generator.manual_seed(5)
            loss = model(inputs, labels_BT=inputs.roll(-1, dims=1))
        loss.backward()
        found.append([loss, *(parameter.grad for parameter in model.parameters())])
    for one, two in zip(*found, strict=True):
        assert torch.equal(one, two)


def kept_bytes(what: Any) -> int:
    """Of activations between forward and backward pass."""
    model = GPT(SHAPE, seed=1).train()
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    for block in model.blocks:
        block.recompute = what
    inputs = tokens(8, 48)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model(inputs, labels_BT=inputs)
    return sum(kept.values())


def test_less_is_kept_of_blocks_that_are_computed_again() -> None:
    assert kept_bytes("block") < 0.5 * kept_bytes("none")
