"""One slot a GPU: flows that train wait for one where a worker of `corpusmill up` runs them."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["LIMIT_VARIABLE", "gpu_slot", "limit_name"]

LIMIT_VARIABLE = "CORPUSMILL_GPU_LIMIT"
_LOGGER = logging.getLogger("flows.steps")
# A slot of a training that was killed is free again after so long.
_LEASE_SECONDS = 60.0


def limit_name() -> str:
    """The name of the concurrency limit of GPUs: as the environment says, or this machine's own."""
    return os.environ.get(LIMIT_VARIABLE) or f"gpu:{socket.gethostname()}"


@contextmanager
def gpu_slot() -> Iterator[None]:
    """Hold a slot of this machine's GPUs while the body runs; without a worker of ours there is nothing to wait for.

    A lease that cannot be renewed for a while, as when the server starts again, does not end the training.
    """
    name = os.environ.get(LIMIT_VARIABLE)
    if not name:
        yield
        return
    from prefect.concurrency.sync import concurrency

    _LOGGER.info("waiting for a slot of %s", name, extra={"event": "line", "step": "gpu"})
    with concurrency(name, occupy=1, strict=True, raise_on_lease_renewal_failure=False, lease_duration=_LEASE_SECONDS):
        yield
