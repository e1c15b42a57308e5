"""A web of 300 pages on four hosts, with everything that crawlers fall into, and a log of what was asked when.

One server on the loopback answers for all hosts, told apart by the header `Host`. What is behind each trap is decided
by the path alone, so that every crawl meets the same web.
"""

from __future__ import annotations

import gzip
import http.client
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

HOSTS = tuple(f"h{number}.example" for number in range(4))
PAGES_PER_HOST = 75
HUGE_BYTES = 300_000
LIMIT_BYTES = 100_000
_HTML = {"Content-Type": "text/html; charset=utf-8"}
_WORDS = "the crawl of a page gives text and links to others in turn "


@dataclass
class Asked:
    """One request as the server saw it, in seconds of `time.monotonic`."""

    host: str
    path: str
    begin: float
    end: float = 0.0
    status: int = 0

    @property
    def url(self) -> str:
        return f"http://{self.host}{self.path}"


@dataclass
class TrapSite:
    """The server's memory; `private_port` is a server that must never be asked."""

    port: int = 0
    private_port: int = 0
    asked: list[Asked] = field(default_factory=list)
    busy_once: set[str] = field(default_factory=set)
    lock: threading.Condition = field(default_factory=threading.Condition)
    latency_seconds: float = 0.0
    drips: bool = False  # whether one page a host never comes to an end; else it has status 500
    gather: int = 0  # most numbered pages wait until so many requests to their host are under way, once for each host
    gathered: set[str] = field(default_factory=set)
    connections: int = 0

    @property
    def connect_to(self) -> dict[str, str]:
        return {f"{host}:80": f"127.0.0.1:{self.port}" for host in HOSTS}

    def expected_pages(self) -> set[str]:
        """Every page that a polite crawler should store."""
        numbered = {f"http://{host}/p/{n}" for host in HOSTS for n in range(PAGES_PER_HOST) if not _is_trap(n)}
        return numbered | {
            *(f"http://{host}/" for host in HOSTS),
            *(f"http://{host}/{name}" for host in HOSTS for name in _GOOD_NAMES),
            *(f"http://{host}/calendar?month={month}" for host in HOSTS for month in range(1, 11)),
        }

    def most_at_once(self, host: str) -> int:
        """Requests under way to a host at once, at most."""
        moments = [(one.begin, 1) for one in self.asked if one.host == host]
        moments += [(one.end, -1) for one in self.asked if one.host == host]
        under_way = most = 0
        for _, change in sorted(moments):
            under_way += change
            most = max(most, under_way)
        return most

    def note(self, asked: Asked) -> None:
        """A request has come."""
        with self.lock:
            self.asked.append(asked)
            self.lock.notify_all()

    def wait_for_others(self, host: str) -> None:
        """Keep a request waiting until `gather` are under way to its host, or were, or do not come."""

        def together() -> bool:
            if sum(one.host == host and not one.end for one in self.asked) >= self.gather:
                self.gathered.add(host)
            return host in self.gathered

        with self.lock:
            self.lock.wait_for(together, 20)

    def count_connection(self, change: int) -> None:
        """One more is taken, or one less is served."""
        with self.lock:
            self.connections += change
            self.lock.notify_all()

    def settle(self) -> None:
        """Wait until all that was asked for is answered, though who asked may be gone."""
        # Connections are taken in the order in which they came, and this one is the last.
        with closing(http.client.HTTPConnection("127.0.0.1", self.port)) as connection:
            connection.request("GET", "/settled", headers={"Host": "settled.example"})
            connection.getresponse().read()
        with self.lock:
            assert self.lock.wait_for(lambda: self.connections == 0, 60)

    def shortest_gap(self, host: str) -> float:
        """Seconds between two requests to a host, begin to begin, at least."""
        begins = sorted(one.begin for one in self.asked if one.host == host)
        return min(later - earlier for earlier, later in pairwise(begins))

    def good_answers(self) -> Counter[str]:
        """How often each URL was answered with a page."""
        return Counter(one.url for one in self.asked if one.status == 200)


_GOOD_NAMES = (
    "listed-only",
    "moved-here",
    "canonical-a",
    "canonical-b",
    "shy",
    "path/x/path/x/path/x",
    "loop/loop",
    "loop/loop/loop",
    "loop",
)
# These are found several at a time, and asked for when nothing else is left at their depth.
_GATHERING = {f"/p/{number}" for number in range(15, PAGES_PER_HOST)}
# Of the numbered pages, these are something else.
_TRAPS = {11: "500", 22: "noindex", 33: "huge", 44: "image", 55: "noindex-header", 66: "drip"}


def _is_trap(number: int) -> bool:
    return number in _TRAPS


def _page(title: str, *links: str, head: str = "") -> bytes:
    anchors = "".join(f"<a href='{link}'>x</a>" for link in links)
    body = f"<p>{title} {_WORDS * (len(title) % 5 + 1)}</p>{anchors}"
    return f"<html><head><title>{title}</title>{head}</head><body>{body}</body></html>".encode()


def _numbered(host: str, number: int) -> tuple[int, dict[str, str], bytes]:
    steps = (number * 2 + 1, number * 2 + 2, number + 1, number + 2)  # around the traps, too
    links = [f"/p/{step}" for step in steps if step < PAGES_PER_HOST]
    other = HOSTS[(HOSTS.index(host) + 1) % len(HOSTS)]
    links.append(f"http://{other}/p/{number}")
    page = _page(f"{host} page {number}", *links)
    kind = _TRAPS.get(number)
    if kind in {"500", "drip"}:
        return 500, _HTML, b"oh"
    if kind == "noindex":
        return 200, _HTML, _page("not for you", *links, head="<meta name='robots' content='noindex'>")
    if kind == "noindex-header":
        return 200, {**_HTML, "X-Robots-Tag": "corpusmill: noindex"}, page
    if kind == "huge":
        return 200, _HTML, page + b" " * HUGE_BYTES
    if kind == "image":
        return 200, {"Content-Type": "image/png"}, b"\x89PNG"
    return 200, _HTML, page


