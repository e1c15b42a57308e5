"""Keys, tokens and passwords that were left in text."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections import Counter
from collections.abc import Iterator

from pipelines.cleaning.privacy.network_addresses import Span

__all__ = ["secrets_in_text"]

# A marker that has to be in the text, and the pattern that is worth running then; a search for fixed characters is
# some hundred times faster than a pattern.
_TOKENS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (marker, re.compile(pattern, re.ASCII))
    for marker, pattern in (
        ("AKIA", r"\bAKIA[A-Z0-9]{16}\b"),  # Amazon: access keys
        ("ASIA", r"\bASIA[A-Z0-9]{16}\b"),
        ("ghp_", r"\bghp_[A-Za-z0-9]{36,}\b"),  # GitHub: tokens of users, apps and refreshes
        ("gho_", r"\bgho_[A-Za-z0-9]{36,}\b"),
        ("ghu_", r"\bghu_[A-Za-z0-9]{36,}\b"),
        ("ghs_", r"\bghs_[A-Za-z0-9]{36,}\b"),
        ("ghr_", r"\bghr_[A-Za-z0-9]{36,}\b"),
        ("github_pat_", r"\bgithub_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}\b"),
        ("glpat-", r"\bglpat-[A-Za-z0-9_-]{20,}"),  # GitLab
        ("xox", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),  # Slack: tokens
        ("hooks.slack.com/", r"hooks\.slack\.com/services/T[A-Za-z0-9]+/B[A-Za-z0-9]+/[A-Za-z0-9]{16,}"),
        ("AIza", r"\bAIza[A-Za-z0-9_-]{35}(?![\w-])"),  # Google: API keys, OAuth clients and tokens
        ("GOCSPX-", r"\bGOCSPX-[A-Za-z0-9_-]{28}(?![\w-])"),
        ("ya29.", r"\bya29\.[A-Za-z0-9_-]{20,}"),
        ("_live_", r"\b[sr]k_live_[A-Za-z0-9]{16,}\b"),  # Stripe
        ("sk-", r"\bsk-(?:proj-|ant-|svcacct-)?[A-Za-z0-9_-]{32,}"),  # OpenAI, Anthropic
        ("hf_", r"\bhf_[A-Za-z]{34}\b"),  # Hugging Face
        ("npm_", r"\bnpm_[A-Za-z0-9]{36}\b"),
        ("SG.", r"\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}(?![\w-])"),  # SendGrid
    )
)
# From the first `eyJ` of a run, and tried once a run: `eyJ-eyJ-…` would cost its square.
_JWT = re.compile(
    r"(?<![A-Za-z0-9_-])(?>[A-Za-z0-9_-]*?\b(?=eyJ))(eyJ[A-Za-z0-9_-]{10,}+)"
    r"\.eyJ[A-Za-z0-9_-]{10,}+\.[A-Za-z0-9_-]{10,}",
    re.ASCII,
)
# To its end line, or over what looks like its content where the end is missing.
_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?P<kind>(?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?)-----"
    r"(?:[^-]{0,20000}-----END (?P=kind)-----|(?:\s{1,4}[A-Za-z0-9+/=]{16,100})*)"
)
# Values are looked for first, since few texts have a run of 16 such characters behind an equals sign or a colon.
_VALUE = re.compile(r"[:=]>?\s{0,3}[\"'`]?(?P<value>[A-Za-z0-9+/_.=~!@#$%^&*-]{16,200})", re.ASCII)
_NAME_BEFORE = re.compile(
    r"(?:api[_-]?key|secret|token|passw(?:or)?d|pwd|access[_-]?key|credential)[\w-]{0,24}[\"'`]?\s{0,3}[:=]?$",
    re.IGNORECASE | re.ASCII,
)
_LONGEST_NAME = 50
# Bits a character. Over 16 characters random hexadecimal digits have 3.0 to 3.7 and random letters and digits 3.6 to 4;
# words joined by underscores have 2.5 to 3.6, but seldom digits among them.
_LEAST_BITS = 3.0


def secrets_in_text(text: str) -> Iterator[Span]:
    """Tokens of known form, JSON web tokens, private keys, and random values that are assigned to a telling name."""
    for marker, pattern in _TOKENS:
        if marker in text:
            for match in pattern.finditer(text):
                # The form in which documentation shows a key.
                if not match.group().endswith("EXAMPLE"):
                    yield match.span()
    if "eyJ" in text:
        for match in _JWT.finditer(text):
            if _is_token_header(match.group(1)):
                yield match.start(1), match.end()
    if "PRIVATE KEY" in text:
        for match in _PRIVATE_KEY.finditer(text):
            yield match.span()
    for match in _VALUE.finditer(text):
        named = _NAME_BEFORE.search(text, max(0, match.start() - _LONGEST_NAME), match.start())
        if named and _looks_random(match["value"]):
            yield match.span("value")


def _is_token_header(encoded: str) -> bool:
    try:
        header = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (binascii.Error, ValueError):
        return False
    return isinstance(header, dict) and "alg" in header


def _looks_random(value: str) -> bool:
    """Letters and digits mixed, and no two of them likelier than chance has it."""
    if value.endswith("EXAMPLE") or not (re.search(r"\d", value) and re.search(r"[A-Za-z]", value)):
        return False
    # A URL, a path, a call or a dotted name is code or an address, no value.
    if value.count("/") > 2 or re.search(r"//|\.\w+\.|[A-Za-z]{9,}", value):
        return False
    counts = Counter(value).values()
    bits = -sum(count / len(value) * math.log2(count / len(value)) for count in counts)
    return bits >= _LEAST_BITS
