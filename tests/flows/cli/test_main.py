"""The command itself: help, results, and one line for each mistake."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flows.cli import run_command
from flows.cli.main import app, run
from flows.cli.run_command import total_counts
from flows.registry import STAGES

COMMANDS = [
    "run",
    "train",
    "evaluate",
    "generate",
    "finetune",
    "plan",
    "export",
    "import",
    "digest",
    "replay",
    "gc",
    "takedown",
    "explain",
    "audit",
    "verify",
    "report",
    "leaderboard",
    "demo",
    "up",
    "down",
    "status",
    "doctor",
    "deploy",
    "tensorboard",
    "tune",
    "licences",
]


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a failed command left on stderr."""
    text = capsys.readouterr().err
    assert re.fullmatch(r"corpusmill: [^\n]+\n", text), text
    return text


def test_the_commands_are_those_of_the_contract():
    assert sorted(command.name for command in app.registered_commands) == sorted(COMMANDS)


@pytest.mark.parametrize(
    "command",
    ["run", "digest", "replay", "gc", "takedown", "explain", "audit", "verify", "report", "leaderboard", "demo"],
)
def test_help_says_what_a_command_does_and_shows_an_example(command: str, capsys: pytest.CaptureFixture[str]):
    assert run([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"Usage: corpusmill {command}" in shown
    assert f"Example: corpusmill {command}" in " ".join(shown.split())


def test_help_of_run_names_every_stage():
    names = re.search(r"one stage: (.*)\.", run_command._SHORT)
    assert names is not None
    assert re.split(r", | or ", names[1]) == list(STAGES)


def test_version(capsys: pytest.CaptureFixture[str]):
    assert run(["--version"]) == 0
    assert re.fullmatch(r"corpusmill \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["fly"], "No such command 'fly'"),
        (["run", "clean"], r"Missing option '--root'.* See `corpusmill run --help`"),
        (["run", "clean", "--rot", "x"], r"No such option.*--rot"),
        (
            ["run", "polish", "--root", "x"],
            "no stage 'polish'; stages are crawl, clean, dedup, decontaminate, tokenizer",
        ),
        (
            ["run", "mix", "--root", "x", "--runner", "cloud"],
            "--runner cloud: pipelines run on local, flink or dataflow",
        ),
        (["run", "mix", "--root", "x", "--workers", "0"], "--workers 0: give 1 or more"),
        (["run", "mix", "--root", "x", "--seed-url", "http://a.b/"], "--seed-url is for crawl only"),
        (["run", "mix", "--root", "x", "--set", "wieghts=1"], "mix.wieghts: unknown key; did you mean 'weights'"),
        (["run", "mix", "--root", "x", "--set", "samples=-5"], "mix.samples: .*greater than or equal to 1, got -5"),
        (["run", "mix", "--root", "x", "--config", "no.toml"], "cannot read config no.toml: No such file"),
        (["run", "clean", "--root", "x", "--input", "no.warc"], "no file or folder no.warc; give --input something"),
        (["digest", "nowhere"], "no corpus in nowhere; give a folder that `corpusmill run` has written"),
        (["gc", "--root", "nowhere"], "no corpus in nowhere"),
        (["report", "nowhere"], "no corpus in nowhere"),
        (["takedown", "--root", "nowhere", "--url", "http://a.b/"], "no corpus in nowhere"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str],
    expected: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    assert re.search(expected, complaint(capsys))
    assert list(tmp_path.iterdir()) == []


def test_a_root_that_cannot_be_written_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    assert run(["run", "mix", "--root", str(tmp_path / "file")]) == 2
    assert re.search("cannot write to .*file: .*; give a folder that you may write", complaint(capsys))


def test_with_json_a_mistake_is_also_the_last_line_of_the_output(capsys: pytest.CaptureFixture[str]):
    assert run(["digest", "nowhere", "--json"]) == 2
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["error"] == "InputError"
    assert last["exit_code"] == 2
    assert last["message"].startswith("no corpus in nowhere")


def test_a_stage_without_its_inputs_says_which_stage_comes_first(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert run(["run", "dedup", "--root", str(tmp_path / "corpus")]) == 2
    assert "run the stage that writes documents first" in complaint(capsys)


def test_counts_that_several_units_of_a_partition_state_are_one_count() -> None:
    def unit(partition: str, **counts: int) -> dict[str, Any]:
        return {"source": "web", "partition": partition, "counts": counts}

    units = [unit("a", documents=3), unit("a", documents=3, edges=2), unit("b", documents=5)]
    assert total_counts(units) == {"documents": 8, "edges": 2}


_ENDING = """
import atexit, ctypes, os, sys, threading
atexit.register(print, "cleared away")
from flows.cli.main import main
if len(sys.argv) > 2:
    threading.Thread(target=lambda: (threading.Event().wait(0.3), print("waited for"))).start()
else:  # as a destructor of a C++ library would
    aborting = ctypes.CFUNCTYPE(None)(os.abort)
    ctypes.CDLL(None).__cxa_atexit(aborting, None, None)
sys.argv = ["corpusmill", sys.argv[1]]
sys.exit(main())
"""


def test_a_library_that_aborts_at_the_very_end_changes_nothing():
    done = subprocess.run([sys.executable, "-c", _ENDING, "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"corpusmill [\d.]+\ncleared away\n", done.stdout)
    wrong = subprocess.run([sys.executable, "-c", _ENDING, "nothing"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stdout) == (2, "cleared away\n")


def test_threads_are_waited_for():
    command = [sys.executable, "-c", _ENDING, "--version", "thread"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    *said, last = done.stdout.splitlines()
    assert "waited for" in said  # before or after the version: the thread waits by the clock
    assert last == "cleared away"
