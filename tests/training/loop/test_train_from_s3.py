"""Training on a corpus in a bucket: requests get lost, the cache is small, and the losses are those of files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fault_proxy import FaultProxy, fault_proxy
from s3_server import s3_environment, s3_server
from token_corpus import one_batch_a_shard

from schemas.corpus_root import CorpusRoot
from training.cli import main
from training.loop.run_log import METRICS_NAME, read_log

pytestmark = pytest.mark.slow
SETTINGS = {
    "model": "{context=32, layers=2, heads=2, width=32, band=8}",
    "batch": "8",
    "steps": "20",
    "warmup_tokens": "512",
    "precision": "fp32",
    "sample_every": "0",
    "sample_tokens": "3",
    "validation_windows": "4",
    "cache_bytes": str(2**20),
}


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """A bucket `corpora`, behind a proxy that loses a tenth of all requests."""
    with s3_server("corpora") as endpoint, fault_proxy(endpoint, share=0.1) as proxy:
        for name, value in s3_environment(proxy.url).items():
            monkeypatch.setenv(name, value)
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        yield proxy
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.mark.parametrize("batches", ["one", "many"])
def test_losses_are_those_of_files_and_the_wait_for_data_is_reported(
    bucket: FaultProxy,
    make_corpus: Callable[..., Any],
    corpus_root: CorpusRoot,
    tmp_path: Path,
    batches: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan = make_corpus()
    if batches == "one":  # as the pipelines write shards; others are read whole
        one_batch_a_shard(corpus_root, plan)
    fsspec.filesystem("s3").put(corpus_root.url, "corpora/one", recursive=True)
    written, rows = sum(bucket.requests.values()), {}
    cache = tmp_path / "cache"
    for root in (corpus_root.url, "s3://corpora/one"):
        run = str(tmp_path / root.rpartition("/")[2])
        settings = {**SETTINGS, "cache_folder": f'"{cache}"'}
        sets = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        assert main(["train", "--root", root, "--mixture", "main", "--run", run, *sets, "--json"]) == 0
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["data_wait_p99"] > 0
        rows[root] = read_log(run, METRICS_NAME)
    local, remote = rows.values()
    assert [row["loss"] for row in remote] == [row["loss"] for row in local]
    assert [row.get("validation_loss") for row in remote] == [row.get("validation_loss") for row in local]
    assert all(row["data_seconds"] > 0 for row in remote)
    assert bucket.requests["GetObject"] > 0
    assert sum(bucket.requests.values()) > written
    assert any(cache.rglob("*.block"))
    assert sum(path.stat().st_size for path in cache.rglob("*") if path.is_file()) <= 2**20
