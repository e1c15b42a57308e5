from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.cli import main
from training.planner import machine
from training.planner.hardware import SHIPPED
from training.planner.machine import StepCost

ASKED = ["plan", "--model", "gpt3-175b", "--tokens", "300e9"]


def test_one_plan_is_told_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ASKED, "--gpu", "h100"]) == 0
    assert capsys.readouterr().out.startswith("gpt3-175b: 300B tokens on 64 x H100 SXM 80 GB\n")


def test_several_are_a_table_in_which_one_may_not_fit(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ASKED, "--gpu", "v100,h100,h200"]) == 0
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split("|")[6].split()[-1] for row in rows] == ["v100", "h100", "h200"]
    assert ("does not fit" in rows[0], "$4.68M" in rows[0]) == (True, True)


def test_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ASKED, "--gpu", "h100", "--gpus", "128", "--activations", "block", "--json"]) == 0
    (plan,) = json.loads(capsys.readouterr().out)["plans"]
    assert (plan["layout"]["gpus"], plan["layout"]["checkpointing"]) == (128, "block")


def test_settings_come_from_a_file_and_from_the_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run.toml").write_text('[train]\npreset = "gpt3-1.3b"\nbatch = 64\n')
    command = ["plan", "--config", str(tmp_path / "run.toml"), "--set", "micro_batch=4", "--tokens", "1e9"]
    assert main([*command, "--gpu", "h100", "--vocabulary", "32000", "--json"]) == 0
    (plan,) = json.loads(capsys.readouterr().out)["plans"]
    assert (plan["layout"]["batch"], plan["layout"]["micro_batch"], plan["model"]) == (64, 4, "gpt3-1.3b")
    assert plan["parameters"] == 1_315_723_264 - (50_257 - 32_000) * 2048


def test_the_table_of_hardware_is_printed_and_an_edited_copy_is_taken(tmp_path: Path, capsys) -> None:
    assert main(["plan", "--show-hardware"]) == 0
    shown = capsys.readouterr().out
    assert shown == SHIPPED.read_text()
    (tmp_path / "mine.toml").write_text(shown.replace("usd_per_hour = 3.0", "usd_per_hour = 6.0"))
    costs = []
    for more in ([], ["--hardware", str(tmp_path / "mine.toml")]):
        assert main([*ASKED, "--gpu", "h100", "--json", *more]) == 0
        costs.append(json.loads(capsys.readouterr().out)["plans"][0]["usd"])
    assert costs[1] == pytest.approx(2 * costs[0])


def test_this_machine_is_measured(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    cost = StepCost(dense_layers=1.0, banded_layers=0.5, ends=0.25, optimizer=0.25, tokens=4096)
    monkeypatch.setattr(machine, "measure_step", lambda *_: cost)
    command = ["plan", "--model", "demo", "--tokens", "1e6", "--gpu", "cpu", "--set", "micro_batch=1", "--json"]
    assert main(command) == 0
    (plan,) = json.loads(capsys.readouterr().out)["plans"]
    assert (plan["hardware"], plan["tokens_per_second"], plan["layout"]["micro_batch"]) == ("cpu", 2048.0, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tokens", "1e9", "--gpu", "h100"], "say what to plan: --model NAME (`--model all` for every preset)"),
        (["--model", "demo", "--tokens", "1e9"], "say on what: --gpu NAME, such as h100, or cpu for this machine"),
        (["--model", "demo", "--gpu", "h100"], "say on how many tokens: --tokens N, such as 300e9"),
        (["--model", "demo", "--gpu", "h100", "--tokens", "nan"], "say on how many tokens"),
        (["--model", "gpt9", "--gpu", "h100", "--tokens", "1"], "no preset 'gpt9'; known presets: gpt3-125m"),
        (["--model", "demo", "--gpu", "b200", "--tokens", "1"], "--gpu b200: not in the table of hardware"),
        (["--model", "demo", "--gpu", "h100", "--gpus", "0", "--tokens", "1"], "--gpus 0: give 1 or more, or leave it"),
        (["--model", "demo", "--gpu", "cpu", "--gpus", "2", "--tokens", "1"], "leave --gpus and --activations out"),
        (["--model", "demo", "--gpu", "h100", "--tokens", "1", "--vocabulary", "1"], "--vocabulary 1: give the number"),
        ([*ASKED[1:], "--gpu", "h100", "--gpus", "8"], "gpt3-175b does not fit on 8 x h100"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments: list[str], message: str, capsys) -> None:
    assert main(["plan", *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_planning_needs_no_torch(repository: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from training.cli import main\n"
        f"sys.exit(main({[*ASKED, '--gpu', 'h100']!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
