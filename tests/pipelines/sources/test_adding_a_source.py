"""The example of docs/adding-a-source.md, taken from the page as it stands, and used."""

from __future__ import annotations

import ast
import bz2
import importlib.util
import random
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.cleaning.stage import run
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from pipelines.sources import reader, registry, sniffing
from pipelines.sources.census import take_census
from pipelines.sources.inputs import InputFile
from pipelines.sources.reader import read_items
from pipelines.sources.source_format import ReadSettings
from schemas.catalog import read_table
from schemas.configs.clean import CleanConfig
from schemas.corpus_root import CorpusRoot, PartitionKey

KEY = PartitionKey("mail", "2024")
MAIL = (
    "From miller@x.example Sat May 18 01:02:03 2024\r\nMessage-ID: <1@x.example>\r\nSubject: The wheel\r\n"
    "Date: Sat, 18 May 2024 01:02:03 +0000\r\n\r\nThe wheel turns again.\r\nFrom here on it is easy.\r\n\r\n"
    "From baker@x.example Sun May 19 01:02:03 2024\nMessage-ID: <2@x.example>\n"
    "Content-Type: text/plain; charset=latin-1\nContent-Transfer-Encoding: quoted-printable\n\nM=FChle\n\n"
    "From baker@x.example Mon May 20 01:02:03 2024\nContent-Type: image/png\n\nPNG\n"
)


@pytest.fixture
def with_mail(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (repository / "docs" / "adding-a-source.md").read_text(encoding="utf-8")
    found = re.search(r"^```python source (\S+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    line = re.search(r"^```python registry\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert found
    assert line
    path = tmp_path / Path(found[1]).name
    path.write_text(found[2], encoding="utf-8")
    name = found[1].removesuffix(".py").replace("/", ".")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    names: dict[str, Any] = {**vars(registry), **{one: getattr(module, one) for one in module.__all__}}
    exec(line[1], names)
    # The page's line is the real one with one name more.
    source = ast.parse((repository / "pipelines" / "sources" / "registry.py").read_text(encoding="utf-8"))
    real = next(ast.unparse(one) for one in source.body if isinstance(one, ast.AnnAssign))
    assert ast.unparse(ast.parse(line[1])).replace("MBOX, ", "") == real
    for place in (registry, sniffing):
        monkeypatch.setattr(place, "FORMATS", names["FORMATS"])
    assert reader.format_named("mbox").name == "mbox"


@pytest.mark.usefixtures("with_mail")
def test_the_example_cleans_mail(corpus_root: CorpusRoot, tmp_path: Path) -> None:
    given = tmp_path / "in"
    given.mkdir()
    (given / "archive.html").write_bytes(bz2.compress(MAIL.encode()))
    config = CleanConfig(rules=())
    request = StageRequest(
        root=corpus_root, config=config, engine=Engine(), source="mail", partition="2024", inputs=(str(given),)
    )
    counts = run(request).outcomes[0].manifest.counts
    assert (counts["items.message"], counts["documents"], counts["dead.no-text"]) == (3, 2, 1)
    rows = {row["record_id"]: row for row in read_table(corpus_root, "documents", KEY).to_pylist()}
    assert rows["<1@x.example>"]["text"] == "The wheel turns again.\nFrom here on it is easy."
    assert rows["<1@x.example>"]["captured_at"].isoformat() == "2024-05-18T01:02:03+00:00"
    assert (rows["<1@x.example>"]["title"], rows["<2@x.example>"]["text"]) == ("The wheel", "Mühle")


@pytest.mark.usefixtures("with_mail")
def test_the_example_counts_what_it_reads(tmp_path: Path) -> None:
    draw = random.Random(4)
    settings = ReadSettings.of(CleanConfig())
    whole = MAIL.encode() + b"x" * 200_000 + b"\n" + MAIL.encode()
    for _ in range(150):
        at = draw.randrange(len(whole)) if draw.random() < 0.3 else draw.randrange(800)
        cut = whole[:at] + whole[at + draw.randrange(5) :]
        content = draw.choice([cut, whole[:at], bz2.compress(cut), bz2.compress(cut)[:-9]])
        (tmp_path / "mail").write_bytes(content)
        taken = take_census(InputFile(str(tmp_path / "mail"), len(content), "now"), settings)
        items = [item for piece in taken.work for item in read_items(piece, settings)]
        assert taken.items.total() == len(items), content[:900]
