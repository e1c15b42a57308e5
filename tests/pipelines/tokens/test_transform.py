"""The Beam graph: its named steps, and what a kill in the middle leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from processes import files, wait_until

from pipelines.engine.staging import StagedFile
from pipelines.tokens import shard_files, transform
from pipelines.tokens.bpe import train_tokenizer
from pipelines.tokens.encoded import INPUT_COLUMNS, encode_block, spill_block
from pipelines.tokens.encoding import TextEncoder
from pipelines.tokens.frozen import FrozenTokenizer, read_tokenizer
from pipelines.tokens.transform import TokenizeDocuments, TokenizeJob
from schemas.configs.tokenize import TokenizeConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import ContractError, ShardError
from schemas.identity import content_hash
from schemas.storage import Folder
from schemas.tables import DOCUMENTS
from schemas.token_shard import token_table

TEXTS = [f"The page number {n} of the book speaks of {n * 7919} things." for n in range(40)]
TOKENIZER = FrozenTokenizer("bpe", "", 300, 299, 0.1, b"")
_RUN = """
import sys
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from pipelines.tokens import tokenize_stage
from schemas.configs.tokenize import TokenizeConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.process_exit import leave
config = TokenizeConfig(shard_tokens=4000, test=0.1, validation=0.1)
request = StageRequest(root=CorpusRoot(sys.argv[1]), config=config, engine=Engine())
if sys.argv[2:] == ["hold"]:
    import time
    from pipelines.engine import unit
    unit._commit = lambda *_: time.sleep(600)
