"""Doing again what depends on documents that went: decisions, held-out tasks, token shards, each with its settings.

Only what was there is done again, and only where its inputs changed: a unit whose fingerprint still holds is skipped.
What was there is written down first, since a unit that is killed while it commits has no manifest any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from pipelines.corpus_digest import tokenizer_names
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from pipelines.engine.unit import UnitOutcome
from schemas.catalog import manifest_of, units
from schemas.configs.base import ConfigT
from schemas.configs.decontaminate import DecontaminateConfig
from schemas.configs.dedup import DedupConfig
from schemas.configs.heldout import HeldoutConfig
from schemas.configs.tokenize import TokenizeConfig
from schemas.corpus_root import MANIFEST_NAME, CorpusRoot, PartitionKey
from schemas.manifest import Manifest, read_manifest
from schemas.takedown import Redo
from schemas.token_shard import token_table

__all__ = ["do_again", "redo_list"]

Redos = Iterator[Redo]


def _units_there(
    root: CorpusRoot, stage: Literal["dedup", "decontaminate", "tokenize"], table: str, keys: Sequence[PartitionKey]
) -> Redos:
    for key in keys:
        manifest = manifest_of(root, table, key)
        if manifest is not None:
            yield Redo(stage=stage, source=key.source, partition=key.partition, config=manifest.config)


def _narrowed(manifest: Manifest, there: Sequence[PartitionKey]) -> tuple[str | None, str | None]:
    """The source and the partition to which a suite was narrowed, as its inputs tell."""
    names = {record.name for record in manifest.inputs}
    used = [key for key in there if f"documents/{key}" in names]
    sources = {key.source for key in used}
    if len(used) == len(there) or len(sources) != 1:
        return None, None
    (source,) = sources
    whole = sum(key.source == source for key in there) == len(used)
    return source, None if whole or len(used) != 1 else used[0].partition


def _suites_there(root: CorpusRoot, keys: Sequence[PartitionKey], there: Sequence[PartitionKey]) -> Redos:
    inputs = {f"documents/{key}" for key in keys}
    place = root.folder.child("heldout")
    for name in place.find(MANIFEST_NAME):
        manifest = read_manifest(place.child(name))
        if manifest and inputs & {record.name for record in manifest.inputs}:
            source, partition = _narrowed(manifest, there)
            yield Redo(stage="heldout", source=source, partition=partition, config=manifest.config)


def redo_list(root: CorpusRoot, first: PartitionKey) -> tuple[Redo, ...]:
    """What is there and can depend on the documents of a partition, in the order in which it is to be done again."""
    order = units(root, "documents")
    later = order[order.index(first) :]
    decided = (manifest_of(root, "duplicates", key) for key in order)
    # Where the policy ranks across partitions, decisions on earlier ones depend on it too.
    across = any(manifest is not None and manifest.config.get("scope") == "corpus" for manifest in decided)
    keys = order if across else later
    tables = [token_table(tokenizer, "train") for tokenizer in tokenizer_names(root)]
    return (
        *_units_there(root, "dedup", "duplicates", keys),
        *_units_there(root, "decontaminate", "contaminated", keys),
        *_suites_there(root, keys, order),
        *(redo for table in tables for redo in _units_there(root, "tokenize", table, keys)),
    )


def do_again(root: CorpusRoot, redo: Redo, engine: Engine) -> tuple[UnitOutcome, ...]:
    """Do one unit again where its inputs have changed.

    Raises:
        LeaseError: another live run is working on it.
        StageError: a pipeline failed.
    """
    if redo.stage == "dedup":
        from pipelines.dedup.stage import run as dedup

        return dedup(_request(root, redo, DedupConfig, engine)).outcomes
    if redo.stage == "decontaminate":
        from pipelines.decontamination.stage import run as decontaminate

        return decontaminate(_request(root, redo, DecontaminateConfig, engine)).outcomes
    if redo.stage == "heldout":
        from pipelines.heldout.stage import run as hold_out

        return hold_out(_request(root, redo, HeldoutConfig, engine)).outcomes
    from pipelines.tokens.tokenize_stage import run as tokenize

    return tokenize(_request(root, redo, TokenizeConfig, engine)).outcomes


def _request(root: CorpusRoot, redo: Redo, kind: type[ConfigT], engine: Engine) -> StageRequest[ConfigT]:
    config = kind.model_validate(redo.config)
    return StageRequest(root=root, config=config, engine=engine, source=redo.source, partition=redo.partition)
