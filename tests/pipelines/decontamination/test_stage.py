"""The stage as a whole: planted leaks, what is done about them, and partitions that come later."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.cleaning.stage import run as clean
from pipelines.corpus_digest import corpus_digest
from pipelines.decontamination import stage as stage_module
from pipelines.decontamination.applied import cut_record, read_cuts
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from pipelines.garbage import garbage
from pipelines.kept_documents import input_records, kept_documents
from pipelines.takedown.take_down import Wanted, take_down
from pipelines.tokens import tokenize_stage, tokenizer_stage
from pipelines.tokens.encoding import TextEncoder
from pipelines.tokens.frozen import read_tokenizer
from schemas.catalog import manifest_of, read_table
from schemas.clean_dirty import read_overlaps
from schemas.configs.clean import CleanConfig
from schemas.configs.tokenize import TokenizeConfig
from schemas.configs.tokenizer import TokenizerConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import ContractError, InputError

GOLDEN = (1, "4d685bd6274ea68d992bb985494e23ca28f398f2fe900a80ae762d2f8eb2c87f")


def words(seed: str, count: int) -> list[str]:
    """Words that no other seed gives."""
    return ["w" + hashlib.sha256(f"{seed} {n}".encode()).hexdigest()[:6] for n in range(count)]


def filler(seed: str, characters: int = 600) -> str:
    return " ".join(words(f"filler {seed}", characters // 8))


QUESTIONS = {name: words(name, 30) for name in ("a", "b", "c")}


def rows() -> list[dict[str, Any]]:
    return [{"id": name, "question": " ".join(some), "answer": "Yes"} for name, some in QUESTIONS.items()]


def leak(name: str, first: int = 0, count: int = 13) -> str:
    return " ".join(QUESTIONS[name][first : first + count])


def actions(rows: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    return sorted({(row["document_id"].hex()[:4], row["task"], row["item"], row["action"]) for row in rows})


def ids(writer: Any, key: PartitionKey) -> dict[str, bytes]:
    table = read_table(writer.root, "documents", key, ["url", "document_id"])
    return dict(zip(table["url"].to_pylist(), table["document_id"].to_pylist(), strict=True))


LEAKS = {
    "start": f"{leak('a')} {filler('1')}",
    "middle": f"{filler('2')} {leak('a').upper()} {filler('3')}",
    "end": f"{filler('4')}\n{leak('a', 17)}",
    "broken": f"{filler('5')} {leak('a').replace(' ', chr(10))} {filler('6')}",
    "dotted": f"{filler('7')} {leak('a').replace(' ', '... ')} {filler('8')}",
    "overlapping": f"{filler('9')} {leak('a', 0, 30)} {filler('10')}",
    "short": leak("b"),
    "near miss": f"{filler('11')} {leak('c', 0, 12)} {filler('12')}",
    "nothing": filler("13"),
}


def test_planted_leaks_are_all_found_and_cut(decontamination: Any, corpus_writer: Any) -> None:
    key = corpus_writer.documents("p", LEAKS)
    result = decontamination.run(decontamination.evaluation("qa", rows()))
    assert [outcome.status for outcome in result.outcomes] == ["done"] * 5
    by_id = {one: name for name, one in ids(corpus_writer, key).items()}
    found: dict[str, list[dict[str, Any]]] = {}
    for row in decontamination.rows(key):
        found.setdefault(by_id[row["document_id"]], []).append(row)
        assert (row["task"], row["source"], row["partition"]) == ("qa", "web", "p")
    assert {name: {(row["item"], row["action"]) for row in some} for name, some in found.items()} == {
        **{name: {("a", "cut")} for name in ("start", "middle", "end", "broken", "dotted", "overlapping")},
        "short": {("b", "drop")},  # no piece of 200 characters is left
    }
    assert len(found["overlapping"]) == 18
    for name, some in found.items():
        for row in some:
            assert LEAKS[name][row["start"] : row["end"]].lower().replace(".", "").split() == row["ngram"].split()
    assert decontamination.statuses("qa") == {"a": "removed", "b": "removed", "c": "clean"}
    assert decontamination.overlaps("qa")["a"].documents == 6

    cuts = read_cuts(corpus_writer.root, key)
    (first, second) = cuts.pieces(ids(corpus_writer, key)["middle"], len(LEAKS["middle"]))
    begin, end = found["middle"][0]["start"], found["middle"][0]["end"]
    assert (first.end, second.start) == (begin - 200, end + 200)
    assert [outcome.status for outcome in decontamination.run().outcomes] == ["skipped"] * 4
    assert decontamination.pending() == 0


def test_tokens_are_those_of_the_pieces(decontamination: Any, corpus_writer: Any) -> None:
    key = corpus_writer.documents("p", LEAKS)
    root: CorpusRoot = corpus_writer.root
    about: dict[str, Any] = {"root": root, "engine": Engine()}
    tokenizer_stage.run(StageRequest(config=TokenizerConfig(vocabulary_size=400, test=0, validation=0), **about))
    tokenize = StageRequest(config=TokenizeConfig(test=0, validation=0), **about)
    before = tokenize_stage.run(tokenize).outcomes[0].manifest
    assert (before.counts["documents_train"], before.counts["pieces_train"]) == (9, 9)
    decontamination.run(decontamination.evaluation("qa", rows()))
    ((outcome,),) = (tokenize_stage.run(tokenize).outcomes,)
    assert outcome.status == "done"  # what was decided made it stale
    counts = outcome.manifest.counts
    assert counts["removed_contaminated"] == 1
    assert (counts["removed_duplicates"], counts["documents_train"]) == (0, 8)

    table = read_table(root, "documents", key, ["document_id", "text"])
    texts = dict(zip(table["document_id"].to_pylist(), table["text"].to_pylist(), strict=True))
    cuts = read_cuts(root, key)
    expected = [
        (one, number, texts[one][span.start : span.end])
        for one in sorted(texts)
        for number, span in enumerate(cuts.pieces(one, len(texts[one])))
    ]
    folder = Path(root.partition_folder("tokens/bpe/train", key).path())
    encoder = TextEncoder(read_tokenizer(root, "bpe").content)
    index = pq.read_table(folder / "index.parquet").to_pylist()
    stream = pa.ipc.open_file(pa.memory_map(str(folder / "shard-00000.arrow"))).read_all()["token"].to_numpy()
    assert len(index) == counts["pieces_train"] == len(expected) > 8
    for row, (identity, piece, text) in zip(index, expected, strict=True):
        tokens = stream[row["start"] : row["start"] + row["length"]]
        assert (row["document_id"], row["piece"], row["characters"]) == (identity, piece, len(text))
        assert tokens[-1] == encoder.end_of_text
        assert encoder.decode(tokens[:-1]) == text.encode()
    whole = " ".join(encoder.decode(stream[stream != encoder.end_of_text]).decode().split())
    assert leak("a") not in whole.lower()
    assert [one.text for one in kept_documents(root, key, 0, 0)] == [text for _, _, text in expected]
    assert len(input_records(root, [key])) == 2


def test_a_stage_that_decided_nothing_makes_nothing_stale(decontamination: Any, corpus_writer: Any) -> None:
    key = corpus_writer.documents("p", {"nothing": filler("1")})
    before = corpus_digest(corpus_writer.root).total
    decontamination.run(decontamination.evaluation("qa", rows()))
    assert cut_record(corpus_writer.root, key) is None
    assert len(input_records(corpus_writer.root, [key])) == 1
    assert corpus_digest(corpus_writer.root).total == before


def many(first: int, count: int) -> dict[str, str]:
    return {f"doc-{n}": f"{filler(f'm{n}')} {leak('a')} {filler(f'n{n}')}" for n in range(first, first + count)}


def test_ngrams_of_more_than_ten_documents_up_to_the_partition_stay(decontamination: Any, corpus_writer: Any) -> None:
    first = corpus_writer.documents("1", many(0, 10))
    evaluation = decontamination.evaluation("qa", rows())
    decontamination.run(evaluation)
    assert {row["action"] for row in decontamination.rows(first)} == {"cut"}  # ten are not more than ten
    assert decontamination.statuses("qa")["a"] == "removed"
    frozen = manifest_of(corpus_writer.root, "contaminated", first)
    second = corpus_writer.documents("2", many(10, 1))
    outcomes = decontamination.run().outcomes
    assert [one.status for one in outcomes] == ["skipped", "skipped", "done", "skipped", "done", "done"]
    assert {row["action"] for row in decontamination.rows(second)} == {"ignored"}
    assert manifest_of(corpus_writer.root, "contaminated", first) == frozen
    assert decontamination.statuses("qa")["a"] == "dirty"
    assert decontamination.overlaps("qa")["a"].left == 1
    assert decontamination.overlaps("qa")["a"].evidence.partition == "2"


def test_filling_in_a_partition_ends_as_the_run_in_order(
    decontamination: Any, corpus_writer: Any, tmp_path: Path
) -> None:
    evaluation = decontamination.evaluation("qa", rows())
    one = corpus_writer.documents("2", many(10, 6))
    decontamination.run(evaluation)
    assert {row["action"] for row in decontamination.rows(one)} == {"cut"}
    corpus_writer.documents("1", many(0, 9))
    assert decontamination.pending() == 4  # search and decide 1, decide 2 anew, lists
    decontamination.run()
    assert {row["action"] for row in decontamination.rows(one)} == {"ignored"}
    other = type(corpus_writer)(CorpusRoot(str(tmp_path / "in-order")))
    again = type(decontamination)(other.root, decontamination.folder)
    for partition, texts in (("1", many(0, 9)), ("2", many(10, 6))):
        other.documents(partition, texts)
        again.run(evaluation, partition=partition)
    assert corpus_digest(other.root).total == corpus_digest(corpus_writer.root).total
    assert decontamination.overlaps("qa") == again.overlaps("qa")


def test_a_partition_alone_has_those_before_it_searched_and_not_decided(
    decontamination: Any, corpus_writer: Any
) -> None:
    first, second = (corpus_writer.documents(name, many(at, 6)) for name, at in (("1", 0), ("2", 6)))
    decontamination.run(decontamination.evaluation("qa", rows()), partition="2")
    assert manifest_of(corpus_writer.root, "contaminated", first) is None
    assert {row["action"] for row in decontamination.rows(second)} == {"ignored"}
    assert manifest_of(corpus_writer.root, "overlaps", first) is not None


def test_duplicates_are_not_searched(decontamination: Any, corpus_writer: Any) -> None:
    key = corpus_writer.documents("p", LEAKS)
    corpus_writer.duplicates(key, [ids(corpus_writer, key)["middle"]])
    decontamination.run(decontamination.evaluation("qa", rows()))
    assert ids(corpus_writer, key)["middle"] not in {row["document_id"] for row in decontamination.rows(key)}


def test_settings_that_are_stricter(decontamination: Any, corpus_writer: Any) -> None:
    key = corpus_writer.documents("p", LEAKS)
    evaluation = decontamination.evaluation("qa", rows())
    near_miss = ids(corpus_writer, key)["near miss"]
    decontamination.run(evaluation, ngram=12, action="drop")
    found = decontamination.rows(key)
    assert {row["action"] for row in found} == {"drop"}
    assert near_miss in {row["document_id"] for row in found}
    decontamination.run(evaluation, ngram=8, share=0.9)
    cut = {row["document_id"] for row in decontamination.rows(key) if row["action"] == "cut"}
    assert cut == {ids(corpus_writer, key)["overlapping"]}
    decontamination.run(evaluation, most_documents=0)
    assert "ignored" not in {row["action"] for row in decontamination.rows(key)}


def test_rows_are_the_same_for_any_number_of_workers_and_order_and_as_they_always_were(
    decontamination: Any, corpus_writer: Any, tmp_path: Path
) -> None:
    key = corpus_writer.documents("p", LEAKS, files=2)
    evaluation = decontamination.evaluation("qa", rows())
    decontamination.run(evaluation)
    other = type(corpus_writer)(CorpusRoot(str(tmp_path / "other")))
    other.documents("p", dict(reversed(LEAKS.items())))
    again = type(decontamination)(other.root, decontamination.folder)
    again.run(evaluation, workers=2)
    total = corpus_digest(corpus_writer.root).total
    assert corpus_digest(other.root).total == total
    assert len(decontamination.rows(key)) == len(again.rows(key)) > 20
    assert (stage_module.STAGE_VERSION, total) == GOLDEN


_HELD = """
import sys, time
from pipelines.decontamination import stage
from pipelines.engine import unit
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from schemas.configs.decontaminate import DecontaminateConfig
from schemas.corpus_root import CorpusRoot
commit = unit._commit
def held(one, *about):
    if f"{one.stage} {one.key}" == sys.argv[3]:
        print("held", flush=True)
        time.sleep(600)
    return commit(one, *about)
