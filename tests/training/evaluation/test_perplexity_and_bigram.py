from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from schemas.configs.model import ModelConfig
from schemas.mixture import SourceStream
from training.data.shards import TokenStream
from training.evaluation import bigram
from training.evaluation.bigram import bigram_nats
from training.evaluation.perplexity import combine, score_stream, windows
from training.model.gpt import GPT

END = 0


@given(tokens=st.integers(0, 200), context=st.integers(2, 40))
def test_windows_score_each_token_once_with_as_much_context_as_there_is(tokens: int, context: int) -> None:
    scored = []
    for window in windows(tokens, context):
        assert 1 <= window.stop - window.first - 1 <= context
        assert window.first == -1 or window.stop - window.first == context + 1
        scored += range(window.stop - window.scored, window.stop)
    assert scored == list(range(tokens))


def test_windows_of_34_tokens_with_a_context_of_10() -> None:
    # The last window predicts four tokens and sees seven of those scored before.
    found = [(w.first, w.stop, w.scored) for w in windows(34, 10)]
    assert found == [(-1, 10, 10), (9, 20, 10), (19, 30, 10), (23, 34, 4)]


# Input and predicted tokens as lm-evaluation-harness publishes them (its tests/test_utils.py): numbers of tokens, the
# greatest length, tokens that a window has been given; first and last input, first and last predicted token.
ROLLING = {
    (34, 10, 1): [(-100, 8, 0, 9), (9, 18, 10, 19), (19, 28, 20, 29), (23, 32, 30, 33)],
    (34, 10, 8): [
        (-100, 8, 0, 9),
        (2, 11, 10, 12),
        (5, 14, 13, 15),
        (8, 17, 16, 18),
        (11, 20, 19, 21),
        (14, 23, 22, 24),
        (17, 26, 25, 27),
        (20, 29, 28, 30),
        (23, 32, 31, 33),
    ],
    (34, 10, 10): [(-100, 8, 0, 9), *((n, n + 9, n + 10, n + 10) for n in range(24))],
    (30, 10, 10): [(-100, 8, 0, 9), *((n, n + 9, n + 10, n + 10) for n in range(20))],
    (30, 10, 1): [(-100, 8, 0, 9), (9, 18, 10, 19), (19, 28, 20, 29)],
    (9, 2, 1): [(-100, 0, 0, 1), (1, 2, 2, 3), (3, 4, 4, 5), (5, 6, 6, 7), (6, 7, 8, 8)],
}


@pytest.mark.parametrize("given", ROLLING)
def test_rolling_windows_are_those_that_lm_evaluation_harness_publishes(given: tuple[int, int, int]) -> None:
    found = [(-100 if w.first < 0 else w.first, w.stop - 2, w.stop - w.scored, w.stop - 1) for w in windows(*given)]
    assert found == ROLLING[given]
    assert list(windows(0, 2)) == []


@given(tokens=st.integers(0, 200), context=st.integers(2, 40), data=st.data())
def test_rolling_windows_equal_those_of_lm_evaluation_harness(tokens: int, context: int, data: st.DataObject) -> None:
    utils = pytest.importorskip("lm_eval.utils")
    given = data.draw(st.integers(1, context))
    ids = list(range(tokens))
    theirs = list(utils.get_rolling_token_windows(ids, -100, context, given))
    rows = [[-100, *ids][w.first + 1 : w.stop + 1] for w in windows(tokens, context, given)]
    scored = [w.scored for w in windows(tokens, context, given)]
    assert theirs == [(row[:-1], row[len(row) - n :]) for row, n in zip(rows, scored, strict=True)]


def stream_of(ids: list[int], parts: int = 2) -> TokenStream:
    return TokenStream("s", [part.astype(np.uint16) for part in np.array_split(np.array(ids), parts)], 8)


def facts(tokens: int, utf8_bytes: int) -> SourceStream:
    return SourceStream(source="s", tokens=tokens, utf8_bytes=utf8_bytes, documents=1, shards=())


