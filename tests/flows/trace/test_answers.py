"""Each trace beside the same question answered by reading everything."""

from __future__ import annotations

import json
import shutil
from collections import deque
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from flows.cli.main import run
from flows.trace.answers import trace_document, trace_step, trace_token
from schemas.configs.train import TrainConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import ContractError, InputError, ShardError
from schemas.storage import join_url
from schemas.token_shard import token_table
from training.data.batches import BatchReader
from training.data.shards import open_streams
from training.loop.schedule import BatchSchedule

KEYS = (PartitionKey("books", "1"), PartitionKey("web", "2026/1"), PartitionKey("web", "2026/2"))
LENGTH, SHARD = 16, 700


def shard_of(key: PartitionKey, position: int) -> tuple[str, int]:
    path = join_url(token_table("bpe", "train"), *key, f"shard-{position // SHARD:05d}.arrow")
    return path, position % SHARD


def owner(index: list[dict[str, Any]], position: int) -> dict[str, Any]:
    return next(row for row in index if row["start"] <= position < row["start"] + row["length"])


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_a_token_leads_to_its_document_and_record(traceable: Any, key: PartitionKey) -> None:
    index, stream, documents = traceable.index(key), traceable.stream(key), traceable.documents(key)
    edges = {row["start"] for row in index} | {row["start"] + row["length"] - 1 for row in index}
    for position in sorted({*list(edges)[::9], *range(0, len(stream), 997), SHARD - 1, SHARD, len(stream) - 1}):
        found = trace_token(traceable.root, *shard_of(key, position))
        row = owner(index, position)
        document = documents[row["document_id"]]
        assert found["token"]["id"] == stream[position]
        assert found["place"]["position_in_stream"] == position
        assert found["place"]["position_in_piece"] == position - row["start"]
        assert found["document"]["document_id"] == row["document_id"].hex()
        assert found["document"]["url"] == document["url"]
        assert found["document"]["record"] == {
            "record_file": f"{key.source}.warc.gz",
            "record_offset": document["record_offset"],
            "record_id": document["record_id"],
            "captured_at": "2026-01-01T00:00:00+00:00",
        }
        assert found["document"]["scores"] == {
            "language_score": 0.5,
            "quality": 0.25,
            "words": dict(document["scores"])["words"],
        }
        assert (Path(traceable.root.url) / found["document"]["file"]).exists()
        whole = found["token"]["before"] + found["token"]["text"] + found["token"]["after"]
        assert whole.removesuffix("<|endoftext|>") in document["text"]


def used_steps(traceable: Any) -> dict[tuple[PartitionKey, bytes], set[int]]:
    """Document to steps, by going through all batches as training does."""
    streams = open_streams(traceable.root, traceable.plan, "train")
    reader = BatchReader(traceable.plan, streams, 9)
    schedule = BatchSchedule(TrainConfig(batch=8, ramp_start=2, ramp_tokens=640), LENGTH)
    places = {"books": [KEYS[0]], "web": [KEYS[1], KEYS[2]]}
    owners = {
        source: [
            (key, row["document_id"]) for key in keys for row in traceable.index(key) for _ in range(row["length"])
        ]
        for source, keys in places.items()
    }
    found: dict[tuple[PartitionKey, bytes], set[int]] = {}
    for step in range(1, schedule.whole_steps(len(reader)) + 1):
        start, stop = schedule.sample_range(step - 1)
        samples = reader.take(stop - start).samples
        for number, window in zip(samples.sources.tolist(), samples.windows.tolist(), strict=True):
            source = traceable.plan.train[number].source
            for one in set(owners[source][window * LENGTH : (window + 1) * LENGTH + 1]):
                found.setdefault(one, set()).add(step)
    return found


def test_a_document_leads_to_its_tokens_and_steps(traceable: Any) -> None:
    steps = used_steps(traceable)
    several = 0
    for key in KEYS:
        stream = traceable.stream(key)
        for row in traceable.index(key):
            answer = trace_document(traceable.root, row["document_id"].hex(), key.source, key.partition)
            (found,) = answer["found"]
            (piece,) = found["tokens"]
            parts = [
                trace_stream
                for part in piece["shards"]
                for number in [int(part["shard"][-11:-6])]
                for trace_stream in stream[number * SHARD + part["position"] :][: part["tokens"]].tolist()
            ]
            assert parts == stream[row["start"] : row["start"] + row["length"]].tolist()
            several += len(piece["shards"]) > 1
            used = steps.get((key, row["document_id"]), set())
            (use,) = found["runs"]
            assert use["steps"] == sorted(used)
            assert use["done"] == sum(step <= 30 for step in used)
    assert several > 3


@pytest.mark.parametrize("step", [1, 2, 3, 17, 30, 31, 100])
def test_a_step_leads_to_its_documents(traceable: Any, step: int) -> None:
    answer = trace_step(traceable.run, step)
    steps = used_steps(traceable)
    expected = {(one.hex(), *key) for (key, one), used in steps.items() if step in used}
    assert {(one["document_id"], one["source"], one["partition"]) for one in answer["documents"]} == expected
    assert all(sum(piece["tokens"] for piece in one["documents"]) == LENGTH + 1 for one in answer["samples"])
    assert answer["done"] == (step <= 30)
    assert [one["sample"] for one in answer["samples"]] == sorted(one["sample"] for one in answer["samples"])


