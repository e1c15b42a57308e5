"""Ways from text to ids, fastest first, and the check that lets one serve in the place of the reference.

`tokenizers` defines the ids. gigatoken reads the same file, tiktoken takes the same vocabulary and pattern, and both
are many times as fast (docs/decisions/0019). Neither is trusted: both encode texts of the run and hard
strings first, and where a single id differs the next one serves.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.tokens.byte_level import byte_alphabet
from pipelines.tokens.pretokenization import pattern_of
from schemas.errors import ContractError
from schemas.library_errors import reason_of

__all__ = ["HARD_TEXTS", "PATHS", "EncodeText", "PathChoice", "choose_path", "open_path"]

EncodeText = Callable[[str], NDArray[np.uint32]]  # may raise a ValueError for a text that it cannot take
PATHS = ("gigatoken", "tiktoken", "tokenizers")

# White space of all kinds before and after words, contractions, marks, digits, several scripts, characters of four
# bytes, text that spells special tokens, runs, and control characters.
HARD_TEXTS = (
    "",
    " ",
    "\n",
    "\u00a0\u2028 \u3000x",
    "I'll, you've; DON'T o'clock 's 'S ''re",
    "a  b   c\t\td\r\n\r\n  e \n f\n\n",
    "1234567890 3.14159 ½ ² ٣ ४",
    "<|endoftext|> a<|endoftext|>b <|im_start|> <s></s>",
    "naïve e\u0301 Ὀδυσσεύς Привет, мир! こんにちは世界 नमस्ते שלום مرحبا 안녕하세요",
    "😀👩\u200d👩\u200d👧🏽 \U0001f1e9\U0001f1ea \U0010ffff\U000e0001",
    "\x00\x01\x7f\ufeff\ufffd\u200b",
    "a" * 3000,
    " " * 3000 + "x" + " " * 3000,
    "ab" * 500 + "=" * 700 + "!?" * 300,
    # Letters and digits that Unicode 15 to 17 have added: libraries differ in the version of their tables.
    *(
        f"x{new}1{new}!{new}\n{new}x {new}1"
        for new in "\u088f\u0c5c\ua7ce\ua7cf\U00011db0\U0002b73a\U0002cea2\U000323b0"
    ),
    "HTMLElement.prototype.innerHTML = `${x}`;  // TODAY\n\t\treturn {a: [1, 2]};\n",
)


class _UnavailableError(Exception):
    """Why a path cannot serve this tokenizer here."""


@dataclass(frozen=True)
class PathChoice:
    """The path that serves, with its version, and why faster ones do not."""

    path: str
    version: str
    refused: dict[str, str] = field(default_factory=dict)

    def notes(self) -> dict[str, Any]:
        """What a manifest says of it."""
        return {"encoder": f"{self.path} {self.version}", "encoders_refused": self.refused}


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError as error:
        raise _UnavailableError("not installed") from error


def _open_gigatoken(content: bytes) -> EncodeText:
    described: dict[str, Any] = json.loads(content)
    # It would find special tokens in text. What comes after the model adds tokens of its own.
    described["added_tokens"] = [one for one in described.get("added_tokens") or [] if not one.get("special")]
    described.update(post_processor=None, truncation=None, padding=None)
    try:
        from gigatoken.gigatoken_rs import load_hf_json

        encode: EncodeText = load_hf_json(json.dumps(described)).encode
    except BaseException as error:
        raise _UnavailableError(f"cannot read this tokenizer: {reason_of(error)}") from error
    return encode


def _ranks(content: bytes) -> dict[bytes, int]:
    """Ids by token, where merging the pair of the lowest id first is what the merges in their order do."""
    described: dict[str, Any] = json.loads(content)
    model, alphabet = described["model"], byte_alphabet()
    added = {one["content"] for one in described.get("added_tokens") or []}
    if model.get("type") != "BPE" or any(not one.get("special") for one in described.get("added_tokens") or []):
        raise _UnavailableError("not a byte-level BPE whose added tokens are all special")
    vocabulary = {token: number for token, number in model["vocab"].items() if token not in added}
    pairs = [tuple(one.split(" ")) if isinstance(one, str) else tuple(one) for one in model["merges"]]
    merged = [vocabulary.get("".join(pair), -1) for pair in pairs]
    if any(left >= right for left, right in pairwise(merged)) or -1 in merged:
        raise _UnavailableError("ids do not follow the order of merges")
    if any(character not in alphabet for token in vocabulary for character in token):
        raise _UnavailableError("not a byte-level vocabulary")
    # A word that is a token is taken at once there; here it takes merges to make it.
    if set(vocabulary.values()) - set(merged) - {vocabulary.get(character) for character in alphabet}:
        raise _UnavailableError("it has tokens that no merge makes")
    return {bytes(alphabet[character] for character in token): number for token, number in vocabulary.items()}


def _open_tiktoken(content: bytes) -> EncodeText:
    pattern = pattern_of(content)
    if pattern is None:
        raise _UnavailableError("words are not cut by one regular expression alone")
    ranks = _ranks(content)
    try:
        import tiktoken

        encoding = tiktoken.Encoding("corpus", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    except BaseException as error:
        raise _UnavailableError(f"cannot read this tokenizer: {reason_of(error)}") from error

    def encode(text: str) -> NDArray[np.uint32]:
        ids: NDArray[np.uint32] = encoding.encode_to_numpy(text, disallowed_special=())
        return ids

    return encode


_OPENERS: dict[str, Callable[[bytes], EncodeText]] = {"gigatoken": _open_gigatoken, "tiktoken": _open_tiktoken}


def open_path(path: str, content: bytes) -> EncodeText:
    """A path that is not the reference, for the content of a `tokenizer.json`.

    Raises:
        ContractError: it cannot serve here; a worker's environment is not that of the one who chose it.
    """
    try:
        _installed(path)
        return _OPENERS[path](content)
    except _UnavailableError as error:
        raise ContractError(
            f"{path}: {error}; give workers the same packages as the machine that starts them"
        ) from error


def _difference(encode: EncodeText, texts: Sequence[str], wanted: Sequence[NDArray[Any]]) -> str | None:
    for text, reference in zip(texts, wanted, strict=True):
        try:
            found = encode(text)
        except ValueError:  # of such a text the reference makes the ids
            continue
        except BaseException as error:
            raise _UnavailableError(f"the text that begins {text[:40]!r}: {reason_of(error)}") from error
        if not np.array_equal(found, reference):
            return f"other ids than tokenizers for the text that begins {text[:40]!r}"
    return None


def choose_path(
    content: bytes,
    reference: Callable[[Sequence[str]], Sequence[NDArray[Any]]],
    sample: Sequence[str],
    paths: Sequence[str] = PATHS,
) -> PathChoice:
    """The first of `paths` that gives the ids of the reference for all of `sample` and for `HARD_TEXTS`.

    Args:
        content: of the `tokenizer.json`.
        reference: ids of texts by `tokenizers`.
        sample: texts of the run.
        paths: in order of preference; the reference serves where none of them does.
    """
    texts, refused = [*HARD_TEXTS, *sample], dict[str, str]()
    wanted = reference(texts)
    for path in paths:
        if path == "tokenizers":
            break
        try:
            found = _installed(path)
            reason = _difference(_OPENERS[path](content), texts, wanted)
        except _UnavailableError as error:
            reason = str(error)
        if reason is None:
            return PathChoice(path, found, refused)
        refused[path] = reason
    return PathChoice("tokenizers", version("tokenizers"), refused)
