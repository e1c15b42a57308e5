"""The tokenize stage as a whole: what lies in the shards, and that nothing but the documents decides about it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.corpus_digest import corpus_digest
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from pipelines.tokens import tokenize_stage, tokenizer_stage
from pipelines.tokens.encoding import TextEncoder
from pipelines.tokens.frozen import read_tokenizer
from schemas.catalog import manifest_of, read_table
from schemas.configs.tokenize import TokenizeConfig
from schemas.corpus_root import PartitionKey
from schemas.errors import ConfigError, ContractError, InputError
from schemas.manifest import fingerprint
from schemas.split import SPLITS, split_of
from schemas.token_shard import TOKEN_INDEX

SHARES = {"test": 0.2, "validation": 0.2}
TEXTS = [f"Page {n} says <|endoftext|> and then {n * 7919} words.\n\tÄ {'again ' * (n % 9)}\u2028😀" for n in range(60)]


GOLDEN = {
    "vocabulary": (1, "45150319a7d09f1434bedaca86fe68d3b428c061a189643b58d497a8ea7389cd"),
    "tokens": (2, "0e9b093de54b7c18e3024561568935089a10713e1e6e74715c9d1bdf5dceddfc"),
}


def files_of(folder: Path) -> dict[str, str]:
    """The content of all files below a folder but the manifests, by path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }


def test_every_kept_document_is_in_its_split_with_all_its_bytes(chain: Any, corpus_writer: Any) -> None:
    key = corpus_writer.documents("p", TEXTS, files=4)
    rows = read_table(chain.root, "documents", key).to_pylist()
    removed = sorted(row["document_id"] for row in rows)[::7]
    corpus_writer.duplicates(key, removed)
    chain.tokenizer(**SHARES)
    manifest = chain.tokenize(**SHARES).outcomes[0].manifest
    encoder = TextEncoder(read_tokenizer(chain.root, "bpe").content)
    seen = []
    for split in SPLITS:
        stream, index = chain.stream(key, split), chain.index(key, split)
        assert index.schema.equals(TOKEN_INDEX)
        wanted = sorted(
            (row["document_id"], row["text"])
            for row in rows
            if row["document_id"] not in removed and split_of(row["content_hash"], 0.2, 0.2) == split
        )
        assert index.column("document_id").to_pylist() == [identity for identity, _ in wanted]
        position = 0
        for entry, (_, text) in zip(index.to_pylist(), wanted, strict=True):
            assert entry["start"] == position
            ids = stream[entry["start"] : entry["start"] + entry["length"]]
            position += entry["length"]
            assert ids[-1] == encoder.end_of_text
            assert encoder.decode(ids[:-1]) == text.encode("utf-8")
            assert (entry["characters"], entry["utf8_bytes"], entry["piece"]) == (len(text), len(text.encode()), 0)
            assert (entry["record_file"], entry["record_offset"]) == ("a.warc.gz", 7)
        assert position == len(stream)
        assert int((stream == encoder.end_of_text).sum()) == len(wanted)  # text never becomes the end of a text
        counts = {name: manifest.counts[f"{name}_{split}"] for name in ("documents", "tokens", "utf8_bytes")}
        sizes = sum(len(text.encode()) for _, text in wanted)
        assert counts == {"documents": len(wanted), "tokens": len(stream), "utf8_bytes": sizes}
        seen += wanted
    assert len(seen) == len(rows) - len(removed)
    assert manifest.counts["removed_duplicates"] == len(removed)


