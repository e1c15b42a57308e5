"""The three traces on a corpus of a million documents, each beyond the start of the interpreter.

Writes a corpus in the formats of the stages (documents, token index, shards, a mixture and the description of a run;
digests in manifests are made up, since no trace reads them), then runs each command in a process of its own, which
tells apart the seconds in which it loads libraries and those of the command itself.

    .venv/bin/python tests/benchmarks/trace_benchmark.py --documents 1000000 --out /tmp/trace-corpus
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.configs.model import ModelConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.manifest import Manifest, OutputFile, TableRecord, read_manifest, write_manifest
from schemas.mixture import MixturePlan, Phase, ShardRef, SourceShare, SourceStream, write_mixture
from schemas.run import RunConfig, write_run
from schemas.storage import join_url
from schemas.tables import DOCUMENTS
from schemas.token_shard import INDEX_NAME, TOKEN_INDEX, ShardHeader, shard_name, shard_schema, token_table

_GROUP = 4096  # rows of a row group, as the stages write them
_TEXT, _TOKENS = 1500, 300  # characters of a text, tokens on average
_PARTS, _SHARD = 8, 2**24
_LENGTH, _BATCH = 2048, 256
_KEYS = tuple(PartitionKey(source, f"p{n}") for source in ("books", "web") for n in range(4))
_TABLE = token_table("bpe", "train")
_WORDS = "the mill by the river ground grain of every village into flour while its wheel turned all day long"


def _manifest(root: CorpusRoot, stage: str, table: str, key: PartitionKey, files: list[OutputFile]) -> None:
    record = TableRecord(rows=sum(file.rows for file in files), digest="0", files=tuple(files))
    manifest = Manifest(
        stage=stage,
        stage_version=1,
        source=key.source,
        partition=key.partition,
        fingerprint="0",
        config={},
        inputs=(),
        tables={table: record},
    )
    write_manifest(root.partition_folder(table, key), manifest)


def _write_documents(root: CorpusRoot, key: PartitionKey, ids: np.ndarray, base: str) -> None:
    folder = root.partition_folder("documents", key)
    folder.make()
    files = []
    for part, mine in enumerate(np.array_split(ids, _PARTS)):
        count = len(mine)
        starts = np.frombuffer(mine.tobytes(), dtype=">u4")[::4] % (len(base) - _TEXT)
        columns = {name: pa.nulls(count, DOCUMENTS.field(name).type) for name in DOCUMENTS.names}
        identities = pa.array(mine.tolist(), pa.binary(16))
        columns |= {
            "document_id": identities,
            "content_hash": identities,
            "text": pa.array([base[start : start + _TEXT] for start in starts.tolist()]),
            "source": pa.array([key.source] * count),
            "partition": pa.array([key.partition] * count),
            "url": pa.array([f"https://{key.source}.example/{one.hex()}" for one in mine.tolist()]),
            "record_file": pa.array([f"{key.source}-{key.partition}.warc.gz"] * count),
            "record_offset": pa.array(np.arange(count) * 5000),
            "scores": pa.array([[("words", 250.0), ("alpha-words", 0.9)]] * count, DOCUMENTS.field("scores").type),
        }
        name = f"part-{part:05d}.parquet"
        table = pa.table([columns[one] for one in DOCUMENTS.names], schema=DOCUMENTS)
        pq.write_table(table, folder.path(name), compression="zstd", row_group_size=_GROUP)
        files.append(OutputFile(name=name, rows=count, bytes=0))
    _manifest(root, "clean", "documents", key, files)


def _write_tokens(root: CorpusRoot, key: PartitionKey, ids: np.ndarray, rng: np.random.Generator) -> list[ShardRef]:
    lengths = rng.integers(_TOKENS // 2, _TOKENS * 3 // 2, len(ids)).astype(np.uint64)
    starts = np.concatenate([np.zeros(1, np.uint64), np.cumsum(lengths)[:-1]])
    folder, total = root.partition_folder(_TABLE, key), int(lengths.sum())
    folder.make()
    columns = {name: pa.nulls(len(ids), TOKEN_INDEX.field(name).type) for name in TOKEN_INDEX.names}
    columns |= {
        "start": pa.array(starts),
        "length": pa.array(lengths),
        "document_id": pa.array(ids.tolist(), pa.binary(16)),
        "piece": pa.array(np.zeros(len(ids), np.int32)),
        "characters": pa.array(np.full(len(ids), _TEXT)),
        "utf8_bytes": pa.array(np.full(len(ids), _TEXT)),
        "url": pa.array([f"https://{key.source}.example/{one.hex()}" for one in ids.tolist()]),
    }
    index = pa.table([columns[one] for one in TOKEN_INDEX.names], schema=TOKEN_INDEX)
    pq.write_table(index, folder.path(INDEX_NAME), compression="zstd", row_group_size=_GROUP)
    files, refs = [OutputFile(name=INDEX_NAME, rows=len(ids), bytes=0)], []
    for number, first in enumerate(range(0, total, _SHARD)):
        tokens = rng.integers(0, 50_000, min(_SHARD, total - first), dtype=np.uint16)
        header = ShardHeader(
            tokenizer="bpe",
            tokenizer_fingerprint="0",
            vocabulary_size=50_257,
            end_of_text=50_256,
            source=key.source,
            partition=key.partition,
            split="train",
            number=number,
            first_token=first,
            tokens=len(tokens),
            checksum=f"{key}-{number}",
        )
        schema = shard_schema(header)
        with pa.OSFile(folder.path(shard_name(number)), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            writer.write_batch(pa.record_batch([pa.array(tokens)], schema=schema))
        files.append(OutputFile(name=shard_name(number), rows=len(tokens), bytes=0))
        path = join_url(_TABLE, key.source, key.partition, shard_name(number))
        refs.append(ShardRef(path=path, tokens=len(tokens), checksum=header.checksum))
    _manifest(root, "tokenize", _TABLE, key, files)
    return refs


def _write_run(root: CorpusRoot, shards: dict[str, list[ShardRef]], documents: int) -> str:
    streams = tuple(
        SourceStream(
            source=name, tokens=sum(one.tokens for one in refs), utf8_bytes=0, documents=documents, shards=tuple(refs)
        )
        for name, refs in shards.items()
    )
    windows = {one.source: one.windows(_LENGTH) for one in streams}
    shares = tuple(
        SourceShare(source=name, weight=0.5, samples=2 * count, windows=count) for name, count in windows.items()
    )
    samples = sum(one.samples for one in shares)
    plan = MixturePlan(
        name="main",
        tokenizer="bpe",
        tokenizer_fingerprint="0",
        vocabulary_size=50_257,
        end_of_text=50_256,
        sequence_length=_LENGTH,
        seed=0,
        train=streams,
        validation=(),
        test=(),
        phases=(Phase(samples=samples, planned=samples, shares=shares),),
    )
    write_mixture(root.mixture_folder(), plan)
    run = join_url(root.url, "runs", "first")
    steps = plan.samples // _BATCH
    model = ModelConfig(vocabulary_size=50_257, context=_LENGTH, layers=2, heads=2, width=32, band=256)
    write_run(
        run,
        RunConfig(
            root=root.url,
            mixture="main",
            plan_digest=plan.digest(),
            tokenizer="bpe",
            end_of_text=50_256,
            model=model,
            seed=0,
            settings={"batch": _BATCH, "ramp_start": 16, "ramp_tokens": 0, "steps": steps},
        ),
    )
    Path(run, "metrics.jsonl").write_text(json.dumps({"step": steps}) + "\n")
    return run


def write_corpus(url: str, documents: int, text: str) -> None:
    """Write the corpus, unless it is there."""
    root = CorpusRoot(url)
    if root.mixture_folder().exists("main.json"):
        return
    shards: dict[str, list[ShardRef]] = {}
    for number, key in enumerate(_KEYS):
        rng = np.random.default_rng(number)
        count = documents // len(_KEYS)
        ids = np.sort(np.frombuffer(rng.bytes(16 * count), dtype="S16"))
        ids = ids[np.char.str_len(ids) == 16]  # numpy drops zero bytes at the end
        _write_documents(root, key, ids, text)
        shards.setdefault(key.source, []).extend(_write_tokens(root, key, ids, rng))
    _write_run(root, shards, documents // 2)


_CHILD = """
import json, sys, time
begun = time.perf_counter(), time.process_time()
import flows.cli.main, flows.trace.answers, flows.trace.runs, tokenizers
loaded = time.perf_counter(), time.process_time()
code = flows.cli.main.run(sys.argv[1:])
ended = time.perf_counter(), time.process_time()
print(json.dumps([[b - a for a, b in zip(begun, loaded)], [b - a for a, b in zip(loaded, ended)], code]))
"""


def _timed(words: Sequence[str]) -> tuple[list[float], list[float]]:
    """Wall-clock and processor seconds in a new process: of loading libraries, and of the command itself."""
    done = subprocess.run([sys.executable, "-c", _CHILD, *words], check=True, capture_output=True, text=True)
    libraries, command, code = json.loads(done.stdout.strip().rpartition("\n")[2])
    assert code == 0, done.stderr
    return libraries, command


def _questions(root: CorpusRoot, rounds: int) -> dict[str, list[list[str]]]:
    rng = np.random.default_rng(0)
    asked: dict[str, list[list[str]]] = {"token": [], "document": [], "step": []}
    run = join_url(root.url, "runs", "first")
    steps = json.loads(Path(run, "config.json").read_text())["settings"]["steps"]
    for _ in range(rounds):
        key = _KEYS[int(rng.integers(len(_KEYS)))]
        folder = root.partition_folder(_TABLE, key)
        index = pq.ParquetFile(folder.path(INDEX_NAME))
        group = index.read_row_group(int(rng.integers(index.num_row_groups)), columns=["document_id"])
        one = group.column("document_id")[int(rng.integers(group.num_rows))].as_py().hex()
        manifest = read_manifest(folder)
        assert manifest is not None
        file = manifest.tables[_TABLE].files[-1]
        shard = join_url(_TABLE, key.source, key.partition, file.name)
        asked["token"].append(["--root", root.url, "--shard", shard, "--position", str(int(rng.integers(file.rows)))])
        asked["document"].append([one, "--root", root.url])
        asked["step"].append([run, str(int(rng.integers(1, steps + 1)))])
    return asked


def main() -> None:
    """Write the corpus and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--out", required=True, help="where the corpus is written; one that is there is used again")
    given = parser.parse_args()
    rng = np.random.default_rng(1)
    write_corpus(given.out, given.documents, " ".join(rng.choice(_WORDS.split(), 200_000)))
    print(f"{given.documents:,} documents in {len(_KEYS)} partitions; medians of {given.rounds}, worst in brackets")
    for name, questions in _questions(CorpusRoot(given.out), given.rounds).items():
        found = [_timed(["trace", name, *one, "--json"]) for one in questions]
        for what, number in (("libraries", 0), ("itself", 1)):
            wall, spent = ([one[number][kind] for one in found] for kind in (0, 1))
            print(
                f"trace {name:<9} {what:<9} {statistics.median(wall):6.3f} s wall ({max(wall):.3f})   "
                f"{statistics.median(spent):6.3f} s processor ({max(spent):.3f})"
            )


if __name__ == "__main__":
    main()
