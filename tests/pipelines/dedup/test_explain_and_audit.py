"""What `explain` and `audit` find, and that an audit tells bad decisions from good ones."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from flows.cli.main import run as run_command
from pipelines.dedup import audit_partition
from pipelines.dedup.audit import audit_corpus
from pipelines.dedup.audit_draw import draws_of, first_drawn
from pipelines.dedup.audit_shares import wilson
from pipelines.dedup.explain import explain
from schemas.catalog import require_manifest
from schemas.configs.dedup import DedupConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import ContractError, InputError
from schemas.tables import ID


@pytest.fixture(scope="module")
def decided_once(make_corpus: Any, chain: Any) -> Any:
    """Two partitions: copies, near copies within and across, short copies, and documents alone."""
    corpus = make_corpus()
    one = {f"{family}-{link}": chain(family, link) for family in "abcd" for link in (0, 1, 7)}
    corpus.put("1", one | {"short": "two words", "again": chain("a", 0)})
    two = {f"{family}-{link}": chain(family, link) for family in "aef" for link in (2, 3)}
    corpus.put("2", two | {"short": "two words", "other": "other words"})
    corpus.dedup()
    return corpus


@pytest.fixture
def decided(decided_once: Any, tmp_path: Path) -> Any:
    """A copy of it."""
    shutil.copytree(decided_once.root.url, tmp_path / "copy")
    return dataclasses.replace(decided_once, root=CorpusRoot(str(tmp_path / "copy")))


def rewrite(corpus: Any, partition: str, change: Any) -> None:
    """Change rows of `duplicates/` behind the manifest's back."""
    key = PartitionKey("web", partition)
    folder = corpus.root.partition_folder("duplicates", key)
    (file,) = require_manifest(corpus.root, "duplicates", key).tables["duplicates"].files
    table = pq.read_table(folder.path(file.name))
    pq.write_table(pa.Table.from_pylist(change(table.to_pylist()), schema=table.schema), folder.path(file.name))


def all_alike(corpus: Any) -> int:
    """Pairs at 0.8 or above over both partitions, found by comparing everything with everything."""
    texts = [row["text"] for partition in "12" for row in corpus.rows("documents", partition)]
    sets = [{tuple(words[i : i + 5]) for i in range(len(words) - 4)} for words in (text.split() for text in texts)]
    return sum(
        texts[i] == texts[j] or len(sets[i] & sets[j]) / (len(sets[i] | sets[j]) or 1) >= 0.8
        for i in range(len(texts))
        for j in range(i)
    )


@pytest.mark.parametrize("seed", [0, 7])
def test_an_audit_of_all_documents_finds_all_pairs_once(decided: Any, seed: int) -> None:
    result = audit_corpus(decided.root, seed, wanted=10_000)
    assert result.sampled == result.documents == 22
    assert result.pairs.trials == result.pairs.hits == all_alike(decided) == 11
    assert (result.removals.trials, result.removals.hits, result.misstated, result.missed) == (9, 9, 0, ())
    assert audit_corpus(decided.root, seed, wanted=1, most=5).sampled <= 5


def test_an_audit_sees_what_was_never_compared(decided: Any) -> None:
    gone = decided.rows("duplicates", "1")[0]
    rewrite(decided, "1", lambda rows: rows[1:])
    result = audit_corpus(decided.root)
    assert result.pairs.trials == 11
    assert result.pairs.hits < 11
    assert any(gone["removed_id"].hex() in pair for pair in result.missed)
    assert all(value >= 0.8 for *_, value in result.missed)


