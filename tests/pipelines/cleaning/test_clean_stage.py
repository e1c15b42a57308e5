"""The whole stage on real files: nothing lost, same rows always, bad input never ends it."""

from __future__ import annotations

import gzip
import json
import random
import shutil
import tarfile
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor

from pipelines.cleaning import stage
from pipelines.cleaning.replay import replay
from pipelines.cleaning.stage import pending, run
from pipelines.cleaning.transform import CleanPages
from pipelines.corpus_digest import corpus_digest
from pipelines.engine.runner import run_pipeline
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from pipelines.sources import census
from pipelines.sources.inputs import list_inputs
from pipelines.sources.source_format import ReadSettings
from schemas.catalog import read_table
from schemas.configs.clean import CleanConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import InputError, StageError
from schemas.manifest import Manifest
from schemas.storage import Folder

KEY = PartitionKey("web", "one")
NO_RULES: dict[str, Any] = {"rules": [], "extractor": "resiliparse"}


def request(root: CorpusRoot, given: Path, workers: int = 1, **settings: Any) -> StageRequest[CleanConfig]:
    return StageRequest(
        root=root,
        config=CleanConfig.model_validate(settings),
        engine=Engine(workers=workers),
        source=KEY.source,
        partition=KEY.partition,
        inputs=(str(given),),
    )


def clean(root: CorpusRoot, given: Path, workers: int = 1, **settings: Any) -> Manifest:
    return run(request(root, given, workers, **settings)).outcomes[0].manifest


def reasons(root: CorpusRoot, table: str, column: str) -> dict[str, Any]:
    rows = read_table(root, table, KEY).to_pylist()
    return {Path(row["record_file"]).name: row[column] for row in rows}


# By file: items recovered (documents and dropped rows), and dead letters. Two of the 24 hold no item: requests alone,
# and metadata alone.
ARCHIVES = {
    "aut/badexample.arc.gz": (2, 1),  # the third record's header is none
    "aut/example.arc.gz": (299, 0),
    "aut/example.txt.warc.gz": (2, 0),
    "aut/example.warc.gz": (299, 0),
    "aut/issue-493.warc": (15, 0),
    "jwarc/cc.warc.gz": (1, 0),
    "ukwa/BL-20140325122341434-00000-32090~opera~8443.warc.gz": (65, 0),
    "ukwa/IAH-20080430204825-00000-blackbook-truncated.arc.gz": (8, 0),  # cut between two records
    "ukwa/IAH-20080430204825-00000-blackbook-truncated.warc.gz": (8, 0),
    "ukwa/transfer_compression_gzip.warc.gz": (2, 0),
    "ukwa/transfer_compression_none.warc.gz": (2, 0),
    "ukwa/truncated_datetime.warc": (2, 0),
    "warcio/example-bad-non-chunked.warc.gz": (2, 0),
    "warcio/example-digest.warc": (0, 0),
    "warcio/example-iana.org-chunked.warc": (1, 0),
    "warcio/example-resource.warc.gz": (1, 0),
    "warcio/example-space-in-target-uri.warc.gz": (1, 0),
    "warcio/example-trunc.warc": (1, 1),  # the first record says that it is shorter than it is
    "warcio/example.arc.gz": (1, 0),
    "warcio/example.warc": (2, 0),
    "warcio/example.warc.gz": (2, 0),
    "whirlwind/whirlwind.warc.gz": (1, 0),
    "whirlwind/whirlwind.warc.wat.gz": (0, 0),
    "whirlwind/whirlwind.warc.wet.gz": (1, 0),
}


def _recovered_and_dead(root: CorpusRoot, given: Path) -> dict[str, tuple[int, int]]:
    found = {path.relative_to(given).as_posix(): [0, 0] for path in given.rglob("*") if path.is_file()}
    for table in ("documents", "dropped", "dead"):
        for row in read_table(root, table, KEY).to_pylist():
            found[Path(row["record_file"]).relative_to(given).as_posix()][table == "dead"] += 1
            if table == "dead":  # file, offset, cause
                assert row["message"].startswith(f"from byte {row['record_offset']}: ")
    return {name: (alive, dead) for name, (alive, dead) in found.items()}


