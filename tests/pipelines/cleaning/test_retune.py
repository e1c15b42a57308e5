"""Other thresholds on a cleaned partition: the rows of a run from scratch, without reading what need not be read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.cleaning import retune
from pipelines.cleaning.rejudge import resettle, same_but_thresholds
from pipelines.cleaning.rows import RowMaker, settle_repeats
from pipelines.cleaning.stage import pending, run
from pipelines.corpus_digest import corpus_digest
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from pipelines.sources.items import Address, Item
from schemas.catalog import read_table, require_manifest
from schemas.configs.clean import CleanConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import InputError
from schemas.manifest import Manifest
from schemas.tables import DOCUMENTS, DROPPED

KEY = PartitionKey("web", "one")
RULES = [
    "banned-url-words",
    "bad-words",
    "language",
    "words-at-least",
    "hashes-per-word",
    "c4-lines-fineweb",
    "end-mark-lines",
    "sentences",
    "top-2-gram-characters",
    "duplicate-5-gram-characters",
    "pii",
]
TEXTS = [
    "The river rises in the hills and runs to the sea. Farmers have grown barley beside it.",
    "The river rises in the hills and runs to the sea.\nToo short.",
    "Buy now # # # buy now buy now buy now buy now buy now buy now.",
    "I am your father.\nI am your father.\nI am your father.",
    "Der Fluss entspringt in den Bergen und fließt durch das Tal bis zum Meer.",
    "naughty words are here and there and write to me@example.org or else.",
    "Too short.",
    "no end mark at all in this line of text",
    "",
]
ITEMS = [
    Item(
        kind="row",
        address=Address(record_file="rows", record_offset=number),
        url=url,
        text=TEXTS[number % len(TEXTS)],
        language=("en", None, "de")[number % 3],
    )
    for number, url in enumerate(
        # Few URLs, so that many rows are repeats of each other, some with other lines around the same text.
        ["http://a.example/x", "http://a.example/spam", "http://b.example/spam/free", None] * 20
    )
]


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("lists")
    (folder / "words").write_text("spam\nfree\n")
    (folder / "bad").write_text("naughty\nbarley\n")
    return {"banned_words": [str(folder / "words")], "bad_words": {"en": [str(folder / "bad")]}}


def _config(lists: dict[str, Any], thresholds: dict[str, float], languages: list[str]) -> CleanConfig:
    values = {"rules": RULES, "lists": lists, "thresholds": thresholds, "languages": languages}
    return CleanConfig.model_validate(values)


def _tables(items: list[Item], config: CleanConfig) -> dict[str, pa.Table]:
    """As the stage makes the rows of one bucket."""
    maker = RowMaker(KEY, config)
    rows: dict[str, list[dict[str, Any]]] = {"documents": [], "dropped": []}
    for item in items:
        table, row = maker.row(item)
        rows[table].append(row)
    tables = {
        "documents": pa.Table.from_pylist(rows["documents"], schema=DOCUMENTS),
        "dropped": pa.Table.from_pylist(rows["dropped"], schema=DROPPED),
    }
    return settle_repeats(tables)


def _rows(table: pa.Table) -> list[str]:
    return sorted(json.dumps(row, default=lambda one: one.hex(), sort_keys=True) for row in table.to_pylist())


_THRESHOLDS = st.fixed_dictionaries(
    {},
    optional={
        "banned-url-words": st.sampled_from([0.0, 1.0, 2.0]),
        "bad-words": st.sampled_from([0.0, 1.0]),
        "language": st.sampled_from([0.0, 0.65, 0.99, 1.0]),
        "words-at-least": st.sampled_from([0.0, 3.0, 12.0, 50.0]),
        "hashes-per-word": st.sampled_from([0.0, 0.1, 1.0]),
        "end-mark-lines": st.sampled_from([-1.0, 0.12, 0.5]),
        "sentences": st.sampled_from([0.0, 1.0, 2.0, 5.0]),
        "top-2-gram-characters": st.sampled_from([0.1, 0.2, 1.0]),
        "duplicate-5-gram-characters": st.sampled_from([0.0, 0.15, 1.0]),
    },
)
_LANGUAGES = st.sampled_from([[], ["en"], ["de"], ["en", "de"]])


@pytest.fixture(scope="module", autouse=True)
def one_language_model() -> Iterator[None]:
    """The rows of each example are made by a maker of its own; loading the model each time would take a second."""
    from pipelines.cleaning import rows
    from pipelines.cleaning.language import Identifier

    identifier = Identifier()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "Identifier", lambda: identifier)
        yield


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_moved_rows_are_those_of_a_run_from_scratch(lists: dict[str, Any], data: st.DataObject) -> None:
    old = _config(lists, data.draw(_THRESHOLDS), data.draw(_LANGUAGES))
    new = _config(lists, data.draw(_THRESHOLDS), data.draw(_LANGUAGES))
    items = data.draw(st.lists(st.sampled_from(ITEMS), unique_by=lambda item: item.address.record_offset, max_size=30))
    before, wanted = _tables(items, old), _tables(items, new)
    settled = resettle(before["documents"], before["dropped"], old, new)
    again = [item for item in items if item.address.record_offset in settled.again.get("rows", ())]
    maker = RowMaker(KEY, new)
    rows: dict[str, list[dict[str, Any]]] = {"documents": [], "dropped": []}
    for table, row in map(maker.row, again):
        rows[table].append(row)
    together = settle_repeats(
        {
            "documents": pa.concat_tables(
                [settled.documents, pa.Table.from_pylist(rows["documents"], schema=DOCUMENTS)]
            ),
            "dropped": pa.concat_tables([settled.dropped, pa.Table.from_pylist(rows["dropped"], schema=DROPPED)]),
        }
    )
    assert _rows(together["documents"]) == _rows(wanted["documents"])
    assert _rows(together["dropped"]) == _rows(wanted["dropped"])
    if old == new:
        assert not settled.again
        assert settled.moved == 0
    # A page is read again only for its text, for a value that was never taken, or for what its row no longer says.
    for item in again:
        (row,) = [
            row
            for row in before["dropped"].to_pylist() + before["documents"].to_pylist()
            if row["record_offset"] == item.address.record_offset
        ]
        (then,) = [
            row
            for row in wanted["dropped"].to_pylist() + wanted["documents"].to_pylist()
            if row["record_offset"] == item.address.record_offset
        ]
        assert row != then


def test_tightening_reads_nothing_again(lists: dict[str, Any]) -> None:
    old = _config(lists, {"words-at-least": 0, "sentences": 0, "bad-words": 9, "end-mark-lines": -1}, [])
    new = old.model_copy(update={"thresholds": {**old.thresholds, "words-at-least": 12, "sentences": 2}})
    before = _tables(ITEMS, old)
    settled = resettle(before["documents"], before["dropped"], old, new)
    assert settled.moved > 5
    assert not settled.again
    assert _rows(settle_repeats({"documents": settled.documents, "dropped": settled.dropped})["documents"]) == _rows(
        _tables(ITEMS, new)["documents"]
    )


def _request(root: CorpusRoot, given_files: Path, **values: Any) -> StageRequest[CleanConfig]:
    config = CleanConfig.model_validate({"rules": RULES[2:-1], "languages": [], **values})
    return StageRequest(
        root=root, config=config, engine=Engine(), source="web", partition="one", inputs=(str(given_files),)
    )


def _clean(root: CorpusRoot, given_files: Path, **values: Any) -> Manifest:
    return run(_request(root, given_files, **values)).outcomes[0].manifest


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    rows = [{"text": text, "url": f"http://a.example/{n % 5}", "language": "en"} for n, text in enumerate(TEXTS * 3)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + "{broken\n")
    return folder


LOOSE = {"words-at-least": 3.0, "sentences": 1.0, "hashes-per-word": 1.0, "top-2-gram-characters": 1.0}
TIGHT = {"words-at-least": 12.0, "sentences": 2.0, "hashes-per-word": 0.1, "top-2-gram-characters": 0.2}


@pytest.mark.parametrize(("first", "then"), [(LOOSE, TIGHT), (TIGHT, LOOSE)], ids=["tighter", "looser"])
def test_the_stage_moves_rows(
    tmp_path: Path, pages: Path, first: dict[str, float], then: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch, moved = CorpusRoot(str(tmp_path / "scratch")), CorpusRoot(str(tmp_path / "moved"))
    once = _clean(scratch, pages, thresholds=then)
    _clean(moved, pages, thresholds=first)
    assert pending(_request(moved, pages, thresholds=then)) == 1
    again = _clean(moved, pages, thresholds=then)
    assert corpus_digest(moved).total == corpus_digest(scratch).total
    assert again.counts == once.counts
    assert {name: table.digest for name, table in again.tables.items()} == {
        name: table.digest for name, table in once.tables.items()
    }
    assert again.inputs == once.inputs
    notes = again.notes["retuned"]
    assert notes["moved"] > 0 if first is LOOSE else notes["read_again"] > 0
    assert notes["read_again"] == 0 or first is TIGHT
    assert pending(_request(moved, pages, thresholds=then)) == 0

    def fail(*_: Any) -> Any:
        raise AssertionError("other rules cannot be judged by these scores")

    monkeypatch.setattr(retune, "resettle", fail)
    _clean(moved, pages, rules=["words-at-least"])
    assert "retuned" not in require_manifest(moved, "documents", KEY).notes


def test_changed_inputs_are_cleaned_anew(corpus_root: CorpusRoot, pages: Path, tmp_path: Path) -> None:
    _clean(corpus_root, pages, thresholds=TIGHT)
    extra = {"text": "The river rises in the hills and runs to the sea. It is long.", "url": "http://new.example/"}
    with (pages / "rows.jsonl").open("a") as stream:
        stream.write(json.dumps(extra) + "\n")
    manifest = _clean(corpus_root, pages, thresholds=LOOSE)
    assert "retuned" not in manifest.notes
    assert "http://new.example/" in read_table(corpus_root, "documents", KEY).column("url").to_pylist()


def test_an_input_of_other_bytes_under_the_same_name_is_noticed(
    corpus_root: CorpusRoot, pages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    path = pages / "rows.jsonl"
    _clean(corpus_root, pages, thresholds=TIGHT)
    stat = path.stat()
    path.write_bytes(path.read_bytes().replace(b"river", b"RIVER"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(InputError, match=r"rows.jsonl has changed since web/one was cleaned"):
        _clean(corpus_root, pages, thresholds=LOOSE)


def test_what_is_the_same_but_for_thresholds(corpus_root: CorpusRoot, pages: Path) -> None:
    manifest = _clean(corpus_root, pages, thresholds=TIGHT)
    old = CleanConfig.model_validate(manifest.config)

    def same(**values: Any) -> bool:
        return same_but_thresholds(manifest, CleanConfig.model_validate(old.model_dump() | values)) is not None

    assert same(thresholds={})
    assert same(languages=["en"])
    assert same(preset="gopher")
    assert not same(rules=["words-at-least"])
    assert not same(extractor="fast")
    assert not same(pii_kinds=["email"])
    other = manifest.model_copy(update={"counts": {**manifest.counts, "dropped.taken-down": 1}})
    assert same_but_thresholds(other, old) is None
    unreadable = manifest.model_copy(update={"config": {"preset": "of another version"}})
    assert same_but_thresholds(unreadable, old) is None


def test_scores_are_float32(lists: dict[str, Any]) -> None:
    values = [
        value
        for row in _tables(ITEMS, _config(lists, {}, []))["dropped"].to_pylist()
        for _, value in row["scores"] or ()
    ]
    assert values
    assert all(float(np.float32(value)) == value for value in values)