@pytest.fixture(scope="module")
def model() -> GPT:
    config = ModelConfig(vocabulary_size=30, context=8, layers=1, heads=2, width=16, band=2)
    network = GPT(config, seed=1).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(6)
    return network


def slow_nats(model: GPT, ids: list[int]) -> float:
    """Loss of every token with the context that its window gives it, one forward pass a token."""
    whole, total = [END, *ids], 0.0
    for window in windows(len(ids), 8):
        for place in range(window.stop - window.scored, window.stop):
            with torch.inference_mode():
                logits = model(torch.tensor([whole[window.first + 1 : place + 1]]))[0, -1].double()
            total += float(logits.logsumexp(0) - logits[ids[place]])
    return total


def test_the_loss_of_a_stream_equals_scoring_token_by_token(model: GPT) -> None:
    ids = np.random.default_rng(0).integers(0, 30, 27).tolist()
    expected = slow_nats(model, ids)
    for batch in (1, 3):
        found = score_stream(model, stream_of(ids), facts(27, 100), END, batch, None)
        assert found.nats == pytest.approx(expected, rel=1e-5)
        assert (found.tokens, found.windows) == (27, 4)
    assert found.loss == pytest.approx(expected / 27, rel=1e-5)
    assert found.perplexity == pytest.approx(math.exp(expected / 27), rel=1e-4)
    assert found.per_byte(found.nats) == pytest.approx(expected / math.log(2) / 100, rel=1e-5)


def test_a_limit_takes_windows_evenly_and_bits_per_byte_use_the_bytes_of_the_split(model: GPT) -> None:
    ids = [7] * 80
    limited = score_stream(model, stream_of(ids), facts(80, 200), END, 2, 5)
    assert (limited.windows, limited.tokens, limited.split_tokens) == (5, 40, 80)
    assert limited.per_byte(limited.nats) == pytest.approx(limited.loss / math.log(2) * 80 / 200)


def test_sources_add_up(model: GPT) -> None:
    one = score_stream(model, stream_of([1] * 20), facts(20, 50), END, 2, None)
    two = score_stream(model, stream_of([2, 3] * 15), facts(30, 60), END, 2, None)
    whole = combine([one, two])
    assert (whole.tokens, whole.utf8_bytes, whole.windows) == (50, 110, 7)
    assert whole.nats == pytest.approx(one.nats + two.nats)
    assert whole.nats_standard_error is not None
    alone = score_stream(model, stream_of([1] * 5), facts(5, 9), END, 2, None)
    assert combine([one, alone]).nats_standard_error is None


def slow_bigram(train: list[list[int]], scored: list[list[int]], vocabulary: int) -> float:
    """Add-one bigrams with dictionaries."""
    pairs: Counter[tuple[int, int]] = Counter()
    for ids in train:
        pairs.update(zip([END, *ids], ids, strict=False))
    firsts: Counter[int] = Counter()
    for (first, _), count in pairs.items():
        firsts[first] += count
    return -math.fsum(
        math.log((pairs[a, b] + 1) / (firsts[a] + vocabulary))
        for ids in scored
        for a, b in zip([END, *ids], ids, strict=False)
    )


@given(
    train=st.lists(st.lists(st.integers(0, 5), max_size=30), max_size=3),
    scored=st.lists(st.lists(st.integers(0, 5), max_size=20), max_size=3),
)
def test_sparse_bigrams_equal_counting_all_pairs(train: list[list[int]], scored: list[list[int]]) -> None:
    streams = [[stream_of(ids) for ids in group] for group in (train, scored)]
    assert bigram_nats(streams[0], streams[1], 6, END) == pytest.approx(slow_bigram(train, scored, 6))


def test_bigrams_are_counted_over_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bigram, "_CHUNK", 7)
    rng = np.random.default_rng(1)
    train, scored = rng.integers(0, 50_000, 100).tolist() * 2, rng.integers(0, 50_000, 40).tolist()
    scored += train[10:30]
    found = bigram_nats([stream_of(train)], [stream_of(scored)], 50_257, END)
    assert found == pytest.approx(slow_bigram([train], [scored], 50_257))
