"""Other thresholds on a cleaned partition: the rows of a run from scratch, without reading what need not be read."""

from __future__ import annotations

import bz2
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wiki_dumps import dump, page

from pipelines.cleaning import retune
from pipelines.cleaning.rejudge import resettle, same_but_thresholds
from pipelines.cleaning.rows import RowMaker, settle_repeats
from pipelines.cleaning.stage import pending, run
from pipelines.corpus_digest import corpus_digest
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from pipelines.quality.classifier import Classifier
from pipelines.sources.items import Address, Item
from pipelines.takedown.purge import purge_partition
from schemas.catalog import read_table, require_manifest
from schemas.configs.clean import CleanConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import InputError
from schemas.manifest import Manifest
from schemas.tables import DOCUMENTS, DROPPED
from schemas.takedown import TakedownList, write_takedowns

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
    "quality-draw",
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


def _classifier(seed: int) -> Classifier:
    """Gives texts scores over the whole range."""
    return Classifier(np.random.default_rng(seed).normal(0, 9, 256).astype(np.float32), 0.0, 8, 0, "root-share")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("classifier") / "model.arrow"
    path.write_bytes(_classifier(3).to_bytes())
    return str(path)


@pytest.fixture(scope="module")
def named(lists: dict[str, Any], model: str) -> dict[str, Any]:
    """The user's files."""
    return {"lists": lists, "classifier": model}


def _config(
    named: dict[str, Any], thresholds: dict[str, float], languages: list[str], **of_languages: dict[str, float]
) -> CleanConfig:
    values = {"rules": RULES, **named, "thresholds": thresholds, "languages": languages}
    return CleanConfig.model_validate({**values, "language_thresholds": of_languages})


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
        "quality-draw": st.sampled_from([0.0, 0.5, 1.0]),
    },
)
_LANGUAGES = st.sampled_from([[], ["en"], ["de"], ["en", "de"]])
_OF_LANGUAGES = st.dictionaries(
    st.sampled_from(["de", "en", "fr"]),
    st.fixed_dictionaries(
        {},
        optional={
            "language": st.sampled_from([0.0, 0.8, 1.0]),
            "words-at-least": st.sampled_from([0.0, 10.0, 14.0]),
            "top-2-gram-characters": st.sampled_from([0.1, 1.0]),
        },
    ),
    max_size=2,
)


@pytest.fixture(scope="module", autouse=True)
def one_language_model() -> Iterator[None]:
    """The rows of each example are made by a maker of its own; loading the model each time would take a second."""
    from pipelines.cleaning import rows
    from pipelines.cleaning.language import Identifier

    identifier = Identifier()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "Identifier", lambda: identifier)
        yield


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
def test_moved_rows_are_those_of_a_run_from_scratch(named: dict[str, Any], data: st.DataObject) -> None:
    old = _config(named, data.draw(_THRESHOLDS), data.draw(_LANGUAGES), **data.draw(_OF_LANGUAGES))
    new = _config(named, data.draw(_THRESHOLDS), data.draw(_LANGUAGES), **data.draw(_OF_LANGUAGES))
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


def test_tightening_reads_nothing_again(named: dict[str, Any]) -> None:
    loose = {"words-at-least": 0, "sentences": 0, "bad-words": 9, "end-mark-lines": -1, "quality-draw": 0}
    old = _config(named, loose, [])
    new = old.model_copy(update={"thresholds": {**old.thresholds, "words-at-least": 12, "sentences": 2}})
    before = _tables(ITEMS, old)
    settled = resettle(before["documents"], before["dropped"], old, new)
    assert settled.moved > 5
    assert not settled.again
    assert _rows(settle_repeats({"documents": settled.documents, "dropped": settled.dropped})["documents"]) == _rows(
        _tables(ITEMS, new)["documents"]
    )


def _request(root: CorpusRoot, given_files: Path, **values: Any) -> StageRequest[CleanConfig]:
    config = CleanConfig.model_validate({"rules": RULES[2:-2], "languages": [], **values})
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


def test_with_a_classifier(tmp_path: Path, pages: Path, model: str) -> None:
    """Draws are judged by what is stored of them; another classifier, seed or shape is another cleaning."""
    rules = [*RULES[2:-2], "quality-draw"]
    loose = {**LOOSE, "quality-draw": 0.2, "language": 0.0}
    moved = CorpusRoot(str(tmp_path / "moved"))

    def end(name: str, **values: Any) -> tuple[bool, int]:
        asked = {"rules": rules, "classifier": model, **values}
        scratch = CorpusRoot(str(tmp_path / name))
        once, again = _clean(scratch, pages, **asked), _clean(moved, pages, **asked)
        assert corpus_digest(moved).total == corpus_digest(scratch).total
        assert again.counts == once.counts
        return "retuned" in again.notes, once.counts["documents"]

    first = end("first", thresholds=loose)
    assert first[0] is False
    tighter = end("tighter", thresholds={**loose, "quality-draw": 0.9})
    assert tighter[0] is True
    assert 0 < tighter[1] < first[1]
    assert end("looser", thresholds=loose) == (True, first[1])
    assert end("seed", thresholds=loose, seed=1)[0] is False
    assert end("shape", thresholds=loose, seed=1, pareto_alpha=2.0)[0] is False
    Path(tmp_path / "other.arrow").write_bytes(_classifier(4).to_bytes())
    assert end("other", thresholds=loose, classifier=str(tmp_path / "other.arrow"))[0] is False


