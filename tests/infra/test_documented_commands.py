"""Commands in the documents that are not executed are at least ones that the programs take."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_commands import check_command

_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"(?:^|&& |\$ |prefect-worker )((?:corpusmill|torchrun|prefect) [^&|;]*)")
# Words that stand for others.
_PLACEHOLDER = re.compile(r"…|\.\.\. |\bVERB\b|\bSTAGE\b|<|>|\|")


def _commands(repository: Path) -> Iterator[tuple[str, str]]:
    for page in sorted([*repository.glob("*.md"), *repository.glob("docs/*.md"), *repository.glob("infra/**/*.md")]):
        for block in _BLOCK.findall(page.read_text()):
            for line in block.replace("\\\n", " ").splitlines():
                text = re.sub(r"(^|\s)#.*", "", line)
                for found in _COMMAND.findall(text):
                    if not _PLACEHOLDER.search(found):
                        yield page.relative_to(repository).as_posix(), found.strip()


def test_documented_commands_are_real(repository: Path) -> None:
    commands = set(_commands(repository))
    assert len(commands) > 60
    wrong = []
    for page, command in sorted(commands):
        try:
            check_command(shlex.split(command))
        except (Exception, SystemExit) as error:
            wrong.append(f"{page}: {command}: {type(error).__name__}: {str(error)[:200]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("command", ["corpusmill run clean --inputt x", "corpusmill no-such", "prefect workers start"])
def test_a_wrong_command_is_seen(command: str) -> None:
    with pytest.raises((Exception, SystemExit)):
        check_command(shlex.split(command))