_ROBOTS = "User-agent: *\nDisallow: /secret\n\nUser-agent: rude\nDisallow: /\n\nSitemap: /sitemap-index.xml.gz\n"


def _special(site: TrapSite, host: str, path: str) -> tuple[int, dict[str, str], bytes] | None:
    xml = {"Content-Type": "application/gzip"}
    if path == "/robots.txt":
        return 200, {"Content-Type": "text/plain"}, _ROBOTS.encode()
    if path == "/sitemap-index.xml.gz":
        entry = f"<sitemap><loc>http://{host}/map.xml.gz</loc></sitemap>"
        return 200, xml, gzip.compress(f"<sitemapindex>{entry}</sitemapindex>".encode())
    if path == "/map.xml.gz":
        entries = "".join(f"<url><loc>http://{host}/{name}</loc></url>" for name in ("listed-only", "p/3"))
        return 200, xml, gzip.compress(f"<urlset>{entries}</urlset>".encode())
    moved = {
        "/moved": "/moved-here",
        "/round": "/round-again",
        "/round-again": "/round",
        "/to-private": f"http://127.0.0.1:{site.private_port}/secret/plan",
        "/to-other": f"http://{HOSTS[0]}/p/1",
        "/away": "http://elsewhere.example/",
        **{f"/far{step}": f"/far{step + 1}" for step in range(9)},
    }
    if path in moved:
        return 302, {"Location": moved[path]}, b""
    if path.startswith("/calendar?month="):
        month = int(path.rpartition("=")[2])
        return 200, _HTML, _page(f"{host} month {month}", f"/calendar?month={month + 1}")
    if path.startswith("/loop"):
        return 200, _HTML, _page(f"{host} {path}", f"{path}/loop")
    return None


def _reply(site: TrapSite, host: str, path: str) -> tuple[int, dict[str, str], bytes]:
    special = _special(site, host, path)
    if special is not None:
        return special
    if path == "/":
        ways = ["/p/0", "/moved", "/round", "/to-private", "/to-other", "/away", "/far0", "/secret/plan", "/missing"]
        ways += ["/calendar?month=1", "/loop", "/canonical-a", "/shy", "/path/x/path/x/path/x", "/x" * 60]
        return 200, _HTML, _page(f"{host} home", *ways) + b"<a rel=nofollow href=/unwanted>x</a>"
    if path == "/shy":
        with site.lock:
            first = host not in site.busy_once
            site.busy_once.add(host)
        if first:
            return 503, {**_HTML, "Retry-After": "1"}, b"later"
        return 200, _HTML, _page(f"{host} shy")
    if path in {"/canonical-a", "/canonical-b"}:
        other = "/canonical-b" if path.endswith("a") else "/canonical-a"
        return 200, _HTML, _page(f"{host} {path}", head=f"<link rel=canonical href='{other}'>")
    if path.startswith("/p/") and path[3:].isdigit() and int(path[3:]) < PAGES_PER_HOST:
        return _numbered(host, int(path[3:]))
    if path[1:] in _GOOD_NAMES or path in {"/unwanted", "/secret/plan"}:
        return 200, _HTML, _page(f"{host} {path}")
    return 404, _HTML, b"nothing here"


def _handler(site: TrapSite) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = Asked(self.headers.get("Host", ""), self.path, time.monotonic())
            site.note(asked)
            self._answer(asked)

        def _answer(self, asked: Asked) -> None:
            time.sleep(site.latency_seconds)
            if site.gather and asked.path in _GATHERING:
                site.wait_for_others(asked.host)
            status, headers, body = _reply(site, asked.host, asked.path)
            if asked.path == f"/p/{_dripping}" and site.drips:
                self._drip(asked)
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            asked.end = time.monotonic()  # the crawler may have hung up, or go on, from the first byte on
            self.end_headers()
            self.wfile.write(body)
            asked.status = status

        def _drip(self, asked: Asked) -> None:
            """A byte of the headers now and then, for ever: each single wait is short."""
            asked.end = before = asked.begin
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while True:
                now = time.monotonic()
                self.wfile.write(b"z")  # fails where the crawler had hung up when the last byte was written
                asked.end, before = before, now
                time.sleep(0.005)

        def log_message(self, *args: object) -> None:
            pass

    return Handler


_dripping = next(number for number, kind in _TRAPS.items() if kind == "drip")


class _Server(ThreadingHTTPServer):
    request_queue_size = 128

    def __init__(self, site: TrapSite) -> None:
        self._site = site
        super().__init__(("127.0.0.1", 0), _handler(site))

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._site.count_connection(1)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self._site.count_connection(-1)

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # the crawler hangs up on pages that are too large or too slow


def serve(site: TrapSite) -> Iterator[TrapSite]:
    """Serve the site, and a private server beside it, until the caller is done."""
    guarded: dict[str, TrapSite] = defaultdict(TrapSite)
    servers = [_Server(one) for one in (site, guarded["private"])]
    site.port, site.private_port = (server.server_address[1] for server in servers)
    for server in servers:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield site
    assert not guarded["private"].asked, "the private server was asked"
    for server in servers:
        server.shutdown()
        server.server_close()
