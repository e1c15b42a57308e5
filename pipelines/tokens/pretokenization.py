"""The patterns that cut text into words before byte-level BPE merges bytes inside each.

A pattern is read back from a `tokenizer.json`, so that encoders which want it as a regular expression get the same one.
"""

from __future__ import annotations

import json
from typing import Any

from tokenizers import Regex, pre_tokenizers

__all__ = ["PATTERNS", "ends_words_at_spaces", "pattern_of", "pre_tokenizer"]

# By name. gpt2: Radford et al. 2019, section 2.2, as published with the model. cl100k and o200k: as published with the
# encodings of these names; they keep runs of digits to three and bind a mark to the word after it.
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_CAPITALS, _SMALL = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_O200K = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_CAPITALS}*{_SMALL}+{_SHORT}|[^\r\n\p{{L}}\p{{N}}]?{_CAPITALS}+{_SMALL}*{_SHORT}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PATTERNS = {"gpt2": _GPT2, "cl100k": _CL100K, "o200k": _O200K}


def pre_tokenizer(pattern: str) -> pre_tokenizers.PreTokenizer:
    """The library's step for a pattern, by its name or as a regular expression; no space is put before a text.

    Raises:
        Exception: the library cannot read the expression.
    """
    if pattern == "gpt2":
        return pre_tokenizers.ByteLevel(add_prefix_space=False)
    split = pre_tokenizers.Split(Regex(PATTERNS.get(pattern, pattern)), behavior="isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def _pattern_of_steps(steps: list[dict[str, Any]]) -> str | None:
    match steps:
        case [{"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}]:
            return _GPT2
        case [
            {"type": "Split", "pattern": {"Regex": str(pattern)}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
        ]:
            return pattern
    return None


def pattern_of(content: bytes) -> str | None:
    """The regular expression under which a `tokenizer.json` cuts words; None where it does so in another way."""
    tokenizer: dict[str, Any] = json.loads(content)
    step = tokenizer.get("pre_tokenizer") or {}
    if tokenizer.get("normalizer") is not None:
        return None
    return _pattern_of_steps(step["pretokenizers"] if step.get("type") == "Sequence" else [step])


def ends_words_at_spaces(pattern: str | None) -> bool:
    """Whether a word ends, and another begins, at each space or line break after a letter or digit.

    So it is under the patterns known here: none looks behind, letters and digits are matched without white space, and
    no alternative takes a letter or digit together with the white space after it.
    """
    return pattern in PATTERNS.values()
