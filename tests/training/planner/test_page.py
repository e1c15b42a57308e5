"""The tables of docs/planning.md are those that the command prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from training.cli import main

_TABLE = r"<!-- table: {name} -->\n(.*?)<!-- end -->"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("all presets", ["--model", "all", "--gpu", "h100"]),
        ("published cost", ["--model", "gpt3-175b", "--gpu", "v100,h100,h200"]),
    ],
)
def test_the_page_shows_what_the_command_prints(
    name: str, arguments: list[str], repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "--tokens", "300e9", *arguments]) == 0
    shown = re.search(_TABLE.format(name=name), (repository / "docs/planning.md").read_text(), re.DOTALL)
    assert shown is not None
    assert shown[1] == capsys.readouterr().out


def test_the_example_is_what_the_command_prints(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--model", "gpt3-13b", "--tokens", "300e9", "--gpu", "h100", "--gpus", "8"]) == 0
    assert f"```text\n{capsys.readouterr().out}```" in (repository / "docs/planning.md").read_text()
