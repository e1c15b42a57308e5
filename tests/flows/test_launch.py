"""A supervised child: what it says is taken in, and it never outlives the process that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from processes import alive, wait_until

from flows.launch import run_child


def python(code: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code)]


def test_output_exit_code_time_and_memory_are_reported():
    lines: list[str] = []
    result = run_child(
        python("""
            import sys, time
            held = bytearray(120_000_000)
            print("first"); print('{"rows": 3}')
            sys.stderr.write("10 of 20\\r20 of 20\\n\\nno newline at the end"); sys.stderr.flush()
            time.sleep(1.2)
            sys.exit(7)
        """),
        on_line=lines.append,
    )
    assert result.exit_code == 7
    assert result.json() == {"rows": 3}
    assert lines == ["10 of 20", "20 of 20", "no newline at the end"] == list(result.errors)
    assert 1.0 < result.seconds < 60
    assert 120e6 < result.peak_memory_bytes < 200e6


def test_memory_is_the_childs_own_and_not_what_this_process_once_held():
    held = bytearray(b"x" * 300_000_000)
    result = run_child(python("import time; time.sleep(0.8)"))
    assert len(held) > 0
    assert 0 < result.peak_memory_bytes < 60e6


def test_a_child_that_prints_no_json_has_an_empty_result():
    assert run_child(python("print('[1]')")).json() == {}
    assert run_child(python("pass")).json() == {}


def test_what_a_child_leaves_behind_in_its_group_is_ended(tmp_path: Path):
    result = run_child(
        python(f"""
            import subprocess, sys
            left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            open({str(tmp_path / "pid")!r}, "w").write(str(left.pid))
        """)
    )
    assert result.exit_code == 0
    wait_until(lambda: not alive(int((tmp_path / "pid").read_text())), "the end of what was left")


CHILD = """
import os, subprocess, sys, time
from pipelines.engine.lifeline import own_children
own_children()
worker = "from pipelines.engine.lifeline import watch_owner; import time; watch_owner(); time.sleep(600)"
grandchild = subprocess.Popen([sys.executable, "-c", worker])
{on_start}
with open({pids!r} + ".tmp", "w") as stream:
    stream.write(f"{{os.getpid()}} {{grandchild.pid}}")
os.rename({pids!r} + ".tmp", {pids!r})
time.sleep(600)
"""


def start_supervisor(tmp_path: Path, repository: Path, on_start: str = "") -> tuple[subprocess.Popen, list[int]]:
    pids = tmp_path / "pids"
    child = CHILD.format(pids=str(pids), on_start=on_start)
    argv = f"[sys.executable, '-c', {child!r}]"
    code = f"import sys\nfrom flows.launch import run_child\nrun_child({argv}, grace_seconds=1.0)"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL, cwd=repository)
    wait_until(pids.exists, "the child and its own child")
    return process, [int(pid) for pid in pids.read_text().split()]


def test_child_and_grandchild_are_gone_after_sigkill_of_the_parent(tmp_path: Path, repository: Path):
    parent, pids = start_supervisor(tmp_path, repository)
    assert all(map(alive, pids))
    parent.kill()
    parent.wait()
    wait_until(lambda: not any(map(alive, pids)), "the end of both", 60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_signal_ends_the_group_and_then_the_parent(number: int, tmp_path: Path, repository: Path):
    parent, pids = start_supervisor(tmp_path, repository)
    parent.send_signal(number)
    assert parent.wait(60) in {-number, 1}
    wait_until(lambda: not any(map(alive, pids)), "the end of both", 60)


def test_a_child_deaf_to_the_signal_is_killed_after_the_grace_period(tmp_path: Path, repository: Path):
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    parent, pids = start_supervisor(tmp_path, repository, deaf)
    started = time.monotonic()
    parent.terminate()
    parent.wait(60)
    assert 0.9 < time.monotonic() - started < 60
    wait_until(lambda: not any(map(alive, pids)), "the end of both", 60)


def test_the_environment_is_the_one_given():
    result = run_child(python("import json, os; print(json.dumps(dict(os.environ)))"), env={"ONLY": "this"})
    assert result.json()["ONLY"] == "this"
    assert "PATH" not in result.json()


def test_a_child_outside_the_capture_writes_where_we_do(capfd):
    run_child(python("print('seen')"), capture=False)
    assert capfd.readouterr().out == "seen\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert os.getpid() > 0
