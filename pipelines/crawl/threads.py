"""Threads that wait for servers, so that the crawler does not have to."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from schemas.errors import StageError

__all__ = ["Threads"]

Question = TypeVar("Question")
Result = TypeVar("Result")


class Threads(Generic[Question, Result]):
    """Up to `limit` questions at once. Daemon threads: a crawl that is stopped does not wait for servers."""

    def __init__(self, answer: Callable[[Question], Result], limit: int) -> None:
        """Take the work: `answer` is called in a thread, once for each question."""
        self._answer = answer
        self._limit = limit
        self._threads = 0
        self._questions: queue.SimpleQueue[Question | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[tuple[Question, Result | None]] = queue.SimpleQueue()
        self.under_way = 0  # questions whose results were not taken yet

    @property
    def are_free(self) -> bool:
        """Whether another question may be put."""
        return self.under_way < self._limit

    def put(self, question: Question) -> None:
        """Have a question answered."""
        self.under_way += 1
        if self._threads < self.under_way:
            self._threads += 1
            threading.Thread(target=self._work, name=f"crawl-{self._threads}", daemon=True).start()
        self._questions.put(question)

    def take(self, seconds: float | None) -> tuple[Question, Result] | None:
        """The next result; None where there is none within `seconds`, or None for as long as it takes.

        Raises:
            StageError: the work raised something; Python has written what, with its traceback, to standard error.
        """
        try:
            question, result = self._results.get(timeout=seconds)
        except queue.Empty:
            return None
        self.under_way -= 1
        if result is None:
            raise StageError(f"a thread of the crawl failed at {question}; its traceback is above")
        return question, result

    def close(self) -> None:
        """Let the threads end when they have done what they are at."""
        for _ in range(self._threads):
            self._questions.put(None)

    def _work(self) -> None:
        while (question := self._questions.get()) is not None:
            result = None
            try:
                result = self._answer(question)
            finally:
                self._results.put((question, result))