unit._commit = held
about = {"config": DecontaminateConfig(), "engine": Engine(), "inputs": (sys.argv[2],)}
stage.run(StageRequest(root=CorpusRoot(sys.argv[1]), **about))
"""


@pytest.mark.slow
def test_kills_change_nothing(decontamination: Any, corpus_writer: Any, tmp_path: Path) -> None:
    evaluation = decontamination.evaluation("qa", rows())
    other = type(corpus_writer)(CorpusRoot(str(tmp_path / "killed")))
    for writer in (corpus_writer, other):
        for partition, texts in (("1", many(0, 9)), ("2", many(10, 6))):
            writer.documents(partition, texts, files=2)
    decontamination.run(evaluation)
    for place in ("decontaminate-overlaps web/1", "decontaminate web/2"):
        command = [sys.executable, "-c", _HELD, other.root.url, evaluation, place]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            process.kill()
        assert process.returncode == -signal.SIGKILL
    again = type(decontamination)(other.root, decontamination.folder)
    again.run(evaluation)
    assert corpus_digest(other.root).by_table == corpus_digest(corpus_writer.root).by_table
    assert again.overlaps("qa") == decontamination.overlaps("qa")
    assert again.pending() == 0


def test_without_evaluation_files_it_says_what_to_give(decontamination: Any, corpus_writer: Any) -> None:
    corpus_writer.documents("p", LEAKS)
    with pytest.raises(InputError, match=r"nothing to look for: no evaluation files were given, and none were read"):
        decontamination.run()
    with pytest.raises(InputError, match=r"nothing to look for"):
        decontamination.pending()


def test_items_that_cannot_be_found_are_not_called_clean(decontamination: Any, corpus_writer: Any) -> None:
    corpus_writer.documents("p", LEAKS)
    short = [{"id": "two", "text": "two words"}]
    decontamination.run(decontamination.evaluation("qa", [*rows(), *short]))
    # The short item makes 8 words in a row enough, of which one document has 12 of item c.
    assert decontamination.statuses("qa") == {"a": "removed", "b": "removed", "c": "dirty", "two": "short"}
    with pytest.raises(InputError, match=r"none of the 1 evaluation items has enough words to be looked for: short"):
        decontamination.run(decontamination.evaluation("other", short))


def test_items_of_one_id_keep_their_places(decontamination: Any, corpus_writer: Any) -> None:
    corpus_writer.documents("p", LEAKS)
    twice = [{"id": "x", "text": leak("a", 0, 30)}, {"id": "x", "text": leak("c", 0, 30)}]
    decontamination.run(decontamination.evaluation("qa", twice))
    assert decontamination.statuses("qa") == {"x": "removed", "x#2": "clean"}


def test_a_damaged_list_is_named(decontamination: Any, corpus_writer: Any) -> None:
    corpus_writer.documents("p", LEAKS)
    decontamination.run(decontamination.evaluation("qa", rows()))
    folder = corpus_writer.root.folder.child("clean-dirty", "benchmarks")
    (Path(folder.path()) / "qa.jsonl").write_text(json.dumps({"id": 3}))
    with pytest.raises(ContractError, match=r"qa.jsonl line 1 is damaged: .*; remove the folder's manifest, then run"):
        read_overlaps(folder, "qa")
    assert read_overlaps(folder, "other") is None


def test_a_takedown_counts_anew_and_gc_leaves_everything(decontamination: Any, tmp_path: Path) -> None:
    """Eleven documents hold an n-gram, which is common; without one of them it is not, and is cut out."""
    file = tmp_path / "pages.jsonl"
    pages = [{"url": f"https://site.example/{name}", "text": text} for name, text in many(0, 11).items()]
    file.write_text("".join(json.dumps(page) + "\n" for page in pages))
    root: CorpusRoot = decontamination.root
    about: dict[str, Any] = {"root": root, "engine": Engine()}
    key = PartitionKey("web", "p")
    where: dict[str, Any] = {"source": "web", "partition": "p", "inputs": (str(file),)}
    clean(StageRequest(config=CleanConfig(rules=()), **where, **about))
    decontamination.run(decontamination.evaluation("qa", rows()))
    assert {row["action"] for row in decontamination.rows(key)} == {"ignored"}
    assert garbage(root) == []
    take_down(root, Wanted(urls=("https://site.example/doc-3",)), Engine())
    assert {row["action"] for row in decontamination.rows(key)} == {"cut"}
    assert len({row["document_id"] for row in decontamination.rows(key)}) == 10
    assert decontamination.statuses("qa")["a"] == "removed"
    assert garbage(root) == []
