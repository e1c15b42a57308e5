"""A small web site on the loopback that remembers what it was asked for."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipelines.crawl.stage import run
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from pipelines.engine.unit import UnitOutcome
from schemas.configs.crawl import CrawlConfig
from schemas.corpus_root import CorpusRoot

HOST = "site.example"


@dataclass
class Reply:
    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "text/html; charset=utf-8"})


@dataclass
class Site:
    """Pages by path; a callable page is asked each time."""

    pages: dict[str, Reply | Callable[[], Reply]] = field(default_factory=dict)
    asked: list[tuple[float, str]] = field(default_factory=list)
    port: int = 0

    def link(self, path: str, *targets: str, text: str = "") -> None:
        """Put up an HTML page with links."""
        links = "".join(f'<a href="{target}">x</a>' for target in targets)
        self.pages[path] = Reply(f"<html><body><p>page {path} {text}</p>{links}</body></html>".encode())

    def robots(self, text: str) -> None:
        self.pages["/robots.txt"] = Reply(text.encode(), headers={"Content-Type": "text/plain"})

    def redirect(self, path: str, target: str, status: int = 301) -> None:
        self.pages[path] = Reply(b"", status, {"Location": target})

    @property
    def paths(self) -> list[str]:
        return [path for _, path in self.asked]

    @property
    def counts(self) -> Counter[str]:
        return Counter(self.paths)

    def config(self, **settings: object) -> CrawlConfig:
        """Settings for a quick crawl of this site under a stable name."""
        quick = {"delay_seconds": 0, "retry_seconds": 0.01, "timeout_seconds": 60}
        values = {
            "seed_urls": [f"http://{HOST}/"],
            "connect_to": {f"{HOST}:80": f"127.0.0.1:{self.port}"},
            **quick,
            **settings,
        }
        return CrawlConfig.model_validate(values)


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append((time.monotonic(), self.path))
            page = site.pages.get(self.path, Reply(b"nothing here", 404))
            reply = page() if callable(page) else page
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if "Content-Length" not in reply.headers and "Transfer-Encoding" not in reply.headers:
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *args: object) -> None:
            pass

    return Handler


class _Server(ThreadingHTTPServer):
    def server_bind(self) -> None:
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # the crawler hangs up on pages that are too large


@pytest.fixture
def make_site() -> Iterator[Callable[[], Site]]:
    servers = []

    def make() -> Site:
        site = Site()
        server = _Server(("127.0.0.1", 0), _handler(site))
        site.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        servers.append(server)
        return site

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def site(make_site: Callable[[], Site]) -> Site:
    return make_site()


@pytest.fixture
def crawl_into(corpus_root: CorpusRoot) -> Callable[..., UnitOutcome]:
    """Crawl into partition web/1 of the empty corpus, or into another partition."""

    def go(config: CrawlConfig, partition: str = "1") -> UnitOutcome:
        request = StageRequest(root=corpus_root, config=config, engine=Engine(), source="web", partition=partition)
        (outcome,) = run(request, on_progress=lambda done, limit, url: None).outcomes
        return outcome

    return go
