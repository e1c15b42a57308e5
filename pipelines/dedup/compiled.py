"""Functions over arrays that Numba compiles to machine code, kept between processes where that is possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

__all__ = ["compiled", "inlined"]

FunctionT = TypeVar("FunctionT", bound=Callable[..., object])


def compiled(function: FunctionT) -> FunctionT:
    """Compile a function at its first call; its arguments are arrays and numbers.

    Machine code is kept beside the module, or in the folder that `NUMBA_CACHE_DIR` names, or in the user's cache: the
    first of them that can be written. Where none can, each process compiles for itself. Numba sees that the file of a
    function has changed, and no other file: what is compiled together belongs into one file, constants too.
    """
    try:
        return cast(FunctionT, njit(cache=True, nogil=True)(function))
    except RuntimeError:  # no place to keep it
        return inlined(function)


def inlined(function: FunctionT) -> FunctionT:
    """Compile a function as a part of those that call it; it lies in their file and is not kept by itself."""
    return cast(FunctionT, njit(nogil=True)(function))
