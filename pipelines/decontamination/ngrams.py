"""From items to the n-grams that are looked for, each with the items that it comes from.

An n-gram cuts when it has the number of words that the settings name (13 in Brown et al. 2020), and marks an item dirty
when it has the number that follows from the lengths of the items of its set (appendix C: their 5th percentile, between
8 and 13). Whole short items do both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipelines.decontamination.items import Item
from pipelines.decontamination.words import hashed_words, ngram_hashes, normal_words
from schemas.configs.decontaminate import NgramConfig

__all__ = ["CUTS", "MARKS", "POSTINGS", "TEXTS", "NgramTables", "build_ngrams", "overlap_words"]

CUTS, MARKS = 1, 2  # bits of the column `role`

# One row a text of an item: whole items, and what further answers add.
TEXTS = pa.schema(
    [
        pa.field("item", pa.int32(), nullable=False),  # row in `items`
        pa.field("words", pa.int32(), nullable=False),
        pa.field("text", pa.string(), nullable=False),  # normal words, joined by single spaces
    ]
)
# One row an n-gram of a text, ordered by (words, hash, text, position).
POSTINGS = pa.schema(
    [
        pa.field("words", pa.uint8(), nullable=False),
        pa.field("hash", pa.uint64(), nullable=False),
        pa.field("prefix", pa.uint64(), nullable=False),  # hash of its first words, as many as the shortest has
        pa.field("text", pa.int32(), nullable=False),  # row in `texts`
        pa.field("position", pa.int32(), nullable=False),  # of its first word in the text
        pa.field("role", pa.uint8(), nullable=False),  # CUTS, MARKS or both
    ]
)
_HASHED_CHARACTERS = 2**22  # hashed at once: 30 bytes a word at most, for each length of n-grams 8 more
# What prompts put before a question and before its answer, and what a page with the question has not.
_LABEL = re.compile(
    r"^[ \t]*(?:question|answer|q|a|passage|context|choices|problem|story|sentence)[ \t]*:[ \t]*", re.I | re.M
)


class NgramTables(NamedTuple):
    """What is looked for: texts, postings, and for each set the words of the n-grams that mark its items dirty."""

    texts: pa.Table
    postings: pa.Table
    words_of_task: dict[str, int]


class _Text(NamedTuple):
    """A text of an item; n-grams that end before word `fresh` are in another text of the item already."""

    words: list[str]
    fresh: int


def overlap_words(lengths: Sequence[int], config: NgramConfig, task: str) -> int:
    """The words of the n-grams that mark the items of a set dirty (Brown et al. 2020, appendix C).

    Args:
        lengths: words of each item, at least one item.
        config: percentile and bounds.
        task: name of the set.
    """
    chosen = int(np.percentile(np.array(lengths), config.overlap_percentile, method="lower"))
    synthetic = any(fnmatchcase(task, pattern) for pattern in config.synthetic)
    return min(max(chosen, 2 if synthetic else config.overlap_least), config.overlap_most)


def _texts_of(item: Item, config: NgramConfig, most: int) -> Iterator[_Text]:
    """The item with its own answer, then what each further answer adds, then all this without the labels of prompts."""

    def words(text: str) -> list[str]:
        return normal_words(text, config.punctuation)

    plain = item._replace(question=_LABEL.sub("", item.question))
    for one in (item, plain) if plain.question != item.question else (item,):
        question = words(one.question)
        yield _Text([*question, *words(one.answers[0])] if one.answers else question, 0)
        tail = question[-(most - 1) :]
        for further in (*one.answers[1:], *one.others):
            added = words(further)
            if added:
                yield _Text([*tail, *added], len(tail))


def _wholes_of(item: Item, config: NgramConfig) -> Iterator[list[str]]:
    """A short item as one n-gram: its question, and its question with each right answer."""
    questions = {item.question: None, _LABEL.sub("", item.question): None}
    seen = set()
    for question in questions:
        for answer in ("", *item.answers):
            words = normal_words(f"{question} {answer}", config.punctuation)
            if tuple(words) not in seen and len(words) >= config.short_words:
                seen.add(tuple(words))
                yield words


class _Wanted(NamedTuple):
    """All n-grams of a text with so many words that do not end before word `fresh`."""

    text: int
    words: int
    fresh: int
    role: int


class _Collector:
    """Texts, and which n-grams are wanted of them."""

    def __init__(self) -> None:
        self.texts: list[tuple[int, int, str]] = []
        self.wanted: list[_Wanted] = []

    def text(self, item: int, words: list[str]) -> int:
        self.texts.append((item, len(words), " ".join(words)))
        return len(self.texts) - 1

    def ngrams(self, text: int, words: int, fresh: int, role: int) -> None:
        if self.texts[text][1] >= words:
            self.wanted.append(_Wanted(text, words, fresh, role))


def _collect(items: Sequence[Item], config: NgramConfig, words_of_task: dict[str, int]) -> _Collector:
    collector = _Collector()
    for number, item in enumerate(items):
        marks = words_of_task[item.task]
        for text in _texts_of(item, config, max(config.ngram, marks)):
            row = collector.text(number, text.words)
            if marks == config.ngram:
                collector.ngrams(row, marks, text.fresh, CUTS | MARKS)
            else:
                collector.ngrams(row, config.ngram, text.fresh, CUTS)
                collector.ngrams(row, marks, text.fresh, MARKS)
        for whole in _wholes_of(item, config) if config.short_items == "whole" else ():
            role = (CUTS if len(whole) < config.ngram else 0) | (MARKS if len(whole) < marks else 0)
            if role:
                collector.ngrams(collector.text(number, whole), len(whole), 0, role)
    return collector


def _runs(texts: Sequence[tuple[int, int, str]]) -> Iterator[tuple[int, int]]:
    """First and one past the last text of runs of about `_HASHED_CHARACTERS` characters."""
    begin = size = 0
    for number, (_, _, text) in enumerate(texts):
        size += len(text)
        if size >= _HASHED_CHARACTERS:
            yield begin, number + 1
            begin, size = number + 1, 0
    yield begin, len(texts)


def _postings(collector: _Collector) -> pa.Table:
    if not collector.wanted:
        return POSTINGS.empty_table()
    shortest = min(one.words for one in collector.wanted)
    wanted = iter(collector.wanted)
    one = next(wanted, None)
    kept: list[tuple[_Wanted, int]] = []
    hashes, prefixes, places = [], [], []
    for begin, end in _runs(collector.texts):
        run = collector.texts[begin:end]
        offsets = np.cumsum([0, *(words for _, words, _ in run)])
        of_words = hashed_words("\n".join(text for _, _, text in run)).hashes
        by_length = {shortest: ngram_hashes(of_words, shortest)}
        while one is not None and one.text < end:
            if one.words not in by_length:
                by_length[one.words] = ngram_hashes(of_words, one.words)
            first = max(0, one.fresh - one.words + 1) if one.fresh else 0
            offset, count = offsets[one.text - begin], run[one.text - begin][1] - one.words + 1
            if count > first:
                kept.append((one, count - first))
                hashes.append(by_length[one.words][offset + first : offset + count])
                prefixes.append(by_length[shortest][offset + first : offset + count])
                places.append(np.arange(first, count, dtype=np.int32))
            one = next(wanted, None)
    sizes = [size for _, size in kept]

    def repeated(field: str, kind: type[np.generic]) -> np.ndarray:
        return np.repeat(np.array([getattr(one, field) for one, _ in kept], dtype=kind), sizes)

    columns = {
        "words": repeated("words", np.uint8),
        "hash": np.concatenate(hashes),
        "prefix": np.concatenate(prefixes),
        "text": repeated("text", np.int32),
        "position": np.concatenate(places),
        "role": repeated("role", np.uint8),
    }
    order = np.lexsort((columns["position"], columns["text"], columns["hash"], columns["words"]))
    return pa.table({name: values[order] for name, values in columns.items()}, schema=POSTINGS)


def build_ngrams(items: Sequence[Item], config: NgramConfig) -> NgramTables:
    """All n-grams of some items.

    Args:
        items: of all sets; their positions are the numbers in the tables.
        config: the settings.
    """
    lengths: dict[str, list[int]] = {}
    for item in items:
        whole = f"{item.question} {item.answers[0]}" if item.answers else item.question
        lengths.setdefault(item.task, []).append(len(normal_words(whole, config.punctuation)))
    words_of_task = {task: overlap_words(one, config, task) for task, one in lengths.items()}
    collector = _collect(items, config, words_of_task)
    texts = pa.table(
        [pa.array([row[n] for row in collector.texts], field.type) for n, field in enumerate(TEXTS)], schema=TEXTS
    )
    return NgramTables(texts, _postings(collector), words_of_task)
