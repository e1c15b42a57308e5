"""Content codings of HTTP (RFC 9110, section 8.4.1) taken off a stored body, never more than so many bytes of it.

Each library is told how much it may give, so a bomb costs what a page costs.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

import brotli
from backports import zstd

__all__ = ["CODINGS", "decode_content"]

_PIECE_BYTES = 64 * 1024
_GIVEN_BYTES = 4 * 1024
# Windows of 128 MiB; RFC 9659 asks senders for 8 at most.
_ZSTD_OPTIONS: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 27}

Found = tuple[bytes, bool]  # plain bytes, and whether damage ended them


def _inflate(data: bytes, limit: int, window_bits: int) -> Found:
    found = bytearray()
    member, place = zlib.decompressobj(window_bits), 0
    first, before = 0, 0  # place of the member in hand, and what came before it
    while place < len(data) and len(found) < limit:
        given = data[place : place + _GIVEN_BYTES]
        try:
            found += member.decompress(given, limit - len(found))
        except zlib.error:
            return bytes(found[:before]) + _before_damage(data[first:], limit - before, window_bits), True
        place += len(given) - len(member.unused_data) - len(member.unconsumed_tail)
        if member.eof:  # member behind member
            if len(found) == before:
                break
            member, first, before = zlib.decompressobj(window_bits), place, len(found)
    return bytes(found), False


def _before_damage(data: bytes, limit: int, window_bits: int) -> bytes:
    # zlib gives nothing back from a call that fails; in small pieces, all but the last one comes out.
    member = zlib.decompressobj(window_bits)
    found = bytearray()
    for start in range(0, len(data), 256):
        try:
            found += member.decompress(data[start : start + 256], max(1, limit - len(found)))
        except zlib.error:
            break
        if len(found) >= limit:
            break
    return bytes(found)


def _deflate(data: bytes, limit: int) -> Found:
    """What the standard calls deflate is zlib's format; some servers send bare deflate."""
    found, damaged = _inflate(data, limit, zlib.MAX_WBITS)
    return (found, damaged) if found else _inflate(data, limit, -zlib.MAX_WBITS)


def _pieces(data: bytes) -> Iterator[bytes]:
    # Small ones: what a call has found is lost where it meets damage.
    return (data[start : start + _GIVEN_BYTES] for start in range(0, len(data), _GIVEN_BYTES))


def _brotli(data: bytes, limit: int) -> Found:
    decoder = brotli.Decompressor()
    found = bytearray()
    try:
        for piece in _pieces(data):
            given = piece
            while True:
                found += decoder.process(given, output_buffer_limit=_PIECE_BYTES)
                given = b""
                if len(found) >= limit or decoder.is_finished():
                    return bytes(found), False
                if decoder.can_accept_more_data():
                    break
    except brotli.error:
        return bytes(found), True
    return bytes(found), False


def _zstd(data: bytes, limit: int) -> Found:
    found = bytearray()
    frame = zstd.ZstdDecompressor(options=_ZSTD_OPTIONS)
    try:
        for piece in _pieces(data):
            given = piece
            while len(found) < limit:
                found += frame.decompress(given, limit - len(found))
                given = b""
                if frame.eof:  # frame behind frame
                    given = frame.unused_data
                    frame = zstd.ZstdDecompressor(options=_ZSTD_OPTIONS)
                if not given and frame.needs_input:
                    break
    except zstd.ZstdError:
        return bytes(found), True
    return bytes(found), False


CODINGS: dict[str, Callable[[bytes, int], Found]] = {
    "gzip": lambda data, limit: _inflate(data, limit, zlib.MAX_WBITS | 16),
    "x-gzip": lambda data, limit: _inflate(data, limit, zlib.MAX_WBITS | 16),
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}


def decode_content(data: bytes, coding: str, limit: int) -> bytes | None:
    """The bytes without one coding, cut off behind `limit`; what was cut off or damaged gives what came before.

    Args:
        data: as it is stored.
        coding: a key of `CODINGS`.
        limit: bytes wanted at most.

    Returns:
        None where the bytes do not have this coding: damaged before anything came out.
    """
    found, damaged = CODINGS[coding](data, limit)
    if not found and (damaged or data):
        return None
    return found[:limit]
