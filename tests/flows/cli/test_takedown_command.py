"""`corpusmill takedown`: what it prints, and one line for each mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.cli.main import run
from pipelines.cleaning.stage import run as clean
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from schemas.configs.clean import CleanConfig
from schemas.corpus_root import CorpusRoot

URL = "https://site.example/page"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A corpus of two documents."""
    place = tmp_path_factory.mktemp("corpus")
    rows = [
        {"url": URL, "text": "one page and its words"},
        {"url": f"{URL}/other", "text": "another page, other words"},
    ]
    path = place / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = CorpusRoot(str(place / "corpus"))
    config = CleanConfig(rules=())
    clean(StageRequest(root=corpus, config=config, engine=Engine(), source="web", partition="1", inputs=(str(path),)))
    return corpus.url


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "--id-file ids.txt cannot be read: "),
        (b"\xff", "--id-file ids.txt cannot be read: "),
        (b"# nothing yet\n\n", "--id-file ids.txt holds no id; write one document id a line"),
        (b"0123\n", "'0123' is no document id; expected 32 hexadecimal digits"),
    ],
)
def test_files_of_ids(
    root: str,
    content: bytes | None,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("ids.txt").write_bytes(content)
    assert run(["takedown", "--root", root, "--id-file", "ids.txt"]) == 2
    assert message in capsys.readouterr().err


def test_a_page_goes(root: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["takedown", "--root", root, "--url", URL, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert f"{URL}  (raw: " in shown
    assert "1 documents and 0 other rows would go" in shown
    assert run(["takedown", "--root", root, "--url", URL, "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert not result["dry_run"]
    (removed,) = result["removed"]
    assert (removed["url"], removed["table"], removed["record_offset"]) == (URL, "documents", 0)
    assert run(["takedown", "--root", root, "--url", URL]) == 0
    assert "0 documents and 0 other rows went" in capsys.readouterr().out
    ids = tmp_path / "ids"
    ids.write_text(f"{removed['document_id']}  # gone by now\n")
    assert run(["takedown", "--root", root, "--id-file", str(ids)]) == 2
    assert "check the spelling, or give --unseen" in capsys.readouterr().err
