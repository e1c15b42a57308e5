from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.corpus_root import CorpusRoot
from schemas.errors import ManifestError
from schemas.manifest import (
    InputRecord,
    Manifest,
    OutputFile,
    PrefixFingerprints,
    TableRecord,
    fingerprint,
    read_manifest,
    write_manifest,
)


def manifest(**changes: Any) -> Manifest:
    files = (OutputFile(name="part-00000.parquet", rows=2, bytes=10),)
    values: dict[str, Any] = {
        "stage": "clean",
        "stage_version": 1,
        "source": "web",
        "partition": "p",
        "fingerprint": "f",
        "config": {"rules": ["a"]},
        "inputs": (InputRecord(name="a.warc.gz", digest="d", content_digest="c"),),
        "tables": {"documents": TableRecord(rows=2, digest="x", files=files)},
        "counts": {"items": 3},
        "notes": {"what": "ever"},
    }
    return Manifest(**{**values, **changes})


def test_a_manifest_comes_back_as_it_was_written(corpus_root: CorpusRoot) -> None:
    assert read_manifest(corpus_root.folder) is None
    write_manifest(corpus_root.folder, manifest())
    assert read_manifest(corpus_root.folder) == manifest()


def test_the_fingerprint_is_of_canonical_json() -> None:
    # By `printf '{"a":[1,"ä"],"b":null}' | b2sum -l 256` of the coreutils.
    known = "7f5e175f0c6fc55da8fced5be4f1dde21c1ddb64f6bb600f8ad1ede604962d0c"
    assert fingerprint({"b": None, "a": [1, "ä"]}) == known
    assert fingerprint({"a": (1, "ä"), "b": None}) == known
    assert fingerprint({"a": [1, "ä"], "b": 0}) != known


def test_fingerprints_of_the_first_values_are_those_of_lists_and_ask_for_no_value_too_early() -> None:
    values = [["web/1", "ä"], ["web/2", None], "text", {"b": 1, "a": [2]}]
    asked: list[Any] = []
    prefixes = PrefixFingerprints(asked.append(value) or value for value in values)
    for count in (0, 1, 3, 2, 4, 0):
        assert prefixes.first(count) == fingerprint(values[:count])
        assert asked == values[: max(len(asked), count)]
    assert len(asked) == len(values)
    late = PrefixFingerprints(asked.append(value) or value for value in values)
    late.first(2)
    assert len(asked) == len(values) + 2


def test_the_digest_is_of_the_contents_of_tables_alone() -> None:
    table = manifest().tables["documents"]
    same = manifest(seconds=9.0, workers=4, counts={}, config={}, fingerprint="g", inputs=())
    moved = manifest(tables={"documents": table.model_copy(update={"files": ()})})
    assert manifest().digest() == same.digest() == moved.digest()
    others = [{"documents": table.model_copy(update={"digest": "y"})}, {"dropped": table}, {}]
    assert len({manifest(tables=tables).digest() for tables in others} | {manifest().digest()}) == 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"manifest.json is damaged \(.*\); delete it to do the unit again"),
        ("[" * 10_000, r"manifest.json is damaged \(brackets are nested too deep\)"),
        ("9" * 5_000, r"manifest.json is damaged \(.*digits.*\)"),
        ("[]", "manifest.json has version None, this program reads 1"),
        ('{"schema_version": 2}', "manifest.json has version 2, this program reads 1"),
        ('{"schema_version": 1}', "manifest.json does not fit its contract: Field required; delete it"),
        (
            json.dumps({**manifest().model_dump(), "more": 1}),
            "does not fit its contract: Extra inputs are not permitted",
        ),
    ],
)
def test_what_is_no_manifest_is_refused_by_name(corpus_root: CorpusRoot, content: str, message: str) -> None:
    corpus_root.folder.put_whole("manifest.json", content.encode())
    with pytest.raises(ManifestError, match=message):
        read_manifest(corpus_root.folder)
