"""A tokenizer that was made and will not change: where it lies and what is known of it without loading it."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.tokens.encoding import END_OF_TEXT, TextEncoder
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import ContractError, InputError
from schemas.manifest import read_manifest
from schemas.token_shard import tokenizer_fingerprint

__all__ = ["TOKENIZERS", "TOKENIZER_FILE", "FrozenTokenizer", "read_tokenizer", "tokenizer_key"]

TOKENIZERS = "tokenizers"
TOKENIZER_FILE = "tokenizer.json"


def tokenizer_key(name: str) -> PartitionKey:
    """The unit of work of one tokenizer: its folder is `<root>/tokenizers/<name>/`."""
    return PartitionKey(name, "")


@dataclass(frozen=True)
class FrozenTokenizer:
    """What later stages pin; `content` is that of `tokenizer.json`, `held_out` the share of documents it never saw."""

    name: str
    fingerprint: str
    vocabulary_size: int
    end_of_text: int
    held_out: float
    content: bytes
    end_of_text_token: str = END_OF_TEXT

    def encoder(self, path: str = "tokenizers") -> TextEncoder:
        """What encodes with it, by one of `exact_paths.PATHS`."""
        return TextEncoder(self.content, self.end_of_text_token, path)


def read_tokenizer(root: CorpusRoot, name: str) -> FrozenTokenizer:
    """Read a tokenizer of the corpus and check that it is still the one that was made.

    Raises:
        InputError: there is none of this name.
        ContractError: its file was changed or lost since.
    """
    folder = root.tokenizer_folder(name)
    manifest = read_manifest(folder)
    if manifest is None:
        raise InputError(f"no tokenizer {name!r} in {root.url}; run `corpusmill run tokenizer` first")
    where = f"{folder.url}/{TOKENIZER_FILE}"
    if not folder.exists(TOKENIZER_FILE):
        raise ContractError(f"{where} is missing, and its manifest lists it; restore it or make a tokenizer anew")
    content = folder.read(TOKENIZER_FILE)
    fingerprint = tokenizer_fingerprint(content)
    if fingerprint != manifest.notes["fingerprint"]:
        raise ContractError(
            f"{where} was changed after it was made; restore it, or make another one with `--set name=` a new name"
        )
    counts = manifest.counts
    # One that was made elsewhere has seen none of this corpus's documents, so any may be held out.
    held_out = 1.0 if manifest.config.get("load") else manifest.config["test"] + manifest.config["validation"]
    return FrozenTokenizer(
        name=name,
        fingerprint=fingerprint,
        vocabulary_size=counts["vocabulary_size"],
        end_of_text=counts["end_of_text"],
        held_out=held_out,
        content=content,
        end_of_text_token=manifest.notes.get("end_of_text_token", END_OF_TEXT),
    )
