from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.corpus_root import CorpusRoot
from training.cli import COMMANDS, main

SHAPE = ["context=32", "layers=2", "heads=2", "width=32", "band=8"]
SETTINGS = [*(f"model.{one}" for one in SHAPE), "batch=8", "steps=4", "warmup_tokens=0", "precision=fp32"]


def arguments(root: str, run: str, *more: str, settings: list[str] = SETTINGS) -> list[str]:
    sets = [part for setting in settings for part in ("--set", setting)]
    return ["train", "--root", root, "--mixture", "main", "--run", run, *sets, *more]


def test_train_prints_one_json_object_last_and_a_second_call_does_nothing(
    make_corpus, corpus_root: CorpusRoot, run_folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_corpus()
    assert main(arguments(corpus_root.url, run_folder, "--json")) == 0
    out = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (out["status"], out["steps"], out["step"], out["tokens"]) == ("finished", 4, 4, 1024)
    weights = Path(run_folder) / "checkpoints" / "step-000004" / "state.json"
    written = weights.stat().st_mtime_ns
    assert main(arguments(corpus_root.url, run_folder, "--json")) == 0
    again = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert again["status"] == "finished before"
    assert (again["loss"], again["validation_loss"]) == (out["loss"], out["validation_loss"])
    assert weights.stat().st_mtime_ns == written
    assert main(arguments(corpus_root.url, run_folder)) == 0
    assert "status: finished before\n" in capsys.readouterr().out


def test_a_toml_file_and_a_seed_are_taken(
    make_corpus, corpus_root: CorpusRoot, run_folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_corpus()
    toml = tmp_path / "run.toml"
    toml.write_text("[train]\nbatch = 16\nsteps = 2\n[train.model]\nlayers = 1\n")
    less = [one for one in SETTINGS if not one.startswith(("batch", "steps", "model.layers"))]
    assert main(arguments(corpus_root.url, run_folder, "--config", str(toml), "--seed", "4", settings=less)) == 0
    stored = json.loads((Path(run_folder) / "config.json").read_text())
    assert (stored["settings"]["batch"], stored["model"]["layers"], stored["seed"]) == (16, 1, 4)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--set", "learning_rat=1"], "train.learning_rat: unknown key; did you mean 'learning_rate'?"),
        (["--set", "model.depth=1"], "train.model.depth: unknown key"),
        (["--set", "steps=-5"], "train.steps: Input should be greater than or equal to 1, got -5"),
        (["--preset", "gpt9"], "no preset 'gpt9'; known presets: gpt3-125m"),
        (["--config", "/nowhere.toml"], "cannot read config /nowhere.toml"),
        (["--root", "/nowhere"], "no corpus in /nowhere"),
        (["--mixture", "other"], "no mixture 'other'"),
        (["--set", "steps"], "--set 'steps' is not of the form key=value"),
        (["--frobnicate"], "unrecognized arguments: --frobnicate; see `python -m training"),
        (["--nproc", "0"], "--nproc is 0 in one of 1 processes of torchrun; give 1 or more"),
        (["--seed", "x"], "argument --seed: invalid int value: 'x'"),
    ],
)
def test_a_mistake_of_the_user_is_one_line_and_exit_code_2(
    make_corpus, corpus_root: CorpusRoot, run_folder: str, capsys, more: list[str], message: str
) -> None:
    make_corpus(words=300, samples={"books": 8})
    assert main(arguments(corpus_root.url, run_folder, *more)) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.startswith("corpusmill: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "memory_snapshot_step=2",
            "memory_snapshot_step is 2, and snapshots are of a GPU's memory, but this run is on",
        ),
        ("device=tpu", "device is 'tpu'; give auto, cpu, cuda or cuda:NUMBER"),
        ("device=cuda:99", "is CUDA device 99, and this machine has"),
    ],
)
def test_what_the_machine_has_not_is_one_line(
    make_corpus, corpus_root: CorpusRoot, run_folder: str, capsys, setting: str, message: str
) -> None:
    make_corpus()
    assert main(arguments(corpus_root.url, run_folder, "--set", "device=cpu", "--set", setting)) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_a_run_needs_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--root", "corpus", "--mixture", "main"]) == 2
    assert "no --run; give the folder in which the run is to be" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_one_line(make_corpus, corpus_root: CorpusRoot, tmp_path: Path, capsys):
    make_corpus()
    (tmp_path / "file").write_text("")
    assert main(arguments(corpus_root.url, str(tmp_path / "file" / "run"))) == 2
    assert "cannot write to" in capsys.readouterr().err


def test_a_damaged_shard_is_one_line_and_exit_code_1(make_corpus, corpus_root: CorpusRoot, run_folder: str, capsys):
    plan = make_corpus()
    Path(corpus_root.folder.path(plan.train[0].shards[0].path)).unlink()
    assert main(arguments(corpus_root.url, run_folder)) == 1
    assert "shard-00000.arrow is missing" in capsys.readouterr().err


def test_no_command_and_an_unknown_one_name_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert main(["tran"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 2
    for name in COMMANDS:
        assert name in err


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["train", "--help"])
    assert caught.value.code == 0
    assert "example: python -m training train --root" in capsys.readouterr().out


_ENDING = """
import ctypes, os, runpy, sys
aborting = ctypes.CFUNCTYPE(None)(os.abort)
ctypes.CDLL(None).__cxa_atexit(aborting, None, None)
sys.argv = ["training", *sys.argv[1:]]
runpy.run_module("training", run_name="__main__")
"""


def test_a_library_that_aborts_at_the_very_end_changes_nothing(repository: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _ENDING, *arguments(str(tmp_path / "none"), str(tmp_path / "run"))]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr


def test_mistakes_come_before_torch(repository: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from training.cli import main\n"
        f"sys.exit(main({arguments(str(tmp_path / 'none'), str(tmp_path / 'run'))!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "no corpus in" in done.stderr
