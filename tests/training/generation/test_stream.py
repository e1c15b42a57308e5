from __future__ import annotations

import pytest
import torch
from tokenizers import Tokenizer

from schemas.configs.generate import GenerateConfig
from schemas.configs.model import ModelConfig
from training.generation.batch import answer_batch
from training.generation.sampling import greedy
from training.generation.stream import before_stop, generate_ids, stream_text
from training.generation.tokens import decode, encode
from training.model.gpt import GPT

END = 0
GREEDY = GenerateConfig(temperature=0, max_tokens=12)


@pytest.fixture(scope="module")
def model() -> GPT:
    config = ModelConfig(vocabulary_size=60, context=16, layers=2, heads=2, width=16, band=4)
    network = GPT(config, seed=3).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(8)  # far from uniform, so that greedy choices do not depend on rounding
    return network


def slow_greedy(model: GPT, prompt: list[int], tokens: int) -> list[int]:
    """Greedy generation without a cache, while all fits in the context."""
    seen = list(prompt)
    for _ in range(tokens):
        with torch.inference_mode():
            token = int(greedy(model(torch.tensor([seen]))[:, -1]))
        if token == END:
            break
        seen.append(token)
    return seen[len(prompt) :]


@pytest.mark.parametrize("prompt", [[5], [7, 8, 9], list(range(1, 9))])
def test_cached_generation_equals_computing_everything_again(model: GPT, prompt: list[int]) -> None:
    tokens = 16 - len(prompt)
    config = GREEDY.model_copy(update={"max_tokens": tokens})
    assert list(generate_ids(model, prompt, config, END)) == slow_greedy(model, prompt, tokens)


def test_generation_goes_on_beyond_the_context_from_its_last_half(model: GPT) -> None:
    config = GREEDY.model_copy(update={"max_tokens": 40})
    prompt = [7, 8, 9]
    found = list(generate_ids(model, prompt, config, -1))
    assert len(found) == 40
    expected, window = [], list(prompt)
    for _ in range(40):
        if len(window) > 16:
            window = window[-8:]
        with torch.inference_mode():
            token = int(greedy(model(torch.tensor([window]))[:, -1]))
        expected.append(token)
        window.append(token)
    assert found == expected


def test_a_long_prompt_keeps_its_end(model: GPT) -> None:
    long = [(3 * i) % 59 + 1 for i in range(50)]
    config = GREEDY.model_copy(update={"max_tokens": 1})
    assert list(generate_ids(model, long, config, -1)) == slow_greedy(model, long[-16:], 1)


def test_seeded_draws_repeat(model: GPT) -> None:
    one, two, other = (
        list(generate_ids(model, [5], GenerateConfig(temperature=1, max_tokens=10, seed=seed), -1))
        for seed in (1, 1, 2)
    )
    assert one == two != other


def test_a_batch_of_prompts_of_any_lengths_gives_what_each_gives_alone(model: GPT) -> None:
    prompts = [[5], [7, 8, 9], [1, 2, 3, 4, 5, 6], [9, 9]]
    together = answer_batch(model, prompts, 8, END, lambda row, ids: False)
    assert together == [slow_greedy(model, prompt, 8) for prompt in prompts]
    stopped = answer_batch(model, prompts, 8, END, lambda row, ids: len(ids) == 2 + row % 2)
    assert stopped == [ids[: 2 + row % 2] for row, ids in enumerate(together)]


def test_end_of_text_ends_generation(model: GPT) -> None:
    first = slow_greedy(model, [7, 8, 9], 1)[0]
    assert list(generate_ids(model, [7, 8, 9], GREEDY, first)) == []
    assert answer_batch(model, [[7, 8, 9]], 8, first, lambda row, ids: False) == [[]]


def test_text_that_spells_end_of_text_is_text(tokenizer: Tokenizer) -> None:
    ids = encode(tokenizer, "a<|endoftext|>b")
    assert END not in ids
    assert decode(tokenizer, ids) == "a<|endoftext|>b"


@pytest.mark.parametrize("stop", [(), ("dog",), ("g s", "bird"), ("🐕",), ("zzz",)])
def test_streamed_pieces_are_the_text_before_the_first_stop(tokenizer: Tokenizer, stop: tuple[str, ...]) -> None:
    text = "the red dog sees é 🐕 a bird"
    pieces = list(stream_text(iter(encode(tokenizer, text)), tokenizer, stop))
    expected = before_stop(text, stop)
    assert "".join(pieces) == (text if expected is None else expected)
    assert all(pieces)
    assert not any("\ufffd" in piece for piece in pieces)


def test_a_beginning_of_a_stop_text_is_given_when_it_turns_out_to_be_none(tokenizer: Tokenizer) -> None:
    ids = [encode(tokenizer, letter)[0] for letter in "dodoll"]
    assert list(stream_text(iter(ids), tokenizer, ("doll",))) == ["do"]
    assert "".join(stream_text(iter(ids), tokenizer, ("dolly",))) == "dodoll"
