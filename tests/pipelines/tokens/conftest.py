"""Calls of the three stages on a corpus under test."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain as chain_of
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest, StageResult
from pipelines.tokens import mix_stage, tokenize_stage, tokenizer_stage
from pipelines.tokens.byte_level import byte_alphabet
from pipelines.tokens.encoding import END_OF_TEXT
from schemas.configs.mix import MixConfig
from schemas.configs.tokenize import TokenizeConfig
from schemas.configs.tokenizer import TokenizerConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.token_shard import ShardHeader, header_of, token_table


@dataclass(frozen=True)
class Chain:
    """The stages on one corpus; settings as keywords."""

    root: CorpusRoot

    def request(self, config: Any, workers: int = 1, **narrowed: Any) -> StageRequest[Any]:
        return StageRequest(root=self.root, config=config, engine=Engine(workers=workers), **narrowed)

    def tokenizer(self, **settings: Any) -> StageResult:
        # It must not have seen what a test holds out afterwards.
        defaults = {"vocabulary_size": 400, "test": 0.2, "validation": 0.2}
        return tokenizer_stage.run(self.request(TokenizerConfig(**{**defaults, **settings})))

    def tokenize(self, workers: int = 1, **settings: Any) -> StageResult:
        return tokenize_stage.run(self.request(TokenizeConfig(**settings), workers))

    def mix(self, **settings: Any) -> StageResult:
        return mix_stage.run(self.request(MixConfig(**{"sequence_length": 16, **settings})))

    def folder(self, key: PartitionKey, split: str = "train", tokenizer: str = "bpe") -> Path:
        return Path(self.root.partition_folder(token_table(tokenizer, split), key).path())

    def shards(self, key: PartitionKey, split: str = "train", **about: Any) -> list[tuple[ShardHeader, Any]]:
        found = []
        for path in sorted(self.folder(key, split, **about).glob("shard-*.arrow")):
            reader = pa.ipc.open_file(pa.memory_map(str(path)))
            found.append((header_of(reader.schema, str(path)), reader.read_all().column("token").to_numpy()))
        return found

    def stream(self, key: PartitionKey, split: str = "train", **about: Any) -> Any:
        return np.concatenate([np.empty(0, np.uint16), *(tokens for _, tokens in self.shards(key, split, **about))])

    def index(self, key: PartitionKey, split: str = "train") -> pa.Table:
        return pq.read_table(self.folder(key, split) / "index.parquet")


@pytest.fixture
def chain(corpus_root: CorpusRoot) -> Chain:
    """The stages on `corpus_root`."""
    return Chain(corpus_root)


@pytest.fixture(scope="session")
def book(shared_data: Path) -> Callable[[str], list[str]]:
    """The paragraphs of a real book, by its name."""

    def read(name: str) -> list[str]:
        text = gzip.decompress((shared_data / "text" / "books" / f"{name}.gz").read_bytes()).decode("utf-8")
        return [part.strip() for part in text.split("\n\n") if part.strip()]

    return read


def byte_level(vocabulary: dict[str, int], merges: Iterable[tuple[str, ...]] = (), *, ended: bool = True) -> bytes:
    """A byte-level `tokenizer.json` of this vocabulary, with the end-of-text token after it unless not `ended`."""
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[(pair[0], pair[1]) for pair in merges]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if ended:
        tokenizer.add_special_tokens([AddedToken(END_OF_TEXT, special=True, normalized=False)])
    return tokenizer.to_str().encode()


@pytest.fixture(scope="session")
def byte_level_tokenizer() -> Callable[..., bytes]:
    """Tokenizers from vocabularies."""
    return byte_level


@pytest.fixture(scope="session")
def with_vocabulary_of() -> Callable[[int], bytes]:
    """Tokenizers of so many ids: 256 bytes, tokens that no text reaches, and the end-of-text id as the last."""

    def make(size: int) -> bytes:
        alphabet = sorted(byte_alphabet())
        unreached = (f"{a}{b}{c}" for a in alphabet for b in alphabet for c in "xyz")
        tokens = islice(chain_of(alphabet, unreached), size - 1)
        return byte_level({token: number for number, token in enumerate(tokens)})

    return make
