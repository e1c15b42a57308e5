"""Payment card numbers in text, told by issuer, length and check digit."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipelines.cleaning.privacy.network_addresses import Span

__all__ = ["card_numbers"]

# Bare, or in the groups that are printed on cards; one separator all through.
_CANDIDATE = re.compile(
    r"(?<![\w.,+/=-])(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{4,5})(?![\w/=]|[.,-]\d| \d)",
    re.ASCII,
)
# First digits (lowest and highest, of equal length) and lengths, as the issuers' ranges of ISO/IEC 7812 are published.
_ISSUERS = (
    ("4", "4", (13, 16, 19)),  # Visa
    ("51", "55", (16,)),  # Mastercard
    ("2221", "2720", (16,)),
    ("34", "34", (15,)),  # American Express
    ("37", "37", (15,)),
    ("6011", "6011", (16, 19)),  # Discover
    ("644", "649", (16, 19)),
    ("65", "65", (16, 19)),
    ("300", "305", (14, 16, 19)),  # Diners Club
    ("36", "36", (14, 16, 19)),
    ("38", "39", (14, 16, 19)),
    ("3528", "3589", (16, 19)),  # JCB
    ("62", "62", (16, 17, 18, 19)),  # UnionPay
    ("2200", "2204", (16, 19)),  # Mir
    ("6304", "6304", (16, 18, 19)),  # Maestro
    ("6759", "6759", (16, 18, 19)),
    ("6761", "6763", (16, 18, 19)),
)


def card_numbers(text: str, start: int, end: int) -> Iterator[Span]:
    """Card numbers in a run of digits and what stands between them, which lies at [start, end) of the text."""
    for match in _CANDIDATE.finditer(text, start, end + 3):
        digits = re.sub(r"\D", "", match.group())
        if _issued(digits) and _check_digit_fits(digits):
            yield match.span()


def _issued(digits: str) -> bool:
    return any(
        low <= digits[: len(low)] <= high and len(digits) in lengths and len(set(digits)) > 1
        for low, high, lengths in _ISSUERS
    )


def _check_digit_fits(digits: str) -> bool:
    """Luhn's sum (ISO/IEC 7812-1, annex B)."""
    odd = sum(map(int, digits[-1::-2]))
    even = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (odd + even) % 10 == 0
