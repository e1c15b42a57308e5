"""Dead letters run again after a fix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.cleaning import extraction
from pipelines.cleaning.html_page import HtmlPage
from pipelines.cleaning.replay import replay
from pipelines.cleaning.stage import pending, run
from pipelines.corpus_digest import corpus_digest
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from schemas.catalog import read_table, require_manifest
from schemas.configs.clean import CleanConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import InputError

KEY = PartitionKey("web", "one")
GOOD = "The committee met in the old town hall and spoke about the bridge, the river and the road. "


def _request(root: CorpusRoot, folder: Path) -> StageRequest[CleanConfig]:
    config = CleanConfig(rules=(), extractor="fast")
    return StageRequest(root=root, config=config, engine=Engine(), source="web", partition="one", inputs=(str(folder),))


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.html").write_text(f"<html><body><p>{GOOD * 5} Page {number}.</p></body></html>")
    (folder / "rows").write_text(json.dumps({"text": GOOD}) + "\n{broken\n")
    (folder / "empty").write_text("")
    return folder


def _failing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = extraction.EXTRACTORS["fast"]

    def fail(page: HtmlPage) -> str:
        if "Page 1" in page.html:
            raise ZeroDivisionError("a bug")
        return whole(page)

    monkeypatch.setitem(extraction.EXTRACTORS, "fast", fail)


def _sizes(root: CorpusRoot) -> dict[str, int]:
    return {table: read_table(root, table, KEY).num_rows for table in ("documents", "dropped", "dead")}


def test_what_passes_now_moves_and_the_end_is_that_of_a_run_without_the_bug(
    corpus_root: CorpusRoot, tmp_path: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        _failing(broken)
        run(_request(corpus_root, inputs))
    assert _sizes(corpus_root) == {"documents": 3, "dropped": 0, "dead": 3}

    (outcome,) = replay(corpus_root, Engine(), "extractor-error").outcomes
    assert outcome.status == "done"
    assert _sizes(corpus_root) == {"documents": 4, "dropped": 0, "dead": 2}
    counts = require_manifest(corpus_root, "documents", KEY).counts
    assert counts["items"] == 6
    assert "dead.extractor-error" not in counts
    assert pending(_request(corpus_root, inputs)) == 0

    never_broken = CorpusRoot(str(tmp_path / "never-broken"))
    run(_request(never_broken, inputs))
    assert corpus_digest(corpus_root).total == corpus_digest(never_broken).total


def test_what_still_fails_stays(corpus_root: CorpusRoot, inputs: Path) -> None:
    run(_request(corpus_root, inputs))
    before: Any = corpus_digest(corpus_root).total
    assert len(replay(corpus_root, Engine()).outcomes) == 1
    assert corpus_digest(corpus_root).total == before
    assert replay(corpus_root, Engine(), "no-such-error").outcomes == ()


def test_changed_inputs_are_refused(corpus_root: CorpusRoot, inputs: Path) -> None:
    run(_request(corpus_root, inputs))
    (inputs / "rows").write_text("{}\n")
    with pytest.raises(
        InputError, match=r"rows has changed since web/one was cleaned.* run clean on the partition again"
    ):
        replay(corpus_root, Engine(), "bad-json")
