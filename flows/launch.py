"""Running a command as a supervised child process.

The child runs under a supervisor (`supervisor.py`), which leads a process group of its own. Whatever happens to this
process, SIGKILL included, the child and everything that it started end with it, in whatever session they are; and where
it is the supervisor that is killed, the kernel ends the child and this process ends the rest. Signals that ask this
process to stop are forwarded to the group; what has not ended after the grace period is killed.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, Any

from flows.process_marks import kill_marked, marked_environment
from flows.process_memory import tree_memory_bytes

__all__ = ["COMPLAINT", "ChildResult", "run_child", "start_guarded", "start_supervised", "stop_group"]

COMPLAINT = "corpusmill: "  # how the last line of a command that failed begins
_GUARD = Path(__file__).with_name("guarded_exec.py")
_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOOK_SECONDS = 0.2
# Adding up the pages of a process of 1 GiB takes the kernel up to 10 ms: at this pace 2% of a core.
_MEMORY_SECONDS = 0.5
_TAIL_LINES = 50
# After the child's end its pipes may be held open by what it started; nothing of that is worth a longer wait.
_DRAIN_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class ChildResult:
    """How a child ended; `exit_code` is minus the signal's number where one killed it."""

    exit_code: int
    seconds: float
    peak_memory_bytes: int
    last_line: str = ""
    errors: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        """The JSON object that the child printed last; empty where it printed none."""
        try:
            content = json.loads(self.last_line)
        except ValueError:
            return {}
        return content if isinstance(content, dict) else {}

    def complaint(self) -> str:
        """Why it failed, in one line: what it says of itself, else how it ended."""
        said = [line.removeprefix(COMPLAINT) for line in self.errors if line.startswith(COMPLAINT)]
        if said:
            return said[-1]
        if self.exit_code < 0:
            return f"ended by signal {-self.exit_code}"
        return self.errors[-1] if self.errors else f"exit code {self.exit_code}, and it said nothing"


