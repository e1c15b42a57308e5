"""Whole files that may be gzipped, which their content says and not their name."""

from __future__ import annotations

import gzip
import zlib

from schemas.errors import InputError
from schemas.storage import open_input

__all__ = ["read_gunzipped"]


def read_gunzipped(url: str) -> bytes:
    """The content of a file.

    Raises:
        InputError: there is no such file, or it is damaged.
    """
    with open_input(url) as stream:
        data = stream.read()
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{url} is a damaged gzip file ({error}); fetch it again") from error
