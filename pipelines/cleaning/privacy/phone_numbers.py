"""Phone numbers in text: three cheap patterns find candidates, `phonenumbers` says whether there is such a number.

The library's own search of a text takes every order number of ten digits for an American phone number, at 3.9 MB/s;
asked about candidates alone it costs next to nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import phonenumbers

from pipelines.cleaning.privacy.network_addresses import Span

__all__ = ["phone_numbers"]

_GAP = r"[ \u00a0().\-\u2010-\u2013/]"
_END = r"(?![\w@=]|[.,/\-]\d)"
# With a country code, from anywhere.
_INTERNATIONAL = re.compile(rf"(?<![A-Za-z_+])(?:\+|(?<!\d)00(?=[1-9]))\d(?:{_GAP}{{0,3}}\d){{6,14}}{_END}", re.ASCII)
# As North America writes them; numbers with bare spaces are left, since columns of figures look alike.
_NORTH_AMERICAN = re.compile(
    rf"(?<![\w.,+/=\-])(?:1[ .-])?(?:\(\d{{3}}\)[ -]?\d{{3}}[ .-]\d{{4}}|\d{{3}}([.-])\d{{3}}\1\d{{4}}){_END}", re.ASCII
)
# After a word that says what follows.
_CUE = (
    r"tel[eé]?(?:phone|fono|fone|fon)?|phone|mobile?|mob|cell|fax|whats?app|handy|call|t[ée]l(?:[ée]phone)?|"
    r"телефон|тел|факс|電話|电话|手机|☎|✆|📞|📱"
)
_ANNOUNCED = re.compile(rf"\(?\d(?:{_GAP}{{0,2}}\d){{6,14}}{_END}", re.ASCII)
_CUE_BEFORE = re.compile(
    rf"(?<![^\W\d_])(?:{_CUE})(?: (?:us|no|nr|number|numbers|at|on)\b){{0,2}}[.:：]{{0,2}}[ \u00a0]{{0,2}}$",
    re.IGNORECASE,
)
_LONGEST_CUE = 30
# Where numbers without a country code are likely to be from, by language (ISO 639-1).
_REGIONS = {
    "ar": ("EG", "SA", "MA", "AE"),
    "bn": ("BD", "IN"),
    "de": ("DE", "AT", "CH"),
    "en": ("US", "GB", "IN", "AU", "ZA", "NG", "IE", "NZ"),
    "es": ("ES", "MX", "AR", "CO", "CL", "PE"),
    "fr": ("FR", "BE", "CH", "CA"),
    "hi": ("IN",),
    "it": ("IT", "CH"),
    "ja": ("JP",),
    "ko": ("KR",),
    "nl": ("NL", "BE"),
    "pl": ("PL",),
    "pt": ("BR", "PT"),
    "ru": ("RU", "KZ", "BY"),
    "sv": ("SE", "FI"),
    "tr": ("TR",),
    "uk": ("UA",),
    "ur": ("PK", "IN"),
    "vi": ("VN",),
    "zh": ("CN", "TW", "HK"),
}


def phone_numbers(text: str, language: str | None, start: int, end: int) -> Iterator[Span]:
    """Phone numbers with a country code, as written in North America, or after a word such as `Tel.`.

    Args:
        text: where they are looked for.
        language: of the text; numbers after a word are read as those of its countries.
        start: of a run of digits and what stands between them.
        end: of that run.
    """
    # What follows a number decides whether it ends there.
    past = end + 3
    for match in _INTERNATIONAL.finditer(text, start, past):
        if _exists("+" + match.group().lstrip("+0"), (None,)):
            yield match.span()
    for match in _NORTH_AMERICAN.finditer(text, start, past):
        if _exists(match.group(), ("US",)):
            yield match.span()
    announced = _ANNOUNCED.match(text, start, past)
    if (
        announced
        and _CUE_BEFORE.search(text, max(0, start - _LONGEST_CUE), start)
        and _exists(announced.group(), _REGIONS.get(language or "en", ("US", "GB")))
    ):
        yield announced.span()


def _exists(written: str, regions: tuple[str | None, ...]) -> bool:
    for region in regions:
        try:
            number = phonenumbers.parse(written, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return True
    return False
