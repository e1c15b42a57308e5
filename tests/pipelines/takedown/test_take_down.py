"""After a takedown the corpus is the one that would be there had the list been there from the start."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.cleaning.url_key import url_key
from pipelines.corpus_digest import corpus_digest
from pipelines.dedup.stage import run as dedup
from pipelines.engine import unit as unit_module
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from pipelines.garbage import collect
from pipelines.takedown.exposure import shards_with
from pipelines.takedown.take_down import TakedownReport, Wanted, take_down
from schemas.catalog import read_table, require_manifest
from schemas.configs.dedup import DedupConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import InputError, LeaseError, ManifestError, StageError
from schemas.lease import hold_lease
from schemas.storage import Folder
from schemas.takedown import TAKEDOWN_NAME, read_takedowns

P1, P2 = (PartitionKey("web", number) for number in "12")


def _take(root: CorpusRoot, **wanted: Any) -> TakedownReport:
    options = {name: wanted.pop(name) for name in ("dry_run", "unseen", "run_folders") if name in wanted}
    return take_down(root, Wanted(**{name: tuple(values) for name, values in wanted.items()}), Engine(), **options)


def _keeper(root: CorpusRoot) -> dict[str, Any]:
    """The document of the first partition that stands for others."""
    kept = read_table(root, "duplicates", P2).column("kept_id").to_pylist()[0]
    return next(row for row in read_table(root, "documents", P1).to_pylist() if row["document_id"] == kept)


def _files(root: CorpusRoot, below: str = "") -> dict[str, str]:
    place = Path(root.url)
    return {
        str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (place / below).rglob("*")
        if path.is_file() and ".work" not in path.parts
    }


def _shards(root: CorpusRoot) -> dict[str, str]:
    return {path: content for path, content in _files(root, "tokens").items() if path.endswith(".arrow")}


def _removed(root: CorpusRoot, key: PartitionKey) -> set[bytes]:
    return set(read_table(root, "duplicates", key).column("removed_id").to_pylist())


@pytest.mark.slow
def test_one_url_goes_and_its_twin_comes_back(
    corpus: CorpusRoot, builder: Any, build_again: Callable[..., CorpusRoot]
) -> None:
    page = _keeper(corpus)
    holding = shards_with(corpus, {P1: frozenset([page["document_id"]])})
    before, removed = _shards(corpus), {key: _removed(corpus, key) for key in (P1, P2)}
    assert len(removed[P1]) == 1
    assert len(removed[P2]) == 2
    report = _take(corpus, urls=[page["url"]])

    assert page["document_id"] not in read_table(corpus, "documents", P1).column("document_id").to_pylist()
    (dropped,) = [row for row in read_table(corpus, "dropped", P1).to_pylist() if row["rules"] == ["takedown"]]
    assert dropped["url"] == page["url"]
    assert dropped["record_file"] == page["record_file"]
    assert [dropped[name] for name in ("document_id", "content_hash", "title", "language")] == [None] * 4

    # In the first partition one of the two near pages stood for the other, which stays now and stands for the rest.
    assert [key for key, _ in report.twins] == [P1]
    assert {one for _, one in report.twins} == removed[P1]
    assert _removed(corpus, P1) == set()
    assert _removed(corpus, P2) == removed[P2]
    kept = {row["kept_id"] for row in read_table(corpus, "duplicates", P2).to_pylist()}
    assert kept == removed[P1]

    after = _shards(corpus)
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert changed == set(report.shards)
    assert set(holding) <= changed
    assert all("/web/1/" in path for path in changed)
    same = before.keys() - changed
    assert len([path for path in same if "/web/1/" in path]) >= 2, "shards of the partition before it stay"
    assert len([path for path in same if "/web/1/" not in path]) >= 3

    assert report.exposure.mixtures == ("first",)
    assert report.exposure.runs == (f"{corpus.url}/runs/trained",)
    assert report.exposure.tokenizers == ("bpe",)
    assert read_takedowns(corpus).urls == (url_key(page["url"]),)
    assert read_takedowns(corpus).pending == read_takedowns(corpus).redo == ()
    suite = {path: content for path, content in _files(corpus, "heldout").items() if not path.endswith("manifest.json")}
    other = build_again(builder, corpus)
    assert corpus_digest(corpus).by_table == corpus_digest(other).by_table
    assert suite.items() == {path: _files(other)[path] for path in suite}.items()


def test_a_dry_run_changes_nothing(corpus: CorpusRoot) -> None:
    page = _keeper(corpus)
    before = _files(corpus)
    report = _take(corpus, urls=[page["url"]], dry_run=True)
    assert _files(corpus) == before
    assert [row.url for row in report.rows] == [page["url"]]
    assert len(report.twins) == 3
    assert report.shards == tuple(shards_with(corpus, {P1: frozenset([page["document_id"]])}))
    assert report.exposure.mixtures == ("first",)


class _Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


def _dying_at(patch: pytest.MonkeyPatch, owner: Any, name: str, moment: int) -> None:
    whole, left = getattr(owner, name), moment

    def dying(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise _Killed
        return whole(*args, **kwargs)

    patch.setattr(owner, name, dying)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("owner", "name", "moment"),
    [
        (Folder, "move_in", 0),  # the clean tables lose their manifest
        (Folder, "move_in", 1),
        (Folder, "move_in", 5),
        (unit_module, "write_manifest", 0),
        (unit_module, "write_manifest", 3),  # decisions
        (unit_module, "write_manifest", 7),  # token shards
    ],
)
def test_killed_halfway_and_run_again(
    corpus: CorpusRoot, ended: dict[str, Any], monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, moment: int
) -> None:
    page = _keeper(corpus)
    with monkeypatch.context() as patch:
        _dying_at(patch, owner, name, moment)
        with pytest.raises(_Killed):
            _take(corpus, urls=[page["url"]])
    assert read_takedowns(corpus).pending == ("web/1",)
    with pytest.raises(StageError, match=r"a takedown in .* was interrupted; run `corpusmill takedown --root "):
        collect(corpus)
    _take(corpus, **({} if moment else {"urls": [page["url"]]}))
    assert not [path for path in collect(corpus) if not path.startswith(".work/")]
    assert corpus_digest(corpus).by_table == ended["tables"]
    assert _shards(corpus) == ended["shards"]
    listed = json.loads(Path(corpus.url, TAKEDOWN_NAME).read_text())
    assert {**listed, "exposure": None} == {**ended["list"], "exposure": None}
    assert listed["exposure"]["mixtures"] == ended["list"]["exposure"]["mixtures"]
    assert require_manifest(corpus, "documents", P1).counts == ended["counts"]


@pytest.fixture(scope="module")
def ended(_whole: CorpusRoot, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What an undisturbed takedown comes to."""
    import shutil

    place = tmp_path_factory.mktemp("ended") / "corpus"
    shutil.copytree(_whole.url, place)
    root = CorpusRoot(str(place))
    _take(root, urls=[_keeper(root)["url"]])
    return {
        "tables": corpus_digest(root).by_table,
        "shards": _shards(root),
        "list": json.loads((place / TAKEDOWN_NAME).read_text()),
        "counts": require_manifest(root, "documents", P1).counts,
    }


