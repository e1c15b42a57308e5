"""A corpus of two sources, tokenized and mixed by the stages, with a run that read part of its mixture."""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.engine.settings import Engine
from pipelines.engine.spill import bucket_of
from pipelines.engine.stage import StageRequest
from pipelines.engine.staging import StagedTable, part_name, stage_parquet
from pipelines.engine.unit import Unit, UnitOutput, run_unit
from pipelines.tokens import mix_stage, tokenize_stage, tokenizer_stage
from schemas.catalog import read_table
from schemas.configs.base import StageConfig
from schemas.configs.mix import MixConfig
from schemas.configs.model import ModelShape
from schemas.configs.tokenize import TokenizeConfig
from schemas.configs.tokenizer import TokenizerConfig
from schemas.configs.train import TrainConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.identity import content_hash, document_id
from schemas.manifest import InputRecord
from schemas.mixture import MixturePlan, read_mixture
from schemas.storage import Folder
from schemas.tables import CONTAMINATED, DOCUMENTS, DUPLICATES
from schemas.token_shard import token_table
from training.loop.prepare import prepare_run

KEYS = (PartitionKey("books", "1"), PartitionKey("web", "2026/1"), PartitionKey("web", "2026/2"))
LENGTH, BATCH, SHARD = 16, 8, 700
_WORDS = ["mill", "river", "stone", "wheel", "grain", "bread", "flour", "village", "harvest", "road"]


def _row(key: PartitionKey, number: int) -> dict[str, Any]:
    rng = np.random.default_rng([number, len(key.partition)])
    text = f"Page {number} of {key}: " + " ".join(rng.choice(_WORDS, int(rng.integers(1, 60))))
    text = text if number % 17 else text * 40  # a few run over many windows, row groups' bounds, and shards
    content = content_hash(text)
    url = f"https://{key.source}.example/{key.partition}/{number}"
    return {
        **dict.fromkeys(DOCUMENTS.names),
        "document_id": document_id(key.source, url, content),
        "content_hash": content,
        "text": text,
        "url": url,
        "source": key.source,
        "partition": key.partition,
        "title": f"Title {number}",
        "language": "en",
        "language_score": 0.5,
        "scores": [("words", float(number)), ("quality", 0.25)],
        "record_file": f"{key.source}.warc.gz",
        "record_offset": 1000 * number,
        "record_id": f"<urn:uuid:{number}>",
        "captured_at": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    }


def commit(root: CorpusRoot, key: PartitionKey, name: str, schema: pa.Schema, rows: list[dict[str, Any]], **more: Any):
    """Commit a table in two parts, sorted by its first column."""

    def work(folder: Folder) -> UnitOutput:
        parts = []
        for bucket in range(2):
            mine = [row for row in rows if bucket_of(row[schema.names[0]], 2) == bucket]
            if mine:
                table = pa.Table.from_pylist(mine, schema=schema)
                parts.append(stage_parquet(folder, part_name(bucket), table, [schema.names[0]]))
        return UnitOutput(tables={name: StagedTable(folder, tuple(parts))}, **more)

    digest = InputRecord(name="rows", digest=str(len(rows)))
    run_unit(
        Unit(root=root, stage=name, version=1, key=key, table=name, config=StageConfig(), inputs=(digest,)),
        Engine(),
        work,
    )


@dataclass(frozen=True)
class Traceable:
    """The corpus, its plan and its run."""

    root: CorpusRoot
    run: str
    plan: MixturePlan

    def stream(self, key: PartitionKey) -> Any:
        """All training tokens of a partition."""
        folder = Path(self.root.partition_folder(token_table("bpe", "train"), key).path())
        shards = [
            pa.ipc.open_file(pa.memory_map(str(path))).read_all() for path in sorted(folder.glob("shard-*.arrow"))
        ]
        return np.concatenate([one.column("token").to_numpy() for one in shards])

    def index(self, key: PartitionKey) -> list[dict[str, Any]]:
        """The rows of the index of a partition."""
        folder = Path(self.root.partition_folder(token_table("bpe", "train"), key).path())
        return pq.read_table(folder / "index.parquet").to_pylist()

    def documents(self, key: PartitionKey) -> dict[bytes, dict[str, Any]]:
        """The documents of a partition by id."""
        return {row["document_id"]: row for row in read_table(self.root, "documents", key).to_pylist()}


@pytest.fixture(scope="module")
def traceable(tmp_path_factory: pytest.TempPathFactory) -> Traceable:
    """The corpus with its run; nothing changes it."""
    folder = tmp_path_factory.mktemp("traceable")
    root = CorpusRoot(str(folder / "corpus"))
    for number, key in enumerate(KEYS):
        rows = [_row(key, one) for one in range(40 + 20 * number)]
        commit(root, key, "documents", DOCUMENTS, rows)
    gone, cut, kept = sorted(rows, key=lambda row: row["document_id"])[:3]
    removed = {
        **dict.fromkeys(DUPLICATES.names, "web"),
        "removed_id": gone["document_id"],
        "similarity": 0.9,
        "band": 1,
    }
    removed |= {"kept_id": kept["document_id"], "kept_partition": KEYS[2].partition, "level": "near"}
    commit(root, KEYS[2], "duplicates", DUPLICATES, [removed])
    found = {"task": "qa", "item": "7", "ngram": "mill", "start": 0, "end": 4, "action": "ignored"}
    row = {"document_id": cut["document_id"], "source": "web", "partition": KEYS[2].partition, **found}
    counts = {"cut_documents": 0, "dropped_documents": 0}
    commit(root, KEYS[2], "contaminated", CONTAMINATED, [row], counts=counts)
    about: dict[str, Any] = {"root": root, "engine": Engine()}
    shares = {"test": 0.0, "validation": 0.0}
    tokenizer_stage.run(StageRequest(config=TokenizerConfig(vocabulary_size=300, **shares), **about))
    tokenize_stage.run(StageRequest(config=TokenizeConfig(shard_tokens=SHARD, **shares), **about))
    weights = {"books": 1.0, "web": 2.0}
    mix = MixConfig(name="main", sequence_length=LENGTH, weights=weights, samples=900, seed=4)
    mix_stage.run(StageRequest(config=mix, **about))
    shape = ModelShape(context=LENGTH, layers=2, heads=2, width=32, band=4)
    run = str(folder / "corpus" / "runs" / "first")
    config = TrainConfig(model=shape, batch=BATCH, warmup_tokens=16, ramp_start=2, ramp_tokens=640, seed=9)
    prepare_run(config, root.url, "main", run)
    rows_done = [{"step": step, "tokens": 0, "loss": 1.0} for step in range(1, 31)]
    (Path(run) / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows_done))
    return Traceable(root, run, read_mixture(root.mixture_folder(), "main"))
