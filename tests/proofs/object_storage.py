"""`make prove object-storage`: the same rows on S3 as in files, on both engines, whatever gets lost on the way.

The chain clean, dedup, decontaminate, tokenizer, tokenize over real pages, in files and in a bucket of an S3 server,
on the local runner and on a Flink cluster, with and without a proxy that lets a tenth of all requests and answers get
lost. Every corpus has to have the same digest. Meanwhile the bucket is looked at all the time, behind the proxy: an
object that is seen must never be another one later, unless its name says that it changes (leases, run logs, work
folders). Prints the table for docs/proofs.md; takes ten minutes on two cores.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import boto3
from fault_proxy import FaultProxy, fault_proxy
from flink_chain import STAGES, Cluster, digest, has_java, require, stage_command, write_pages
from processes import looking_on
from s3_server import s3_environment, s3_server

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
SEED, SHARE, BUCKET = 20261130, 0.1, "corpora"
# What is written anew as a run goes on; all else is committed once.
CHANGES = ("/.work/", "/logs/", "/ledger/")


def say(text: str) -> None:
    """Show progress and results as they come."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Watcher:
    """Looks at a bucket all the time, and notes which version of each object it saw."""

    def __init__(self, endpoint: str) -> None:
        self._client = boto3.client("s3", endpoint_url=endpoint)
        self.seen: dict[str, set[str]] = {}
        self.looks = 0

    def look(self) -> None:
        self.looks += 1
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
            for one in page.get("Contents", []):
                self.seen.setdefault(one["Key"], set()).add(one["ETag"])

    def left(self) -> int:
        """Uploads that nobody ended, and temporary objects."""
        uploads = self._client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        self.look()
        return len(uploads) + sum(key.endswith(".tmp") for key in self.seen)

    def changed(self) -> list[str]:
        """Objects of which two versions were seen, though they are committed once."""
        fixed = (key for key, versions in self.seen.items() if len(versions) > 1)
        return sorted(key for key in fixed if not any(mark in f"/{key}" for mark in CHANGES))


@contextmanager
def watched(endpoint: str) -> Iterator[Watcher]:
    """A watcher that looks while the body runs."""
    watcher = Watcher(endpoint)
    with looking_on(watcher.look, 0.2):
        yield watcher


@dataclass
class Proof:
    """What was seen so far; the first corpus is what all others are compared with."""

    folder: Path
    pages: Path
    cluster: Cluster
    expected: str = ""
    rows: list[str] = field(default_factory=list)
    requests: dict[str, Counter[str]] = field(default_factory=dict)
    failed: bool = False

    def row(self, what: str, root: str, runner: str, proxy: FaultProxy | None, endpoint: str) -> None:
        """Make a corpus, and note what it is and what was asked for."""
        started = time.monotonic()
        with watched(endpoint) as watcher:
            for stage in STAGES:
                words = stage_command(stage, root, self.pages, "--workers", "2", runner=runner)  # type: ignore[arg-type]
                require(self.cluster.call(*words))
        seconds = time.monotonic() - started
        lost = sum(proxy.failed.values()) if proxy else 0
        self.requests[what] = Counter(proxy.requests) if proxy else Counter()
        found, changed = digest(self.cluster, root), watcher.changed()  # type: ignore[arg-type]
        self.expected = self.expected or found
        self.failed |= found != self.expected or bool(changed) or watcher.left() > 0
        self.failed |= bool(proxy and proxy.share and not lost)
        on_s3 = f"{len(watcher.seen)} | {len(changed)} | {watcher.left()}" if proxy else "– | – | –"
        self.rows.append(
            f"| {what} | `{found[:16]}…` | {'equal' if found == self.expected else 'DIFFERS'} "
            f"| {sum(self.requests[what].values()):,} | {lost} | {on_s3} | {seconds:.0f} |"
        )
        say(self.rows[-1])
        for key in changed:
            say(f"    changed: {key}")


def on_s3(proof: Proof, share: float, runners: tuple[str, ...]) -> None:
    """Rows of corpora on a server of their own."""
    with s3_server(BUCKET) as endpoint, fault_proxy(endpoint, share=share, seed=SEED) as proxy:
        os.environ.update(s3_environment(proxy.url))
        lossy = f", {share:.0%} lost" if share else ""
        for runner in runners:
            proxy.requests.clear()
            proxy.failed.clear()
            if runner == "flink":
                proof.cluster.up()  # its workers take the server's address from the environment
            try:
                proof.row(f"S3{lossy}, {runner}", f"s3://{BUCKET}/{runner}", runner, proxy, endpoint)
            finally:
                if runner == "flink":
                    proof.cluster.down()


def prove(proof: Proof) -> None:
    """All corpora."""
    with s3_server(BUCKET) as endpoint:
        os.environ.update(s3_environment(endpoint))
        proof.row("files, local", str(proof.folder / "corpus"), "local", None, endpoint)
        proof.cluster.up()
        proof.row("files, flink", str(proof.folder / "flink-corpus"), "flink", None, endpoint)
        proof.cluster.down()
    for share in (0.0, SHARE):
        on_s3(proof, share, ("local", "flink"))


def main() -> int:
    """Prove it in a temporary folder, which stays where something failed."""
    if reason := has_java():
        sys.exit(f"Flink is part of this proof: {reason}")
    folder = Path(tempfile.mkdtemp(prefix="object-storage-proof-"))
    proof = Proof(folder, write_pages(DATA, folder / "pages"), Cluster(folder / "flink"))
    prove(proof)
    say(f"\n{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {os.cpu_count()} cores, seed {SEED}\n")
    say("| where | corpus digest | | requests | lost | objects seen | changed | left over | seconds |")
    say("|---|---|---|---:|---:|---:|---:|---:|---:|")
    say("\n".join(proof.rows))
    operations = sorted({name for found in proof.requests.values() for name in found})
    say(f"\n| requests | {' | '.join(operations)} |\n|---|{'---:|' * len(operations)}")
    for what, found in proof.requests.items():
        if found:
            say(f"| {what} | {' | '.join(f'{found[name]:,}' for name in operations)} |")
    if proof.failed:
        say(f"\nnot proven; see {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
