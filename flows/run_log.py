"""The log of one run: JSON lines in `<root>/logs/<run id>.jsonl`, each with run id, stage and partition.

Everything that goes through Python's logging lands there and nowhere else, warnings of libraries included: people read
the progress on the terminal instead. A child process of a run writes to the same log.
"""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import tempfile
import threading
import time
import traceback
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from schemas.corpus_root import CorpusRoot

__all__ = ["RUN_ID_VARIABLE", "current_run_id", "log_crash", "log_thread_crash", "open_run_log"]

RUN_ID_VARIABLE = "CORPUSMILL_RUN_ID"
_OURS = ("flows", "pipelines", "training", "schemas")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def current_run_id() -> str:
    """The id of the run that this process belongs to; made, and handed to all children, where there is none yet."""
    if RUN_ID_VARIABLE not in os.environ:
        made = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        os.environ[RUN_ID_VARIABLE] = f"{made}-{uuid.uuid4().hex[:6]}"
    return os.environ[RUN_ID_VARIABLE]


class _JsonLines(logging.Formatter):
    def __init__(self, context: dict[str, Any]) -> None:
        super().__init__()
        self._context = context

    def format(self, record: logging.LogRecord) -> str:
        row = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **self._context,
            **{key: value for key, value in vars(record).items() if key not in _STANDARD},
        }
        if record.exc_info:
            row["traceback"] = self.formatException(record.exc_info)
        return json.dumps(row, ensure_ascii=False, default=str)


@contextmanager
def _log_stream(root: CorpusRoot, name: str) -> Iterator[IO[str]]:
    folder = root.folder.child("logs")
    folder.make()
    if folder.is_local:
        with Path(folder.path(name)).open("a", encoding="utf-8") as stream:
            yield stream
        return
    # Objects of a store cannot be appended to: each process writes a log of its own, at its end.
    lines = io.StringIO()
    try:
        yield lines
    finally:
        folder.put_whole(name.replace(".jsonl", f"-{os.getpid()}.jsonl"), lines.getvalue().encode())


@contextmanager
def open_run_log(root: CorpusRoot, **context: Any) -> Iterator[logging.Logger]:
    """Send all logging of this process to the run's log while the body runs; gives a logger for our own events.

    Args:
        root: the corpus; its folder is made where it is missing.
        context: goes into every line, `stage` for example.

    Raises:
        OutputError: the corpus cannot be written.
    """
    run_id = current_run_id()
    with _log_stream(root, f"{run_id}.jsonl") as stream:
        handler = logging.StreamHandler(stream)
        handler.setFormatter(_JsonLines({"run_id": run_id, "pid": os.getpid(), **context}))
        # A handler that is there before Beam is imported also keeps it from setting up one on stderr.
        logging.getLogger().addHandler(handler)
        logging.captureWarnings(capture=True)
        for name in _OURS:
            logging.getLogger(name).setLevel(logging.INFO)
        try:
            yield logging.getLogger("flows")
        finally:
            logging.captureWarnings(capture=False)
            logging.getLogger().removeHandler(handler)


def log_thread_crash(about: threading.ExceptHookArgs) -> None:
    """For `threading.excepthook`: an error that ended a thread goes to the log, not to the terminal.

    Libraries have threads of their own (Beam's readers of a job's messages), and the work itself says how it ended.
    """
    if about.exc_value is not None:
        trace = (about.exc_type, about.exc_value, about.exc_traceback)
        logging.getLogger(__name__).warning("a thread ended with an error", exc_info=trace)


def log_crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """For `sys.excepthook`: keep the traceback of an error that nobody expected in a file, and say where in a line."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    text = "".join(traceback.format_exception(kind, error, trace))
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", prefix=f"corpusmill-{current_run_id()}-", suffix=".log", delete=False
    ) as stream:
        stream.write(f"{' '.join(sys.argv)}\n\n{text}")
    first = str(error).strip().splitlines()[:1] or [""]
    sys.stderr.write(f"corpusmill: unexpected {kind.__name__}: {first[0][:300]}; traceback in {stream.name}\n")