def start_guarded(argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a command, in a process group of its own, that dies when this thread or this process does.

    Args:
        argv: the command; its first word is a path.
        options: more arguments of `subprocess.Popen`.
    """
    return _start(_GUARD, argv, **options)


def start_supervised(argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a command under a supervisor, in a process group of its own: all of it ends when either of them does.

    What is started is the supervisor: it ends as the command does, with nothing left of what that started, and kills
    all of it when this process dies. A command without children of its own is as safe with `start_guarded`.

    Args:
        argv: the command; its first word is a path.
        options: more arguments of `subprocess.Popen`.
    """
    return _start(_SUPERVISOR, argv, **options)


def _start(starter: Path, argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", "-S", str(starter), str(os.getpid()), *argv]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0, **options)  # noqa: S603


def stop_group(process: subprocess.Popen[bytes], number: int = signal.SIGKILL) -> None:
    """Send a signal to a started command and all that is in its process group."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


class _Output:
    """Reads what a child writes, line by line, without ever waiting for it."""

    def __init__(self, process: subprocess.Popen[bytes], on_line: Callable[[str], None]) -> None:
        self.last_line = ""
        self.errors: deque[str] = deque(maxlen=_TAIL_LINES)
        self._on_line = on_line
        self._selector = selectors.DefaultSelector()
        self._rest: dict[int, bytes] = {}
        for stream, take in ((process.stdout, self._take_stdout), (process.stderr, self._take_stderr)):
            if stream is not None:
                os.set_blocking(stream.fileno(), False)
                self._selector.register(stream, selectors.EVENT_READ, take)

    def _take_stdout(self, line: str) -> None:
        self.last_line = line

    def _take_stderr(self, line: str) -> None:
        self.errors.append(line)
        self._on_line(line)

    def read(self, seconds: float) -> bool:
        """Take in what is there, waiting at most so long for the first of it; False once all streams have ended."""
        for key, _ in self._selector.select(seconds) if self._selector.get_map() else ():
            stream: IO[bytes] = key.fileobj  # type: ignore[assignment]
            data = os.read(stream.fileno(), 65536)
            *lines, rest = (self._rest.pop(key.fd, b"") + data).replace(b"\r", b"\n").split(b"\n")
            self._rest[key.fd] = rest
            for line in lines if data else [*lines, rest]:
                text = line.decode("utf-8", "replace").rstrip()
                if text:
                    key.data(text)
            if not data:
                self._selector.unregister(stream)
        return bool(self._selector.get_map())

    def drain(self) -> None:
        """Take in what the ended child has left: one read at least, which empties a pipe, however late it is."""
        until = time.monotonic() + _DRAIN_SECONDS
        while self.read(_DRAIN_SECONDS / 10) and time.monotonic() < until:
            pass
        self._selector.close()


def _is_left_alone(number: int) -> bool:
    """Whether a signal keeps the handler that it has.

    Prefect tells a cancelled run from a crashed one only where its own handler of SIGTERM is in place when the signal
    comes (3.8); that one raises an exception.
    """
    handler = signal.getsignal(number)
    if handler is signal.SIG_IGN:
        return True
    return number == signal.SIGTERM and getattr(handler, "__module__", "").startswith("prefect.")


@contextmanager
def _noting_signals() -> Iterator[list[int]]:
    """Collect stop signals while the body runs, and deliver the first again after it; main thread only."""
    noted: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        noted.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    heeded = [number for number in _STOP_SIGNALS if not _is_left_alone(number)]
    before = {number: signal.signal(number, note) for number in heeded}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if noted:
        signal.raise_signal(noted[0])


def _supervise(
    process: subprocess.Popen[bytes], output: _Output, noted: list[int], on_look: Callable[[], None], grace: float
) -> tuple[int, int]:
    """Wait for the end of the child; gives its exit code and the most memory that was seen."""
    peak, next_measure, forwarded, deadline = 0, 0.0, 0, float("inf")
    while process.poll() is None:
        if not output.read(_LOOK_SECONDS):
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_SECONDS)
        if time.monotonic() >= next_measure:
            peak = max(peak, tree_memory_bytes(process.pid))
            next_measure = time.monotonic() + _MEMORY_SECONDS
        on_look()
        if len(noted) > forwarded:
            # Asked a second time, there is no grace any more.
            deadline = time.monotonic() + (grace if forwarded == 0 else 0)
            forwarded = len(noted)
            stop_group(process, noted[0])
        if time.monotonic() > deadline:
            stop_group(process)
    return process.returncode, peak


def _end(process: subprocess.Popen[bytes], output: _Output, error: BaseException, grace: float) -> None:
    """Ask the child to stop for an exception that a signal has raised here, and give it the grace period."""
    stop_group(process, signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM)
    deadline = time.monotonic() + grace
    while process.poll() is None and time.monotonic() < deadline:
        if not output.read(_LOOK_SECONDS):
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK_SECONDS)


def _nothing(_text: str = "") -> None:
    """Takes no notice."""


def run_child(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    capture: bool = True,
    on_line: Callable[[str], None] = _nothing,
    on_look: Callable[[], None] = _nothing,
    grace_seconds: float = 5.0,
) -> ChildResult:
    """Run a command to its end.

    A stop signal that this process gets meanwhile goes to the child; once the child has ended, it is delivered here.

    Args:
        argv: the command; its first word is a path.
        env: its whole environment; this process's own where not given.
        capture: take stdout (its last line is kept) and stderr (line by line); else the child writes where we do.
        on_line: is given each line of stderr.
        on_look: is called a few times a second.
        grace_seconds: how long the child may take to stop when asked to.
    """
    started = time.monotonic()
    pipe = subprocess.PIPE if capture else None
    environment, mark = marked_environment(os.environ if env is None else env)
    with (
        _noting_signals() as noted,
        start_supervised(argv, env=environment, stdout=pipe, stderr=pipe) as process,
    ):
        output = _Output(process, on_line)
        try:
            exit_code, peak = _supervise(process, output, noted, on_look, grace_seconds)
        except BaseException as error:
            _end(process, output, error, grace_seconds)
            raise
        finally:
            stop_group(process)
            kill_marked(mark)
        output.drain()
    return ChildResult(
        exit_code=exit_code,
        seconds=time.monotonic() - started,
        peak_memory_bytes=peak,
        last_line=output.last_line,
        errors=tuple(output.errors),
    )
