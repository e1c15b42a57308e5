"""Personal data in text, replaced by typed placeholders."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator

from pipelines.cleaning.privacy.card_numbers import card_numbers
from pipelines.cleaning.privacy.network_addresses import Span, email_addresses, ipv4_addresses, ipv6_addresses
from pipelines.cleaning.privacy.phone_numbers import phone_numbers
from pipelines.cleaning.privacy.secrets_in_text import secrets_in_text
from schemas.configs.clean import PII_KINDS, PiiKind

__all__ = ["PLACEHOLDERS", "replace_personal_data"]

PLACEHOLDERS: dict[PiiKind, str] = {
    "email": "<EMAIL>",
    "ip-address": "<IP_ADDRESS>",
    "phone": "<PHONE>",
    "card": "<CARD>",
    "secret": "<SECRET>",
}
# Digits and what may stand between those of one number. Phone and card numbers and IPv4 addresses lie in such a run,
# which prose seldom has: one search at 140 MB/s, and all else is done in the runs alone.
_RUN = re.compile("[+(]?[0-9][0-9 \u00a0()./\\-\u2010-\u2013]{5,}[0-9]")
_MOST_PASSES = 10


def _found(text: str, kinds: Collection[PiiKind], language: str | None) -> Iterator[tuple[Span, PiiKind]]:
    """Spans by kind; those of a later kind may lie over those of an earlier one."""
    if "secret" in kinds:
        yield from ((span, "secret") for span in secrets_in_text(text))
    if "email" in kinds:
        yield from ((span, "email") for span in email_addresses(text))
    if "ip-address" in kinds:
        yield from ((span, "ip-address") for span in ipv6_addresses(text))
    for run in _RUN.finditer(text):
        if "ip-address" in kinds:
            yield from ((span, "ip-address") for span in ipv4_addresses(text, *run.span()))
        if "card" in kinds:
            yield from ((span, "card") for span in card_numbers(text, *run.span()))
        if "phone" in kinds:
            yield from ((span, "phone") for span in phone_numbers(text, language, *run.span()))


def _replaced_once(text: str, kinds: Collection[PiiKind], language: str | None, counts: Counter[PiiKind]) -> str | None:
    """The text with what was found replaced; None where nothing was."""
    taken: list[tuple[Span, PiiKind]] = []
    covered = bytearray(len(text))
    for (start, end), kind in _found(text, kinds, language):
        if covered.find(1, start, end) < 0:
            covered[start:end] = b"\1" * (end - start)
            taken.append(((start, end), kind))
    if not taken:
        return None
    parts = []
    position = 0
    for (start, end), kind in sorted(taken):
        parts += [text[position:start], PLACEHOLDERS[kind]]
        position = end
        counts[kind] += 1
    return "".join([*parts, text[position:]])


def replace_personal_data(
    text: str, kinds: Collection[PiiKind] = PII_KINDS, language: str | None = None
) -> tuple[str, Counter[PiiKind]]:
    """The text with personal data replaced, and how often each kind was; doing it again changes nothing.

    Args:
        text: normalized text.
        kinds: what is looked for; where two overlap, the one named first in `PII_KINDS`' order of certainty stays:
            secrets, e-mail, IP addresses, cards, phone numbers.
        language: of the text, for phone numbers without a country code.
    """
    counts: Counter[PiiKind] = Counter()
    # A placeholder may set free what its neighbour kept from being seen, so a second pass is made where the first found
    # something. Only a text made for it has more than three; it is left after ten, so that it costs no more.
    for _ in range(_MOST_PASSES):
        replaced = _replaced_once(text, kinds, language, counts)
        if replaced is None:
            break
        text = replaced
    return text, counts
