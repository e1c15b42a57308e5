from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from schemas.configs.model import ModelConfig
from schemas.tasks import Pair
from training.finetuning.packing import collate
from training.finetuning.samples import encode_pairs, pairs_of_step
from training.generation.tokens import decode, encode
from training.model.gpt import GPT
from training.model.loss import IGNORED_LABEL, summed_loss

END = 0
PAIRS = [
    Pair(prompt="the red", answer="dog sees"),
    Pair(prompt="a", answer="cat"),
    Pair(prompt="old tree", answer="x<|endoftext|>"),
]


def test_only_answers_and_the_end_of_text_after_them_are_labels(tokenizer: Tokenizer) -> None:
    samples = encode_pairs(PAIRS, tokenizer, " ", END, context=64)
    inputs, labels, *_ = collate(samples, pack=False)
    for pair, row, wanted in zip(PAIRS, inputs, labels, strict=True):
        kept = [token for token in wanted.tolist() if token != IGNORED_LABEL]
        assert kept[-1] == END
        assert END not in kept[:-1]
        assert decode(tokenizer, kept[:-1]) == f" {pair.answer}"
        assert row[0] == END
        whole = [END, *encode(tokenizer, pair.prompt), *kept[:-1]]
        assert row.tolist() == whole + [0] * (len(row) - len(whole))


def test_labels_are_the_next_inputs(tokenizer: Tokenizer) -> None:
    inputs, labels, *_ = collate(encode_pairs(PAIRS, tokenizer, " ", END, context=64), pack=False)
    for row, wanted in zip(inputs.tolist(), labels.tolist(), strict=True):
        places = [place for place, token in enumerate(wanted) if token != IGNORED_LABEL]
        assert places == list(range(places[0], places[-1] + 1))
        assert [wanted[place] for place in places[:-1]] == [row[place + 1] for place in places[:-1]]


def test_a_long_prompt_keeps_its_end_and_a_long_answer_all_labels_that_fit(tokenizer: Tokenizer) -> None:
    long_prompt, long_answer = encode_pairs(
        [Pair(prompt="dog " * 30, answer="cat"), Pair(prompt="a", answer="dog " * 30)], tokenizer, " ", END, context=8
    )
    assert len(long_prompt.ids) == len(long_answer.ids) == 9
    assert long_prompt.truncated
    assert long_answer.truncated
    assert long_prompt.ids[-2:] == [*encode(tokenizer, " cat"), END]
    assert (long_prompt.scored, long_answer.scored) == (2, 8)


def test_rows_of_a_batch_do_not_see_each_other_nor_the_padding(tokenizer: Tokenizer) -> None:
    config = ModelConfig(vocabulary_size=320, context=64, layers=2, heads=2, width=16, band=4)
    model = GPT(config, seed=0).eval()
    samples = encode_pairs(PAIRS, tokenizer, " ", END, context=64)
    whole_rows = collate(samples, pack=False)[:2]
    with torch.inference_mode():
        together = [summed_loss(model(x[None]), y[None]) for x, y in zip(*whole_rows, strict=True)]
        alone = [summed_loss(model(x), y) for x, y, *_ in map(collate, [[one] for one in samples])]
        whole = summed_loss(model(whole_rows[0]), whole_rows[1])
    assert [float(one) for one in together] == pytest.approx([float(one) for one in alone], rel=1e-5)
    assert float(whole) == pytest.approx(sum(map(float, alone)), rel=1e-5)


@given(pairs=st.integers(1, 40), batch=st.integers(1, 50), seed=st.integers(0, 2**63 - 1))
def test_every_epoch_sees_every_pair_once(pairs: int, batch: int, seed: int) -> None:
    steps = -(-2 * pairs // batch)
    seen = [index for step in range(steps) for index in pairs_of_step(step, batch, pairs, seed)]
    assert len(seen) == steps * batch
    assert sorted(seen[:pairs]) == sorted(seen[pairs : 2 * pairs]) == list(range(pairs))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = [tuple(pairs_of_step(step, 50, 50, seed)) for step, seed in ((0, 1), (1, 1), (0, 2))]
    assert len(set(orders)) == 3
    assert orders[0] == tuple(pairs_of_step(0, 50, 50, 1))
    assert not np.array_equal(orders[0], range(50))
