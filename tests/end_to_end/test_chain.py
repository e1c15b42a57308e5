"""The whole chain on this Python's documentation: what it shows, what it leaves, and that it is not done twice."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from flows.cli.main import run

STEPS = [
    "crawl",
    "clean",
    "dedup",
    "tokenizer",
    "tokenize",
    "mix",
    "heldout",
    "digest",
    "pretrain",
    "evaluate",
    "finetune",
    "report",
]

pytestmark = pytest.mark.slow


def test_every_step_is_shown_with_its_number(undisturbed):
    _, ended = undisturbed
    over = re.findall(r"^\[ ?(\d+)/12\] (\w+) +[\d.]+ s", ended.out, re.MULTILINE)
    assert [(int(number), step) for number, step in over] == list(enumerate(STEPS, start=1))
    assert ended.err == ""


def test_it_ends_with_a_sample_the_report_and_the_way_to_the_ui(undisturbed):
    demo, ended = undisturbed
    _, _, end = ended.out.partition("The model writes:")
    assert re.search(rf"Report: {demo.root}/report\.html\n", end)
    assert re.search(r"open http://127\.0\.0\.1:4200\n +env PREFECT_HOME=.* server start\n", end)
    page = (demo.root / "report.html").read_text()
    assert page.count("<svg") >= 5


def test_the_summary_holds_what_proofs_compare(undisturbed):
    demo, _ = undisturbed
    summary = demo.summary()
    assert [one["step"] for one in summary["chain"]] == STEPS
    assert all(one["status"] == "done" for one in summary["chain"])
    assert all(one["seconds"] > 0 and one["peak_memory_bytes"] > 10e6 for one in summary["chain"])
    assert summary["steps"] == 30
    assert 0 < summary["loss"] < 10
    assert summary["scores"]
    assert set(summary["finetune_scores"]) >= {"exact_match", "token_f1"}


def test_the_digest_is_the_one_that_the_command_prints(undisturbed, capsys: pytest.CaptureFixture[str]):
    demo, _ = undisturbed
    assert run(["digest", str(demo.root)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == demo.summary()["digest"]


def test_at_least_half_of_the_pages_stay(undisturbed):
    demo, _ = undisturbed
    (unit,) = json.loads((demo.root / "steps" / "clean.json").read_text())["result"]["units"]
    assert unit["rows"]["documents"] * 2 >= sum(unit["rows"].values()) == 30


def test_nothing_of_the_users_own_prefect_is_touched(undisturbed):
    demo, _ = undisturbed
    assert not (demo.home / ".prefect").exists()
    assert (demo.root / ".prefect" / "prefect.db").exists()


def test_the_run_has_a_log_of_json_lines(undisturbed):
    demo, _ = undisturbed
    (log,) = (demo.root / "logs").iterdir()
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert {row["run_id"] for row in rows} == {log.stem}
    assert {row["stage"] for row in rows if "stage" in row} >= {"crawl", "clean", "dedup", "tokenizer", "tokenize"}


def test_the_history_of_the_flows_can_be_read_back(undisturbed):
    demo, _ = undisturbed
    with closing(sqlite3.connect(f"file:{demo.root}/.prefect/prefect.db?mode=ro", uri=True)) as database:
        flows = dict(database.execute("select flow.name, state_type from flow_run join flow on flow.id = flow_id"))
        tasks = [name for (name,) in database.execute("select name from task_run where state_type = 'COMPLETED'")]
    assert flows == dict.fromkeys(["pipeline", "corpus-build", "pretrain", "evaluate", "finetune"], "COMPLETED")
    assert set(STEPS) <= {name.split()[0] for name in tasks}  # some name what they work on too


def test_a_second_run_does_nothing_and_takes_a_part_of_the_time(undisturbed):
    demo, first = undisturbed
    before = demo.summary()
    again = demo.run()
    assert again.code == 0, again.err
    assert len(re.findall(r"^\[ ?\d+/12\] \w+ +done before", again.out, re.MULTILINE)) == len(STEPS)
    # Of the processor, and as a share: other tests run beside this one. It is a third, most of it Prefect's own.
    assert again.cpu_seconds < 0.5 * first.cpu_seconds, f"{again.cpu_seconds:.1f} s after {first.cpu_seconds:.1f} s"
    same = ("digest", "loss", "validation_loss", "scores", "finetune_scores", "run", "report")
    assert {key: demo.summary()[key] for key in same} == {key: before[key] for key in same}


def test_generate_goes_on_from_a_prompt(undisturbed):
    demo, _ = undisturbed
    command = [sys.executable, "-m", "flows.cli", "generate", "--run", demo.summary()["run"], "--prompt", "def "]
    ended = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout.splitlines()[-1])
