from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from schemas.configs.model import ModelConfig
from training.finetuning.packing import arrange, collate
from training.finetuning.samples import Sample
from training.loop.step import train_step
from training.model.gpt import GPT
from training.model.loss import IGNORED_LABEL, summed_loss

SHAPE = ModelConfig(vocabulary_size=50, context=40, layers=3, heads=2, width=16, band=6)


def random_samples(lengths: list[int], seed: int = 0) -> list[Sample]:
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randint(1, 50, (length + 1,), generator=generator).tolist() for length in lengths]
    return [Sample(row, max(1, len(row) // 3), False) for row in rows]


SAMPLES = random_samples([38, 20, 11, 9, 7, 5, 3, 1])


@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=60), spare=st.integers(0, 40))
def test_each_sample_has_one_row_with_room_for_it_and_few_rows_are_needed(lengths: list[int], spare: int) -> None:
    width = max(lengths) + spare
    rows = arrange(lengths, width)
    assert sorted(index for row in rows for index in row) == list(range(len(lengths)))
    assert all(sum(lengths[index] for index in row) <= width for row in rows)
    # No two rows could have been one: so all but one are over half full.
    assert sum(sum(lengths[index] for index in row) * 2 <= width for row in rows) <= 1


def test_every_token_and_label_is_there_once() -> None:
    inputs, labels, documents, positions = collate(SAMPLES)
    assert documents is not None
    assert positions is not None
    assert len(inputs) < len(SAMPLES)
    for number, sample in enumerate(SAMPLES):
        here = documents == number
        wanted = [label for label in labels[here].tolist() if label != IGNORED_LABEL]
        assert inputs[here].tolist() == sample.ids[:-1]
        assert wanted == sample.ids[len(sample.ids) - sample.scored :]
        assert positions[here].tolist() == list(range(len(sample.ids) - 1))
    assert (labels[documents == len(SAMPLES)] == IGNORED_LABEL).all()


@pytest.mark.parametrize("few_shapes", [None, 40])
def test_packed_samples_have_the_losses_that_each_has_alone(few_shapes: int | None) -> None:
    model = GPT(SHAPE, seed=0).eval()
    inputs, labels, documents, positions = collate(SAMPLES, True, few_shapes)
    assert documents is not None
    with torch.inference_mode():
        logits = model(inputs, documents_BT=documents, positions_BT=positions)
        for number, sample in enumerate(SAMPLES):
            here = documents == number
            alone = collate([sample])
            expected = summed_loss(model(alone.inputs), alone.labels)
            found = summed_loss(logits[here][None], labels[here][None])
            assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_what_one_sample_says_changes_no_bit_of_the_others() -> None:
    model = GPT(SHAPE, seed=0).eval()
    changed = [
        Sample([(token + 7) % 50 for token in SAMPLES[2].ids], 3, False) if n == 2 else s for n, s in enumerate(SAMPLES)
    ]
    with torch.inference_mode():
        one, two = (
            model(rows.inputs, documents_BT=rows.documents, positions_BT=rows.positions)
            for rows in (collate(SAMPLES), collate(changed))
        )
    documents = collate(SAMPLES).documents
    assert torch.equal(one[documents != 2], two[documents != 2])
    assert not torch.equal(one[documents == 2], two[documents == 2])


def test_a_step_is_the_same_packed_or_not_and_in_pieces_of_any_size() -> None:
    results, weights = [], []
    for pack, size in ((True, None), (False, None), (True, 1), (False, 3)):
        model = GPT(SHAPE, seed=0)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        batches = collate(SAMPLES, pack).micro_batches(size, torch.device("cpu"))
        assert len(batches) == (1 if size is None else -(-len(collate(SAMPLES, pack).inputs) // size))
        done = train_step(model, optimizer, batches, gradient_clip=10.0, precision="fp32", seed=0, step=1)
        results.append((done.loss, done.gradient_norm, done.tokens))
        weights.append(torch.cat([one.flatten() for one in model.parameters()]))
    for result, weight in zip(results, weights, strict=True):
        assert result == pytest.approx(results[0], rel=1e-5)
        torch.testing.assert_close(weight, weights[0], rtol=0, atol=1e-6)


@given(lengths=st.lists(st.integers(1, 39), min_size=1, max_size=20))
def test_few_shapes_are_powers_of_two_up_to_the_context(lengths: list[int]) -> None:
    rows, width = collate(random_samples(lengths), True, 40).inputs.shape
    assert width in {1, 2, 4, 8, 16, 32, 40}
    assert rows & (rows - 1) == 0
