"""A web site for the demo that needs no network: the documentation of the Python that runs it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.errors import StageError

__all__ = ["SITE_HOST", "SITE_URL", "ServedSite", "serve_pydoc"]

# The port differs from run to run; URLs with a name of their own make two runs crawl the same pages. Names below
# `localhost` never leave the machine (RFC 6761, section 6.3).
SITE_HOST = "python-docs.localhost"
SITE_URL = f"http://{SITE_HOST}/"
_SERVER = Path(__file__).with_name("pydoc_server.py")


@dataclass(frozen=True)
class ServedSite:
    """A running server; `address` is its `host:port`, `url` the stable URL under which the demo crawls it."""

    address: str
    url: str = SITE_URL

    def connect_to(self) -> dict[str, str]:
        """What the crawl's setting `connect_to` has to be for `url` to lead here."""
        return {f"{SITE_HOST}:80": self.address}


@contextmanager
def serve_pydoc() -> Iterator[ServedSite]:
    """Serve the standard library's pages while the body runs.

    The server is a process without environment and without installed packages; it ends with the body, or with this
    process, however that ends.

    Raises:
        StageError: the server did not start; the message ends with its last words.
    """
    command = [sys.executable, "-I", "-S", str(_SERVER)]
    pipe = subprocess.PIPE
    # In a group of its own, Ctrl-C leaves the server to us: the crawl must not see it vanish.
    options: dict[str, Any] = {"stdin": pipe, "stdout": pipe, "stderr": pipe, "env": {}, "text": True}
    with subprocess.Popen(command, process_group=0, **options) as server:  # noqa: S603
        assert server.stdin is not None
        assert server.stdout is not None
        assert server.stderr is not None
        try:
            port = server.stdout.readline().strip()
            if not port:
                last_words = server.stderr.read().strip().splitlines()[-1:] or ["it said nothing"]
                raise StageError(f"the documentation server did not start: {last_words[0]}")
            yield ServedSite(f"127.0.0.1:{port}")
        finally:
            server.stdin.close()
