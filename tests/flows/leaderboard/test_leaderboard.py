"""The leaderboard: what it adds up, what it draws, and that its pages need nothing else."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from flows.cli.main import run as corpusmill
from flows.leaderboard.facts import read_boards, tag_scores
from flows.leaderboard.page import render_board, write_leaderboard
from schemas.configs.model import ModelConfig
from schemas.errors import InputError
from schemas.run import RunConfig, write_run
from schemas.storage import Folder
from training.evaluation.results import EvaluationResult, ItemRecord, Score, result_name, write_result

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def score(task: str, shots: int, value: float, **more: Any) -> Score:
    facts: dict[str, Any] = {"kind": "generation", "metric": "exact_match", "convention": "greedy <b>", "chance": 0.2}
    facts |= {"standard_error": 0.04, "n": 50, "groups": 50, "tags": ("arithmetic",), **more}
    return Score(task=task, shots=shots, value=value, **facts)


def records(task: str, shots: int) -> list[ItemRecord]:
    generated = ItemRecord(
        task=task,
        shots=shots,
        id="7",
        group=None,
        truncated=False,
        metrics={"exact_match": 1.0, "token_f1": 1.0},
        prompt="What is <script>alert(1)</script>?",
        examples=["3", "4"],
        detail={"generated": "four", "answers": ["4", "four"]},
    )
    norms = {"sum": [-1.0, -2.5], "token": [-0.5, -1.25]}
    choice = {"choices": ["yes", "no"], "answer": 0, "chosen": 1, "log_likelihood": norms}
    return [generated, generated.model_copy(update={"id": "8", "detail": choice, "prompt": "x" * 2000 + "END"})]


def make_run(folder: Path, gain: float) -> str:
    config = RunConfig(
        root="",
        mixture="",
        plan_digest="",
        tokenizer="t",
        end_of_text=0,
        model=ModelConfig(vocabulary_size=10, context=8, layers=1, heads=1, width=8, band=2),
        seed=0,
        settings={},
    )
    write_run(str(folder), config)
    lines = [json.dumps({"step": step, "tokens": 1000 * step}) for step in range(1, 301)]
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    for step in (100, 300):
        level = gain * step / 300
        scores = (
            score("sums", 0, 0.2 + level / 2, published={"gpt3-175b": 0.769}),
            score(
                "sums", 8, 0.2 + level, truncated=3, shown=5.5, others={"token_f1": 0.5}, other_errors={"token_f1": 0.1}
            ),
            score("words", 0, 0.6, tags=("language", "arithmetic"), clean=0.5, clean_n=40, dirty=0.7, dirty_n=10),
            score("bytes", 0, 2.1, tags=("language",), kind="perplexity", metric="bits_per_byte", chance=None),
        )
        result = EvaluationResult(
            fingerprint="0",
            suite="all",
            run="r",
            kind="train",
            step=step,
            mixture="",
            parameters=1_234_000,
            scores=scores,
            seconds=1.0,
        )
        own = [one for task, shots in (("sums", 0), ("sums", 8), ("words", 0)) for one in records(task, shots)]
        write_result(Folder(str(folder)).child("scores"), result_name("all", step), result, own)
    return str(folder)


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    return [make_run(tmp_path / name, gain) for name, gain in (("small", 0.3), ("large", 0.6))]


def test_checkpoints_are_read_by_run_and_step_with_the_tokens_they_saw(runs: list[str]):
    (board,) = read_boards(runs)
    assert [(one.label, one.tokens) for one in board.checkpoints] == [
        ("small @ 100", 100_000),
        ("small @ 300", 300_000),
        ("large @ 100", 100_000),
        ("large @ 300", 300_000),
    ]
    assert [one.label for one in board.newest] == ["small @ 300", "large @ 300"]
    assert board.keys == [("sums", 0), ("sums", 8), ("words", 0), ("bytes", 0)]
    assert board.tags == ["arithmetic", "language"]


def test_a_tag_is_the_mean_of_its_tasks_from_chance_to_all_right(runs: list[str]):
    (board,) = read_boards(runs)
    arithmetic, language = tag_scores(board.newest[1], board.tags)
    # sums, 8-shot: 0.8 of 0.2 to 1 is 0.75; words 0.6 is 0.5; bits per byte are on no such scale.
    assert (arithmetic.value, arithmetic.tasks) == (pytest.approx((0.75 + 0.5) / 2), 2)
    assert arithmetic.standard_error == pytest.approx(math.sqrt(2) * 0.05 / 2)
    assert (language.value, language.tasks) == (pytest.approx(0.5), 1)


def test_the_page_shows_scores_and_needs_nothing_else(runs: list[str], tmp_path: Path):
    out = tmp_path / "pages" / "board.html"
    assert write_leaderboard(runs, str(out)) == str(out)
    page = out.read_text()
    assert not re.search(r"<(script|link|img|iframe)\b|@import|url\((?!#)", page)
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    for shown in ("0.800 ± 0.040", "gpt3-175b 0.769", "3 of 50 cut", "5.5 examples fit", "clean 0.500 of 40"):
        assert shown in text, shown
    assert "greedy &lt;b&gt;" in page
    assert text.count("token F1 0.500 ± 0.100") == 2
    titles = re.findall(r'role="img" aria-label="([^"]+)"', page)
    assert titles == [
        "Mean score of each tag against tokens of training",
        "Score of each task against examples shown",
        "Score of each task against tokens of training",
    ]
    assert len(re.findall(r'\bid="([^"]+)"', page)) == len(set(re.findall(r'\bid="([^"]+)"', page)))


def test_every_link_leads_to_a_page_of_items(runs: list[str], tmp_path: Path):
    out = tmp_path / "board.html"
    write_leaderboard(runs, str(out))
    links = set(re.findall(r'href="([^"#]+)"', out.read_text()))
    there = {str(path.relative_to(tmp_path)) for path in (tmp_path / "board-items").iterdir()}
    assert there == links
    assert len(there) == 2 * 2
    page = (tmp_path / "board-items" / "large-all-step-300-sums.html").read_text()
    assert "What is &lt;script&gt;alert(1)&lt;/script&gt;?" in page
    assert "<mark>four</mark>" in page
    assert "examples 3, 4" in page
    assert "yes (right)" in page
    assert "no (chosen)" in page
    assert re.search(r"<blockquote>… x+END</blockquote>", page)


def test_a_run_of_one_checkpoint_without_a_log_has_no_curve_over_tokens(runs: list[str], tmp_path: Path):
    (Path(runs[0]) / "metrics.jsonl").unlink()
    (board,) = read_boards(runs[:1])
    assert [one.tokens for one in board.checkpoints] == [None, None]
    page = render_board([board], "items", (), NOW)
    assert "against tokens of training" not in page
    assert "Score of each task against examples shown" in page
    assert render_board([board], "items", (), NOW) == page


def test_the_command_and_its_mistakes(runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert corpusmill(["leaderboard", *runs, "--out", str(tmp_path / "b.html"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["leaderboard"] == str(tmp_path / "b.html")
    with pytest.raises(InputError, match=r"no scores on suite other in .*; run `corpusmill evaluate --run"):
        read_boards(runs, "other")
    assert corpusmill(["leaderboard", str(tmp_path / "none")]) == 2
    assert "no training run in" in capsys.readouterr().err