def test_an_audit_sees_removals_that_are_unlike_and_misstated(decided: Any) -> None:
    names = {name: one for one, name in decided.names("1").items()}

    def change(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        rows[0] |= {"removed_id": names["b-7"], "kept_id": names["c-7"], "similarity": 0.9}
        rows[1]["similarity"] += 0.00001
        return rows

    rewrite(decided, "1", change)
    result = audit_corpus(decided.root)
    assert (result.removals.trials - result.removals.hits, result.misstated) == (1, 2)
    rewrite(decided, "1", lambda rows: [rows[0] | {"kept_id": b"?" * 16}])
    with pytest.raises(ContractError, match=f"document {(b'?' * 16).hex()} of web/1 is not there any more; run dedup"):
        audit_corpus(decided.root)


def test_every_run_ends_with_an_audit_of_its_partition(corpus: Any, chain: Any) -> None:
    corpus.put("p", [chain("w", 0) + f" end{i}" for i in range(12)])
    # Nobody is compared in full, so not all pairs are edges; a walk over what was compared leaves none of them.
    notes = corpus.dedup(max_bucket=1, audit_seed=3).outcomes[-1].manifest.notes["audit"]
    assert (notes["sampled"], notes["documents"]) == (12, 12)
    pairs = notes["pairs_not_both_kept"]
    assert (pairs["hits"], pairs["trials"], pairs["share"]) == (66, 66, 1.0)
    assert notes["removals_alike"]["trials"] == notes["removals_alike"]["hits"] == 11
    assert corpus.dedup(max_bucket=2, audit_documents=0).outcomes[-1].manifest.notes.get("audit") is None


def test_an_audit_wants_decisions_under_one_setting(corpus: Any) -> None:
    with pytest.raises(InputError, match=r"no decisions in .*; run dedup first"):
        audit_corpus(corpus.root)
    corpus.put("1", {"a": "text"})
    corpus.put("2", {"b": "other"})
    corpus.dedup(partition="1", levels=("exact",))
    corpus.dedup(partition="2", levels=("exact",), policy=("longest",))
    with pytest.raises(InputError, match="web/1 and web/2 were decided under different settings; run dedup over all"):
        audit_corpus(corpus.root)
    corpus.dedup(levels=("exact",))
    assert audit_corpus(corpus.root).pairs.trials == 0


@given(st.integers(1, 500).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_intervals_are_those_of_scipy(counts: tuple[int, int]) -> None:
    low, high = wilson(*counts)
    wanted = binomtest(*counts).proportion_ci(0.95, method="wilson")
    assert (low, high) == pytest.approx((wanted.low, wanted.high), abs=1e-9)


def test_nothing_tried_says_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_draws_depend_on_id_and_seed_alone() -> None:
    ids = pa.chunked_array([pa.array([bytes([i]) * 16 for i in range(50)], ID)])
    table = pa.table({"id": ids})
    once = first_drawn([table], "id", 1, 7)
    parts = first_drawn([table.slice(30), table.slice(0, 30)], "id", 1, 7)
    assert once is not None
    assert parts is not None
    assert once.equals(parts)
    assert len(set(draws_of(ids, 1).tolist()) | set(draws_of(ids, 2).tolist())) == 100
    rest = first_drawn([table], "id", 1, 50, after=int(once["draw"][-1].as_py()))
    assert rest is not None
    assert rest.num_rows == 43
    assert first_drawn([], "id", 1, 7) is None


def test_explain_tells_both_sides_of_a_removal(decided: Any) -> None:
    names = {name: one for one, name in decided.names("2").items()}
    (found,) = explain(decided.root, names["a-2"].hex())
    assert found.removal is not None
    assert found.removal["level"] == "near"
    assert found.removal["measured"] == pytest.approx(found.removal["similarity"], abs=1e-12)
    assert found.removal["twin"]["partition"] == "1"
    assert found.settings["threshold"] == DedupConfig().threshold
    (twin,) = explain(decided.root, found.removal["twin"]["document_id"])
    assert (twin.removal, twin.decided) == (None, True)
    assert names["a-2"].hex() in {row["document_id"] for row in twin.copies["some"]}
    assert twin.copies["number"] == len(twin.copies["some"])
    assert twin.copies["sources"] == ["web"]
    assert twin.copies["first_seen"] <= twin.copies["last_seen"]


def test_explain_on_the_command_line(decided: Any, capsys: pytest.CaptureFixture[str]) -> None:
    names = {name: one.hex() for one, name in decided.names("2").items()}
    assert run_command(["explain", names["short"], "--root", decided.root.url]) == 0
    said = capsys.readouterr().out
    assert "goes: level exact, similarity 1.000000; measured again on the texts 1.000000" in said
    assert "twin: " in said
    assert run_command(["explain", names["other"], "--root", decided.root.url]) == 0
    assert "stays: no document that ranks before it repeats it" in capsys.readouterr().out
    assert run_command(["explain", names["e-3"], "--root", decided.root.url, "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)["decisions"]
    assert shown["document"]["url"] == "e-3"
    decided.put("3", {"new": "not looked at"})
    (new,) = decided.names("3")
    assert run_command(["explain", new.hex(), "--root", decided.root.url]) == 0
    assert "stays: deduplication has decided nothing about its partition yet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("xyz", "'xyz' is no document id; expected 32 hexadecimal digits"),
        ("ab" * 16, f"no document {'ab' * 16} in .*; ids stand in the column document_id"),
    ],
)
def test_explain_of_what_is_not_there(decided: Any, given: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        explain(decided.root, given)


def test_in_a_crowd_of_like_documents_the_runs_audit_looks_at_a_few(
    make_corpus: Any, chain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for most in (3, 64):
        monkeypatch.setattr(audit_partition, "_MOST_LIKE", most)
        corpus = make_corpus()
        corpus.put("p", {str(i): f"{chain('w', 0)} end{i}" for i in range(12)})
        shares = corpus.dedup(audit_documents=2).outcomes[-1].manifest.notes["audit"]
        found.append(shares["pairs_not_both_kept"]["trials"])
        assert shares["pairs_not_both_kept"]["share"] == 1.0
    assert found == [6, 21]  # 2 drawn ones with 3 others each; with 11 and, less the pair of the two, 10


def test_audit_on_the_command_line(decided: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["audit", "--root", decided.root.url]) == 0
    said = capsys.readouterr().out
    assert "pairs of which not both are kept    11 of 11 = 1.0000 (95%: 0.7412 to 1.0000)" in said
    assert "removals as alike as settings say   9 of 9 = 1.0000" in said
    assert "11 pairs were found and not 300: there were no more to draw from" in said
    assert run_command(["audit", "--root", decided.root.url, "--documents", "2"]) == 0
    assert "and not 300: --documents allows no more to be drawn" in capsys.readouterr().out
    assert run_command(["audit", "--root", decided.root.url, "--json", "--seed", "5"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["pairs_not_both_kept"]["share"] == 1.0
    assert run_command(["audit", "--root", decided.root.url + "/nothing"]) == 2


def test_a_run_says_what_it_changed_and_how_good_it_is(
    corpus: Any, chain: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["--root", corpus.root.url, "--workers", "1", "--set", "scope=corpus", "--set", 'policy=["longest"]']
    corpus.put("1", {"a": chain("w", 0)})
    corpus.put("2", {"b": chain("v", 0)})
    assert run_command(["run", "dedup", *settings]) == 0
    said = capsys.readouterr().out
    assert "sketches: 18 bands of 6 values; of pairs so alike this share is found:\n  0.3: 0.0130, 0.4: 0.0712," in said
    corpus.put("2", {"b": chain("w", 0) + " and more"})
    capsys.readouterr()
    assert run_command(["run", "dedup", *settings, "--partition", "1"]) == 0
    said = capsys.readouterr().out
    assert "decisions changed on web/1: what was made of them is stale, run tokenize" in said
    assert "decisions hold no more on web/2: run dedup on all partitions" in said
    assert "removals as alike as settings say   1 of 1 = 1.0000" in said
