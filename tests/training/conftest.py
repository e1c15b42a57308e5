"""A small corpus of token shards with a mixture plan, written as the pipelines write them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from token_corpus import END_OF_TEXT, TOKENIZER, plan_of, write_stream
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from schemas.configs.model import ModelShape
from schemas.configs.train import TrainConfig
from schemas.corpus_root import CorpusRoot
from schemas.mixture import IndexRef, MixturePlan, SourceStream, write_mixture
from schemas.storage import file_checksum
from schemas.token_shard import TOKEN_INDEX, IndexHeader, index_schema, tokenizer_fingerprint
from training.data.shards import open_streams
from training.loop.prepare import prepare_run
from training.loop.train import train

STORY_WORDS = "the a red old small cat dog bird sees likes follows house tree road in on near quickly often never"
WORDS = STORY_WORDS.split()


def tiny_tokenizer() -> Tokenizer:
    """Byte-level BPE of 320 ids; id 0 is end-of-text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join(WORDS)] * 4, trainer)
    return tokenizer


def story(seed: int, words: int) -> str:
    """A text in which words depend on the word before them, so that there is something to learn."""
    generator = np.random.default_rng(seed)
    place, picked = 0, []
    for step in generator.choice([1, 2, 5], size=words, p=[0.7, 0.2, 0.1]):
        place = (place + int(step)) % len(WORDS)
        picked.append(WORDS[place])
    return " ".join(picked)


CorpusFactory = Callable[..., MixturePlan]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny tensors gain nothing from threads, and on busy cores threads wait for each other at every operation."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """The tokenizer of every small corpus."""
    return tiny_tokenizer()


def write_corpus(
    root: CorpusRoot,
    tokenizer: Tokenizer,
    *,
    sequence_length: int = 32,
    samples: dict[str, int] | None = None,
    words: int = 6000,
    phases: int = 1,
) -> MixturePlan:
    """Write a corpus of two sources into `root`; gives its plan, named `main`."""
    root.tokenizer_folder(TOKENIZER).put_whole("tokenizer.json", tokenizer.to_str().encode())
    streams: dict[str, list[SourceStream]] = {"train": [], "validation": [], "test": []}
    for number, source in enumerate(("books", "web")):
        for split, share in (("train", 1.0), ("validation", 0.1), ("test", 0.1)):
            seed = 10 * number + len(split)
            documents = [story(seed * 1000 + i, 150) for i in range(int(words * share) // 150)]
            ids = [t for text in documents for t in (*tokenizer.encode(text).ids, END_OF_TEXT)]
            stream = write_stream(root, source, split, np.array(ids), tokenizer, shard_tokens=2500)
            streams[split].append(stream)
    plan = plan_of(
        tuple(streams["train"]),
        samples or {"books": 300, "web": 100},
        sequence_length=sequence_length,
        vocabulary_size=tokenizer.get_vocab_size(),
        fingerprint=tokenizer_fingerprint(tokenizer.to_str().encode()),
        validation=tuple(streams["validation"]),
        test=tuple(streams["test"]),
        phases=phases,
    )
    write_mixture(root.mixture_folder(), plan)
    return plan


@pytest.fixture(scope="session")
def corpus_writer() -> CorpusFactory:
    """`write_corpus`, for fixtures that make a corpus once."""
    return write_corpus


@pytest.fixture
def make_corpus(corpus_root: CorpusRoot, tokenizer: Tokenizer) -> CorpusFactory:
    """`write_corpus` into `corpus_root`."""
    return partial(write_corpus, corpus_root, tokenizer)


@pytest.fixture
def run_folder(tmp_path: Path) -> str:
    """A folder for a run."""
    return str(tmp_path / "run")


@pytest.fixture(scope="session")
def _trained_once(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    root = CorpusRoot(str(folder / "corpus"))
    write_corpus(root, tokenizer, samples={"books": 600, "web": 200})
    config = TrainConfig(
        model=ModelShape(context=32, layers=2, heads=2, width=32, band=8),
        batch=8,
        learning_rate=0.02,
        warmup_tokens=2000,
        precision="fp32",
        sample_tokens=5,
    )
    train(prepare_run(config, root.url, "main", str(folder / "run")))
    return folder / "run"


@pytest.fixture
def trained_run(_trained_once: Path, tmp_path: Path) -> str:
    """A copy of a run of 100 steps that has learned which word follows which."""
    shutil.copytree(_trained_once, tmp_path / "trained")
    return str(tmp_path / "trained")


def _with_indexes(corpus_root: CorpusRoot, plan: MixturePlan) -> MixturePlan:
    """The plan with an index for each source, in which documents end at the end-of-text ids of the tokens."""
    streams = []
    for stream, tokens in zip(plan.train, open_streams(corpus_root, plan, "train"), strict=True):
        ids = np.empty(stream.tokens, dtype=np.int64)
        tokens.read(0, ids)
        ends = np.flatnonzero(ids == plan.end_of_text) + 1
        starts = np.concatenate([[0], ends[:-1]])
        folder, _, _ = stream.shards[0].path.rpartition("/")
        header = IndexHeader(
            tokenizer=plan.tokenizer,
            tokenizer_fingerprint=plan.tokenizer_fingerprint,
            source=stream.source,
            partition="one",
            split="train",
            documents=len(starts),
            tokens=stream.tokens,
        )
        rows = {"start": starts, "length": ends - starts, "document_id": [n.to_bytes(16) for n in range(len(starts))]}
        rows |= {name: [0] * len(starts) for name in ("piece", "characters", "utf8_bytes")}
        rows |= {name: [None] * len(starts) for name in TOKEN_INDEX.names if name not in rows}
        place = corpus_root.folder.child(folder)
        with place.open_write("index.parquet") as file:
            pq.write_table(pa.table(rows, schema=index_schema(header)), file, row_group_size=7)
        reference = IndexRef(
            path=f"{folder}/index.parquet",
            documents=len(starts),
            tokens=stream.tokens,
            checksum=file_checksum(place, "index.parquet"),
        )
        streams.append(stream.model_copy(update={"indexes": (reference,)}))
    return plan.model_copy(update={"train": tuple(streams)})


@pytest.fixture
def with_indexes() -> Callable[[CorpusRoot, MixturePlan], MixturePlan]:
    """Writes the indexes of a plan's training streams, documents numbered in each; gives the plan that pins them."""
    return _with_indexes
