"""A small corpus, made by the stages themselves, that each test gets a copy of."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.cleaning.stage import run as clean
from pipelines.dedup.stage import run as dedup
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from pipelines.heldout.stage import run as hold_out
from pipelines.tokens.mix_stage import run as mix
from pipelines.tokens.tokenize_stage import run as tokenize
from pipelines.tokens.tokenizer_stage import run as make_tokenizer
from schemas.configs.clean import CleanConfig
from schemas.configs.dedup import DedupConfig
from schemas.configs.heldout import HeldoutConfig
from schemas.configs.mix import MixConfig
from schemas.configs.model import ModelConfig
from schemas.configs.tokenize import TokenizeConfig
from schemas.configs.tokenizer import TokenizerConfig
from schemas.corpus_root import CorpusRoot
from schemas.mixture import read_mixture
from schemas.run import RunConfig, write_run

SHARD_TOKENS = 500
ENGINE = Engine()


def url(partition: str, number: int) -> str:
    return f"https://site{number % 3}.example/{partition}/{number}"


def text(seed: str, words: int = 60) -> str:
    draw = random.Random(seed)
    stock = [f"{first}{second}" for first in "bdfgklmnprst" for second in ("ara", "elo", "ino", "ota", "uri")]
    return " ".join(draw.choice(stock) for _ in range(words))


@dataclass(frozen=True)
class Builder:
    """Makes a corpus out of JSONL files; `rows` are (URL, text) by partition."""

    folder: Path
    rows: dict[str, list[tuple[str, str]]]

    def inputs(self, partition: str) -> str:
        path = self.folder / f"{partition}.jsonl"
        if not path.exists():
            lines = (json.dumps({"url": where, "text": words}) for where, words in self.rows[partition])
            path.write_text("\n".join(lines) + "\n")
        return str(path)

    def clean(self, root: CorpusRoot, partition: str) -> None:
        config = CleanConfig(rules=())
        request = StageRequest(
            root=root,
            config=config,
            engine=ENGINE,
            source="web",
            partition=partition,
            inputs=(self.inputs(partition),),
        )
        clean(request)

    def rest(self, root: CorpusRoot) -> None:
        """Everything after clean."""
        shares = {"test": 0.2, "validation": 0.1}
        dedup(StageRequest(root=root, config=DedupConfig(), engine=ENGINE))
        make_tokenizer(StageRequest(root=root, config=TokenizerConfig(vocabulary_size=300, **shares), engine=ENGINE))
        config = TokenizeConfig(shard_tokens=SHARD_TOKENS, **shares)
        tokenize(StageRequest(root=root, config=config, engine=ENGINE))
        hold_out(StageRequest(root=root, config=HeldoutConfig(**shares), engine=ENGINE))

    def build(self, root: CorpusRoot) -> None:
        for partition in self.rows:
            self.clean(root, partition)
        self.rest(root)


def _rows() -> dict[str, list[tuple[str, str]]]:
    first = [(url("1", number), text(f"1 {number}")) for number in range(40)]
    second = [(url("2", number), text(f"2 {number}")) for number in range(20)]
    # Twins of page 3 of the first partition: one nearly equal, one equal, and one near in its own partition.
    second.append((url("2", 100), text("1 3") + " tail"))
    second.append((url("2", 101), text("1 3")))
    first.append((url("1", 102), text("1 3") + " other end"))
    return {"1": first, "2": second}


@pytest.fixture(scope="session")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    return Builder(tmp_path_factory.mktemp("takedown-inputs"), _rows())


@pytest.fixture(scope="session")
def _whole(builder: Builder, tmp_path_factory: pytest.TempPathFactory) -> CorpusRoot:
    root = CorpusRoot(str(tmp_path_factory.mktemp("takedown-corpus")))
    builder.build(root)
    mix(StageRequest(root=root, config=MixConfig(name="first", sequence_length=16, samples=64), engine=ENGINE))
    plan = read_mixture(root.mixture_folder(), "first")
    described = RunConfig(
        root=root.url,
        mixture="first",
        plan_digest=plan.digest(),
        tokenizer=plan.tokenizer,
        end_of_text=plan.end_of_text,
        model=ModelConfig(layers=1, heads=1, width=8, context=16, sparse=False, vocabulary_size=plan.vocabulary_size),
        seed=1,
        settings={},
    )
    write_run(f"{root.url}/runs/trained", described)
    write_run(f"{root.url}/runs/other", described.model_copy(update={"plan_digest": "another"}))
    return root


@pytest.fixture
def corpus(_whole: CorpusRoot, tmp_path: Path) -> CorpusRoot:
    """The whole corpus, to be changed."""
    place = tmp_path / "corpus"
    shutil.copytree(_whole.url, place)
    return CorpusRoot(str(place))


@pytest.fixture
def build_again(_whole: CorpusRoot, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., CorpusRoot]:
    """Makes a corpus from the start with the same tokenizer: with a list, or of fewer rows."""

    def build(builder: Builder, listed: CorpusRoot | None = None) -> CorpusRoot:
        place = tmp_path_factory.mktemp("from-the-start")
        if listed is not None:
            shutil.copy(f"{listed.url}/takedown.json", place)
        shutil.copytree(f"{_whole.url}/tokenizers", place / "tokenizers")
        root = CorpusRoot(str(place))
        builder.build(root)
        return root

    return build