def test_shards_are_cut_at_exact_numbers_of_tokens_and_any_cut_gives_the_same_stream(
    chain: Any, corpus_writer: Any
) -> None:
    key = corpus_writer.documents("p", TEXTS, files=4)
    chain.tokenizer()
    chain.tokenize()
    ((_, whole),) = chain.shards(key)
    for size in (1000, 77, len(whole), len(whole) - 1):
        chain.tokenize(shard_tokens=size)
        shards = chain.shards(key)
        assert [len(tokens) for _, tokens in shards[:-1]] == [size] * (len(shards) - 1)
        assert [header.first_token for header, _ in shards] == [size * n for n in range(len(shards))]
        assert [header.number for header, _ in shards] == list(range(len(shards)))
        assert np.array_equal(chain.stream(key), whole)
        for header, tokens in shards:
            assert header.tokens == len(tokens)
            assert header.checksum == hashlib.blake2b(tokens.astype("<u2").tobytes(), digest_size=32).hexdigest()
            assert (header.source, header.partition, header.split) == ("web", "p", "train")


def test_number_and_order_of_the_parts_make_no_difference(chain: Any, corpus_writer: Any, tmp_path: Path) -> None:
    chain_of, found = type(chain), []
    for name, texts, files in (("a", TEXTS, 1), ("b", TEXTS[::-1], 8)):
        writer = type(corpus_writer)(type(chain.root)(str(tmp_path / name)))
        writer.documents("p", {text: text for text in texts}, files=files)
        chain_of(writer.root).tokenizer(**SHARES)
        chain_of(writer.root).tokenize(shard_tokens=500, **SHARES)
        tokens = files_of(tmp_path / name / "tokens")
        assert len(tokens) > 6
        found.append({path: digest for path, digest in tokens.items() if path.endswith(".arrow")})
        found[-1]["tokenizer"] = read_tokenizer(writer.root, "bpe").fingerprint
        digests = manifest_of(writer.root, "tokens/bpe/train", PartitionKey("web", "p")).digest()
        found[-1]["manifest"] = digests
    assert found[0] == found[1]


@pytest.mark.slow
def test_two_workers_write_the_same_bytes_as_one(chain: Any, corpus_writer: Any, tmp_path: Path) -> None:
    corpus_writer.documents("p", TEXTS * 1, files=8)
    chain.tokenizer(**SHARES)
    chain.tokenize(shard_tokens=300, **SHARES)
    tokens = Path(chain.root.url) / "tokens"
    one = files_of(tokens)
    for path in tokens.rglob("manifest.json"):
        path.unlink()
    result = chain.tokenize(workers=2, shard_tokens=300, **SHARES)
    assert (result.done, result.outcomes[0].manifest.workers) == (1, 2)
    assert files_of(tokens) == one


@pytest.mark.parametrize(("vocabulary_size", "kind"), [(65_536, np.uint16), (65_537, np.uint32)])
def test_ids_are_stored_as_wide_as_the_vocabulary_needs(
    chain: Any,
    corpus_writer: Any,
    with_vocabulary_of: Callable[[int], bytes],
    monkeypatch: pytest.MonkeyPatch,
    vocabulary_size: int,
    kind: Any,
) -> None:
    key = corpus_writer.documents("p", TEXTS[:8])
    content = with_vocabulary_of(vocabulary_size)
    monkeypatch.setattr(tokenizer_stage, "train_tokenizer", lambda texts, size, **_: content)
    chain.tokenizer()
    chain.tokenize(test=0, validation=0)
    ((header, tokens),) = chain.shards(key)
    assert (header.vocabulary_size, header.end_of_text, tokens.dtype) == (vocabulary_size, vocabulary_size - 1, kind)
    assert int((tokens == vocabulary_size - 1).sum()) == 8


def test_the_output_is_that_of_this_version(chain: Any, corpus_writer: Any) -> None:
    """Where this goes red and is meant to, count up STAGE_VERSION of the stage whose output changed."""
    corpus_writer.documents("p", TEXTS)
    chain.tokenizer(**SHARES)
    vocabulary = json.loads(read_tokenizer(chain.root, "bpe").content)["model"]
    chain.tokenize(**SHARES)
    found = corpus_digest(chain.root).by_table
    golden = {
        "vocabulary": (tokenizer_stage.STAGE_VERSION, fingerprint(vocabulary)),
        "tokens": (tokenize_stage.STAGE_VERSION, fingerprint({k: v for k, v in found.items() if "tokens" in k})),
    }
    assert golden == GOLDEN


