"""Claims: one process at a time works on a unit, and one that is gone stands in nobody's way."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flows.backfill import claims as module
from flows.backfill.claims import CLAIM_SECONDS, Claims
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.ledger import ClaimRecord, ledger_folder

KEY = PartitionKey("web", "2026-30/00012")


@pytest.fixture(params=["local", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CorpusRoot]:
    if request.param == "local":
        yield CorpusRoot(str(tmp_path))
        return
    made = CorpusRoot(f"memory://corpus-{uuid.uuid4().hex}")
    yield made
    made.folder.remove_tree()


def record_of(root: CorpusRoot, **about: object) -> ClaimRecord:
    """Put a claim of somebody else into the ledger."""
    given = {"host": "elsewhere", "pid": 1, "start": "1", "renewed_at": time.time(), "backfill": "b", **about}
    made = ClaimRecord(stage="clean", source=KEY.source, partition=KEY.partition, **given)
    ledger_folder(root, "claims").put_whole("clean+web+2026-30+00012.1.json", made.model_dump_json().encode())
    return made


def test_a_unit_is_held_until_it_is_given_back(root: CorpusRoot):
    claims = Claims(root)
    mine = claims.take("clean", KEY, "b1")
    assert mine is not None
    assert claims.take("clean", KEY, "b2") is None
    other = claims.take("dedup", KEY, "b1")
    assert other is not None
    assert set(claims.held()) == {("clean", KEY), ("dedup", KEY)}
    assert claims.held()["clean", KEY].pid == os.getpid()
    mine.release()
    other.release()
    assert not claims.held()
    assert not ledger_folder(root, "claims").names()


def test_names_that_begin_alike_are_of_different_units(root: CorpusRoot):
    claims = Claims(root)
    held = [claims.take("clean", PartitionKey("web", name), "b1") for name in ("2026.1", "2026", "2026.1.2")]
    assert None not in held
    assert claims.take("clean", PartitionKey("web", "2026"), "b2") is None
    assert len(claims.held()) == 3


def test_the_claim_of_a_process_that_is_gone_is_taken_over(root: CorpusRoot):
    record_of(root, host=module.socket.gethostname(), pid=2**22 + 1)
    claims = Claims(root)
    assert not claims.held()
    mine = claims.take("clean", KEY, "b2")
    assert mine is not None
    assert [name for name, _ in claims.all()] == ["clean+web+2026-30+00012.2.json"]
    assert claims.take("clean", KEY, "b3") is None


def test_a_claim_of_another_host_holds_while_it_is_renewed(root: CorpusRoot):
    record_of(root, renewed_at=time.time() - CLAIM_SECONDS + 60)
    assert Claims(root).take("clean", KEY, "b2") is None
    record_of(root, renewed_at=time.time() - CLAIM_SECONDS - 1)
    assert Claims(root).take("clean", KEY, "b2") is not None


def test_renewing_tells_other_hosts_and_only_now_and_then(root: CorpusRoot):
    claim = Claims(root).take("clean", KEY, "b")
    assert claim is not None
    first = claim.record.renewed_at
    claim.renew()
    assert claim.record.renewed_at == first
    claim.renewed -= module.RENEW_SECONDS
    claim.renew()
    assert Claims(root).held()["clean", KEY].renewed_at == claim.record.renewed_at > first


def test_a_damaged_claim_is_none(root: CorpusRoot):
    ledger_folder(root, "claims").put_whole("clean+web+2026-30+00012.7.json", b"{")
    claim = Claims(root).take("clean", KEY, "b")
    assert claim is not None
    assert claim.name.endswith(".8.json")


def test_sweeping_leaves_what_is_held(root: CorpusRoot):
    record_of(root, renewed_at=0.0)
    mine = Claims(root).take("dedup", KEY, "b")
    assert mine is not None
    Claims(root).sweep()
    assert ledger_folder(root, "claims").names() == [mine.name]


def test_of_many_who_take_over_at_once_one_gets_it(tmp_path: Path):
    for number in range(10):
        root = CorpusRoot(str(tmp_path / str(number)))
        record_of(root, renewed_at=0.0)
        with ThreadPoolExecutor(6) as pool:
            taken = list(pool.map(lambda _, at=root: Claims(at).take("clean", KEY, "b"), range(6)))
        assert len([one for one in taken if one is not None]) <= 1
        # Two that saw each other may both have stepped back; then the next one who asks gets it.
        assert any(taken) or Claims(root).take("clean", KEY, "b") is not None


def test_who_missed_a_whole_claim_steps_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    root = CorpusRoot(str(tmp_path))
    record_of(root, renewed_at=0.0)
    claims, create = Claims(root), module.create_file

    def slow(folder: object, name: str, data: bytes) -> bool:
        monkeypatch.setattr(module, "create_file", create)
        ledger_folder(root, "claims").remove("clean+web+2026-30+00012.1.json")  # taken over, done and given back
        assert claims.take("clean", KEY, "another") is not None  # and taken by a third one, from the beginning
        return create(folder, name, data)

    monkeypatch.setattr(module, "create_file", slow)
    assert claims.take("clean", KEY, "late") is None
    assert claims.held()["clean", KEY].backfill == "another"
