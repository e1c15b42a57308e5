"""Header blocks of WARC records and HTTP messages: a first line, then `Name: value` lines, then an empty line."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["HeaderBlock", "parse_header_block"]


@dataclass(frozen=True)
class HeaderBlock:
    """A parsed block; names in lower case, the first of repeated fields counts."""

    first_line: str
    fields: dict[str, str]

    def get(self, name: str) -> str | None:
        """The value of a field, by its name in lower case; None where it is missing or empty."""
        return self.fields.get(name) or None


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def parse_header_block(block: bytes) -> HeaderBlock:
    """Parse a block; lines that begin with white space go on with the line before, lines without colon are left out."""
    lines: list[list[bytes]] = []  # pieces of each line
    for line in block.split(b"\n"):
        if line[:1] in {b" ", b"\t"} and lines:
            lines[-1].append(line.strip())
        else:
            lines.append([line.strip()])
    fields: dict[str, str] = {}
    for pieces in lines[1:]:
        name, colon, value = b" ".join(pieces).partition(b":")
        if colon:
            fields.setdefault(_decoded(name.strip()).lower(), _decoded(value.strip()))
    return HeaderBlock(_decoded(b" ".join(lines[0])), fields)
