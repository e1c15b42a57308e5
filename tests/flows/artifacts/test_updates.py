"""Changes are sent by a thread of their own: the newest of each artifact, and a server that is away stops nobody."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from uuid import UUID, uuid4

import httpx
import pytest

from flows.artifacts import updates


class Server:
    """Takes changes, at the pace of a test."""

    def __init__(self) -> None:
        self.taken: list[tuple[UUID, object]] = []
        self.free = threading.Event()
        self.away = False

    @contextmanager
    def client(self, sync_client: bool):
        assert sync_client
        yield self

    def update_artifact(self, artifact: UUID, change) -> None:
        self.free.wait()
        if self.away:
            raise httpx.ConnectError("refused")
        self.taken.append((artifact, change.data))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr(updates, "get_client", server.client)
    monkeypatch.setattr(updates, "_SENDER", updates._Sender())
    return server


def test_nobody_waits_and_the_newest_change_arrives(server: Server):
    first, second = uuid4(), uuid4()
    for percent in range(50):
        updates.send_update(first, percent, "said")
    updates.send_update(second, "text", "said")
    assert not updates.flush_updates(0.05)
    server.free.set()
    assert updates.flush_updates(60)
    assert (first, 49) in server.taken
    assert (second, "text") in server.taken
    assert len(server.taken) <= 3


def test_a_server_that_is_away_is_told_again_when_it_is_back(server: Server, caplog: pytest.LogCaptureFixture):
    server.free.set()
    server.away = True
    one = uuid4()
    updates.send_update(one, 1, "said")
    assert updates.flush_updates(60)
    assert "the Prefect server did not take a change of artifact" in caplog.text
    server.away = False
    updates.send_update(one, 2, "said")
    assert updates.flush_updates(60)
    assert server.taken == [(one, 2)]
