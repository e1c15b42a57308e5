from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.cli import main


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["generate", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_text_goes_to_stdout_and_equal_seeds_repeat(trained_run: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--run", trained_run, "--prompt", "the red", "--max-tokens", "20", "--seed", "4")
    code, first, _ = call(capsys, *arguments)
    assert (code, first) == (0, call(capsys, *arguments)[1])
    assert first.endswith("\n")
    code, out, _ = call(capsys, *arguments, "--json")
    result = json.loads(out)
    assert (result["text"] + "\n", result["prompt"], result["step"]) == (first, "the red", 100)


def test_greedy_text_stops_before_a_stop_text(trained_run: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--run", trained_run, "--prompt", "the a red", "--temperature", "0", "--max-tokens", "30", "--json")
    whole = json.loads(call(capsys, *arguments)[1])["text"]
    word = whole.split()[3]
    cut = json.loads(call(capsys, *arguments, "--stop", word)[1])["text"]
    assert cut == whole[: whole.index(word)]


def test_examples_stand_before_the_prompt(trained_run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    examples = tmp_path / "examples.jsonl"
    examples.write_text('{"prompt": "a", "answer": "red"}\n{"prompt": "old", "answer": "small"}\n')
    arguments = ("--examples", str(examples), "--separator", "\n", "--max-tokens", "1", "--json")
    code, out, _ = call(capsys, "--run", trained_run, "--prompt", "cat", *arguments)
    assert (code, json.loads(out)["prompt"]) == (0, "a red\nold small\ncat")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--temperature", "-1"), "generate.temperature: Input should be greater than or equal to 0, got -1.0"),
        (("--top-p", "0"), "generate.top_p: Input should be greater than 0"),
        (("--examples", "missing.jsonl"), "cannot read missing.jsonl"),
        (("--step", "7"), "has no checkpoint of step 7"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    trained_run: str, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    code, _, err = call(capsys, "--run", trained_run, "--prompt", "a", *arguments)
    assert (code, err.count("\n")) == (2, 1)
    assert message in err


def test_a_missing_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capsys, "--run", str(tmp_path / "none"), "--prompt", "a")
    assert code == 2
    assert "no training run in" in err
