from __future__ import annotations

import numpy as np
import pytest
import torch

from schemas.configs.model import ModelConfig
from training.data.shards import TokenStream
from training.loop.validation import has_stopped_learning, validate
from training.model.gpt import GPT
from training.model.loss import summed_loss

SHAPE = ModelConfig(vocabulary_size=50, context=16, layers=2, heads=2, width=16, band=4, residual_dropout=0.5)


def stream(name: str, windows: int) -> TokenStream:
    generator = np.random.default_rng(windows)
    return TokenStream(name, [generator.integers(0, 50, windows * 16 + 3).astype(np.uint16)], 16)


def test_the_loss_is_the_mean_over_tokens_and_is_also_given_for_each_source() -> None:
    model, streams = GPT(SHAPE).train(), [stream("a", 20), stream("b", 3)]
    found = validate(model, streams, 100, "fp32")
    assert found is not None
    expected = {}
    model.eval()
    for one, windows in zip(streams, (20, 3), strict=True):
        tokens = np.empty(windows * 16 + 1, dtype=np.int64)
        one.read(0, tokens)
        inputs, labels = (torch.from_numpy(part).view(windows, 16) for part in (tokens[:-1], tokens[1:]))
        with torch.no_grad():
            expected[one.source] = summed_loss(model(inputs), labels).item()
    assert found.by_source == pytest.approx({"a": expected["a"] / 320, "b": expected["b"] / 48}, rel=1e-5)
    assert found.loss == pytest.approx((expected["a"] + expected["b"]) / 368, rel=1e-5)


def test_it_is_the_same_twice_and_leaves_the_mode() -> None:
    model, streams = GPT(SHAPE).train(), [stream("a", 20)]
    assert validate(model, streams, 5, "fp32") == validate(model, streams, 5, "fp32")
    assert model.training
    assert validate(model.eval(), streams, 5, "fp32") is not None
    assert not model.training


def test_windows_are_spread_over_the_whole_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    real = TokenStream.read_window

    def noting(self: TokenStream, window: int, out: np.ndarray) -> None:
        read.append(window)
        real(self, window, out)

    monkeypatch.setattr(TokenStream, "read_window", noting)
    validate(GPT(SHAPE), [stream("a", 100)], 4, "fp32")
    assert read == [0, 25, 50, 75]


def test_streams_without_a_whole_window_give_no_loss() -> None:
    assert validate(GPT(SHAPE), [stream("a", 0)], 4, "fp32") is None


@pytest.mark.parametrize(
    ("losses", "patience", "expected"),
    [
        ([3.0, 2.0, 2.1, 2.2], 2, True),
        ([3.0, 2.0, 2.1, 1.9], 2, False),
        ([3.0, 2.0, 2.0], 1, True),
        ([3.0, 2.0], 2, False),
        ([2.0, 3.0, 4.0], 0, False),
        ([], 3, False),
    ],
)
def test_learning_has_stopped_when_no_late_loss_is_better(losses: list[float], patience: int, expected: bool) -> None:
    assert has_stopped_learning(losses, patience) is expected