def test_every_archive_at_hand_is_conserved(corpus_root: CorpusRoot, shared_data: Path) -> None:
    manifest = clean(corpus_root, shared_data / "warc", **NO_RULES)
    assert manifest.counts["items"] == sum(manifest.counts[table] for table in ("documents", "dropped", "dead"))
    assert manifest.counts["items"] > 700
    assert manifest.counts["dropped.revisit"] == manifest.counts["items.revisit"] == 63
    assert manifest.counts["dead"] == manifest.counts["dead.damaged-rest"] == manifest.counts["items.rest"]
    assert all(record.content_digest for record in manifest.inputs)
    assert _recovered_and_dead(corpus_root, shared_data / "warc") == ARCHIVES
    assert pending(request(corpus_root, shared_data / "warc", **NO_RULES)) == 0
    assert pending(request(corpus_root, shared_data / "warc", rules=["pii"])) == 1


@pytest.fixture
def odd_folder(tmp_path: Path, shared_data: Path) -> Path:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "empty.html").write_bytes(b"")
    (folder / "cut.warc").write_bytes((shared_data / "warc" / "aut" / "issue-493.warc").read_bytes()[:30_000])
    (folder / "photo.html").write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x02" * 500)
    (folder / "line.txt").write_bytes(b"long " * 10_000_000)
    (folder / "good.txt").write_text("A short text that is kept as it stands.")
    with tarfile.open(shared_data / "html" / "httpd-manual.tar.xz") as archive:
        member = next(m for m in archive if m.name.endswith("bind.html.ko.euc-kr"))
        stream = archive.extractfile(member)
        assert stream is not None
        (folder / "korean.html").write_bytes(stream.read())
    return folder


def test_bad_items_have_their_reason_and_the_others_stay(corpus_root: CorpusRoot, odd_folder: Path) -> None:
    manifest = clean(corpus_root, odd_folder, **NO_RULES)
    assert reasons(corpus_root, "dead", "error") == {
        "empty.html": "empty-file",
        "photo.html": "unknown-format",
        "line.txt": "too-large",
        "cut.warc": "damaged-rest",
    }
    kept = read_table(corpus_root, "documents", KEY).to_pylist()
    assert {Path(row["record_file"]).name for row in kept} >= {"good.txt", "korean.html"}
    korean = next(row for row in kept if row["record_file"].endswith("korean.html"))
    assert (korean["charset"], korean["language"]) == ("euc-kr", "ko")
    assert "아파치" in korean["text"]
    assert manifest.counts["items"] == manifest.tables["documents"].rows + manifest.tables["dropped"].rows + 4


def _rows(count: int) -> list[dict[str, Any]]:
    return [{"text": f"Row {n} speaks of {n * 7919} things.", "url": f"http://x/{n}"} for n in range(count)]


def _write(folder: Path, files: dict[str, list[dict[str, Any]]]) -> Path:
    for name, rows in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
        (folder / name).write_bytes(gzip.compress(data) if name.endswith("z") else data)
    return folder


def test_names_cutting_and_order_change_nothing_but_a_word_does(tmp_path: Path) -> None:
    rows = _rows(60) + _rows(5)  # five repeats
    shuffled = random.Random(1).sample(rows, len(rows))
    changed = [dict(rows[0], text="Row 0 speaks of 0 thongs."), *rows[1:]]
    inputs = {
        "whole": {"a.jsonl": rows},
        "cut": {"z/1.gz": shuffled[:20], "b.html": shuffled[20:33], "c": shuffled[33:]},
        "changed": {"a.jsonl": changed},
    }
    digests = {}
    for name, files in inputs.items():
        root = CorpusRoot(str(tmp_path / "corpus" / name))
        manifest = clean(root, _write(tmp_path / "in" / name, files), rules=[])
        assert manifest.counts["dropped.repeat"] == (4 if name == "changed" else 5)
        digests[name] = corpus_digest(root).total
    assert digests["whole"] == digests["cut"] != digests["changed"]


