"""`corpusmill dataflow check`: every Beam job of the data chain, built and checked for Dataflow, without an account.

The chain runs on this machine over a few small pages, and each pipeline that it runs is first built as Dataflow would
get it: a job that a stage gains tomorrow is checked without a word here.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from flows.registry import stage_entry
from flows.stage_request import build_request
from pipelines.cleaning.replay import replay
from pipelines.engine.dataflow.graph import DataflowGraph, build_graph
from pipelines.engine.settings import Engine
from schemas.configs.dataflow import DataflowConfig
from schemas.corpus_root import CorpusRoot

__all__ = ["check_jobs"]

_WORDS = ["river", "mill", "stone", "grain", "water", "wheel", "farmer", "bread", "flour", "village", "harvest", "road"]
_STAGES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("clean", ("rules=[]",)),
    ("dedup", ()),
    ("decontaminate", ()),
    ("tokenizer", ("vocabulary_size=300", "sample_bytes=100000")),
    ("tokenize", ()),
)


def _write_pages(folder: Path) -> Path:
    """Forty texts, every other one nearly the one before, and a file that is damaged, for dead letters."""
    rows = []
    for number in range(40):
        words = [_WORDS[(number // 2 * 7 + place * (number // 2 + 3)) % len(_WORDS)] for place in range(80)]
        rows.append(json.dumps({"id": str(number), "text": " ".join([*words, *_WORDS[: number % 2]])}))
    (folder / "set.jsonl").write_text(json.dumps({"text": " ".join(_WORDS)}) + "\n")
    (folder / "texts.jsonl").write_text("\n".join([*rows, "{damaged"]) + "\n")
    return folder


def check_jobs(settings: DataflowConfig) -> list[DataflowGraph]:
    """The jobs of the data chain as Dataflow would get them.

    Raises:
        ConfigError: Beam refuses an option.
        StageError: a graph would not run on Dataflow.
    """
    graphs: list[DataflowGraph] = []

    def check(build: Callable[[Any], Any], name: str) -> None:
        graphs.append(build_graph(build, settings, settings.workers, f"corpusmill-{name}"))

    with tempfile.TemporaryDirectory(prefix="corpusmill-dataflow-") as temporary:
        pages = Path(temporary) / "pages"
        pages.mkdir()
        root, inputs = str(Path(temporary) / "corpus"), [str(_write_pages(pages))]
        engine = Engine(on_pipeline=check)
        for stage, overrides in _STAGES:
            given: dict[str, Any] = {}
            if stage == "clean":
                given = {"source": "check", "partition": "one", "inputs": inputs}
            if stage == "decontaminate":
                given = {"inputs": [f"{inputs[0]}/set.jsonl"]}
            request = build_request(stage, root, overrides=overrides, **given)
            stage_entry(stage).run(replace(request, engine=engine))
        replay(CorpusRoot(root), engine, None)
    return graphs
