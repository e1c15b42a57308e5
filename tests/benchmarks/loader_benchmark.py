"""`make bench-loader`: training batches from one process, beside nanoGPT's way and litdata.

The same random tokens for all: inputs and labels of 2,048 as int64, permuted order, 64 windows a batch, each element
of both read once by the consumer (a sum). Warm: all files in page cache, read once before. Cold: pages dropped from
the cache before, where the system lets us. nanoGPT's way is written here anew: a memory map of a file of uint16, as
many random windows as a batch has, opened for each batch as in its training script, or once. Every loader has a
process of its own. Tokens/s are by wall time of that process; processor time is beside it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

LENGTH, BATCH = 2048, 64
VOCABULARY = 50_257
OURS = Path(__file__).resolve().parents[2] / ".venv" / "bin" / "python"
LITDATA_CHUNK = 2**25  # bytes


def _pieces(tokens: int) -> Iterator[np.ndarray[Any, np.dtype[np.uint16]]]:
    draw, step = np.random.default_rng(0), 2**24
    for start in range(0, tokens, step):
        yield draw.integers(0, VOCABULARY, min(step, tokens - start), dtype=np.uint16)


def write_shards(root: Path, tokens: int) -> None:
    """Shards of 2^27 tokens and a plan over them, as the pipelines write them."""
    import pyarrow as pa

    from schemas.corpus_root import CorpusRoot, PartitionKey
    from schemas.mixture import MixturePlan, Phase, ShardRef, SourceShare, SourceStream, write_mixture
    from schemas.token_shard import SHARD_TOKENS, ShardHeader, shard_name, shard_schema, token_checksum, token_table

    corpus, table = CorpusRoot(str(root)), token_table("bpe", "train")
    folder = corpus.partition_folder(table, PartitionKey("noise", "one"))
    refs = []
    for number, first in enumerate(range(0, tokens, SHARD_TOKENS)):
        size = min(SHARD_TOKENS, tokens - first)
        data = np.concatenate(list(_pieces(size)))
        header = ShardHeader(
            tokenizer="bpe",
            tokenizer_fingerprint="",
            vocabulary_size=VOCABULARY,
            end_of_text=VOCABULARY - 1,
            source="noise",
            partition="one",
            split="train",
            number=number,
            first_token=first,
            tokens=size,
            checksum=token_checksum([data]),
        )
        schema = shard_schema(header)
        with folder.open_write(shard_name(number)) as stream, pa.ipc.new_file(stream, schema) as writer:
            writer.write_batch(pa.record_batch([pa.array(data)], schema=schema))
        path = f"{table}/noise/one/{shard_name(number)}"
        refs.append(ShardRef(path=path, tokens=size, checksum=header.checksum))
    stream = SourceStream(source="noise", tokens=tokens, utf8_bytes=0, documents=0, shards=tuple(refs))
    windows = stream.windows(LENGTH)
    samples = windows * 1000  # so that step 1,000,000 of 64 windows is inside
    share = SourceShare(source="noise", weight=1, samples=samples, windows=windows)
    plan = MixturePlan(
        name="noise",
        tokenizer="bpe",
        tokenizer_fingerprint="",
        vocabulary_size=VOCABULARY,
        end_of_text=VOCABULARY - 1,
        sequence_length=LENGTH,
        seed=0,
        train=(stream,),
        validation=(),
        test=(),
        phases=(Phase(samples=samples, planned=samples, shares=(share,)),),
    )
    write_mixture(corpus.mixture_folder(), plan)


def write_flat(root: Path, tokens: int) -> None:
    root.mkdir(parents=True)
    with (root / "train.bin").open("wb") as stream:
        for piece in _pieces(tokens):
            stream.write(piece.tobytes())


def write_litdata(root: Path, tokens: int) -> None:
    import torch
    from litdata.streaming.item_loader import TokensLoader
    from litdata.streaming.writer import BinaryWriter

    root.mkdir(parents=True)
    writer = BinaryWriter(str(root), chunk_bytes=LITDATA_CHUNK, item_loader=TokensLoader(block_size=LENGTH + 1))
    number = 0
    for piece in _pieces(tokens):
        for part in np.array_split(piece, 8):
            writer[number] = torch.from_numpy(part.astype(np.int32)).to(torch.uint16)
            number += 1
    writer.done()
    writer.merge()


def read_ours(root: Path, workers: int) -> Callable[[], tuple[Any, Any]]:
    from schemas.corpus_root import CorpusRoot
    from schemas.mixture import read_mixture
    from training.data.batches import BatchReader
    from training.data.shards import open_streams

    corpus = CorpusRoot(str(root))
    plan = read_mixture(corpus.mixture_folder(), "noise")
    reader = BatchReader(plan, open_streams(corpus, plan, "train", verify=False), 0, workers=workers)

    def take() -> tuple[Any, Any]:
        batch = reader.take(BATCH)
        return batch.inputs, batch.labels

    return take


def read_flat(root: Path, once: bool) -> Callable[[], tuple[Any, Any]]:
    import torch

    path = root / "train.bin"
    kept = np.memmap(path, dtype=np.uint16, mode="r")
    draw = torch.Generator().manual_seed(0)

    def take() -> tuple[Any, Any]:
        data = kept if once else np.memmap(path, dtype=np.uint16, mode="r")
        starts = torch.randint(len(data) - LENGTH, (BATCH,), generator=draw)
        inputs = torch.stack([torch.from_numpy(data[i : i + LENGTH].astype(np.int64)) for i in starts])
        labels = torch.stack([torch.from_numpy(data[i + 1 : i + 1 + LENGTH].astype(np.int64)) for i in starts])
        return inputs.numpy(), labels.numpy()

    return take


def read_litdata(root: Path) -> Callable[[], tuple[Any, Any]]:
    from litdata import StreamingDataset
    from litdata.streaming.item_loader import TokensLoader
    from torch.utils.data import DataLoader

    dataset = StreamingDataset(
        str(root), item_loader=TokensLoader(block_size=LENGTH + 1), shuffle=True, drop_last=True, seed=0
    )
    loader = iter(DataLoader(dataset, batch_size=BATCH, num_workers=0))

    def take() -> tuple[Any, Any]:
        windows = next(loader).long()
        return windows[:, :-1].numpy(), windows[:, 1:].numpy()

    return take


READERS: dict[str, Callable[[Path], Callable[[], tuple[Any, Any]]]] = {
    "ours": lambda root: read_ours(root / "shards", 0),
    "ours-ahead": lambda root: read_ours(root / "shards", 1),
    "nanogpt": lambda root: read_flat(root / "flat", once=False),
    "nanogpt-once": lambda root: read_flat(root / "flat", once=True),
    "litdata": lambda root: read_litdata(root / "litdata"),
}
WRITERS = {"shards": write_shards, "flat": write_flat, "litdata": write_litdata}


def _in_cache(root: Path, warm: bool) -> None:
    """Read all files once, or have their pages dropped from the cache."""
    for path in root.rglob("*"):
        if path.is_file():
            with path.open("rb") as stream:
                if warm:
                    while stream.read(2**24):
                        pass
                else:
                    os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def child(arguments: argparse.Namespace) -> dict[str, float]:
    import torch

    torch.set_num_threads(1)
    root, name = Path(arguments.root), arguments.child
    if name == "resume":
        from schemas.corpus_root import CorpusRoot
        from schemas.mixture import read_mixture
        from training.data.batches import BatchReader
        from training.data.shards import open_streams

        began = time.perf_counter()
        corpus = CorpusRoot(str(root / "shards"))
        plan = read_mixture(corpus.mixture_folder(), "noise")
        reader = BatchReader(plan, open_streams(corpus, plan, "train", verify=False), 0)
        reader.restore({"sample": 1_000_000 * BATCH})
        checksum = hashlib.sha256(reader.take(BATCH).inputs.tobytes()).hexdigest()
        return {"seconds": time.perf_counter() - began, "checksum": int(checksum[:8], 16)}
    take = READERS[name](root)
    sums = 0
    for _ in range(5):
        take()
    began, used, rows, waits = time.perf_counter(), time.process_time(), 0, []
    while time.perf_counter() - began < arguments.seconds and rows + BATCH <= arguments.windows:
        asked = time.perf_counter()
        inputs, labels = take()
        waits.append(time.perf_counter() - asked)
        sums += int(inputs.sum()) + int(labels.sum())
        rows += BATCH
    wall, used = time.perf_counter() - began, time.process_time() - used
    tokens = rows * LENGTH
    return {
        "rate": tokens / wall / 1e6,
        "cpu_rate": tokens / used / 1e6,
        "tokens": tokens,
        "wait_99": float(np.quantile(waits, 0.99)) * 1e3,
        "mean": sums / (2 * tokens),  # near the middle of the vocabulary: everything was read
    }


def run_child(python: str | Path, root: Path, name: str, arguments: argparse.Namespace) -> dict[str, float]:
    command = [str(python), __file__, "--child", name, "--root", str(root)]
    command += ["--seconds", str(arguments.seconds), "--windows", str(int(arguments.gigabytes * 2**29) // LENGTH)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "OMP_NUM_THREADS": "1"}
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=4.0, help="of tokens")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each loader at most")
    parser.add_argument("--scratch", help="folder for the files; a temporary one by default")
    parser.add_argument("--write", help=argparse.SUPPRESS)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--root", help=argparse.SUPPRESS)
    parser.add_argument("--windows", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write:
        WRITERS[arguments.write](Path(arguments.root) / arguments.write, int(arguments.gigabytes * 2**29))
        return
    if arguments.child:
        print(json.dumps(child(arguments)))
        return
    scratch = Path(tempfile.mkdtemp(dir=arguments.scratch))
    rows = [
        ("nanoGPT's way", "nanogpt", "flat", OURS),
        ("nanoGPT's way, opened once", "nanogpt-once", "flat", OURS),
        ("litdata", "litdata", "litdata", sys.executable),
        ("corpusmill, no thread", "ours", "shards", OURS),
        ("corpusmill", "ours-ahead", "shards", OURS),
    ]
    try:
        print("| | warm, M tokens/s | by processor time | cold, M tokens/s | 99% wait, ms |")
        print("|---|---:|---:|---:|---:|")
        for title, name, files, python in rows:
            environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
            if not (scratch / files).exists():
                command = [str(python), __file__, "--write", files, "--root", str(scratch)]
                size = ["--gigabytes", str(arguments.gigabytes)]
                subprocess.run([*command, *size], check=True, env=environment, stdout=subprocess.DEVNULL)
            os.sync()
            _in_cache(scratch / files, warm=False)
            cold = run_child(python, scratch, name, arguments)
            _in_cache(scratch / files, warm=True)
            warm = run_child(python, scratch, name, arguments)
            figures = f"{warm['rate']:.0f} | {warm['cpu_rate']:.0f} | {cold['rate']:.0f} | {warm['wait_99']:.2f}"
            print(f"| {title} | {figures} |", flush=True)
            if files != "shards" and name != "nanogpt":
                shutil.rmtree(scratch / files)
        found = run_child(OURS, scratch, "resume", arguments)
        print(f"\nFirst batch of step 1,000,000, plan and shards opened anew: {found['seconds']:.3f} s")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
