"""What compiled libraries raise."""

from __future__ import annotations

__all__ = ["reason_of"]


def reason_of(error: BaseException) -> str:
    """What a library said; a panic of compiled code is no Exception, and says why nevertheless.

    Raises:
        BaseException: the error itself, where it is none of a library's.
    """
    if isinstance(error, Exception) or type(error).__name__ == "PanicException":
        return f"{type(error).__name__}: {error}"
    raise error
