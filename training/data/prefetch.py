"""Reading ahead: while one range of samples is used, threads read those that will most likely be asked for next."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, NamedTuple, TypeVar

__all__ = ["ReadAhead", "Wanted"]

T = TypeVar("T")


class Wanted(NamedTuple):
    """What one call asks for: `samples` samples from `start` on, of which one rank reads its part."""

    start: int
    samples: int
    rank: int
    world_size: int


class ReadAhead(Generic[T]):
    """Calls `read` in threads for the calls to come, which are taken to be like the last one.

    What was read for a call that came otherwise is dropped; results are those of `read`, whatever the guess.

    Args:
        read: gives what a call asks for; called by several threads at once.
        workers: threads.
        depth: calls that are read ahead.
        end: samples there are.
    """

    def __init__(self, read: Callable[[Wanted], T], workers: int, depth: int, end: int) -> None:
        self._read = read
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="loader")
        self._depth = depth
        self._end = end
        self._coming: dict[Wanted, Future[T]] = {}

    def get(self, wanted: Wanted) -> T:
        """What `read` gives, from ahead where the guess was right."""
        future = self._coming.pop(wanted, None)
        likely = [
            wanted._replace(start=wanted.start + turn * wanted.samples)
            for turn in range(1, self._depth + 1)
            if wanted.start + (turn + 1) * wanted.samples <= self._end
        ]
        for other in self._coming.keys() - set(likely):
            self._coming.pop(other).cancel()
        for one in likely:
            if one not in self._coming:
                self._coming[one] = self._pool.submit(self._read, one)
        return future.result() if future is not None else self._read(wanted)

    def close(self) -> None:
        """End the threads; what was read ahead is dropped."""
        self._coming.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)
