"""Functions over arrays that Numba compiles to machine code, kept between processes where that is possible."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, flock
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit
from numba.core import entrypoints

__all__ = ["compiled", "inlined"]

# Before its first call Numba imports every installed package that extends it. Our loops use none, and one that comes
# with a tokenizer takes 0.3 s of CPU in each process. There is no public way to say so.
entrypoints._already_initialized = True

FunctionT = TypeVar("FunctionT", bound=Callable[..., object])


def compiled(function: FunctionT) -> FunctionT:
    """Compile a function at its first call; its arguments are arrays and numbers.

    Machine code is kept beside the module, or in the folder that `NUMBA_CACHE_DIR` names, or in the user's cache: the
    first of them that can be written. Where none can, each process compiles for itself. Numba sees that the file of a
    function has changed, and no other file: what is compiled together belongs into one file, constants too.
    """
    try:
        dispatcher = njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no place to keep it
        return inlined(function)
    kept = Path(str(dispatcher.stats.cache_path))
    dispatcher.compile = _in_turn(dispatcher.compile, function, kept)  # type: ignore[method-assign]
    return cast(FunctionT, dispatcher)


def _in_turn(compile_function: Callable[..., Any], function: Callable[..., object], kept: Path) -> Callable[..., Any]:
    """Where nothing is kept, one process compiles, and others that start beside it wait and take what it kept."""
    source = Path(function.__code__.co_filename)
    index = f"{source.stem}.{function.__qualname__}-{function.__code__.co_firstlineno}.*.nbi"

    @wraps(compile_function)
    def compile_in_turn(signature: Any) -> Any:
        stamps = [found.stat().st_mtime for found in kept.glob(index)]
        if stamps and max(stamps) >= source.stat().st_mtime:
            return compile_function(signature)
        with _alone(source):
            return compile_function(signature)

    return compile_in_turn


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock of a file, where the file system has locks."""
    with path.open("rb") as file:
        with suppress(OSError):
            flock(file, LOCK_EX)
        yield


def inlined(function: FunctionT) -> FunctionT:
    """Compile a function as a part of those that call it; it lies in their file and is not kept by itself."""
    return cast(FunctionT, njit(nogil=True)(function))
