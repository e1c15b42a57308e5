"""Targets of fuzzing that the project or its users wrote: shards, tokenizers, manifests, configs, tasks."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import fuzz_seeds

from pipelines.decontamination.evaluation_files import EvaluationFile, read_items
from pipelines.tokens.encoding import TextEncoder
from pipelines.tokens.exact_paths import choose_path
from pipelines.tokens.load_tokenizer import load_tokenizer
from schemas.configs.base import load_config, parse_overrides
from schemas.configs.clean import CleanConfig
from schemas.configs.crawl import CrawlConfig
from schemas.configs.dedup import DedupConfig
from schemas.configs.finetune import FinetuneConfig
from schemas.configs.mix import MixConfig
from schemas.configs.train import TrainConfig
from schemas.corpus_root import CorpusRoot
from schemas.errors import CorpusmillError
from schemas.lease import read_leases
from schemas.manifest import read_manifest
from schemas.mixture import MixturePlan, read_mixture
from schemas.run import read_run
from schemas.storage import Folder
from schemas.suites import read_suite
from schemas.takedown import read_takedowns
from schemas.tasks import GenerationItem, MultipleChoiceItem, Pair, TextItem, read_rows
from training.checkpoints.files import read_state
from training.data.block_cache import BlockCache
from training.data.shard_files import open_shard
from training.finetuning.pair_files import read_pairs


@cache
def scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="corpusmill-fuzz-")


def scratch_file(name: str, data: bytes) -> str:
    path = Path(scratch().name) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return str(path)


@cache
def _shards() -> tuple[CorpusRoot, MixturePlan, bytes]:
    root, plan = fuzz_seeds.write_shards(Path(scratch().name) / "corpus")
    return root, plan, root.folder.read(plan.train[0].shards[0].path)


def shard(data: bytes) -> None:
    """A shard is what the plan pins, or refused; read from a disk, and as from an object store."""
    root, plan, _ = _shards()
    refused = []
    for place in (root, CorpusRoot("memory://fuzz")):
        place.folder.put_whole(plan.train[0].shards[0].path, data)
        try:
            open_shard(place, plan.train[0].shards[0], plan, True, BlockCache())
        except CorpusmillError as error:
            refused.append(error)
    if refused:
        raise refused[0]


def shard_seeds() -> list[bytes]:
    """The shard that the plan pins."""
    return [_shards()[2]]


def manifest_seeds() -> list[bytes]:
    """One of each kind of file."""
    return fuzz_seeds.manifests(_shards()[1])


def _each(*reads: Callable[[], object]) -> None:
    """Every reader gets its turn, whatever the ones before it say."""
    for read in reads:
        try:
            read()
        except CorpusmillError:
            continue


def tokenizer(data: bytes) -> None:
    """A tokenizer.json serves or is refused."""
    path = scratch_file("tokenizer.json", data)
    content = load_tokenizer(path, "gpt2", "<|endoftext|>", ())
    encoder = TextEncoder(content)
    choose_path(content, lambda texts: [encoder.encode(text) for text in texts], ["the cat sees"])


def manifest(data: bytes) -> None:
    """What lies in a corpus or a run as JSON."""
    for name in ("manifest.json", "main.json", "takedown.json", "config.json", "state.json"):
        scratch_file(f"json/{name}", data)
    place = str(Path(scratch().name) / "json")
    folder, root = Folder(place), CorpusRoot(place)
    root.lease_folder().put_whole("a.json", data)
    _each(
        lambda: read_manifest(folder),
        lambda: read_mixture(folder, "main"),
        lambda: read_takedowns(root).has_id(b""),
        lambda: read_run(place),
        lambda: read_state(Path(place)),
        lambda: read_leases(root),
    )


def config(data: bytes) -> None:
    """Stage configs, suites, `corpus.toml`, and values given with --set."""
    path = scratch_file("toml/corpus.toml", data)
    kinds = (CrawlConfig, CleanConfig, DedupConfig, MixConfig, TrainConfig)
    _each(
        *(lambda kind=kind: load_config(kind, path) for kind in kinds),
        lambda: read_suite(path),
        lambda: CorpusRoot(str(Path(path).parent)).sources_in_order(),
        lambda: parse_overrides(data.decode("utf-8", "replace").splitlines()),
    )


def task_rows(data: bytes) -> None:
    """Items of tasks, pairs, and evaluation sets."""
    path = scratch_file("rows.jsonl", data)
    kinds = (MultipleChoiceItem, GenerationItem, TextItem, Pair)
    sets = [
        EvaluationFile("a", scratch_file(f"set{ending}", data)) for ending in (".jsonl", ".json", ".csv", ".parquet")
    ]
    _each(
        *(lambda kind=kind: read_rows(path, kind) for kind in kinds),
        lambda: read_pairs(path, FinetuneConfig(prompt_template="{prompt}", answer_template="{answer}")),
        *(lambda one=one: read_items(one) for one in sets),
    )
