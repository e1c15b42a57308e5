"""Tokenizers that were made elsewhere: a `tokenizer.json` of Hugging Face, or the vocabulary and merges of a BPE."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tokenizers import AddedToken, Tokenizer, decoders, models

from pipelines.tokens.byte_level import forget_dropout
from pipelines.tokens.pretokenization import pre_tokenizer
from schemas.errors import ConfigError, InputError
from schemas.library_errors import reason_of
from schemas.storage import Folder, open_input

__all__ = ["load_tokenizer"]

# As published with GPT-2, and as Hugging Face names the same two files.
_VOCABULARIES = ("encoder.json", "vocab.json")
_MERGES = ("vocab.bpe", "merges.txt")


def _read(url: str) -> bytes:
    with open_input(url) as stream:
        return stream.read()


def _from_vocabulary(vocabulary: bytes, merges: bytes, pattern: str) -> Tokenizer:
    lines = [line for line in merges.decode("utf-8").splitlines() if line and not line.startswith("#version")]
    pairs = [tuple(line.split(" ")) for line in lines]
    tokenizer = Tokenizer(models.BPE(vocab=json.loads(vocabulary), merges=[(pair[0], pair[1]) for pair in pairs]))
    tokenizer.pre_tokenizer = pre_tokenizer(pattern)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _first(folder: Folder, names: Sequence[str], there: list[str]) -> bytes:
    for name in names:
        if name in there:
            return folder.read(name)
    raise InputError(
        f"no tokenizer in {folder.url}: neither tokenizer.json nor {' or '.join(names)} is there "
        f"(there: {', '.join(there) or 'nothing'}); give a tokenizer.json, or a folder with vocabulary and merges"
    )


def load_tokenizer(place: str, pattern: str, end_of_text: str, special_tokens: Sequence[str]) -> bytes:
    """The content of a `tokenizer.json` for a tokenizer that lies elsewhere.

    Args:
        place: path or URL of a `tokenizer.json`, or of a folder that holds one, or vocabulary and merges.
        pattern: under which words are cut, where a vocabulary and merges are all there is.
        end_of_text: the token after a document; it has to be in the vocabulary.
        special_tokens: further tokens that text never gives; those not in the vocabulary come after its last id.

    Raises:
        InputError: there is no tokenizer in `place`, or it cannot be read.
        ConfigError: it has no such end-of-text token.
    """
    there = Folder(place).names() if not place.endswith(".json") else []
    try:
        if not there:
            tokenizer = Tokenizer.from_str(_read(place).decode("utf-8"))
        elif "tokenizer.json" in there:
            tokenizer = Tokenizer.from_str(Folder(place).read("tokenizer.json").decode("utf-8"))
        else:
            folder = Folder(place)
            merges = _first(folder, _MERGES, there)
            tokenizer = _from_vocabulary(_first(folder, _VOCABULARIES, there), merges, pattern)
    except InputError:
        raise
    except BaseException as error:  # the library raises bare Exceptions, and panics
        reason = reason_of(error)
        raise InputError(f"{place} holds no tokenizer that can be read: {reason}; give a tokenizer.json") from error
    if tokenizer.token_to_id(end_of_text) is None:
        specials = [one.content for one in tokenizer.get_added_tokens_decoder().values() if one.special]
        raise ConfigError(
            f"tokenizer.end_of_text is {end_of_text}, and {place} has no such token; set it to one of its special "
            f"tokens ({', '.join(specials[:8]) or 'it has none'})"
        )
    added = [AddedToken(token, special=True, normalized=False) for token in (end_of_text, *special_tokens)]
    tokenizer.add_special_tokens(added)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    forget_dropout(tokenizer)
    return str(tokenizer.to_str(pretty=False)).encode("utf-8")
