"""From what a package says about its licence to an SPDX expression, and how much that asks of those who pass it on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from license_expression import (
    AND,
    OR,
    ExpressionError,
    LicenseSymbol,
    LicenseWithExceptionSymbol,
    Licensing,
    get_license_index,
    get_spdx_licensing,
)

__all__ = ["FLAGGED", "KINDS", "Licence", "judge"]

# From the one that asks least to the one that nobody can tell.
KINDS = ("permissive", "weak copyleft", "copyleft", "proprietary", "unknown")
FLAGGED = KINDS[1:]
# The categories of ScanCode's license database, which license-expression carries.
_CATEGORIES = {
    "Permissive": "permissive",
    "Public Domain": "permissive",
    "Copyleft Limited": "weak copyleft",
    "Copyleft": "copyleft",
    "Commercial": "proprietary",
    "Free Restricted": "proprietary",
    "Proprietary Free": "proprietary",
    "Source-available": "proprietary",
}
# What packages from before PEP 639 wrote, in small letters: an SPDX expression, or "" and a kind where none is meant.
_SPELLINGS = {
    "3-clause bsd license": ("BSD-3-Clause", ""),
    "apache": ("", "permissive"),
    "apache 2.0": ("Apache-2.0", ""),
    "apache 2.0 license": ("Apache-2.0", ""),
    "apache license 2.0": ("Apache-2.0", ""),
    "apache software license": ("", "permissive"),
    "artistic license": ("", "permissive"),
    "bsd": ("", "permissive"),
    "bsd license": ("", "permissive"),
    "gnu general public license (gpl)": ("", "copyleft"),
    "gnu general public license v2 or later (gplv2+)": ("GPL-2.0-or-later", ""),
    "gnu general public license v3 (gplv3)": ("GPL-3.0-only", ""),
    "gnu lesser general public license v2 or later (lgplv2+)": ("LGPL-2.0-or-later", ""),
    "gnu lesser general public license v3 (lgplv3)": ("LGPL-3.0-only", ""),
    "isc license (iscl)": ("ISC", ""),
    "mit license": ("MIT", ""),
    "mozilla public license 2.0 (mpl 2.0)": ("MPL-2.0", ""),
    "nvidia proprietary software": ("", "proprietary"),
    "other/proprietary license": ("", "proprietary"),
    "python software foundation license": ("PSF-2.0", ""),
    "the unlicense (unlicense)": ("Unlicense", ""),
}
_NO_LICENCE = frozenset({"dfsg approved", "osi approved", "unknown"})


@dataclass(frozen=True)
class Licence:
    """`text` is what the package says; `expression` the same in SPDX's words, empty where it cannot be said in them."""

    text: str
    expression: str
    kind: str


def _strictest(kinds: Sequence[str]) -> str:
    return max(kinds, key=KINDS.index)


@cache
def _kinds() -> dict[str, str]:
    found = {}
    for one in get_license_index():
        kind = _CATEGORIES.get(one.get("category", ""), "unknown")
        for key in (one.get("spdx_license_key"), *one.get("other_spdx_license_keys", ())):
            found[key] = kind
    return found


def _kind(node: object) -> str:
    if isinstance(node, AND):
        return _strictest([_kind(one) for one in node.args])
    if isinstance(node, OR):
        return min((_kind(one) for one in node.args), key=KINDS.index)
    if isinstance(node, LicenseWithExceptionSymbol):
        # An exception takes back some of what its licence asks.
        weaker = _kinds().get(node.exception_symbol.key, "unknown")
        return min(_kind(node.license_symbol), weaker, key=KINDS.index)
    assert isinstance(node, LicenseSymbol)
    if node.key.startswith("LicenseRef-"):
        return "proprietary" if "proprietary" in node.key.lower() else "unknown"
    return _kinds().get(node.key, "unknown")


@cache
def _licensing() -> Licensing:
    # 40 ms of CPU time to build, and there are some 300 packages.
    return get_spdx_licensing()


@cache
def _parsed(text: str) -> tuple[str, str] | None:
    """The expression and its kind; None where the text is none."""
    licensing = _licensing()
    try:
        tree = licensing.parse(text)
    except ExpressionError:
        return None
    if tree is None:
        return None
    known = [one for one in licensing.unknown_license_keys(tree) if not one.startswith("LicenseRef-")]
    return None if known else (str(tree), _kind(tree))


def _judge_text(text: str) -> Licence:
    line = next((one.strip() for one in text.splitlines() if one.strip()), "")
    expression, kind = _SPELLINGS.get(line.lower(), ("", ""))
    if kind:
        return Licence(line, "", kind)
    parsed = _parsed(expression or line)
    return Licence(line, *parsed) if parsed else Licence(line[:80], "", "unknown")


def judge(expression: str, classifiers: Sequence[str], text: str) -> Licence:
    """Which licence a package has, by what its metadata says: the newest way of saying it that is there.

    Args:
        expression: `License-Expression` (PEP 639), empty where it is not given.
        classifiers: its trove classifiers; where several name licences, the strictest counts, for they do not say
            whether all hold or one may be chosen.
        text: `License`, of which the first line is read; empty where it is not given.
    """
    if expression:
        return _judge_text(expression)
    names = [one.rpartition("::")[2].strip() for one in classifiers if one.startswith("License ::")]
    licences = [_judge_text(one) for one in names if one.lower() not in _NO_LICENCE]
    if len(licences) == 1:
        # `BSD License` is less than what the text may say.
        stated = _judge_text(text)
        return stated if stated.expression and not licences[0].expression else licences[0]
    if licences:
        kind = _strictest([one.kind for one in licences])
        return Licence(", ".join(one.text for one in licences), "", kind)
    return _judge_text(text)
