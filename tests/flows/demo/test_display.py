"""What people see of a running flow."""

from __future__ import annotations

import logging
import re

import pytest
from processes import wait_until

from flows.demo import display
from flows.demo.display import Display, PlainLines, TerminalLines
from flows.demo.headlines import headline
from flows.steps import LOGGER, StepResult


def tell(event: str, message: str = "", **about) -> None:
    LOGGER.info(message, extra={"event": event, **about})


def units(**parts) -> dict:
    return {"units": [{"rows": {}, "counts": {}, **parts}]}


RESULTS = {
    "prefect": ({"url": "http://127.0.0.1:1/api"}, "server at http://127.0.0.1:1/api"),
    "report": ({"report": "corpus/report.html"}, "corpus/report.html"),
    "crawl": (units(counts={"pages": 300, "bytes": 21_300_000}), "300 pages, 21.3 MB"),
    "clean": (
        units(rows={"documents": 241, "dropped": 50, "dead": 9}),
        "kept 241 of 300 (50 dropped by rule, 9 unreadable)",
    ),
    "dedup": (units(rows={"duplicates": 12}), "12 documents repeat others"),
    "decontaminate": (
        units(counts={"cut_documents": 1200, "dropped_documents": 3, "dirty_items": 7}),
        "1,200 documents cut, 3 dropped; 7 evaluation items are dirty",
    ),
    "tokenizer": (
        units(counts={"vocabulary_size": 4096, "sample_documents": 200}),
        "4,096 tokens, learned from 200 documents",
    ),
    "tokenize": (
        units(counts={"tokens_train": 900_000, "tokens_validation": 50_000, "tokens_test": 49_000}),
        "900,000 tokens to train on, 50,000 for validation, 49,000 for tests",
    ),
    "mix": (units(counts={"samples": 5600, "windows_train": 3000}), "5,600 samples from 3,000 windows"),
    "heldout": (
        units(counts={"items_a": 150, "items_b": 60, "pairs_train": 4000}),
        "210 items in 2 tasks, 4,000 training pairs",
    ),
    "digest": ({"digest": "a3f5"}, "a3f5"),
    "pretrain": ({"steps": 350, "loss": 3.2104, "validation_loss": 3.4}, "350 steps, loss 3.210, validation 3.400"),
    "evaluate": (
        {"scores": [{"task": name, "shots": 0, "value": 0.5} for name in "abcd"]},
        "a 0-shot 0.500, b 0-shot 0.500, c 0-shot 0.500 and 1 more scores",
    ),
    "finetune": (
        {"pairs": 4000, "scores": {"exact_match": {"before": {"value": 0.01}, "after": {"value": 0.3}}}},
        "4,000 pairs, exact_match 0.010 → 0.300",
    ),
}


@pytest.mark.parametrize("step", RESULTS)
def test_a_step_ends_with_its_own_numbers(step: str):
    result, expected = RESULTS[step]
    assert headline(StepResult(step=step, status="done", result=result, seconds=12.44)) == f"     12.4 s  {expected}"


def test_steps_that_were_not_done_say_so():
    assert headline(StepResult(step="other", status="done before")) == "done before"
    assert headline(StepResult(step="mix", status="left out", reason="no window")) == "left out: no window"


def test_plain_lines_number_the_steps(capsys: pytest.CaptureFixture[str]):
    with Display(PlainLines()):
        tell("plan", steps=["crawl", "clean"])
        tell("begin", step="crawl")
        tell("line", "too soon to be shown", step="crawl")
        tell("end", step="crawl", outcome=StepResult(step="crawl", status="left out", reason="why"))
        LOGGER.info("not an event")
    assert capsys.readouterr().out.splitlines() == ["[1/2] crawl …", "[1/2] crawl  left out: why"]


def test_a_quiet_step_shows_that_it_lives(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(display, "_QUIET_SECONDS", 0.3)
    monkeypatch.setattr(display, "_LINE_SECONDS", 0.0)
    with Display(PlainLines()):
        tell("begin", step="mix")
        tell("line", "10 of 20", step="mix")
        said: list[str] = []
        wait_until(lambda: said.append(capsys.readouterr().out) or "".join(said).count("\n") >= 3, "a third line")
    lines = "".join(said).splitlines()
    assert lines[:2] == ["mix …", "        10 of 20"]
    assert re.fullmatch(r"mix … \d+ s", lines[2])


def test_a_terminal_keeps_what_is_over_and_moves_the_rest(capsys: pytest.CaptureFixture[str]):
    with Display(TerminalLines()):
        tell("plan", steps=["crawl"])
        tell("begin", step="crawl")
        tell("line", "[10/20] pages", step="crawl")
        tell("end", step="crawl", outcome=StepResult(step="crawl", status="left out", reason="[why]"))
    assert "[1/1] crawl  left out: [why]" in capsys.readouterr().out


def test_a_closed_display_hears_nothing(capsys: pytest.CaptureFixture[str]):
    with Display(PlainLines()) as shown:
        pass
    assert shown not in LOGGER.handlers
    tell("begin", step="mix")
    assert capsys.readouterr().out == ""
    assert logging.getLogger("flows.steps") is LOGGER
