"""The log of a run: one JSON object a line, in the corpus, whatever library wrote it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest

from flows.run_log import RUN_ID_VARIABLE, current_run_id, log_thread_crash, open_run_log
from schemas.corpus_root import CorpusRoot


@pytest.fixture(autouse=True)
def _run_id(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(RUN_ID_VARIABLE, "run-1")


def rows(root: CorpusRoot) -> list[dict]:
    return [json.loads(line) for line in (Path(root.url) / "logs" / "run-1.jsonl").read_text().splitlines()]


def test_every_line_carries_run_stage_and_partition(corpus_root: CorpusRoot):
    with open_run_log(corpus_root, stage="clean", source="web", partition="7") as log:
        log.info("unit", extra={"rows": 3})
        logging.getLogger("apache_beam").warning("a %s", "library")
    first, second = rows(corpus_root)
    assert {"run_id": "run-1", "stage": "clean", "source": "web", "partition": "7"}.items() <= first.items()
    assert (first["message"], first["rows"], first["level"]) == ("unit", 3, "INFO")
    assert (second["message"], second["logger"]) == ("a library", "apache_beam")
    assert first["time"].endswith("Z")


def test_a_second_process_of_a_run_goes_on_in_the_same_log(corpus_root: CorpusRoot):
    for stage in ("clean", "dedup"):
        with open_run_log(corpus_root, stage=stage) as log:
            log.info("begun")
    assert [row["stage"] for row in rows(corpus_root)] == ["clean", "dedup"]


def test_warnings_and_tracebacks_are_kept_and_not_shown(corpus_root: CorpusRoot, capsys: pytest.CaptureFixture[str]):
    with open_run_log(corpus_root) as log, warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old function", stacklevel=1)
        try:
            raise ValueError("why")
        except ValueError:
            log.exception("failed")
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")
    first, second = rows(corpus_root)
    assert "old function" in first["message"]
    assert "ValueError: why" in second["traceback"]


def test_on_an_object_store_a_process_writes_its_log_at_its_end():
    root = CorpusRoot("memory://run-log-test")
    with open_run_log(root, stage="mix") as log:
        log.info("begun")
    (name,) = root.folder.child("logs").names()
    assert name.startswith("run-1-")
    assert json.loads(root.folder.child("logs").read(name))["stage"] == "mix"


def test_a_run_id_is_made_once_and_handed_to_children(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(RUN_ID_VARIABLE)
    made = current_run_id()
    assert current_run_id() == made
    code = "from flows.run_log import current_run_id; print(current_run_id())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == made


def test_an_unexpected_error_is_one_line_that_says_where_its_traceback_lies(repository: Path):
    code = "import sys; from flows.run_log import log_crash; sys.excepthook = log_crash; {}['a\\nb']"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=repository, check=False)
    assert child.returncode == 1
    (line,) = child.stderr.splitlines()
    assert line.startswith("corpusmill: unexpected KeyError: 'a\\nb'; traceback in ")
    place = Path(line.rpartition(" ")[2])
    assert "Traceback (most recent call last)" in place.read_text()
    place.unlink()


def test_an_error_of_a_librarys_thread_goes_to_the_log_alone(
    corpus_root: CorpusRoot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def fail() -> None:
        raise OSError("the stream broke")

    monkeypatch.setattr(threading, "excepthook", log_thread_crash)
    with open_run_log(corpus_root, stage="clean"):
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
    (row,) = rows(corpus_root)
    assert row["message"] == "a thread ended with an error"
    assert "OSError: the stream broke" in row["traceback"]
    assert capsys.readouterr().err == ""