def test_decisions_about_a_document_are_told(traceable: Any) -> None:
    gone, cut, kept = sorted(traceable.documents(KEYS[2]))[:3]
    (found,) = trace_document(traceable.root, gone.hex())["found"]
    assert found["document"]["removed_for"]["kept_id"] == kept.hex()
    assert (found["tokens"], found["runs"]) == ([], [])
    (found,) = trace_document(traceable.root, cut.hex())["found"]
    assert [one["item"] for one in found["document"]["contaminated"]] == ["7"]


def test_what_is_not_there_is_said_in_a_line(traceable: Any) -> None:
    root, path = traceable.root, shard_of(KEYS[0], 0)[0]
    with pytest.raises(InputError, match=r"no shard .*tokens/x.arrow; give its path in the corpus, like"):
        trace_token(root, "tokens/x.arrow", 0)
    with pytest.raises(InputError, match=r"has tokens 0 to 699, not 700; give one of these"):
        trace_token(root, path, 700)
    with pytest.raises(InputError, match=r"'xyz' is no document id; expected 32 hexadecimal digits"):
        trace_document(root, "xyz")
    with pytest.raises(InputError, match=r"no document 0{32} in .*; ids of documents stand in the column document_id"):
        trace_document(root, "0" * 32)
    with pytest.raises(InputError, match=r"has steps 1 to \d+, not 0; give one of these"):
        trace_step(traceable.run, 0)
    with pytest.raises(ShardError, match=r"documents/.*parquet cannot be read: .*run tokenize"):
        trace_token(root, join_url("documents", *KEYS[0], "part-00000.parquet"), 0)
    assert trace_token(root, f"{root.url}/{path}", 5)["document"] == trace_token(root, path, 5)["document"]


@pytest.fixture
def copied(traceable: Any, tmp_path: Path) -> tuple[CorpusRoot, str]:
    """A copy of corpus and run that a test may damage."""
    shutil.copytree(traceable.root.url, tmp_path / "corpus")
    return CorpusRoot(str(tmp_path / "corpus")), str(tmp_path / "corpus" / "runs" / "first")


def test_shards_and_plans_that_are_others_now_are_refused(copied: tuple[CorpusRoot, str]) -> None:
    root, run_folder = copied
    folder = Path(root.partition_folder(token_table("bpe", "train"), KEYS[0]).path())
    swapped = (folder / "shard-00001.arrow").read_bytes()
    (folder / "shard-00001.arrow").write_bytes((folder / "shard-00000.arrow").read_bytes())
    with pytest.raises(ShardError, match=r"shard-00001.arrow was written anew since .* was planned; its tokens"):
        deque((trace_step(run_folder, step, root.url) for step in range(1, 60)), maxlen=0)
    rows = pq.read_table(folder / "index.parquet", columns=["document_id", "start", "length"]).to_pylist()
    # The second shard has tokens 700 to 1,400.
    there = next(row["document_id"].hex() for row in rows if row["start"] < 1300 and row["start"] + row["length"] > 800)
    (use,) = trace_document(root, there)["found"][0]["runs"]
    assert use["steps"] == []
    assert "was written anew since" in use["unknown"]
    (folder / "shard-00001.arrow").unlink()
    (use,) = trace_document(root, there)["found"][0]["runs"]
    assert "shard-00001.arrow is gone, and " in use["unknown"]
    (folder / "shard-00001.arrow").write_bytes(swapped)
    index = (folder / "index.parquet").read_bytes()
    (folder / "index.parquet").write_bytes(index[:100])
    with pytest.raises(ContractError, match=r"index.parquet cannot be read: .*; remove its manifest, then do its"):
        trace_token(root, shard_of(KEYS[0], 0)[0], 0)
    (folder / "index.parquet").write_bytes(index)
    config = json.loads((Path(run_folder) / "config.json").read_text())
    (Path(run_folder) / "config.json").write_text(json.dumps({**config, "plan_digest": "0"}))
    with pytest.raises(InputError, match=r"was trained on another mixture than the 'main' that is in"):
        trace_step(run_folder, 1, root.url)
    (Path(run_folder) / "config.json").write_text(json.dumps({**config, "kind": "finetune", "base": "b"}))
    with pytest.raises(InputError, match=r"was fine-tuned from b and reads no mixture; give a run of"):
        trace_step(run_folder, 1, root.url)
    (found,) = trace_document(root, trace_token(root, shard_of(KEYS[0], 0)[0], 0)["document"]["document_id"])["found"]
    assert found["runs"] == []


def test_the_command_prints_pages_and_json(traceable: Any, capsys: pytest.CaptureFixture[str]) -> None:
    root, (shard, position) = traceable.root.url, shard_of(KEYS[1], 40)
    words = ["trace", "token", "--root", root, "--shard", shard, "--position", str(position)]
    assert run(words) == 0
    page = capsys.readouterr().out
    assert "web.warc.gz" in page
    assert "https://web.example/2026/1/" in page
    assert "quality" in page
    assert run([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    identity = found["document"]["document_id"]
    assert run(["trace", "document", identity, "--root", root]) == 0
    page = capsys.readouterr().out
    assert f"piece 0  {shard}  tokens" in page
    assert "steps " in page
    assert run(["trace", "document", identity, "--root", root, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["document_id"] == identity
    assert run(["trace", "step", traceable.run, "2"]) == 0
    page = capsys.readouterr().out
    assert "step 2 of" in page
    assert "2 windows of 16 tokens of mixture main" in page
    assert run(["trace", "step", traceable.run, "99999"]) == 2
