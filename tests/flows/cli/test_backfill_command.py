"""`corpusmill backfill`: what it prints, and one line for each mistake."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fake_units import FakeCorpus
from processes import alive, files, marked, wait_until

from flows.backfill.claims import Claims
from flows.backfill.ledger import Ledger
from flows.cli.main import run
from schemas.corpus_root import PartitionKey

PAGE = "<html><title>{n}</title><body><h1>{n}</h1><p>{text}</p></body></html>"


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCorpus:
    monkeypatch.setenv("CORPUSMILL_PREFECT", str(tmp_path / "prefect"))
    made = FakeCorpus(tmp_path)
    made.tokenizer()
    return made


def words(corpus: FakeCorpus, verb: str, stage: str, partitions: str, *more: str) -> list[str]:
    return ["backfill", verb, stage, "--root", corpus.root.url, "--source", "web", "--partitions", partitions, *more]


def test_a_plan_for_people_and_as_json(corpus: FakeCorpus, capsys: pytest.CaptureFixture[str]):
    corpus.raw("1")
    corpus.raw("2")
    corpus.run("clean", "1")
    given = words(corpus, "plan", "clean", "1..3", "--input", corpus.template)
    assert run(given) == 0
    out = capsys.readouterr().out
    assert "3 partitions: 1 done, 1 missing, 1 blocked" in out
    assert "to do: 1 units of work; about 9 rows, 900" in out
    assert run([*given, "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [(row["partition"], row["decision"]) for row in found["partitions"]] == [
        ("1", "done"),
        ("2", "missing"),
        ("3", "blocked"),
    ]


def test_nothing_to_do_is_said_and_costs_no_child(corpus: FakeCorpus, capsys: pytest.CaptureFixture[str]):
    corpus.raw("1")
    corpus.run("clean", "1")
    given = words(corpus, "run", "clean", "1", "--input", corpus.template, "--local")
    assert run(given) == 0
    assert "units done: none" in capsys.readouterr().out
    assert run(words(corpus, "resume", "clean", "1", "--local", "--json")) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["units_done"] == {}


def test_a_dry_run_begins_nothing(corpus: FakeCorpus, capsys: pytest.CaptureFixture[str]):
    corpus.raw("1")
    assert run(words(corpus, "run", "clean", "1", "--input", corpus.template, "--local", "--dry-run")) == 0
    assert "1 partitions: 1 missing" in capsys.readouterr().out
    assert not corpus.root.folder.exists("ledger/backfills")


def test_what_is_not_done_in_the_end_is_exit_code_1(corpus: FakeCorpus, capsys: pytest.CaptureFixture[str]):
    assert run(words(corpus, "run", "clean", "1..2", "--input", corpus.template, "--local")) == 1
    assert "corpusmill: 2 of 2 partitions are not done: 2 blocked" in capsys.readouterr().err


def test_status_writes_a_page_too(corpus: FakeCorpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    corpus.chain("1", "2")
    page = tmp_path / "grid.html"
    assert run(words(corpus, "status", "corpus", "1..2", "--html", str(page))) == 0
    assert "2 partitions: 2 done" in capsys.readouterr().out
    assert page.read_text().startswith("<!doctype html>")


def test_retry_and_cancel_say_what_they_did(corpus: FakeCorpus, capsys: pytest.CaptureFixture[str]):
    corpus.raw("1")
    asked = corpus.asked("clean", "1..2")
    Ledger(corpus.root).begin(asked.backfill)
    assert run(words(corpus, "retry", "clean", "1")) == 0
    assert "0 failures forgotten; to try again: corpusmill backfill resume clean" in capsys.readouterr().out
    assert run(words(corpus, "cancel", "clean", "1..2", "--json")) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["processes"] == []
    assert Ledger(corpus.root).asked_to_stop(asked.backfill)


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (["plan", "mix", "--partitions", "1"], "'mix' is no stage that does; give one of crawl, clean"),
        (["plan", "clean", "--partitions", "2..1"], "comes before '2'; give the first one first"),
        (["plan", "clean", "--partitions", "1", "--reprocess", "all"], "--reprocess all: give one of none, failed"),
        (["resume", "clean", "--partitions", "1", "--local"], "no backfill of clean over web 1 is in the ledger"),
        (["run", "clean", "--partitions", "1"], "or give --local to run without one"),
    ],
)
def test_mistakes_are_one_line(corpus: FakeCorpus, capsys: pytest.CaptureFixture[str], given: list[str], wrong: str):
    corpus.root.folder.make()
    assert run(["backfill", *given, "--root", corpus.root.url, "--source", "web"]) == 2
    err = capsys.readouterr().err
    assert wrong in err
    assert len(err.strip().splitlines()) == 1


def start(corpus: FakeCorpus, mark: str, *more: str) -> subprocess.Popen[bytes]:
    """A real run over real pages, of which every process carries a mark."""
    given = words(corpus, "run", "clean", "1..3", "--input", f"{corpus.folder}/pages/{{partition}}", "--local")
    settings = ("--set", "rules=[]", "--set", "extractor=resiliparse", "--max-active", "2", *more)
    return subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *given, *settings],
        env={**os.environ, "BACKFILL_TEST": mark},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.slow
def test_a_killed_run_leaves_nothing_and_goes_on(corpus: FakeCorpus, capsys: pytest.CaptureFixture[str]):
    for name in ("1", "2", "3"):
        (corpus.folder / "pages" / name).mkdir(parents=True)
        for n in range(3):
            text = f"The harvest of year {name} {n} was good, and the mill ran until the river froze over. " * 5
            (corpus.folder / "pages" / name / f"{n}.html").write_text(PAGE.format(n=n, text=text))
    claims, mark = Claims(corpus.root), str(corpus.folder)
    first = start(corpus, mark)
    wait_until(lambda: len(claims.held()) == 2 and len(marked("BACKFILL_TEST", mark)) >= 3, "two units at work")
    first.send_signal(signal.SIGKILL)
    first.wait()
    wait_until(lambda: not marked("BACKFILL_TEST", mark), "the end of all its processes", 60)
    assert not claims.held()

    # Two at once, one of which is asked to stop while it works; the other one takes over what it held.
    second = start(corpus, mark)
    wait_until(lambda: any(one.pid == second.pid for one in claims.held().values()), "a unit of the second run")
    third = start(corpus, mark)
    second.terminate()
    assert second.wait() == 128 + signal.SIGTERM
    assert third.wait() == 0
    assert not alive(third.pid)
    assert not claims.held()
    assert run(words(corpus, "status", "clean", "1..3", "--json")) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["counts"] == {"done": 3}
    assert len(files(Path(corpus.root.url), "documents/web/*/manifest.json")) == 3
    assert Ledger(corpus.root).failure("clean", PartitionKey("web", "1")) is None
