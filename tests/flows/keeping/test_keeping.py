"""A keeper of small daemons: what dies is started again, nothing outlives it, and what it says when it gives up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from processes import alive, marked, wait_until

from flows.keeping.control import KEEPER_LOG, daemons_of, restarted_daemons, start_keeper, stop_keeper
from flows.keeping.keeper import Daemon, Keeper, keeper_of, take_lock
from schemas.errors import InputError, OutputError, StageError

MARK = "CORPUSMILL_TEST_KEEPING"
# argv: folder, the daemon's program, whether to be patient.
PROGRAM = """
import os, sys
from pathlib import Path
from flows.keeping.keeper import Daemon, Keeper, run_keeper
folder = Path(sys.argv[1])

class One(Keeper):
    def start(self, starter):
        self.start_daemon(Daemon("one", (sys.executable, "-c", sys.argv[2]), stop_seconds=1))
        (folder / "up").write_text(str(os.getpid()))

def make():
    (folder / "log").mkdir(exist_ok=True)
    keeper = One(folder)
    keeper.patient = sys.argv[3] == "patient"
    return keeper

sys.exit(run_keeper(folder, "one", os.getppid(), make))
"""
STAY = "import time\nwhile True: time.sleep(1)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(1)"
FALL = "import sys; sys.exit('SomeError: it does not work')"


# A process of its own, as `corpusmill up` is: it ends, and the keeper stays. argv: as above, and the keeper's program.
STARTER = """
import os, sys
from pathlib import Path
from flows.keeping.control import daemons_of, start_keeper
folder = Path(sys.argv[1])
def find(pid):
    there = (folder / "up").exists() and (folder / "up").read_text() == str(pid)
    return pid if there and daemons_of(folder) else None
command = [sys.executable, "-c", sys.argv[4], *sys.argv[1:4]]
print(start_keeper(command, folder, find, "the thing"))
"""


def start(folder: Path, program: str, patience: str = "patient") -> int:
    """Start a keeper of one daemon; gives its pid."""
    command = [sys.executable, "-c", STARTER, str(folder), program, patience, PROGRAM]
    env = {**os.environ, MARK: str(folder)}
    return int(subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout)


def test_what_dies_is_started_again_and_all_ends_with_the_keeper(tmp_path: Path) -> None:
    keeper = start(tmp_path, STAY)
    assert keeper_of(tmp_path) == keeper
    first = daemons_of(tmp_path)["one"]
    os.kill(first, signal.SIGKILL)
    second = wait_until(lambda: next((pid for pid in daemons_of(tmp_path).values() if pid != first), None), "another")
    assert restarted_daemons(tmp_path) == ["one"]
    assert stop_keeper(tmp_path, "the thing", 20) is True
    assert not alive(second)
    assert not marked(MARK, str(tmp_path))
    assert daemons_of(tmp_path) == {}
    assert stop_keeper(tmp_path, "the thing", 20) is False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_daemon_that_does_not_listen_is_gone_too(number: int, tmp_path: Path) -> None:
    keeper = start(tmp_path, DEAF)
    daemon = psutil.Process(daemons_of(tmp_path)["one"])
    wait_until(lambda: _ignores_term(daemon.pid), "the daemon to be deaf")
    os.kill(keeper, number)
    wait_until(lambda: not alive(daemon) and keeper_of(tmp_path) is None, "the end of both")
    assert not marked(MARK, str(tmp_path))


def _ignores_term(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    ignored = int(next(line for line in status.splitlines() if line.startswith("SigIgn")).split()[1], 16)
    return bool(ignored & (1 << (signal.SIGTERM - 1)))


def test_what_a_killed_daemon_started_is_gone_too(tmp_path: Path) -> None:
    child = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True).pid"
    place = tmp_path / "child"
    program = (
        f"import subprocess, sys, time; from pathlib import Path; place = Path({str(place)!r})\n"
        f"place.exists() or place.write_text(str({child}))\nwhile True: time.sleep(1)"
    )
    start(tmp_path, program)
    pid = int(wait_until(lambda: place.exists() and place.read_text(), "the child"))
    os.kill(daemons_of(tmp_path)["one"], signal.SIGKILL)
    wait_until(lambda: not alive(pid), "the end of the child")
    stop_keeper(tmp_path, "the thing", 20)


def test_one_that_dies_again_and_again_ends_all_with_its_last_words(tmp_path: Path) -> None:
    keeper = start(tmp_path, FALL, "no patience")
    wait_until(lambda: not alive(keeper), "the keeper to give up")
    said = (tmp_path / KEEPER_LOG).read_text().splitlines()[-1]
    assert said == "one does not stay up: SomeError: it does not work"
    assert restarted_daemons(tmp_path) == ["one"] * 5


def test_patience_starts_it_after_longer_pauses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log").mkdir()
    now = [0.0]
    monkeypatch.setattr("flows.keeping.keeper.time.monotonic", lambda: now[0])
    keeper = Keeper(tmp_path)
    keeper.patient = True
    starts: list[float] = []

    def begin(argv: tuple[str, ...], **options: object) -> subprocess.Popen[bytes]:
        starts.append(now[0])
        process = subprocess.Popen([*argv], process_group=0)
        process.wait()
        return process

    keeper.start_daemon(Daemon("one", ("/bin/false",), start=begin))
    for second in range(64):
        now[0] = float(second)
        keeper.look_after()
        keeper.look_after()
    pauses = [round(after - before) for before, after in pairwise(starts)]
    assert pauses[0] == 0
    assert pauses[1:5] == [1, 2, 4, 8]
    keeper.stop_daemons()


def test_a_keeper_that_ends_before_it_is_up_says_why(tmp_path: Path) -> None:
    assert take_lock(tmp_path)
    with pytest.raises(InputError, match=r"^the thing did not start: one is up already in .*$"):
        start_keeper(
            [sys.executable, "-c", PROGRAM, str(tmp_path), STAY, "patient"], tmp_path, lambda _pid: None, "the thing"
        )
    silent = [sys.executable, "-c", "raise SystemExit(7)"]
    with pytest.raises(StageError, match=r"^the thing did not start: exit code 7$"):
        start_keeper(silent, tmp_path / "other", lambda _pid: None, "the thing")


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*/file/folder: Not a directory; give another folder"):
        start_keeper(["true"], tmp_path / "file" / "folder", lambda _pid: None, "the thing")
