"""The partitions that `FROM..TO` names: its last number counted up, without any listing."""

from __future__ import annotations

import re

from schemas.corpus_root import PartitionKey
from schemas.errors import ConfigError

__all__ = ["expand", "fill_in"]

_LAST_NUMBER = re.compile(r"(.*?)(\d+)(\D*)", re.DOTALL)
_MOST = 1_000_000
_PLACES = re.compile(r"\{([^{}]*)\}")


def _pieces(name: str, given: str) -> tuple[str, str, str]:
    found = _LAST_NUMBER.fullmatch(name)
    if found is None:
        raise ConfigError(
            f"--partitions {given}: {name!r} holds no number to count; give FROM..TO like 2026-01..2026-12"
        )
    return found[1], found[2], found[3]


def _range(first: str, last: str, given: str) -> list[str]:
    before, start, after = _pieces(first, given)
    if last.isdigit() and (before or after):
        last = f"{before}{last}{after}"
    before_last, end, after_last = _pieces(last, given)
    if (before, after) != (before_last, after_last):
        raise ConfigError(
            f"--partitions {given}: {first!r} and {last!r} differ in more than their last number; give one range "
            "for each"
        )
    count = int(end) - int(start) + 1
    if count < 1:
        raise ConfigError(f"--partitions {given}: {last!r} comes before {first!r}; give the first one first")
    if count > _MOST:
        raise ConfigError(f"--partitions {given}: {count:,} partitions are more than {_MOST:,}; give a shorter range")
    width = len(start)
    if end.zfill(width) != str(int(end)).zfill(width):
        raise ConfigError(
            f"--partitions {given}: {start} and {end} are of different widths; write both with {width} digits"
        )
    return [f"{before}{number:0{width}d}{after}" for number in range(int(start), int(end) + 1)]


def expand(source: str, given: str) -> list[PartitionKey]:
    """The partitions of `FROM..TO`, of one name, or of several of these with commas between.

    The last number of FROM is counted up to that of TO in the width of FROM; TO may be that number alone.

    Raises:
        ConfigError: no range can be read, or a name cannot be a folder's.
    """
    names: list[str] = []
    for part in given.split(","):
        first, dots, last = part.strip().partition("..")
        if not first or (dots and not last):
            raise ConfigError(f"--partitions {given}: give a name, or FROM..TO like 2026-01..2026-12")
        names += _range(first, last, given) if dots else [first]
    keys = [PartitionKey(source, name) for name in dict.fromkeys(names)]
    for key in (keys[0], keys[-1]) if ".." in given and "," not in given else keys:
        key.checked()
    return keys


def fill_in(template: str, key: PartitionKey) -> str:
    """An input with the names of a partition in place of {source} and {partition}.

    Raises:
        ConfigError: it holds another name in braces.
    """
    for name in _PLACES.findall(template):
        if name not in ("source", "partition"):
            raise ConfigError(f"input {template}: {{{name}}} is not known; write {{source}} or {{partition}}")
    return template.replace("{source}", key.source).replace("{partition}", key.partition)
