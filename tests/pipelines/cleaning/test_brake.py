"""The safety brake: what it counts, what it reports, and that a run goes on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows.cli.main import run as run_command
from pipelines.cleaning import stage
from pipelines.cleaning.brake import lost_share
from pipelines.cleaning.stage import run
from pipelines.corpus_digest import corpus_digest
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from pipelines.takedown.take_down import Wanted, take_down
from schemas.catalog import read_table, require_manifest
from schemas.configs.clean import CleanConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import LossBrakeError
from schemas.takedown import TakedownList, write_takedowns

KEY = PartitionKey("web", "2026/30")
RULES = ["words-at-least", "hashes-per-word"]


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """Twelve rows: 8 too short, 2 of them with hashes too; 1 repeat; 3 kept."""
    folder = tmp_path / "in"
    folder.mkdir()
    texts = [
        *(f"Short {n}" for n in range(6)),
        "# x",
        "# y",
        *(f"Quite long enough, number {n}." for n in (1, 2, 3, 3)),
    ]
    rows = [{"text": text, "url": f"http://a.example/{hex_of(text)}"} for text in texts]
    (folder / "rows").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def hex_of(text: str) -> str:
    return text.encode().hex()


def _run(root: CorpusRoot, given: Path, **values: Any) -> None:
    settings = {"rules": RULES, "thresholds": {"words-at-least": 5}, "brake_least_pages": 5, **values}
    config = CleanConfig.model_validate(settings)
    run(
        StageRequest(
            root=root,
            config=config,
            engine=Engine(),
            source=KEY.source,
            partition=KEY.partition,
            inputs=(str(given),),
        )
    )


def test_it_stops_before_anything_is_committed_and_says_why(corpus_root: CorpusRoot, pages: Path) -> None:
    with pytest.raises(
        LossBrakeError,
        match=r"web/2026/30: rules dropped 8 of 11 pages \(72\.7%\), the brake is at 50\.0%; most failed "
        r"words-at-least 8, hashes-per-word 2; nothing was committed: look at the samples in "
        r".*brakes/web/2026\+30\.json, then change the rules or go on with --set brake=1",
    ):
        _run(corpus_root, pages, brake=0.5)
    assert read_table(corpus_root, "documents", KEY).num_rows == 0
    report = json.loads(corpus_root.folder.child("brakes", "web").read("2026+30.json"))
    assert (report["pages"], report["lost"], report["share"]) == (11, 8, 0.7273)
    short, hashes = report["rules"]["words-at-least"], report["rules"]["hashes-per-word"]
    assert (short["failed"], short["failed_alone"]) == (8, 6)
    assert (hashes["failed"], hashes["failed_alone"]) == (2, 0)
    assert len(short["samples"]) == 5
    assert {sample["url"] for sample in hashes["samples"]} == {f"http://a.example/{hex_of(t)}" for t in ("# x", "# y")}
    assert hashes["samples"][0]["value"] == 1.0
    assert hashes["samples"][0]["kept_values"] == "at most 0.1"


def test_going_on_cleans_nothing_again(
    corpus_root: CorpusRoot, pages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LossBrakeError):
        _run(corpus_root, pages, brake=0.5)
    with monkeypatch.context() as patch:
        patch.setattr(stage, "take_census", None)  # whoever reads the pages again fails
        with pytest.raises(LossBrakeError):
            _run(corpus_root, pages, brake=0.6)
        _run(corpus_root, pages, brake=1)
    assert read_table(corpus_root, "documents", KEY).num_rows == 3
    assert not corpus_root.folder.child("brakes", "web").names()
    straight = CorpusRoot(str(tmp_path / "straight"))
    _run(straight, pages)
    assert corpus_digest(straight).total == corpus_digest(corpus_root).total
    one, other = (require_manifest(root, "documents", KEY) for root in (straight, corpus_root))
    assert (one.counts, one.inputs, one.fingerprint) == (other.counts, other.inputs, other.fingerprint)


def test_what_was_taken_down_since_is_not_committed(corpus_root: CorpusRoot, pages: Path) -> None:
    with pytest.raises(LossBrakeError):
        _run(corpus_root, pages, brake=0.5)
    url = f"http://a.example/{hex_of('Quite long enough, number 1.')}"
    write_takedowns(corpus_root, TakedownList(urls=(url,)))
    _run(corpus_root, pages, brake=1)
    counts = require_manifest(corpus_root, "documents", KEY).counts
    assert (counts["documents"], counts["dropped.takedown"]) == (2, 1)
    assert lost_share(counts) == (8, 10)


def test_a_takedown_reaches_the_samples(corpus_root: CorpusRoot, pages: Path) -> None:
    with pytest.raises(LossBrakeError):
        _run(corpus_root, pages, brake=0.5)
    reports = corpus_root.folder.child("brakes", "web")
    before = json.loads(reports.read("2026+30.json"))
    url = f"http://a.example/{hex_of('# x')}"
    take_down(corpus_root, Wanted(urls=(url,)), Engine(), unseen=True)
    after = json.loads(reports.read("2026+30.json"))
    assert url not in json.dumps(after)
    assert [one["url"] for one in after["rules"]["hashes-per-word"]["samples"]] == [f"http://a.example/{hex_of('# y')}"]
    assert after["rules"]["hashes-per-word"]["failed"] == before["rules"]["hashes-per-word"]["failed"] == 2


def test_what_was_committed_before_stays(corpus_root: CorpusRoot, pages: Path) -> None:
    _run(corpus_root, pages, thresholds={"words-at-least": 1})
    before = corpus_digest(corpus_root).total
    with pytest.raises(LossBrakeError):
        _run(corpus_root, pages, brake=0.5)
    assert corpus_digest(corpus_root).total == before
    _run(corpus_root, pages, brake=0.8)
    assert require_manifest(corpus_root, "documents", KEY).notes["retuned"]["moved"] > 0


def test_few_pages_and_the_share_itself_do_not_brake(corpus_root: CorpusRoot, pages: Path) -> None:
    _run(corpus_root, pages, brake=0.5, brake_least_pages=12)
    assert read_table(corpus_root, "documents", KEY).num_rows == 3
    _run(
        corpus_root,
        pages,
        brake=8 / 11,
        rules=[*RULES, "stop-words"],
        thresholds={"stop-words": 0, "words-at-least": 5},
    )
    assert read_table(corpus_root, "documents", KEY).num_rows == 3


def test_items_that_are_no_pages_and_repeats_do_not_count() -> None:
    counts = {"documents": 10, "dropped": 90, "dropped.revisit": 50, "dropped.http-status": 20, "dropped.repeat": 5}
    counts |= {"dropped": 100, "dropped.wiki-redirect": 7, "dropped.takedown": 3}
    assert lost_share({**counts, "dropped.no-text": 3, "dropped.language": 12}) == (15, 25)


def test_the_command_ends_with_1_and_one_line(tmp_path: Path, pages: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "run",
        "clean",
        "--input",
        str(pages),
        "--root",
        str(tmp_path / "c"),
        "--source",
        "web",
        "--workers",
        "1",
    ]
    settings = ["--set", "brake=0.5", "--set", "brake_least_pages=5", "--set", f"rules={json.dumps(RULES)}"]
    assert run_command([*arguments, "--partition", "one", *settings, "--json"]) == 1
    said = capsys.readouterr().out.strip().split("\n")[-1]
    assert json.loads(said)["error"] == "LossBrakeError"
    assert "rules dropped 12 of 12 pages (100.0%)" in json.loads(said)["message"]
    assert "\n" not in json.loads(said)["message"]
