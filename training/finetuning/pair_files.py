"""Prompt/answer pairs of JSONL or Parquet files, made by templates of their columns."""

from __future__ import annotations

from schemas.configs.finetune import FinetuneConfig
from schemas.errors import InputError
from schemas.records import fill_template, read_records
from schemas.tasks import Pair

__all__ = ["read_pairs"]


def read_pairs(url: str, config: FinetuneConfig) -> list[Pair]:
    """All pairs of a file; a row's column `group` says what it was cut from, where there is one.

    Raises:
        InputError: the file cannot be read, has no row, or a row lacks a column or text; file and line are named.
    """
    pairs = []
    for record in read_records(url):
        prompt, answer = (fill_template(one, record) for one in (config.prompt_template, config.answer_template))
        for name, text in (("prompt", prompt), ("answer", answer)):
            if not text:
                raise InputError(f"{record.where}: the {name} is empty; leave the row out or give it some text")
        group = record.values.get("group")
        pairs.append(Pair(prompt=prompt, answer=answer, group=None if group is None else str(group)))
    return pairs
