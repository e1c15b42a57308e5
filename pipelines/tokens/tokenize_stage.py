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
from pipelines.tokens.exact_paths import choose_path
from pipelines.tokens.frozen import TOKENIZERS, FrozenTokenizer, read_tokenizer
from schemas.catalog import manifest_of, require_manifest
from schemas.configs.tokenize import TokenizeConfig
from schemas.corpus_root import PartitionKey
from schemas.errors import ConfigError
from schemas.manifest import InputRecord
from schemas.split import SPLITS
from schemas.storage import Folder
from schemas.token_shard import INDEX_NAME, token_table

__all__ = ["STAGE_VERSION", "checked_tokenizer", "pending", "run", "tokenize_unit"]

STAGE_VERSION = 2
# Half a megabyte of text at most: a quarter of a second of the reference's time.
_SAMPLE_TEXTS = 32
_SAMPLE_CHARACTERS = 8192


def _count(staged: StagedTable) -> tuple[int, int, int, int]:
    """Documents, tokens, UTF-8 bytes and pieces of a split, from the index as it was written."""
    if not any(file.name == INDEX_NAME for file in staged.files):
        return 0, 0, 0, 0
    with staged.folder.open_read(INDEX_NAME) as stream:
        index = pq.read_table(stream, columns=["length", "utf8_bytes", "piece"])
    documents = pc.sum(pc.equal(index.column("piece"), 0)).as_py()
    tokens, utf8_bytes = (pc.sum(index.column(name)).as_py() for name in ("length", "utf8_bytes"))
    return documents, tokens, utf8_bytes, index.num_rows


def _sample(folder: Folder, parts: list[str]) -> list[str]:
    """Beginnings of texts of a partition, on which encoders are compared: from its first and last part, evenly."""
    texts: list[str] = []
    for name in sorted({*parts[:1], *parts[-1:]}):
        with folder.open_read(name) as stream:
            column = pq.ParquetFile(stream).read_row_group(0, columns=["text"]).column("text")
        rows = range(0, len(column), max(1, len(column) // _SAMPLE_TEXTS))
        texts += [column[row].as_py()[:_SAMPLE_CHARACTERS] for row in rows]
    return texts


def _work(request: StageRequest[TokenizeConfig], tokenizer: FrozenTokenizer, unit: Unit, folder: Folder) -> UnitOutput:
    from pipelines.engine.runner import run_pipeline
    from pipelines.engine.write_parts import staged_tables
    from pipelines.tokens.transform import TokenizeDocuments, TokenizeJob

    documents = require_manifest(request.root, "documents", unit.key).tables["documents"]
    parts = [file.name for file in documents.files]
    sample = _sample(request.root.partition_folder("documents", unit.key), parts)
    choice = choose_path(tokenizer.content, tokenizer.encoder().unchecked, sample, request.config.encoders)
    job = TokenizeJob(
        root=request.root,
        key=unit.key,
        tokenizer=tokenizer,
        config=request.config,
        folder=folder,
        encoder_path=choice.path,
    )

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
    return UnitOutput(tables=tables, counts=counts, notes=choice.notes())


def checked_tokenizer(request: StageRequest[TokenizeConfig]) -> FrozenTokenizer:
    """The tokenizer that the settings name.

    Raises:
        InputError: there is none of this name.
        ConfigError: more is held out than it was made without.
    """
    config = request.config
    tokenizer = read_tokenizer(request.root, config.tokenizer)
    if config.test + config.validation > tokenizer.held_out:
        raise ConfigError(
            f"test {config.test} + validation {config.validation} hold out more than the {tokenizer.held_out} that "
            f"tokenizer {tokenizer.name!r} was made without, so it has seen text meant for tests; give both stages the "
            "same shares, or make a tokenizer under another name"
        )
    return tokenizer


def tokenize_unit(request: StageRequest[TokenizeConfig], tokenizer: FrozenTokenizer, key: PartitionKey) -> Unit:
    """The unit of work that encodes one partition, whose documents must be there."""
    pinned = InputRecord(name=f"{TOKENIZERS}/{tokenizer.name}", digest=tokenizer.fingerprint)
    return Unit(
        root=request.root,
        stage="tokenize",
        version=STAGE_VERSION,
        key=key,
        table=token_table(tokenizer.name, "train"),
        config=request.config,
        inputs=(*input_records(request.root, [key]), pinned),
    )


def _units(request: StageRequest[TokenizeConfig], tokenizer: FrozenTokenizer) -> Iterator[Unit]:
    for key in request.selected("documents"):
        yield tokenize_unit(request, tokenizer, key)


def pending(request: StageRequest[TokenizeConfig]) -> int:
    """Units that `run` would do now.

    Raises:
        InputError: there is no tokenizer of this name, or no documents are committed.
        ConfigError: more is held out than the tokenizer was made without.
    """
    return sum(unit.done() is None for unit in _units(request, checked_tokenizer(request)))


def run(request: StageRequest[TokenizeConfig]) -> StageResult:
    """Write the shards of all (or the asked for) partitions with documents, unless they are there.

    Raises:
        InputError: there is no tokenizer of this name, or no documents are committed.
        ConfigError: more is held out than the tokenizer was made without.
        StageError: a pipeline failed.
        LeaseError: another live run is doing one of the units.
    """
    tokenizer = checked_tokenizer(request)
    outcomes = [
        run_unit(unit, request.engine, partial(_work, request, tokenizer, unit)) for unit in _units(request, tokenizer)
    ]
    return StageResult(stage="tokenize", outcomes=tuple(outcomes))
