"""A proxy on the loopback before an S3 server: it counts what is asked for, and lets answers and requests get lost.

What goes wrong is drawn from a seed, so a run can be repeated. What fails for a request does not fail for it more often
than clients try again.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["FAULTS", "FaultProxy", "fault_proxy"]

# An answer that says so, one that asks for patience, an answer that ends early, a request that never arrives, and one
# that arrives and whose answer does not.
FAULTS = ("500", "503", "cut", "lost", "unanswered")
_ERROR = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>{text}</Message></Error>"
_ERRORS = {
    "500": ("InternalError", "We encountered an internal error."),
    "503": ("SlowDown", "Reduce your request rate."),
}
_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"})


@dataclass
class FaultProxy:
    """What was asked for, and how much of it goes wrong.

    Attributes:
        target: URL of the server behind.
        url: of the proxy.
        share: of requests that go wrong.
        faults: the kinds that are drawn from.
        in_a_row: how often one request may go wrong; botocore asks five times, and s3fs more where a connection broke.
        requests: how many of each operation were made, those that went wrong too.
        failed: how many went wrong, by kind.
        parts_lost: how many parts of multipart uploads were among them.
    """

    target: str
    url: str = ""
    share: float = 0.0
    faults: tuple[str, ...] = FAULTS
    in_a_row: int = 2
    seed: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    parts_lost: int = 0
    _row: Counter[tuple[str, str]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _random: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self._random.seed(self.seed)

    def draw(self, method: str, path: str) -> str | None:
        """What goes wrong with this request, if anything."""
        operation = operation_of(method, path)
        with self._lock:
            self.requests[operation] += 1
            request = (method, path)
            if self._random.random() >= self.share or self._row[request] >= self.in_a_row:
                del self._row[request]
                return None
            self._row[request] += 1
            fault = self._random.choice(self.faults)
            self.failed[fault] += 1
            self.parts_lost += operation == "UploadPart"
            return fault


def operation_of(method: str, path: str) -> str:
    """The S3 operation, as Amazon names and bills it."""
    parts = urlsplit(path)
    query = parse_qs(parts.query, keep_blank_values=True)
    has_key = "/" in parts.path.strip("/")
    if method == "GET":
        return "GetObject" if has_key and "uploadId" not in query else "List"
    if method == "PUT":
        return "UploadPart" if "uploadId" in query else "PutObject" if has_key else "CreateBucket"
    if method == "POST":
        if "delete" in query:
            return "DeleteObjects"
        return "CompleteMultipartUpload" if "uploadId" in query else "CreateMultipartUpload"
    if method == "DELETE":
        return "AbortMultipartUpload" if "uploadId" in query else "DeleteObject"
    return "HeadObject" if has_key else "HeadBucket"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    about: FaultProxy

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            whole = bytearray()
            while size := int(self.rfile.readline().split(b";")[0], 16):
                whole += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return bytes(whole)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _behind(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP | {"expect"}}
        with closing(HTTPConnection(urlsplit(self.about.target).netloc, timeout=60)) as server:
            server.request(self.command, self.path, body, headers)
            answer = server.getresponse()
            return answer.status, answer.getheaders(), answer.read()

    def _answer(self, status: int, headers: list[tuple[str, str]], data: bytes, upto: int | None = None) -> None:
        stated = {name.lower(): value for name, value in headers}
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in _HOP:
                self.send_header(name, value)
        # The length of what a HEAD asks about is not that of its answer.
        self.send_header("Content-Length", stated["content-length"] if self.command == "HEAD" else str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[:upto])
        if upto is not None:
            self.close_connection = True

    def _pass(self) -> None:
        body = self._body()
        fault = self.about.draw(self.command, self.path)
        if fault in _ERRORS:
            code, text = _ERRORS[fault]
            self._answer(int(fault), [("Content-Type", "text/xml")], _ERROR.format(code=code, text=text).encode())
            return
        if fault == "lost":
            self.close_connection = True
            return
        try:
            status, headers, data = self._behind(body)
        except (OSError, HTTPException):  # the server ends before its clients do
            self.close_connection = True
            return
        if fault == "unanswered":
            self.close_connection = True
            return
        self._answer(status, headers, data, len(data) // 2 if fault == "cut" else None)

    def _quietly(self) -> None:
        with suppress(ConnectionError):
            self._pass()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):  # how the base class asks for what answers a method
            return self._quietly
        raise AttributeError(name)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that went away."""


@contextmanager
def fault_proxy(target: str, **about: Any) -> Iterator[FaultProxy]:
    """Stand before an S3 server until the body ends."""
    proxy = FaultProxy(target, **about)
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"about": proxy}))
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
