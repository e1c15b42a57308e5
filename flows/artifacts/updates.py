"""Changes of artifacts, sent by a thread of their own: what supervises a child never waits for a server."""

from __future__ import annotations

import threading
import time
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate

from flows.steps import LOGGER

__all__ = ["flush_updates", "send_update"]


class _Sender:
    """Sends the newest change of each artifact; older ones that wait are forgotten."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[UUID, ArtifactUpdate] = {}
        self._sending = False
        self._thread: threading.Thread | None = None

    def put(self, artifact: UUID, change: ArtifactUpdate) -> None:
        with self._changed:
            self._waiting[artifact] = change
            if self._thread is None:
                self._thread = threading.Thread(target=self._send_all, name="artifacts", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        with self._changed:
            while self._waiting or self._sending:
                if not self._changed.wait(until - time.monotonic()):
                    return False
        return True

    def _send_all(self) -> None:
        while True:
            with self._changed:
                self._sending = False
                self._changed.notify_all()
                while not self._waiting:
                    self._changed.wait()
                artifact, change = self._waiting.popitem()
                self._sending = True
            try:
                with get_client(sync_client=True) as client:
                    client.update_artifact(artifact, change)
            except httpx.HTTPError as error:
                LOGGER.warning("the Prefect server did not take a change of artifact %s: %s", artifact, error)


_SENDER = _Sender()


def send_update(artifact: UUID, data: Any, description: str) -> None:
    """Change an artifact soon; of several changes that wait, the newest is sent."""
    _SENDER.put(artifact, ArtifactUpdate(data=data, description=description))


def flush_updates(seconds: float = 10.0) -> bool:
    """Wait until all changes are sent, for so long at most; gives whether they are."""
    return _SENDER.flush(seconds)
