"""The three traces on the demo's corpus, each led into the next and to the record that was crawled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from warcio.archiveiterator import ArchiveIterator

from flows.cli.main import run
from schemas.catalog import read_table
from schemas.corpus_root import CorpusRoot, PartitionKey

pytestmark = pytest.mark.slow


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """The answer to one question."""
    assert run(["trace", *words, "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out.splitlines()[-1]))


def text_of(root: CorpusRoot, document: dict[str, Any]) -> str:
    """The text of a document, found by reading its partition through."""
    rows = read_table(root, "documents", PartitionKey(document["source"], document["partition"]))
    texts = dict(zip(rows["document_id"].to_pylist(), rows["text"].to_pylist(), strict=True))
    return str(texts[bytes.fromhex(document["document_id"])])


def test_a_step_leads_to_documents_these_to_tokens_and_tokens_to_the_crawled_record(undisturbed, capsys):
    demo, _ = undisturbed
    root, trained = CorpusRoot(str(demo.root)), str(demo.summary()["run"])
    traced = set()
    for step in (1, 30):
        batch = asked(capsys, "step", trained, str(step))
        assert batch["done"]
        assert len(batch["samples"]) == 8
        assert all(sum(piece["tokens"] for piece in one["documents"]) == 65 for one in batch["samples"])
        for one in batch["documents"][:2]:
            (about,) = asked(capsys, "document", one["document_id"], "--root", root.url)["found"]
            (use,) = [use for use in about["runs"] if Path(use["run"]).samefile(trained)]
            assert step in use["steps"]
            (piece,) = about["tokens"]
            (part,) = piece["shards"]
            for place in (0, part["tokens"] // 2):
                words = ("--shard", part["shard"], "--position", str(part["position"] + place))
                token = asked(capsys, "token", "--root", root.url, *words)
                assert token["document"] == about["document"]
                assert token["place"]["position_in_piece"] == place
                around = token["token"]["before"] + token["token"]["text"] + token["token"]["after"]
                assert around.strip("\ufffd") in text_of(root, about["document"])
            assert about["document"]["scores"]
            record = about["document"]["record"]
            with Path(record["record_file"]).open("rb") as stream:
                stream.seek(record["record_offset"])
                crawled = next(iter(ArchiveIterator(stream)))
                assert crawled.rec_headers["WARC-Record-ID"] == record["record_id"]
                assert crawled.rec_headers["WARC-Target-URI"] == about["document"]["url"] == one["url"]
            traced.add(one["document_id"])
    assert len(traced) > 1
