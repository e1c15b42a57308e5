"""`make bench-tokenize`: the tokenize stage, Parquet in and shards out, beside encoders alone and datatrove's stage.

One partition of `documents/` of real texts (books, Wikipedia, articles, manuals), cut into documents of about 4,000
characters and repeated with a number before each copy, GPT-2's vocabulary, one core. Every row is processor time, of
the process and its children, over the tokens that it made. Slow peers encode a part of the texts; start-up, which is
what the same command takes on one document, is left out of the rates of the two stages and printed beside them.
"""

from __future__ import annotations

import argparse
import gzip
import json
import lzma
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

OURS = Path(__file__).resolve().parents[2] / ".venv" / "bin" / "python"
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
CHARACTERS = 4000  # of a document: the mean of a cleaned web page
SINGLE = {"TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def read_texts() -> Iterator[str]:
    for path in sorted((DATA / "text").rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            yield (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    with lzma.open(DATA / "dedup" / "versioned-docs" / "docs.jsonl.xz", "rt", encoding="utf-8") as stream:
        yield from (json.loads(line)["text"] for line in stream)


def documents(copies: int) -> Iterator[str]:
    pieces = [text[at : at + CHARACTERS] for text in read_texts() for at in range(0, len(text), CHARACTERS)]
    for copy in range(copies):
        yield from (f"{copy} {piece}" for piece in pieces)


def write_corpus(root: Path, texts: list[str]) -> None:
    """A partition as `clean` commits it, with GPT-2's vocabulary as the tokenizer `gpt2`."""
    import pyarrow as pa

    from pipelines.engine.settings import Engine
    from pipelines.engine.spill import bucket_count, bucket_of
    from pipelines.engine.stage import StageRequest
    from pipelines.engine.staging import StagedTable, part_name, stage_parquet
    from pipelines.engine.unit import Unit, UnitOutput, run_unit
    from pipelines.tokens import tokenizer_stage
    from schemas.configs.base import StageConfig
    from schemas.configs.tokenizer import TokenizerConfig
    from schemas.corpus_root import CorpusRoot, PartitionKey
    from schemas.identity import content_hash, document_id
    from schemas.storage import Folder
    from schemas.tables import DOCUMENTS

    key, corpus = PartitionKey("texts", "all"), CorpusRoot(str(root))
    buckets = bucket_count(sum(map(len, texts)))
    rows: list[list[dict[str, Any]]] = [[] for _ in range(buckets)]
    for number, text in enumerate(texts):
        content = content_hash(text)
        url = f"https://texts.example/{number}"
        identity = document_id(key.source, url, content)
        row = {
            "document_id": identity,
            "content_hash": content,
            "text": text,
            "url": url,
            "record_file": "texts.warc.gz",
        }
        rows[bucket_of(identity, buckets)].append({**row, "source": key.source, "partition": key.partition})

    def work(folder: Folder) -> UnitOutput:
        files = [
            stage_parquet(folder, part_name(n), pa.Table.from_pylist(part, schema=DOCUMENTS), ["document_id"])
            for n, part in enumerate(rows)
            if part
        ]
        return UnitOutput(tables={"documents": StagedTable(folder, tuple(files))})

    config = StageConfig()
    run_unit(
        Unit(root=corpus, stage="texts", version=1, key=key, table="documents", config=config, inputs=()),
        Engine(),
        work,
    )
    tokenizer = TokenizerConfig(name="gpt2", load=str(DATA / "gpt2"))
    tokenizer_stage.run(StageRequest(root=corpus, config=tokenizer, engine=Engine()))


def run_stage(root: Path, workers: int) -> int:
    """Tokens of our stage, as the command does it."""
    from flows.cli.main import run

    settings = ["--set", "tokenizer=gpt2", "--workers", str(workers)]
    if run(["run", "tokenize", "--root", str(root), *settings]) != 0:
        sys.exit("the stage failed")
    (manifest,) = (json.loads(path.read_text()) for path in root.glob("tokens/gpt2/train/texts/all/manifest.json"))
    shutil.rmtree(root / "tokens")
    print(manifest["notes"], file=sys.stderr)
    return sum(manifest["counts"][f"tokens_{split}"] for split in ("train", "validation", "test"))


def run_datatrove(root: Path, part: int) -> int:
    """Tokens of datatrove's stage on the first `part` documents."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.pipeline.tokens import DocumentTokenizer

    out = root / "datatrove"
    reader = ParquetReader(str(root / "documents"), glob_pattern="**/*.parquet", limit=part, id_key="url")
    writer = DocumentTokenizer(
        output_folder=str(out),
        tokenizer_name_or_path=str(root / "tokenizers" / "gpt2" / "tokenizer.json"),
        eos_token="<|endoftext|>",
        shuffle_documents=False,
    )
    LocalPipelineExecutor(pipeline=[reader, writer], workers=1, tasks=1, logging_dir=str(root / "logs")).run()
    tokens = sum(path.stat().st_size for path in out.glob("*.ds")) // 2
    shutil.rmtree(out)
    shutil.rmtree(root / "logs")
    return tokens


def _in_batches(texts: list[str], encode: Callable[[list[str]], Any], count: Callable[[Any], int]) -> int:
    return sum(count(encode(texts[at : at + 256])) for at in range(0, len(texts), 256))


def run_encoder(root: Path, name: str, part: int) -> tuple[int, float]:
    """Tokens of an encoder alone on the first `part` documents, with the processor time that encoding took."""
    import pyarrow.parquet as pq

    files = sorted((root / "documents").rglob("*.parquet"))
    texts = [text for file in files for text in pq.read_table(file, columns=["text"]).column("text").to_pylist()][:part]
    content = (root / "tokenizers" / "gpt2" / "tokenizer.json").read_bytes()
    if name == "tokenizers":
        from tokenizers import Tokenizer

        reference = Tokenizer.from_str(content.decode())
        began = time.process_time()
        tokens = _in_batches(texts, reference.encode_batch, lambda found: sum(len(one.ids) for one in found))
    else:
        from pipelines.tokens.exact_paths import open_path

        encode = open_path(name, content)
        began = time.process_time()
        tokens = sum(len(encode(text)) for text in texts)
    return tokens, time.process_time() - began


def child(arguments: argparse.Namespace) -> None:
    root = Path(arguments.root)
    if arguments.child == "corpus":
        write_corpus(root, list(documents(arguments.copies))[: arguments.part or None])
        return
    seconds: float | None = None
    if arguments.child == "stage":
        tokens = run_stage(root, arguments.workers)
    elif arguments.child == "datatrove":
        tokens = run_datatrove(root, arguments.part)
    else:
        tokens, seconds = run_encoder(root, arguments.child, arguments.part)
    if seconds is None:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        seconds = sum(one.ru_utime + one.ru_stime for one in used)
    print(json.dumps({"tokens": tokens, "seconds": seconds}))


def measure(
    python: str | Path, root: Path, name: str, part: int = 0, copies: int = 1, workers: int = 1
) -> dict[str, Any]:
    command = [str(python), __file__, "--child", name, "--root", str(root), "--part", str(part)]
    command += ["--copies", str(copies), "--workers", str(workers)]
    began = time.monotonic()
    environment = {**os.environ, **SINGLE, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    found: dict[str, Any] = json.loads(output.splitlines()[-1]) if name != "corpus" else {}
    return {**found, "wall": time.monotonic() - began}


def row(name: str, tokens: int, startup: float, seconds: float, base: float | None) -> float:
    rate = tokens / (seconds - startup) / 1e6
    print(f"| {name} | {tokens / 1e6:.1f} | {startup:.1f} | {seconds:.1f} | {rate:.2f} | {rate / (base or rate):.1f} |")
    return rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, default=20, help="how often the texts are repeated")
    parser.add_argument("--share", type=int, default=20, help="slow peers encode one document in so many")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--root", help=argparse.SUPPRESS)
    parser.add_argument("--part", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments)
        return
    with tempfile.TemporaryDirectory() as scratch:
        small, large = Path(scratch) / "small", Path(scratch) / "large"
        measure(OURS, small, "corpus", part=1)
        measure(OURS, large, "corpus", copies=arguments.copies)
        part = sum(1 for _ in documents(arguments.copies)) // arguments.share
        print("| | tokens, M | start-up, CPU-s | whole, CPU-s | M tokens/s a core | ratio |")
        print("|---|---:|---:|---:|---:|---:|")
        found = measure(OURS, large, "tokenizers", part)
        base = row("`tokenizers.encode_batch`", found["tokens"], 0, found["seconds"], None)
        found = measure(OURS, large, "tiktoken", part)
        row("tiktoken alone", found["tokens"], 0, found["seconds"], base)
        found = measure(OURS, large, "gigatoken", 10**9)
        row("gigatoken alone", found["tokens"], 0, found["seconds"], base)
        startup = measure(sys.executable, small, "datatrove", 10)["seconds"]
        found = measure(sys.executable, large, "datatrove", part)
        row("datatrove, Parquet to tokens", found["tokens"], startup, found["seconds"], base)
        startup = measure(OURS, small, "stage", workers=arguments.workers)["seconds"]
        found = measure(OURS, large, "stage", workers=arguments.workers)
        row("corpusmill, Parquet to shards", found["tokens"], startup, found["seconds"], base)


if __name__ == "__main__":
    main()
