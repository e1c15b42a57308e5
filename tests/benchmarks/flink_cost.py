"""`make bench-flink`: what the chain costs on Flink, in CPU-seconds a document, beside the local runner.

The same pages, repeated under other URLs, go through clean, dedup and tokenize on the local runner and on a standalone
cluster, with one slot and with two. CPU time is that of all processes, cluster included; what the same chain costs on
four pages is start-up, and is stated apart.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from flink_chain import Cluster, chain, conserved

from pipelines.engine.flink.description import description_file
from schemas.configs.flink import FlinkConfig

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "html"
STAGES = ("clean", "dedup", "tokenizer", "tokenize")
ARCHIVES = ("ipython-docs", "httpd-manual", "git-htmldocs")
_SETTLE_SECONDS = 12.0  # workers end some seconds after their job, and only then count


def read_pages() -> list[tuple[str, bytes]]:
    """Real pages by path."""
    pages = []
    for name in ARCHIVES:
        with tarfile.open(DATA / f"{name}.tar.xz") as archive:
            for member in archive:
                if member.isfile() and member.name.endswith(".html"):
                    stream = archive.extractfile(member)
                    assert stream is not None
                    pages.append((f"{name}/{member.name}", stream.read()))
    return pages


def write_warcs(folder: Path, pages: list[tuple[str, bytes]], copies: int) -> Path:
    """One WARC file a copy; the copies differ in host and in one word of each page."""
    folder.mkdir()
    for copy in range(copies):
        with (folder / f"{copy:03d}.warc.gz").open("wb") as stream:
            writer = WARCWriter(stream, gzip=True)
            for path, content in pages:
                own = content.replace(b"</p>", f" copy{copy}</p>".encode(), 1)
                headers = StatusAndHeaders("200 OK", [("Content-Type", "text/html")], protocol="HTTP/1.1")
                url = f"http://copy{copy}.example/{path}"
                record = writer.create_warc_record(url, "response", payload=io.BytesIO(own), http_headers=headers)
                writer.write_record(record)
    return folder


def children_cpu() -> float:
    """CPU-seconds of all ended children and theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@dataclass(frozen=True)
class Cost:
    """Of one run of the chain."""

    cpu: float
    wall: float
    documents: int


@contextmanager
def cluster_of(folder: Path, slots: int) -> Iterator[Cluster]:
    """A cluster whose processes are all ours, so that their CPU time is counted when it has ended."""
    cluster = Cluster(folder)
    folder.mkdir(parents=True)
    config = FlinkConfig(task_managers=slots, slots=1)
    command = [sys.executable, "-m", "flows.flink.keeper", str(folder), config.model_dump_json(), str(os.getpid())]
    keeper = subprocess.Popen(command, env=cluster.environment())
    while not description_file(folder).exists():
        assert keeper.poll() is None, "the cluster did not start"
        time.sleep(0.2)
    yield cluster
    time.sleep(_SETTLE_SECONDS)
    keeper.send_signal(signal.SIGTERM)
    keeper.wait()


def measure(folder: Path, inputs: Path, runner: str, workers: int) -> Cost:
    """The chain once, all of its processes counted."""
    before = children_cpu()
    root, more = folder / "corpus", ("--workers", str(workers))
    if runner == "local":
        started = time.monotonic()
        chain(Cluster(folder / "none"), root, inputs, runner, *more, stages=STAGES)
        wall = time.monotonic() - started
    else:
        with cluster_of(folder / "cluster", workers) as cluster:
            started = time.monotonic()
            chain(cluster, root, inputs, runner, *more, stages=STAGES)
            wall = time.monotonic() - started
    documents = conserved(root)[0]
    shutil.rmtree(folder)
    return Cost(children_cpu() - before, wall, documents)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--copies", type=int, default=48, help="how often the pages are repeated")
    copies = parser.parse_args().copies
    folder, pages = Path(tempfile.mkdtemp(prefix="flink-cost-")), read_pages()
    many = write_warcs(folder / "many", pages, copies)
    one = write_warcs(folder / "one", [page for page in pages if len(page[1]) > 20_000][:4], 1)
    rows: list[str] = []
    local: dict[int, float] = {}
    for runner, workers in (("local", 1), ("local", 2), ("flink", 1), ("flink", 2)):
        start_up = measure(folder / "run", one, runner, workers)
        whole = measure(folder / "run", many, runner, workers)
        each = (whole.cpu - start_up.cpu) / (whole.documents - start_up.documents) * 1000
        local.setdefault(workers, each)
        rows.append(
            f"| {runner}, {workers} | {start_up.cpu:.0f} | {start_up.wall:.0f} | {whole.cpu:.0f} | {whole.wall:.0f} "
            f"| {each:.2f} | {each / local[workers]:.2f} | {each / local[1]:.2f} |"
        )
        sys.stdout.write(rows[-1] + "\n")
        sys.stdout.flush()
    about = f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {os.cpu_count()} cores"
    sys.stdout.write(f"\n{about}; {len(pages):,} pages × {copies}\n\n")
    sys.stdout.write(
        "| runner, workers | start-up, CPU-s | wall | whole, CPU-s | wall | CPU-ms a document beyond "
        "| of local, as many | of local, 1 |\n"
    )
    sys.stdout.write("|---|---:|---:|---:|---:|---:|---:|---:|\n" + "\n".join(rows) + "\n")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