def test_a_later_clean_refuses_the_page(corpus: CorpusRoot, builder: Any) -> None:
    page = _keeper(corpus)
    _take(corpus, urls=[page["url"]])
    builder.clean(corpus, "1")  # done
    rows = [*builder.rows["2"], (page["url"].replace("https://", "HTTP://www."), "another text now, and quite long")]
    builder.__class__(Path(corpus.url), {"4": rows}).clean(corpus, "4")
    manifest = require_manifest(corpus, "documents", PartitionKey("web", "4"))
    assert manifest.counts["dropped.takedown"] == 1
    assert manifest.counts["documents"] == len(rows) - 1


@pytest.mark.slow
def test_a_domain_goes_with_its_subdomains(
    corpus: CorpusRoot, builder: Any, build_again: Callable[..., CorpusRoot]
) -> None:
    report = _take(corpus, domains=["www.Site1.example"])
    assert {row.key for row in report.rows} == {P1, P2}
    left = {key: [row for row in rows if "site1.example" not in row[0]] for key, rows in builder.rows.items()}
    assert sum(map(len, left.values())) == sum(map(len, builder.rows.values())) - len(report.rows)
    folder = Path(corpus.url, "runs")
    without = corpus_digest(build_again(type(builder)(folder, left))).by_table
    tables = corpus_digest(corpus).by_table
    # A corpus that never met the pages: all is equal but the rows that say that they were taken down.
    assert {**without, "dropped": ""} == {**tables, "dropped": ""}
    assert "dropped" not in without


