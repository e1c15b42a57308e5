"""A corpus whose documents are examples of one task each, beside real text, and held-out items of the same tasks.

Tasks of a family ask alike, `kdw -> `, and want other answers, so that only examples say which task is meant: copying,
unscrambling (letters reversed, or the first one put last, each with capitals of its own) and sums, differences and
products of two digits, each with its sign. What is asked in a test stands in no document. All examples are of one
length, and a window of training is one document after an end-of-text id, as a prompt is, so that a small model finds
its way by position.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from token_corpus import END_OF_TEXT, TOKENIZER, plan_of, write_stream
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from schemas.corpus_root import CorpusRoot
from schemas.mixture import SourceStream, write_mixture
from schemas.token_shard import tokenizer_fingerprint

__all__ = ["DIGITS", "LETTERS", "byte_tokenizer", "write_few_shot_corpus", "write_few_shot_suite"]

Answers = dict[str, Callable[[str], str]]

LETTERS: Answers = {
    "copying": lambda word: word,
    "reversed": lambda word: word[::-1].upper(),
    "cycled": lambda word: word[1:] + word[0].upper(),
}
DIGITS: Answers = {
    "sum": lambda pair: f"={int(pair[0]) + int(pair[2]):02d}",
    "difference": lambda pair: f"{int(pair[0]) - int(pair[2]):+03d}",
    "product": lambda pair: f"*{int(pair[0]) * int(pair[2]):02d}",
}
ARROW = " ->"


def byte_tokenizer() -> Tokenizer:
    """One id a byte; id 0 is end-of-text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<|endoftext|>": 0, **{letter: rank + 1 for rank, letter in enumerate(alphabet)}}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    return tokenizer


def queries(family: Answers, letters: str, length: int) -> list[str]:
    """Everything that a family can ask."""
    if family.keys() <= DIGITS.keys():
        return [f"{a} {b}" for a in range(10) for b in range(10)]
    words = [""]
    for _ in range(length):
        words = [word + letter for word in words for letter in letters]
    # What answers all tasks alike says nothing about which is meant.
    return [word for word in words if len({answer(word).lower() for answer in family.values()}) == len(family)]


def held_out(asked: Sequence[str], seed: int) -> tuple[list[str], list[str]]:
    """A fifth of what can be asked, for testing, and the rest, for training."""
    order = np.random.default_rng(seed).permutation(len(asked))
    cut = len(asked) // 5
    return [asked[i] for i in order[:cut]], [asked[i] for i in order[cut:]]


def documents(families: Sequence[Answers], letters: str, length: int, count: int, shots: int, seed: int) -> list[str]:
    """Documents of `shots` examples of one task, drawn from what is asked in training."""
    generator = np.random.default_rng(seed)
    pools = [held_out(queries(family, letters, length), 0)[1] for family in families]
    texts = []
    for _ in range(count):
        family = int(generator.integers(len(families)))
        answer = list(families[family].values())[int(generator.integers(len(families[family])))]
        asked = [pools[family][int(i)] for i in generator.integers(len(pools[family]), size=shots)]
        texts.append("".join(f"{one}{ARROW} {answer(one)}\n" for one in asked))
    return texts


def write_few_shot_corpus(
    root: CorpusRoot,
    families: Sequence[Answers],
    real: str,
    *,
    letters: str,
    length: int,
    count: int,
    shots: int,
    samples: dict[str, int],
) -> int:
    """Write `count` documents of examples and a real text as a mixture named `main`; gives its windows' length."""
    tokenizer = byte_tokenizer()
    root.tokenizer_folder(TOKENIZER).put_whole("tokenizer.json", tokenizer.to_str().encode())
    texts = {"examples": documents(families, letters, length, count, shots, 1), "real": real.split("\n\n")}
    (context,) = {1 + len(text) for text in texts["examples"]}

    def stream(source: str, split: str, own: Sequence[str]) -> SourceStream:
        ids = [END_OF_TEXT, *(token for text in own for token in (*tokenizer.encode(text).ids, END_OF_TEXT))]
        return write_stream(root, source, split, np.array(ids), tokenizer, shard_tokens=2**20)

    streams = {source: stream(source, "train", own) for source, own in texts.items()}
    other = stream("examples", "validation", documents(families, letters, length, 40, shots, 2))
    plan = plan_of(
        tuple(streams.values()),
        samples,
        sequence_length=context,
        vocabulary_size=tokenizer.get_vocab_size(),
        fingerprint=tokenizer_fingerprint(tokenizer.to_str().encode()),
        validation=(other,),
    )
    write_mixture(root.mixture_folder(), plan)
    return context


def write_few_shot_suite(
    folder: Path, families: Sequence[Answers], letters: str, length: int, shots: Sequence[int], items: int
) -> str:
    """Write held-out items of each task, examples to draw for them, and the suite; gives its path."""
    lines = ['name = "few-shot"', "[defaults]", 'kind = "generation"', 'compare = "text"', 'separator = "\\n"']
    lines += [f"max_tokens = {length + 2}", f"shots = {json.dumps(list(shots))}"]
    for family in families:
        test, train = held_out(queries(family, letters, length), 0)
        for name, answer in family.items():
            for part, asked in (("items", test[:items]), ("examples", train[:500])):
                rows = ({"id": one, "prompt": one + ARROW, "answers": [answer(one)]} for one in asked)
                path = folder / f"{name}-{part}.jsonl"
                path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            lines += ["[[tasks]]", f'name = "{name}"', f'items = "{name}-items.jsonl"']
            lines += [f'examples = "{name}-examples.jsonl"']
    path = folder / "suite.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)
