"""Texts that a model writes while it learns."""

from __future__ import annotations

from tokenizers import Tokenizer

from schemas.configs.generate import GenerateConfig
from training.generation.stream import generate_ids
from training.generation.tokens import decode, encode
from training.model.gpt import GPT
from training.seeds import derived_seed

__all__ = ["write_samples"]

_TEMPERATURE, _TOP_K = 0.8, 50


def write_samples(
    model: GPT, tokenizer: Tokenizer, end_of_text: int, prompts: tuple[str, ...], tokens: int, seed: int, step: int
) -> list[dict[str, int | str]]:
    """One text for each prompt, by draws that depend on (seed, step) alone; the prompt's own text is not repeated.

    Returns:
        Rows for `samples.jsonl`: step, prompt, text.
    """
    was_training = model.training
    model.eval()
    rows: list[dict[str, int | str]] = []
    for number, prompt in enumerate(prompts):
        config = GenerateConfig(
            max_tokens=tokens,
            temperature=_TEMPERATURE,
            top_k=_TOP_K,
            seed=derived_seed("sample", seed, step, number),
        )
        # End-of-text first: a model has seen it before every document.
        start = [end_of_text, *encode(tokenizer, prompt)]
        text = decode(tokenizer, list(generate_ids(model, start, config, end_of_text)))
        rows.append({"step": step, "prompt": prompt, "text": text})
    model.train(was_training)
    return rows