def test_done_units_are_skipped_and_only_what_they_read_makes_them_stale(chain: Any, corpus_writer: Any) -> None:
    first = corpus_writer.documents("1", TEXTS[:20])
    corpus_writer.documents("2", TEXTS[20:])
    chain.tokenizer()
    request = chain.request(TokenizeConfig())
    assert tokenize_stage.pending(request) == 2
    assert (chain.tokenize().done, chain.tokenize().skipped) == (2, 2)
    assert tokenize_stage.pending(request) == 0
    # A decision about one partition touches that one alone; another source touches none.
    corpus_writer.duplicates(first, [])
    corpus_writer.documents("1", ["text of another source"], source="other")
    assert tokenize_stage.pending(request) == 2
    outcomes = {str(outcome.key): outcome.status for outcome in chain.tokenize().outcomes}
    assert outcomes == {"web/1": "done", "web/2": "skipped", "other/1": "done"}
    chain.tokenizer(name="other")
    assert chain.tokenize(tokenizer="other").done == 3
    assert tokenize_stage.pending(request) == 0


def test_a_split_or_a_partition_without_documents_has_no_files(chain: Any, corpus_writer: Any) -> None:
    key = corpus_writer.documents("p", TEXTS[:5])
    empty = corpus_writer.documents("q", [])
    chain.tokenizer()
    done = chain.tokenize()
    assert chain.shards(key, "test") == []
    assert not chain.folder(key, "test").exists()
    assert done.outcomes[1].key == empty
    assert set(done.outcomes[1].manifest.counts.values()) == {0}
    assert manifest_of(chain.root, "tokens/bpe/validation", empty).tables["tokens/bpe/validation"].rows == 0


def test_an_empty_text_is_an_end_of_text_id_alone(chain: Any, corpus_writer: Any) -> None:
    key = corpus_writer.documents("p", {"a": "", "b": "some words"})
    chain.tokenizer()
    chain.tokenize(test=0, validation=0)
    lengths = {entry["utf8_bytes"]: entry["length"] for entry in chain.index(key).to_pylist()}
    assert lengths[0] == 1
    assert lengths[10] > 1


def test_what_is_missing_is_named(chain: Any, corpus_writer: Any) -> None:
    with pytest.raises(InputError, match=r"no tokenizer 'bpe' in .*; run `corpusmill run tokenizer` first"):
        chain.tokenize()
    corpus_writer.documents("p", TEXTS[:5])
    chain.tokenizer()
    narrowed = StageRequest(root=chain.root, config=TokenizeConfig(), engine=Engine(), source="elsewhere")
    with pytest.raises(InputError, match=r"no documents of elsewhere in"):
        tokenize_stage.run(narrowed)
    with pytest.raises(InputError, match=r"no documents of elsewhere in"):
        tokenize_stage.pending(narrowed)


def test_a_changed_or_lost_tokenizer_is_refused(chain: Any, corpus_writer: Any) -> None:
    corpus_writer.documents("p", TEXTS[:5])
    chain.tokenizer()
    path = Path(chain.root.tokenizer_folder("bpe").path("tokenizer.json"))
    path.write_text(path.read_text().replace("endoftext", "endofword"))
    with pytest.raises(ContractError, match=r"tokenizer.json was changed after it was made; restore it"):
        chain.tokenize()
    path.unlink()
    with pytest.raises(ContractError, match=r"tokenizer.json is missing, and its manifest lists it"):
        chain.tokenize()


def test_holding_out_what_the_tokenizer_has_seen_is_refused(chain: Any, corpus_writer: Any) -> None:
    corpus_writer.documents("p", TEXTS)
    chain.tokenizer(test=0.1, validation=0.1)
    expected = r"test 0.2 \+ validation 0.2 hold out more than the 0.2 that tokenizer 'bpe' was made without, so it has"
    with pytest.raises(ConfigError, match=expected):
        chain.tokenize(**SHARES)
    chain.tokenize(test=0.15, validation=0.05)  # the same documents in all, divided otherwise
