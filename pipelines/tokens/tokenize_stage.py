"""The stage `tokenize`: kept documents as token shards, by split.

Writes `<root>/tokens/<tokenizer>/<split>/<source>/<partition>/`: shards of one stream, and `index.parquet` with a row
a piece of a document in stream order. The unit's manifest lies in the folder of the train split. What a partition gives
depends on its own documents, its own duplicates and contaminated rows, and the tokenizer, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.engine.stage import StageRequest, StageResult
from pipelines.engine.staging import StagedTable
from pipelines.engine.unit import Unit, UnitOutput, run_unit
from pipelines.kept_documents import input_records
from pipelines.tokens.frozen import TOKENIZERS, FrozenTokenizer, read_tokenizer
from schemas.catalog import manifest_of, require_manifest
from schemas.configs.tokenize import TokenizeConfig
from schemas.errors import ConfigError
from schemas.manifest import InputRecord
from schemas.split import SPLITS
from schemas.storage import Folder
from schemas.token_shard import INDEX_NAME, token_table

__all__ = ["STAGE_VERSION", "pending", "run"]

STAGE_VERSION = 1


def _count(staged: StagedTable) -> tuple[int, int, int, int]:
    """Documents, tokens, UTF-8 bytes and pieces of a split, from the index as it was written."""
    if not any(file.name == INDEX_NAME for file in staged.files):
        return 0, 0, 0, 0
    with staged.folder.open_read(INDEX_NAME) as stream:
        index = pq.read_table(stream, columns=["length", "utf8_bytes", "piece"])
    documents = pc.sum(pc.equal(index.column("piece"), 0)).as_py()
    tokens, utf8_bytes = (pc.sum(index.column(name)).as_py() for name in ("length", "utf8_bytes"))
    return documents, tokens, utf8_bytes, index.num_rows


def _work(request: StageRequest[TokenizeConfig], tokenizer: FrozenTokenizer, unit: Unit, folder: Folder) -> UnitOutput:
    from pipelines.engine.runner import run_pipeline
    from pipelines.engine.write_parts import staged_tables
    from pipelines.tokens.transform import TokenizeDocuments, TokenizeJob

    documents = require_manifest(request.root, "documents", unit.key).tables["documents"]
    job = TokenizeJob(root=request.root, key=unit.key, tokenizer=tokenizer, config=request.config, folder=folder)
    parts = [file.name for file in documents.files]

    def build(pipeline: Any) -> Any:
        return pipeline | "Tokenize" >> TokenizeDocuments(job, parts)

    run_pipeline(build, request.engine, "tokenize", folder)

    by_split = {split: token_table(tokenizer.name, split) for split in SPLITS}
    tables = staged_tables(folder, by_split.values())
    decided = manifest_of(request.root, "contaminated", unit.key)
    dropped = decided.counts["dropped_documents"] if decided else 0
    counts: dict[str, int] = {"removed_duplicates": documents.rows - dropped, "removed_contaminated": dropped}
    for split, table in by_split.items():
        numbers = _count(tables[table])
        counts["removed_duplicates"] -= numbers[0]
        for name, number in zip(("documents", "tokens", "utf8_bytes", "pieces"), numbers, strict=True):
            counts[f"{name}_{split}"] = number
    return UnitOutput(tables=tables, counts=counts)


def _checked_tokenizer(request: StageRequest[TokenizeConfig]) -> FrozenTokenizer:
    config = request.config
    tokenizer = read_tokenizer(request.root, config.tokenizer)
    if config.test + config.validation > tokenizer.held_out:
        raise ConfigError(
            f"test {config.test} + validation {config.validation} hold out more than the {tokenizer.held_out} that "
            f"tokenizer {tokenizer.name!r} was made without, so it has seen text meant for tests; give both stages the "
            "same shares, or make a tokenizer under another name"
        )
    return tokenizer


def _units(request: StageRequest[TokenizeConfig], tokenizer: FrozenTokenizer) -> Iterator[Unit]:
    pinned = InputRecord(name=f"{TOKENIZERS}/{tokenizer.name}", digest=tokenizer.fingerprint)
    for key in request.selected("documents"):
        yield Unit(
            root=request.root,
            stage="tokenize",
            version=STAGE_VERSION,
            key=key,
            table=token_table(tokenizer.name, "train"),
            config=request.config,
            inputs=(*input_records(request.root, [key]), pinned),
        )


def pending(request: StageRequest[TokenizeConfig]) -> int:
    """Units that `run` would do now.

    Raises:
        InputError: there is no tokenizer of this name, or no documents are committed.
        ConfigError: more is held out than the tokenizer was made without.
    """
    return sum(unit.done() is None for unit in _units(request, _checked_tokenizer(request)))


def run(request: StageRequest[TokenizeConfig]) -> StageResult:
    """Write the shards of all (or the asked for) partitions with documents, unless they are there.

    Raises:
        InputError: there is no tokenizer of this name, or no documents are committed.
        ConfigError: more is held out than the tokenizer was made without.
        StageError: a pipeline failed.
        LeaseError: another live run is doing one of the units.
    """
    tokenizer = _checked_tokenizer(request)
    outcomes = [
        run_unit(unit, request.engine, partial(_work, request, tokenizer, unit)) for unit in _units(request, tokenizer)
    ]
    return StageResult(stage="tokenize", outcomes=tuple(outcomes))
