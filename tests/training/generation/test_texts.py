from __future__ import annotations

import pytest

from schemas.configs.generate import GenerateConfig
from training.checkpoints import LoadedModel, load_model
from training.generation.stream import before_stop, generate_ids
from training.generation.texts import start_of, write_texts
from training.generation.tokens import decode

PROMPTS = ["the", "a red dog", "cat sees the old", "", "the a red old small cat dog bird sees likes follows house tree"]


@pytest.fixture
def loaded(trained_run: str) -> LoadedModel:
    return load_model(trained_run)


def test_greedy_texts_of_a_batch_are_those_of_each_prompt_alone(loaded: LoadedModel) -> None:
    config = GenerateConfig(temperature=0, max_tokens=10, stop=("bird",))
    texts = list(write_texts(loaded, PROMPTS, config))
    for prompt, text in zip(PROMPTS, texts, strict=True):
        ids = list(generate_ids(loaded.model, start_of(loaded, prompt), config, loaded.end_of_text))
        whole = decode(loaded.tokenizer, ids)
        stopped = before_stop(whole, config.stop)
        assert text.text == (whole if stopped is None else stopped)
        assert text.prompt_tokens == len(start_of(loaded, prompt))


def test_a_drawn_text_depends_on_the_seed_and_its_number_alone(loaded: LoadedModel) -> None:
    config = GenerateConfig(max_tokens=12, seed=3)
    whole = [text.text for text in write_texts(loaded, PROMPTS, config)]
    assert [text.text for text in write_texts(loaded, PROMPTS[:3], config)] == whole[:3]
    ones = config.model_copy(update={"batch": 1})
    assert [text.text for text in write_texts(loaded, PROMPTS, ones)] == whole
    other = config.model_copy(update={"seed": 4})
    assert [text.text for text in write_texts(loaded, PROMPTS, other)] != whole
    same = [text.text for text in write_texts(loaded, ["the"] * 6, config)]
    assert len(set(same)) > 1


def test_prompts_beyond_the_context_are_answered_beside_those_that_fit(loaded: LoadedModel) -> None:
    config = GenerateConfig(temperature=0, max_tokens=20)
    prompts = ["the a red " * 20, "the"]
    long, short = write_texts(loaded, prompts, config)
    assert (long.tokens, short.tokens) == (20, 20)
    assert long.prompt_tokens > loaded.model_config.context
    searched = list(write_texts(loaded, prompts, GenerateConfig(beams=3, max_tokens=100)))
    assert [text.tokens for text in searched] == [loaded.model_config.context // 2] * 2


def test_beam_search_ends_before_a_stop_text(loaded: LoadedModel) -> None:
    (whole,) = write_texts(loaded, ["the a"], GenerateConfig(beams=4, max_tokens=12))
    word = whole.text.split()[2]
    (cut,) = write_texts(loaded, ["the a"], GenerateConfig(beams=4, max_tokens=12, stop=(word,)))
    assert word not in cut.text
    assert cut.tokens < whole.tokens
