from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from processes import wait_until

from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import LeaseError, OutputError
from schemas.lease import LEASE_SECONDS, Leases, hold_lease, no_new_leases, process_start, read_leases

KEY = PartitionKey("web", "p/1")
_HOLD = """
import sys, time
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.lease import hold_lease
with hold_lease(CorpusRoot(sys.argv[1]), "clean", PartitionKey("web", "p/1")):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(corpus_root: CorpusRoot) -> Any:
    """Another process that holds the lease of `clean` on KEY."""
    process = subprocess.Popen([sys.executable, "-c", _HOLD, corpus_root.url], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def the_lease(root: CorpusRoot) -> Path:
    (found,) = Path(root.lease_folder().path()).glob("*.json")
    return found


def test_the_lease_of_a_live_process_is_respected_and_named(corpus_root: CorpusRoot, holder: Any) -> None:
    assert read_leases(corpus_root) == Leases(held=(("clean", KEY),), left=())
    wanted = rf"clean of web/p/1 is being worked on by process {holder.pid} on .*; wait for it or stop it, then run"
    with pytest.raises(LeaseError, match=wanted), hold_lease(corpus_root, "clean", KEY):
        pass
    with hold_lease(corpus_root, "dedup", KEY), hold_lease(corpus_root, "clean", PartitionKey("web", "p")):
        assert len(read_leases(corpus_root).held) == 3
    assert read_leases(corpus_root).held == (("clean", KEY),)


def test_after_sigkill_it_is_taken_over_at_once(corpus_root: CorpusRoot, holder: Any) -> None:
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    name = the_lease(corpus_root).name
    assert read_leases(corpus_root) == Leases(held=(), left=(name,))
    with hold_lease(corpus_root, "clean", KEY):
        assert read_leases(corpus_root) == Leases(held=(("clean", KEY),), left=())
    assert read_leases(corpus_root) == Leases(held=(), left=())


def test_it_is_given_back_after_an_error_and_held_once_in_a_process(corpus_root: CorpusRoot) -> None:
    with pytest.raises(ZeroDivisionError), hold_lease(corpus_root, "clean", KEY):
        _ = 1 / 0
    with (
        hold_lease(corpus_root, "clean", KEY),
        pytest.raises(LeaseError, match=rf"by process {os.getpid()} on"),
        hold_lease(corpus_root, "clean", KEY),
    ):
        pass
    with hold_lease(corpus_root, "clean", KEY):
        pass


def rewrite(root: CorpusRoot, **changes: Any) -> None:
    path = the_lease(root)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "live"),
    [
        ({}, True),
        ({"start": "another process had this number"}, False),
        ({"host": "elsewhere", "pid": 1, "start": "1"}, True),
        ({"host": "elsewhere", "taken_at": time.time() - LEASE_SECONDS - 1}, False),
        ({"host": "elsewhere", "taken_at": "never"}, False),
        ({"host": "elsewhere", "taken_at": 10**400}, False),
        ({"pid": "none"}, False),
    ],
)
def test_who_holds_a_lease_is_told_by_process_and_start_and_elsewhere_by_age(
    corpus_root: CorpusRoot, holder: Any, changes: dict[str, Any], live: bool
) -> None:
    rewrite(corpus_root, **changes)
    assert bool(read_leases(corpus_root).held) == live
    if not live:
        with hold_lease(corpus_root, "clean", KEY):
            assert json.loads(the_lease(corpus_root).read_text())["pid"] == os.getpid()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b"{}", b"\xff", b"[" * 10_000, b'{"host": "a", "taken_at": 1e300}']
)
def test_a_damaged_lease_is_nobodys(corpus_root: CorpusRoot, holder: Any, content: bytes) -> None:
    the_lease(corpus_root).write_bytes(content)
    with hold_lease(corpus_root, "clean", KEY):
        assert len(read_leases(corpus_root).held) == 1


def test_a_lease_that_was_taken_over_is_not_given_back(corpus_root: CorpusRoot) -> None:
    with hold_lease(corpus_root, "clean", KEY):
        rewrite(corpus_root, host="elsewhere", pid=1)
    assert len(read_leases(corpus_root).held) == 1


def test_of_many_that_ask_at_once_one_gets_it(corpus_root: CorpusRoot) -> None:
    """Over a stale lease, where looking and taking could come between each other."""
    with hold_lease(corpus_root, "clean", KEY):
        content = the_lease(corpus_root).read_bytes()
        name = the_lease(corpus_root).name
    stale = json.dumps({**json.loads(content), "start": "gone"}).encode()
    for _ in range(5):
        corpus_root.lease_folder().put_whole(name, stale)
        together, inside, refused = threading.Barrier(8), [], []

        def ask(together: threading.Barrier = together, inside: Any = inside, refused: Any = refused) -> None:
            together.wait()
            try:
                with hold_lease(corpus_root, "clean", KEY):
                    inside.append(1)
                    while len(inside) + len(refused) < 8:
                        time.sleep(0.001)
            except LeaseError:
                refused.append(1)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(inside), len(refused)) == (1, 7)


def test_while_none_may_begin_who_asks_waits(corpus_root: CorpusRoot) -> None:
    taken = threading.Event()

    def ask() -> None:
        with hold_lease(corpus_root, "clean", KEY):
            taken.set()

    thread = threading.Thread(target=ask)
    with no_new_leases(corpus_root):
        thread.start()
        assert not taken.wait(0.2)
    assert taken.wait(60)
    thread.join()


def test_a_place_that_cannot_be_written_is_named(corpus_root: CorpusRoot) -> None:
    guard = Path(corpus_root.lease_folder().path()) / "guard"
    guard.mkdir(parents=True)
    with pytest.raises(OutputError, match=r"cannot write to .*; give a folder that you may write"):  # noqa: SIM117
        with hold_lease(corpus_root, "clean", KEY):
            pass


def test_a_process_is_told_from_a_later_one_with_its_number() -> None:
    assert process_start(os.getpid()) == process_start(os.getpid()) is not None
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    assert process_start(child.pid) not in (None, process_start(os.getpid()))
    child.kill()
    wait_until(lambda: process_start(child.pid) is None, "a zombie, which is as good as gone")
    child.wait()
    assert process_start(child.pid) is None


def test_on_an_object_store_leases_work_without_a_lock() -> None:
    root = CorpusRoot("memory://leases/corpus")
    with hold_lease(root, "clean", KEY):
        assert read_leases(root).held == (("clean", KEY),)
        with pytest.raises(LeaseError, match=socket.gethostname()), hold_lease(root, "clean", KEY):
            pass
    assert read_leases(root) == Leases(held=(), left=())
    root.folder.remove_tree()
