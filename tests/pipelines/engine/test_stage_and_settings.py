from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from pipelines.engine.settings import Engine, default_workers
from pipelines.engine.stage import StageRequest, StageResult
from pipelines.engine.unit import UnitOutcome
from schemas.configs.base import StageConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import ConfigError, InputError


def request_of(root: CorpusRoot, **about: Any) -> StageRequest[StageConfig]:
    return StageRequest(root=root, config=StageConfig(), engine=Engine(), **about)


def test_engines_are_checked() -> None:
    assert default_workers() >= 1
    with pytest.raises(ConfigError, match=r"--runner spark: pipelines run on local, flink or dataflow"):
        Engine(runner="spark")
    with pytest.raises(ConfigError, match=r"--workers 0: give 1 or more"):
        Engine(workers=0)


def test_a_stage_that_makes_a_partition_wants_its_names(corpus_root: CorpusRoot) -> None:
    assert request_of(corpus_root, source="web", partition="p/1").key() == PartitionKey("web", "p/1")
    for about in ({}, {"source": "web"}, {"partition": "p"}):
        with pytest.raises(
            InputError, match=r"give --source NAME and --partition NAME: they name what the stage writes"
        ):
            request_of(corpus_root, **about).key()
    with pytest.raises(ConfigError, match=r"source name '..' cannot be a folder name"):
        request_of(corpus_root, source="..", partition="p").key()


def test_partitions_are_narrowed_by_source_and_partition(corpus_root: CorpusRoot, corpus_writer: Any) -> None:
    for source, partition in (("web", "10"), ("web", "9"), ("books", "9")):
        corpus_writer.documents(partition, ["text"], source=source)
    found = [
        [str(key) for key in request_of(corpus_root, **about).selected("documents")]
        for about in ({}, {"source": "web"}, {"partition": "9"}, {"source": "web", "partition": "9"})
    ]
    assert found == [["books/9", "web/9", "web/10"], ["web/9", "web/10"], ["books/9", "web/9"], ["web/9"]]
    for about, named in (({"source": "x"}, "x"), ({"source": "web", "partition": "1"}, "web/1")):
        with pytest.raises(InputError, match=rf"no documents of {named} in .*; run the stage that writes documents"):
            request_of(corpus_root, **about).selected("documents")
    with pytest.raises(InputError, match=r"no edges of any partition in"):
        request_of(corpus_root).selected("edges")


def test_results_count_what_was_done_and_what_was_there(corpus_writer: Any) -> None:
    manifest = corpus_writer.tables(PartitionKey("web", "p"), {"dead": []})
    outcomes = [UnitOutcome(PartitionKey("web", "p"), status, manifest) for status in ("done", "skipped", "skipped")]
    result = StageResult(stage="clean", outcomes=tuple(outcomes))
    assert (result.done, result.skipped) == (1, 2)


def test_to_ask_whether_a_unit_is_done_imports_no_beam() -> None:
    program = (
        "import sys, pipelines.engine.unit, pipelines.engine.stage, pipelines.engine.staging\n"
        "import pipelines.tokens.tokenizer_stage, pipelines.tokens.tokenize_stage, pipelines.tokens.mix_stage\n"
        "import pipelines.corpus_digest, pipelines.garbage\n"
        "print([name for name in ('apache_beam', 'prefect', 'torch') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert found.stdout == "[]\n"
