"""Real evaluation sets over real texts, beside a search that is written another way.

Reduced: two books, 60 items of each set. The whole is one command, in docs/decontamination.md.
"""

from __future__ import annotations

import gzip
import json
import string
from pathlib import Path
from typing import Any

from pipelines.decontamination.evaluation_files import find_files, read_items
from pipelines.decontamination.ngrams import build_ngrams
from schemas.configs.decontaminate import NgramConfig

_ITEMS = 60
_TABLE = str.maketrans(string.ascii_uppercase, string.ascii_lowercase, string.punctuation)


def _reduced(shared_data: Path, folder: Path) -> Path:
    for path in sorted((shared_data / "eval").rglob("*.jsonl.gz")):
        lines = gzip.decompress(path.read_bytes()).split(b"\n")[:_ITEMS]
        folder.mkdir(exist_ok=True)
        (folder / path.name.removesuffix(".gz")).write_bytes(b"\n".join(lines) + b"\n")
    return folder


def _naive(text: str, length: int) -> set[str]:
    """All runs of ASCII words of a text, by the table of ASCII punctuation that others use."""
    words = text.translate(_TABLE).split()
    runs = (" ".join(words[place : place + length]) for place in range(len(words) - length + 1))
    return {run for run in runs if run.isascii()}


def test_every_set_has_its_list_and_what_leaked_is_on_it(
    decontamination: Any, corpus_writer: Any, shared_data: Path, tmp_path: Path
) -> None:
    folder = _reduced(shared_data, tmp_path / "sets")
    books = [
        gzip.decompress((shared_data / "text" / "books" / name).read_bytes()).decode("utf-8")
        for name in ("the-time-machine.md.gz", "aesop-s-fables.md.gz")
    ]
    leaks = {}  # the whole text of the item in the middle of each set that has prose, within a book
    for task in ("lambada_test", "gsm8k_test", "foundry_boolq", "foundry_arc_easy", "foundry_piqa", "humaneval"):
        row = json.loads((folder / f"{task}.jsonl").read_text().splitlines()[30])
        leaks[task] = str(next(row[name] for name in ("text", "question", "query", "prompt") if name in row))
    texts = dict(enumerate(books)) | {
        task: f"{books[0][:2000]}\n{leak}\n{books[1][:3000]}" for task, leak in leaks.items()
    }
    corpus_writer.documents("p", {str(name): text for name, text in texts.items()})
    result = decontamination.run(str(folder))
    sets = {row["task"]: row for row in result.outcomes[-1].manifest.notes["sets"]}
    assert len(sets) == 37
    for task in leaks:
        assert decontamination.overlaps(task)["HumanEval/60" if task == "humaneval" else "30"].status == "removed"
    assert all(row["clean"] + row["short"] >= row["items"] - 3 for row in sets.values())
    assert sets["reversed_words"]["short"] == _ITEMS  # two words: nothing is known, and none is called clean
    assert sets["lambada_test"]["short"] == 0

    words = build_ngrams([item for file in find_files([str(folder)]) for item in read_items(file)], NgramConfig())
    for file in find_files([str(folder)]):
        length = words.words_of_task[file.task]
        held = {ngram for text in texts.values() for ngram in _naive(text, length)}
        statuses = decontamination.statuses(file.task)
        for item in read_items(file):
            if item.question.isascii() and len(item.question.translate(_TABLE).split()) >= length:
                leaked = not held.isdisjoint(_naive(item.question, length))
                assert leaked <= (statuses[item.id] != "clean"), (file.task, item.id)
