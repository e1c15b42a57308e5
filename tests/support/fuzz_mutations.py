"""Mutations of bytes, drawn from a seeded generator: flips, cuts, repeats, pieces of other inputs, and odd words."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

__all__ = ["mutated"]

_NUMBER = re.compile(rb"\d+")
_NUMBERS = (b"0", b"-1", b"1e999", b"NaN", b"4294967296", b"9" * 400, b"9" * 5000)
_WORDS = (
    *(b"\0", b"\xff", b"\r\n\r\n", b"\n ", b"\x85", b"\xed\xa0\x80", "\u0660\u0b2a".encode(), b"\\ud800", b"\xff\xfe"),
    *(
        b"<" * 50,
        b"<div>" * 300,
        b"[" * 5000,
        b'{"a":' * 3000,
        b"x=" + b"[" * 2000,
        b"(" * 300,
        b"%" * 40,
        b"&#x110000;",
    ),
    *(b"https://[::1", b"http://\xc3\xbc.example:99999/", b"null", b"true", b"{}", b"[]", b'""', b"''", b"nan", b"inf"),
)


def mutated(data: bytes, draw: random.Random, others: Sequence[bytes], longest: int) -> bytes:
    """The bytes with one to four changes, cut off at `longest`."""
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        data = _change(data or b" ", draw, others)
    return data[:longest]


def _change(data: bytes, draw: random.Random, others: Sequence[bytes]) -> bytes:
    at, length = draw.randrange(len(data)), draw.choice((1, 1, 2, 4, 16, 200))
    before, after = data[:at], data[at:]
    match draw.randrange(9):
        case 0:
            return before + bytes([data[at] ^ 1 << draw.randrange(8)]) + after[1:]
        case 1:
            return before + draw.randbytes(length) + after[length:]
        case 2:
            return before + after[length:]
        case 3:
            return before + after[:length] * draw.choice((2, 3, 50)) + after[length:]
        case 4:
            other = draw.choice(others)
            start = draw.randrange(len(other) or 1)
            return before + other[start : start + length] + after
        case 5:
            return before + draw.choice(_WORDS) + after
        case 6:
            return before + draw.choice(_WORDS) + after[length:]
        case 7:
            found = _NUMBER.search(data, at) or _NUMBER.search(data)
            return data[: found.start()] + draw.choice(_NUMBERS) + data[found.end() :] if found else before
        case _:
            return before
