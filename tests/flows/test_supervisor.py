"""Nothing of a command outlives it, its supervisor or the process that waits for it, whatever session it is in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from process_tree import RANK, RANKS, pids, tree_command
from processes import alive, command_of, marked, wait_until

from flows.launch import run_child
from flows.process_marks import MARK_VARIABLE, kill_marked, marked_environment

TEST_VARIABLE = "CORPUSMILL_TEST_OF_SUPERVISOR"
PARENT = """
import sys
from flows.launch import run_child
run_child(sys.argv[1:], grace_seconds=1.0)
"""


def start(command: list[str], tmp_path: Path, repository: Path) -> subprocess.Popen:
    env = {**os.environ, TEST_VARIABLE: str(tmp_path)}
    return subprocess.Popen(
        [sys.executable, "-c", PARENT, *command], env=env, cwd=repository, stderr=subprocess.DEVNULL
    )


def mine(tmp_path: Path) -> list[psutil.Process]:
    return marked(TEST_VARIABLE, str(tmp_path))


def wait_for_ranks(tmp_path: Path) -> None:
    wait_until(lambda: len(pids(tmp_path, "rank")) == RANKS, "the ranks")


def victim(level: str, parent: subprocess.Popen, words: str) -> psutil.Process:
    """The process of a level: the parent, the supervisor that it started, or the command, whose line has `words`."""
    if level == "parent":
        return psutil.Process(parent.pid)
    (supervisor,) = psutil.Process(parent.pid).children()
    if level == "supervisor":
        return supervisor
    (command,) = (one for one in supervisor.children() if words in command_of(one))
    return command


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "term"])
@pytest.mark.parametrize("level", ["parent", "supervisor", "command"])
def test_nothing_is_left_whichever_process_is_killed(level: str, number: int, tmp_path: Path, repository: Path):
    parent = start(tree_command(tmp_path), tmp_path, repository)
    wait_for_ranks(tmp_path)
    assert len(mine(tmp_path)) == 7
    victim(level, parent, "start_new_session").send_signal(number)
    if (level, number) == ("supervisor", signal.SIGTERM):
        parent.terminate()  # the supervisor leaves signals to the command
    parent.wait(60)
    wait_until(lambda: not mine(tmp_path), "the end of all", 15)


def test_what_a_command_leaves_in_other_sessions_ends_with_it(tmp_path: Path):
    then = "while sum(name.startswith('rank-') for name in os.listdir(sys.argv[1])) < 4: time.sleep(0.01)"
    env = {**os.environ, TEST_VARIABLE: str(tmp_path)}
    result = run_child(tree_command(tmp_path, then), env=env)
    assert result.exit_code == 0
    assert not mine(tmp_path)


PREFECT = """
import signal, sys
from prefect.exceptions import TerminationSignal
from prefect.utilities.engine import capture_sigterm, is_prefect_sigterm_handler_installed
from flows.launch import run_child
installed = []
try:
    with capture_sigterm():
        signal.signal(signal.SIGALRM, lambda *_: installed.append(is_prefect_sigterm_handler_installed()))
        signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
        run_child(sys.argv[1:], grace_seconds=30)
except TerminationSignal:
    signal.setitimer(signal.ITIMER_REAL, 0)
    sys.exit(3 if installed and all(installed) else 4)
"""


def test_prefects_own_handler_stays_and_the_child_may_still_save(tmp_path: Path, repository: Path):
    saving = f"""
import signal, sys, time
def save(*_):
    time.sleep(1)
    open({str(tmp_path / "saved")!r}, "w").close()
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
open({str(tmp_path / "ready")!r}, "w").close()
time.sleep(600)
"""
    # `capture_sigterm` hands the signal on to whoever was there before; that it does is not what is looked at.
    ignored = f"import signal; signal.signal(signal.SIGTERM, lambda *_: None)\n{PREFECT}"
    parent = subprocess.Popen([sys.executable, "-c", ignored, sys.executable, "-c", saving], cwd=repository)
    wait_until((tmp_path / "ready").exists, "the child")
    parent.terminate()
    assert parent.wait(60) == 3
    assert (tmp_path / "saved").exists()


def test_a_spared_process_may_end_by_itself(tmp_path: Path):
    last = f"import os, time; os.setsid(); time.sleep(1); open({str(tmp_path / 'said')!r}, 'w').close()"
    code = (
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {last!r}], env={{'CORPUSMILL_SPARED': '1'}})"
    )
    assert run_child([sys.executable, "-c", code]).exit_code == 0
    assert (tmp_path / "said").exists()


@pytest.mark.parametrize("code", [0, 3, 255])
def test_the_exit_code_is_the_commands(code: int):
    assert run_child([sys.executable, "-c", f"import os; os._exit({code})"]).exit_code == code


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGINT, signal.SIGPIPE])
def test_a_command_ended_by_a_signal_is_reported_as_such(number: int):
    default = f"signal.signal({int(number)}, signal.SIG_DFL); " if number != signal.SIGKILL else ""
    code = f"import os, signal; {default}os.kill(os.getpid(), {int(number)})"
    assert run_child([sys.executable, "-c", code]).exit_code == -number


def test_a_command_that_is_not_there_says_so():
    result = run_child(["/no/such/program"])
    assert result.exit_code == 127
    assert result.errors == ("corpusmill: cannot run /no/such/program: No such file or directory",)


def test_marks_of_nested_commands_add_up_and_only_the_marked_are_killed():
    outer, first = marked_environment({"A": "b"})
    inner, second = marked_environment(outer)
    assert inner == {"A": "b", MARK_VARIABLE: f"{first} {second}"}
    sleeps = [sys.executable, "-c", "import time; time.sleep(600)"]
    with subprocess.Popen(sleeps, env=outer) as one, subprocess.Popen(sleeps, env=inner) as two:
        wait_until(lambda: all("time.sleep" in command_of(psutil.Process(each.pid)) for each in (one, two)), "both")
        assert kill_marked(second) == [two.pid]
        assert two.wait() == -signal.SIGKILL
        assert alive(one.pid)
        assert kill_marked(first) == [one.pid]
    assert kill_marked(first) == []


@pytest.mark.slow
@pytest.mark.parametrize("level", ["parent", "supervisor", "command"])
def test_ranks_of_torchrun_end_whichever_process_is_killed(level: str, tmp_path: Path, repository: Path):
    script = tmp_path / "rank.py"
    script.write_text(RANK)
    torchrun = [str(Path(sys.executable).with_name("torchrun")), "--standalone", "--nproc-per-node=2"]
    parent = start([*torchrun, str(script), str(tmp_path)], tmp_path, repository)
    wait_for_ranks(tmp_path)
    victim(level, parent, "--standalone").kill()
    parent.wait(60)
    wait_until(lambda: not mine(tmp_path), "the end of all", 15)