@pytest.mark.parametrize("purged", [True, False], ids=["taken down", "on the list alone"])
def test_after_a_takedown(tmp_path: Path, pages: Path, purged: bool) -> None:
    """One page by its URL, one with its repeats by its id; all are gone under any thresholds."""
    scratch, moved = CorpusRoot(str(tmp_path / "scratch")), CorpusRoot(str(tmp_path / "moved"))
    _clean(moved, pages, thresholds=LOOSE)
    row = next(r for r in read_table(moved, "documents", KEY).to_pylist() if r["url"] != "http://a.example/0")
    listed = TakedownList(urls=("http://a.example/0",), ids=(row["document_id"].hex(),))
    for root in (scratch, moved):
        write_takedowns(root, listed)
    if purged:
        purge_partition(moved, KEY, listed, Engine())
        assert require_manifest(moved, "documents", KEY).counts["dropped.takedown"] > 1
    once = _clean(scratch, pages, thresholds=TIGHT)
    again = _clean(moved, pages, thresholds=TIGHT)
    assert once.counts["dropped.takedown"] > 1
    assert (again.counts, again.notes) == (once.counts, once.notes)
    assert corpus_digest(moved).total == corpus_digest(scratch).total
    _clean(moved, pages, thresholds=LOOSE)
    left = read_table(moved, "documents", KEY)
    assert row["document_id"] not in left.column("document_id").to_pylist()
    assert "http://a.example/0" not in left.column("url").to_pylist()


def test_pages_of_a_dump_that_its_source_drops(tmp_path: Path) -> None:
    """A multistream dump: redirects and other namespaces stay dropped, articles are read again from their members."""
    texts = {
        n: f"The mill of valley {n} stands by the river and has been there for {n} years." * n for n in range(1, 9)
    }
    pages = [page(f"P {n}", text, number=n) for n, text in texts.items()]
    pages += [page("R", "#REDIRECT [[P 1]]", number=20, redirect="P 1"), page("T", "Talk.", number=21, namespace=1)]
    head, tail = dump("PAGES").decode().split("PAGES")
    given = tmp_path / "dump.xml.bz2"
    given.write_bytes(b"".join(bz2.compress(part.encode()) for part in [head, *pages, tail]))
    scratch, moved = CorpusRoot(str(tmp_path / "scratch")), CorpusRoot(str(tmp_path / "moved"))
    rules = {"rules": ["words-at-least"]}
    once = _clean(scratch, given, **rules, thresholds={"words-at-least": 30})
    strict = _clean(moved, given, **rules, thresholds={"words-at-least": 70})
    again = _clean(moved, given, **rules, thresholds={"words-at-least": 30})
    assert once.counts["dropped.wiki-redirect"] == once.counts["dropped.wiki-namespace"] == 1
    assert again.notes["retuned"]["read_again"] == once.counts["documents"] - strict.counts["documents"] > 0
    assert again.counts == once.counts
    assert corpus_digest(moved).total == corpus_digest(scratch).total


def test_a_list_about_other_pages_is_no_hindrance(corpus_root: CorpusRoot, pages: Path) -> None:
    write_takedowns(corpus_root, TakedownList(domains=("elsewhere.example",)))
    _clean(corpus_root, pages, thresholds=LOOSE)
    assert _clean(corpus_root, pages, thresholds=TIGHT).notes["retuned"]["moved"] > 0


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
    other = manifest.model_copy(update={"counts": {**manifest.counts, "dropped.takedown": 1}})
    assert same_but_thresholds(other, old) is None
    wiki = manifest.model_copy(update={"counts": {**manifest.counts, "dropped.wiki-redirect": 1}})
    assert same_but_thresholds(wiki, old) is not None
    assert not same(columns={"text": "body"})
    assert not same(wiki_namespaces=[4])
    assert same(fetch={"attempts": 3})
    unreadable = manifest.model_copy(update={"config": {"preset": "of another version"}})
    assert same_but_thresholds(unreadable, old) is None


def test_scores_are_float32(named: dict[str, Any]) -> None:
    values = [
        value
        for row in _tables(ITEMS, _config(named, {}, []))["dropped"].to_pylist()
        for _, value in row["scores"] or ()
    ]
    assert values
    assert all(float(np.float32(value)) == value for value in values)