def test_by_id_the_page_stays_away_too(corpus: CorpusRoot) -> None:
    page = _keeper(corpus)
    _take(corpus, ids=[page["document_id"].hex().upper()])
    listed = read_takedowns(corpus)
    assert listed.ids == (page["document_id"].hex(),)
    assert listed.urls == (url_key(page["url"]),)
    assert page["url"] not in read_table(corpus, "documents", P1).column("url").to_pylist()
    again = _take(corpus, ids=[page["document_id"].hex()])
    assert again.rows == again.shards == ()
    assert again.exposure.runs == (f"{corpus.url}/runs/trained",)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({}, "nothing to take down: give --url URL, --domain DOMAIN or --id-file FILE"),
        ({"urls": ["site0.example/1/3"]}, r"'site0\.example/1/3' is no URL with a host"),
        ({"domains": ["https://site0.example/"]}, r"is no domain; give one like example\.org"),
        ({"ids": ["abc"]}, "'abc' is no document id; expected 32 hexadecimal digits, one id a line"),
        ({"urls": ["https://site0.example/nowhere"]}, r"nothing in .* is of http://site0\.example/nowhere; check"),
        ({"domains": ["nowhere.example"]}, r"is of nowhere\.example; check the spelling, or give --unseen"),
        ({"ids": ["0" * 32]}, "is of 0{32}; check the spelling"),
    ],
)
def test_what_cannot_be_taken_down(corpus: CorpusRoot, wanted: dict[str, list[str]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        _take(corpus, **wanted)
    assert not Path(corpus.url, TAKEDOWN_NAME).exists()


def test_unseen_pages_can_stand_on_the_list(corpus: CorpusRoot) -> None:
    before = corpus_digest(corpus).total
    assert _take(corpus, urls=["https://site0.example/nowhere"], unseen=True).rows == ()
    assert read_takedowns(corpus).urls == ("http://site0.example/nowhere",)
    assert corpus_digest(corpus).total == before


def test_not_while_a_clean_is_under_way(corpus: CorpusRoot) -> None:
    with (
        hold_lease(corpus, "clean", P2),
        pytest.raises(LeaseError, match="clean of web/2 is under way and does not know the new list"),
    ):
        _take(corpus, urls=["https://site0.example/1/3"])


def test_a_damaged_list_is_said(corpus: CorpusRoot) -> None:
    path = Path(corpus.url, TAKEDOWN_NAME)
    for content, message in (
        ("{}", "has version None"),
        ("[", "is damaged"),
        ('{"schema_version": 1, "x": 2}', "damaged"),
        ('{"schema_version": 1, "ids": ["no hexadecimal"]}', "damaged"),
        ("[" * 5000, "is damaged"),
    ):
        path.write_text(content)
        with pytest.raises(ManifestError, match=message):
            read_takedowns(corpus)


def test_runs_elsewhere_and_runs_that_went_on(corpus: CorpusRoot, tmp_path: Path) -> None:
    trained = json.loads(Path(corpus.url, "runs/trained/config.json").read_text())
    for name, changes in (("moved", {}), ("tuned", {"base": str(tmp_path / "elsewhere/moved"), "plan_digest": "x"})):
        folder = tmp_path / "elsewhere" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({**trained, **changes}))
    report = _take(corpus, urls=[_keeper(corpus)["url"]], dry_run=True, run_folders=[str(tmp_path / "elsewhere")])
    assert [Path(run).name for run in report.exposure.runs] == ["trained", "moved", "tuned"]


def test_a_twin_before_it_comes_back_where_the_policy_ranks_across_partitions(builder: Any, tmp_path: Path) -> None:
    root = CorpusRoot(str(tmp_path / "corpus"))
    for partition in builder.rows:
        builder.clean(root, partition)
    rows = {row["url"]: row for key in (P1, P2) for row in read_table(root, "documents", key).to_pylist()}
    twins = [one for one in rows if one.endswith(("/1/3", "/2/100", "/2/101", "/1/102"))]
    longest = max(twins, key=lambda one: len(rows[one]["text"]))
    assert longest.endswith("/1/102")
    config = DedupConfig(scope="corpus", policy=("longest",))
    dedup(StageRequest(root=root, config=config, engine=Engine()))
    _take(root, urls=[longest])
    # Now the longest twin lies in the second partition, and stands for the one in the first.
    (gone,) = _removed(root, P1)
    (kept,) = {row["kept_id"] for key in (P1, P2) for row in read_table(root, "duplicates", key).to_pylist()}
    (keeper,) = [one for one, row in rows.items() if row["document_id"] == kept]
    assert keeper.endswith("/2/100")
    report = _take(root, urls=[keeper])
    assert (P1, gone) in report.twins
    assert _removed(root, P1) == set()
    assert {row["kept_id"] for row in read_table(root, "duplicates", P2).to_pylist()} == {gone}