@pytest.mark.slow
def test_workers_change_nothing_and_bundles_run_in_two_processes(
    tmp_path: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = tmp_path / "in"
    given.mkdir()
    shutil.copy(shared_data / "warc" / "aut" / "example.warc.gz", given)
    digests = {}
    for workers in (1, 2):
        root = CorpusRoot(str(tmp_path / f"corpus-{workers}"))
        clean(root, given, workers, **NO_RULES)
        digests[workers] = corpus_digest(root).total
    assert digests[1] == digests[2]

    monkeypatch.setattr(census, "_LEAST_PIECE_BYTES", 100_000)
    settings = ReadSettings.of(CleanConfig())
    files = list_inputs([str(given)], settings.fetch)
    pieces = [piece for file in files for piece in census.take_census(file, settings).work]
    folder = Folder(str(tmp_path / "work"))
    transform = CleanPages(pieces, KEY, CleanConfig.model_validate(NO_RULES), folder, 1)
    run_pipeline(lambda pipeline: pipeline | transform, Engine(workers=2), "two", folder)
    # A spilled file names the process whose bundle of Compute wrote it.
    assert len({name.split("-")[-2] for name in folder.child("spill").names()}) == 2


class _Labels(PipelineVisitor):
    def __init__(self) -> None:
        self.labels: list[str] = []

    def visit_transform(self, transform_node: AppliedPTransform) -> None:
        self.labels.append(transform_node.full_label)

    def enter_composite_transform(self, transform_node: AppliedPTransform) -> None:
        self.labels.append(transform_node.full_label)


def test_the_steps_of_the_graph_have_names() -> None:
    pipeline = beam.Pipeline(runner="apache_beam.runners.portability.fn_api_runner.FnApiRunner")
    _ = pipeline | "Clean" >> CleanPages([], KEY, CleanConfig(), Folder("memory://w"), 1)
    seen = _Labels()
    pipeline.visit(seen)
    last = {label.rpartition("/")[2] for label in seen.labels if label.startswith("Clean")}
    assert {"List", "Read", "Compute", "Group", "Write"} <= last


def test_a_row_lost_is_noticed(corpus_root: CorpusRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = _write(tmp_path / "in", {"a": _rows(3)})

    def one_more(*given: Any) -> census.FileCensus:
        taken = census.take_census(*given)
        taken.items["row"] += 1
        return taken

    monkeypatch.setattr(stage, "take_census", one_more)
    with pytest.raises(StageError, match=r"the census counted 4 \(4 row\), rows were written for 3 \(3 documents"):
        clean(corpus_root, given, rules=[])
    assert read_table(corpus_root, "documents", KEY).num_rows == 0


def test_stated_fields_of_rows(corpus_root: CorpusRoot, tmp_path: Path) -> None:
    row = {"text": "Kurz.", "id": 7, "language": "de_DE", "title": " A  b ", "date": "2024-05-18"}
    clean(corpus_root, _write(tmp_path / "in", {"a": [row]}), rules=["language"], languages=["de"])
    (kept,) = read_table(corpus_root, "documents", KEY).to_pylist()
    assert (kept["language"], kept["language_score"], kept["title"], kept["record_id"]) == ("de", None, "A b", "7")
    assert kept["captured_at"].isoformat() == "2024-05-18T00:00:00+00:00"


def test_what_no_reader_takes_is_in_no_column(corpus_root: CorpusRoot, tmp_path: Path) -> None:
    bad = "\ud800\0"
    row = {
        "text": f"ok {bad} here",
        "url": f"http://a/{bad}",
        "id": f"x{bad}",
        "title": f"t{bad}",
        "language": f"e{bad}",
    }
    clean(corpus_root, _write(tmp_path / "in", {"a": [row, {**row, "text": bad}, {**row, "text": 1}]}), preset="gpt3")
    rows = [
        row for table in ("documents", "dropped", "dead") for row in read_table(corpus_root, table, KEY).to_pylist()
    ]
    assert len(rows) == 3
    for row in rows:
        texts = [value for value in row.values() if isinstance(value, str)]
        assert not any("\0" in text or "\ud800" in text for text in texts)
    assert rows[0]["text"] == "ok here"
    assert rows[0]["url"] == "http://a/?\ufffd"


def test_lists_of_the_user(corpus_root: CorpusRoot, tmp_path: Path) -> None:
    """A page on a blocked domain costs no extraction; a changed list makes the partition stale, and no replay mixes."""
    rows = [{"text": f"Text {n}, if not naughty.", "url": f"http://{host}.example/"} for n, host in enumerate("abc")]
    given = _write(tmp_path / "in", {"a": [*rows, {"text": 7}]})
    blocked, bad = tmp_path / "blocked", tmp_path / "bad"
    blocked.write_text("b.example\n")
    bad.write_text("naughty boy\n")
    settings = {"preset": "gpt3", "lists": {"domains": [str(blocked)], "bad_words": {"*": [str(bad)]}}}
    manifest = clean(corpus_root, given, **settings)
    assert manifest.counts["dropped.blocked-domains"] == 1
    assert [record.name for record in manifest.inputs[1:]] == [f"list:{bad}", f"list:{blocked}"]
    (row,) = read_table(corpus_root, "dropped", KEY).to_pylist()
    assert (row["url"], row["scores"], row["unevaluated"]) == (
        "http://b.example/",
        [("blocked-domains", 1)],
        ["bad-words"],
    )
    kept = read_table(corpus_root, "documents", KEY).to_pylist()
    assert [dict(one["scores"]) for one in kept] == [{"bad-words": 0, "blocked-domains": 0, "characters": 23}] * 2
    assert pending(request(corpus_root, given, **settings)) == 0

    bad.write_text("naughty\n")
    with pytest.raises(
        InputError, match=r"the list .*bad has changed since web/one was cleaned; run clean on the part"
    ):
        replay(corpus_root, Engine())
    assert pending(request(corpus_root, given, **settings)) == 1
    assert clean(corpus_root, given, **settings).counts["dropped.bad-words"] == 2


TYPES = {
    "text/html, text/html": "kept",
    "text/html charset=utf-8": "kept",
    "html": "kept",
    "": "kept",
    "Application/XHTML+XML": "kept",
    "application/xml": "kept",
    "image/png": "content-type",
    "application/json": "content-type",
}


def test_pages_of_odd_types_and_charsets_are_pages(corpus_root: CorpusRoot, tmp_path: Path) -> None:
    """None is left out for its charset or a stray NUL; a type that is none is told by the content."""
    text = "Der Fluß war von Ufer zu Ufer gefroren, {}."
    charsets = ("utf-16-le", "utf-16-be", "utf-8-sig", "utf-16", "iso-8859-1", "cp1252", "utf-8")
    pages = {f"{one}.html": (one, text.format(number)) for number, one in enumerate(charsets)}
    given = tmp_path / "in"
    given.mkdir()
    for name, (charset, content) in pages.items():
        (given / name).write_bytes(f"<html><body><p>{content}</p></body></html>".encode(charset))
    broken = text.format("nu\0ll")
    (given / "nul.html").write_bytes(f"<html>\0<body><p>{broken}</p></body></html>".encode())
    records = []
    for number, stated in enumerate(TYPES):
        body = f"HTTP/1.1 200 OK\r\nContent-Type: {stated}\r\n\r\n<html><p>{text.format(f'Typ {number}')}</p></html>"
        block = body.encode()
        head = f"WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: http://x.example/{number}\r\n"
        records.append(f"{head}Content-Length: {len(block)}\r\n\r\n".encode() + block + b"\r\n\r\n")
    (given / "types.warc").write_bytes(b"".join(records))
    clean(corpus_root, given, **NO_RULES)
    kept = read_table(corpus_root, "documents", KEY).to_pylist()
    assert {row["text"] for row in kept if row["url"] is None} == {
        *(content for _, content in pages.values()),
        text.format("null"),
    }
    told = {row["url"]: "kept" for row in kept if row["url"]}
    told |= {row["url"]: row["rules"][0] for row in read_table(corpus_root, "dropped", KEY).to_pylist()}
    assert told == {f"http://x.example/{number}": what for number, what in enumerate(TYPES.values())}


def test_missing_input(corpus_root: CorpusRoot, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no input "):
        clean(corpus_root, tmp_path / "nothing")