print(tokenize_stage.run(request).done)
leave(0)
"""


def test_read_compute_group_and_write_are_steps_of_their_own(chain: Any, corpus_writer: Any) -> None:
    key = corpus_writer.documents("p", TEXTS)
    chain.tokenizer()
    tokenizer, folder = read_tokenizer(chain.root, "bpe"), chain.root.work_folder("tokenize", key)
    job = TokenizeJob(root=chain.root, key=key, tokenizer=tokenizer, config=TokenizeConfig(), folder=folder)
    pipeline = beam.Pipeline(runner="FnApiRunner")
    pipeline | "Tokenize" >> TokenizeDocuments(job, ["part-00000.parquet"])
    (step,) = pipeline.transforms_stack[0].parts
    labels = [part.full_label.removeprefix("Tokenize/") for part in step.parts]
    assert labels == ["List", "Spread parts", "Read", "Compute", "Group", "Cut", "Spread files", "Write"]


def rows_of(texts: list[str], identities: list[int]) -> pa.Table:
    rows = [
        {
            "document_id": bytes([n]) * 16,
            "content_hash": content_hash(text),
            "text": text,
            "source": "",
            "partition": "",
        }
        for n, text in zip(identities, texts, strict=True)
    ]
    table = pa.Table.from_pylist(rows, schema=DOCUMENTS).select(INPUT_COLUMNS)
    return table.append_column("piece", pa.array([0] * len(rows), pa.int32()))


def test_rows_out_of_order_are_refused() -> None:
    encoder = TextEncoder(train_tokenizer(TEXTS, 300))
    for identities in ([2, 1], [1, 1]):
        with pytest.raises(ContractError, match=r"documents are not in the order of their ids, each once"):
            list(encode_block(encoder, rows_of(["a", "b"], identities), 0, 0))


def test_ids_of_a_hundredth_of_the_documents_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = TextEncoder(train_tokenizer(TEXTS, 300))
    texts = [f"text {n:05d}" for n in range(2000)]
    rows = pa.concat_tables(rows_of([text], [0]) for text in texts)
    rows = rows.set_column(0, "document_id", pa.array([n.to_bytes(16) for n in range(2000)], pa.binary(16)))
    decoded, decode = [], TextEncoder.decode

    def spy(self: TextEncoder, ids: Any) -> bytes:
        decoded.append(1)
        return decode(self, ids)

    monkeypatch.setattr(TextEncoder, "decode", spy)
    list(encode_block(encoder, rows, 0, 0))
    assert 5 <= len(decoded) <= 40
    monkeypatch.setattr(TextEncoder, "decode", lambda self, ids: b"other")
    with pytest.raises(ContractError, match=r"the ids of the text [0-9a-f]{32} decode to another text"):
        list(encode_block(encoder, rows, 0, 0))


def test_a_shard_that_does_not_read_back_is_not_staged(
    chain: Any, corpus_writer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus_writer.documents("p", TEXTS)
    chain.tokenizer()
    monkeypatch.setattr(shard_files, "file_checksum", lambda folder, name: "0" * 64)
    with pytest.raises(ShardError, match=r"(shard-00000.arrow|index.parquet) does not read back as it was written"):
        chain.tokenize()
    assert chain.root.partitions("tokens/bpe/train") == []
    monkeypatch.undo()
    assert chain.tokenize().done == 1


def test_an_index_that_does_not_cover_its_stream_is_not_staged(tmp_path: Path) -> None:
    encoder = TextEncoder(train_tokenizer(TEXTS, 300))
    (encoded,) = encode_block(encoder, rows_of(["a", "b"], [1, 2]), 0, 0)
    block = spill_block(Folder(str(tmp_path / "spill")), 0, 0, encoded)
    facts = shard_files.StreamFacts(TOKENIZER, PartitionKey("web", "p"), "train")
    staged = shard_files.write_index(Folder(str(tmp_path)), facts, [block])
    assert (staged.rows, type(staged)) == (2, StagedFile)
    with pytest.raises(ShardError, match=r"index.parquet does not cover its stream; run tokenize again"):
        shard_files.write_index(Folder(str(tmp_path)), facts, [replace(block, tokens=block.tokens + 1)])


def token_files(root: CorpusRoot) -> dict[str, bytes]:
    folder = Path(root.url) / "tokens"
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_bundles_that_are_done_twice_leave_no_second_copy(
    chain: Any, corpus_writer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = corpus_writer.documents("p", TEXTS, files=4)
    chain.tokenizer()
    manifest = chain.tokenize(shard_tokens=300).outcomes[0].manifest
    once = token_files(chain.root)
    for step in (transform._Compute, transform._Write):
        plain = step.process

        def again(self: Any, element: Any, plain: Any = plain) -> Any:
            list(plain(self, element))  # what came of a bundle whose worker was lost after its work
            return plain(self, element)

        monkeypatch.setattr(step, "process", again)
    chain.root.partition_folder(token_table("bpe", "train"), key).remove("manifest.json")
    twice = chain.tokenize(shard_tokens=300).outcomes[0]
    assert twice.status == "done"
    assert (twice.manifest.counts, twice.manifest.tables) == (manifest.counts, manifest.tables)
    assert token_files(chain.root) == once
    assert len(once) > 4


@pytest.mark.slow
def test_after_sigkill_in_the_middle_the_next_run_ends_the_same(chain: Any, corpus_writer: Any, tmp_path: Path) -> None:
    corpus_writer.documents("p", [f"{text} {n} " * 10 for n in range(40) for text in TEXTS], files=4)
    chain.tokenizer()
    command = [sys.executable, "-c", _RUN, chain.root.url]
    work = Path(chain.root.folder.child(".work", "tokenize").path())
    for pattern in ("**/spill/*.index", "**/staged/**/shard-*"):
        process = subprocess.Popen([*command, "hold"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda pattern=pattern: files(work, pattern), pattern)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not list(Path(chain.root.url).glob("tokens/bpe/train/**/manifest.json"))
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert output == "1\n"
    killed = token_files(chain.root)
    assert not list(work.glob("**/*.tokens"))
    for path in (Path(chain.root.url) / "tokens").rglob("manifest.json"):
        path.unlink()
    chain.tokenize(shard_tokens=4000, test=0.1, validation=0.1)
    assert token_files(chain.root) == killed
    assert len(killed) > 10
