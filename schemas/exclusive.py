"""Files that are made once: of two who make a file of one name at the same moment, one is told that it is there."""

from __future__ import annotations

import errno
import os
import uuid
from pathlib import Path

from schemas.errors import OutputError
from schemas.storage import TEMPORARY_SUFFIX, Folder

__all__ = ["create_file"]

_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK})


def _create_local(target: str, data: bytes) -> None:
    """A link to a file that is whole, so that nobody reads half of it; where there are no links, a file."""
    temporary = Path(f"{target}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}")
    try:
        temporary.write_bytes(data)
        os.link(temporary, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        with Path(target).open("xb") as stream:
            stream.write(data)
    finally:
        temporary.unlink(missing_ok=True)


def _create_object(folder: Folder, name: str, data: bytes) -> None:
    """A conditional PUT on S3 and Google Cloud Storage; a look and a PUT where a store knows no condition."""
    fs, _ = folder.filesystem()
    target = folder.path(name)
    try:
        fs.pipe_file(target, data, mode="create")
    except (TypeError, ValueError, NotImplementedError):
        if folder.exists(name):
            raise FileExistsError(target) from None
        fs.pipe_file(target, data)
    except PermissionError:
        raise
    except OSError:
        # Stores refuse in many words. And an answer may get lost on its way: the client then asks again, and is refused
        # because of the object that it made itself.
        if not folder.exists(name):
            raise
        if folder.read(name) != data:
            raise FileExistsError(target) from None


def create_file(folder: Folder, name: str, data: bytes) -> bool:
    """Write a file unless there is one of this name; gives whether it was written.

    Local file systems, S3 and Google Cloud Storage never give True to two who ask. A store without conditional writes
    may, where both ask within the moment between a look and a write.

    Args:
        folder: where.
        name: of the file.
        data: its bytes; on an object store they have to be unlike those of anybody else who asks.

    Raises:
        OutputError: the place cannot be written.
    """
    folder.make()
    target = folder.path(name)
    try:
        if folder.is_local:
            _create_local(target, data)
        else:
            _create_object(folder, name, data)
    except FileExistsError:
        return False
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error}; give a corpus that you may write") from error
    return True
