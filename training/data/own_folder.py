"""A folder of this process alone, which goes with it; what killed processes left goes when the next one comes."""

from __future__ import annotations

import fcntl
import os
import shutil
import weakref
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

from schemas.errors import OutputError

__all__ = ["make_own_folder"]

_TRIES = 16  # another process may take a new folder for one that was left, before it is locked
_LOCK = "lock"  # held for as long as the process lives; the kernel lets go of it, however the process ends


def _take(folder: Path) -> int | None:
    """A descriptor that holds the lock of a folder; None where another process holds it, or the folder is gone."""
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # One that was swept away between these two lines is another file than the one that is locked.
        if os.path.samestat(os.fstat(descriptor), (folder / _LOCK).stat()):
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None


def _remove(folder: Path, descriptor: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        os.close(descriptor)


def make_own_folder(parent: Path, prefix: str, owner: object) -> Path:
    """Make a folder in `parent` that goes when `owner` does, and remove those of this prefix that nobody holds.

    Args:
        parent: a folder on a file system that has locks.
        prefix: of the folder's name, and of those of others for the same purpose.
        owner: the folder goes when this object is collected, or when the process ends.

    Raises:
        OutputError: `parent` cannot be written, or has no locks.
    """
    for other in parent.glob(f"{prefix}*"):
        descriptor = _take(other)
        if descriptor is not None:
            _remove(other, descriptor)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for _ in range(_TRIES):
            folder = Path(mkdtemp(prefix=prefix, dir=parent))
            descriptor = _take(folder)
            if descriptor is not None:
                weakref.finalize(owner, _remove, folder, descriptor)
                return folder
    except OSError as error:
        raise OutputError(f"cannot write to {parent}: {error}; free some space or give another folder") from error
    raise OutputError(f"{parent} lies on a file system without locks; give a folder on a local disk")
