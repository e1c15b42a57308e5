"""What it costs to find out that nothing is to be done grows with the partitions, and not with their square."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.decontamination import stage as decontaminate
from pipelines.dedup import stage as dedup
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from schemas.configs.decontaminate import DecontaminateConfig
from schemas.configs.dedup import DedupConfig
from schemas.corpus_root import MANIFEST_NAME
from schemas.storage import Folder


@pytest.fixture
def manifests_read(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Gives how many manifests were read since it was asked last."""
    seen: list[str] = []
    read = Folder.read

    def watched(folder: Folder, name: str) -> bytes:
        seen.append(name)
        return read(folder, name)

    monkeypatch.setattr(Folder, "read", watched)

    def since() -> int:
        count = seen.count(MANIFEST_NAME)
        seen.clear()
        return count

    return since


@pytest.mark.parametrize(
    ("stage", "config"),
    [
        (dedup, DedupConfig(policy=("newest:captured_at",), scope="corpus")),
        (dedup, DedupConfig(policy=("newest:captured_at",), levels=("url", "exact", "near"))),
        (decontaminate, DecontaminateConfig()),
    ],
    ids=["dedup-corpus", "dedup-url", "decontaminate"],
)
def test_manifests_are_read_as_often_for_each_partition_however_many_there_are(
    stage: Any, config: Any, corpus_writer: Any, tmp_path: Path, manifests_read: Callable[[], int]
) -> None:
    item = {"id": "1", "question": " ".join(f"word{n}" for n in range(20)), "answer": "yes"}
    (tmp_path / "set.jsonl").write_text(json.dumps(item))
    request = StageRequest(root=corpus_writer.root, config=config, engine=Engine())
    counts = []
    for first, stop in ((0, 6), (6, 24)):
        for number in range(first, stop):
            corpus_writer.documents(str(number), [])
        inputs = (str(tmp_path / "set.jsonl"),) if stage is decontaminate else ()
        stage.run(StageRequest(root=request.root, config=config, engine=request.engine, inputs=inputs))
        manifests_read()
        assert stage.pending(request) == 0
        assert stage.run(request).done == 0
        counts.append(manifests_read())
    assert counts[0] > 6
    assert counts[1] <= 4.5 * counts[0]
