from __future__ import annotations

import json
import re
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


def test_the_speed_is_said_apart_from_the_text(trained_run: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--run", trained_run, "--prompt", "the", "--temperature", "0", "--max-tokens", "9")
    _, out, err = call(capsys, *arguments)
    assert re.fullmatch(r"9 tokens in [0-9.]+ s: [0-9.]+ tokens/s, prompts read included\n", err)
    _, searched, _ = call(capsys, *arguments[:-4], "--max-tokens", "9", "--beams", "4", "--length-penalty", "0.6")
    assert searched.endswith("\n")
    result = json.loads(call(capsys, *arguments, "--json")[1])
    assert (result["text"] + "\n", result["tokens"]) == (out, 9)
    assert result["tokens_per_second"] == pytest.approx(9 / result["seconds"], rel=0.2)


def test_prompts_of_a_file_give_a_line_each(
    trained_run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"word": "cat", "n": 1}\n{"word": "dog", "n": 2}\n')
    arguments = ("--run", trained_run, "--prompts", str(file), "--set", "template=the {word}", "--max-tokens", "5")
    code, out, err = call(capsys, *arguments)
    rows = [json.loads(line) for line in out.splitlines()]
    assert (code, [row["prompt"] for row in rows]) == (0, ["the cat", "the dog"])
    assert err.startswith("10 tokens in ")
    result = json.loads(call(capsys, *arguments, "--json")[1])
    assert (result["texts"], result["tokens"]) == (rows, 10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--beams", "4", "--temperature", "0.5"), "4 beams search and draw nothing; leave temperature out, or beams"),
        (
            ("--set", "template={a"),
            "generate.template: '{a' names no column, so all texts would be alike; write {column}",
        ),
        (("--prompts", "some.jsonl"), "argument --prompts: not allowed with argument --prompt"),
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
