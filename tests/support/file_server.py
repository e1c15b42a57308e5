"""A web server on the loopback that serves a folder with ranges, and misbehaves on demand."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass
class FileServer:
    """What is served, how, and what was asked for.

    Attributes:
        folder: what lies below `/`.
        url: of the folder, with a slash at its end.
        ranges: whether `Range` is obeyed.
        refusals: status codes with which the next requests (GET alone) are answered, used up in order.
        cut_after: GET answers end, without the rest, behind so many bytes of body; used up in order, None: whole.
        always_cut: every GET answer ends behind so many bytes.
        wrong_range: partial answers begin this many bytes late.
        headers: added to each answer.
        stated_size: whether answers say how long they are.
        log: (method, path, Range header).
    """

    folder: Path
    url: str = ""
    ranges: bool = True
    refusals: list[int] = field(default_factory=list)
    cut_after: list[int | None] = field(default_factory=list)
    always_cut: int | None = None
    wrong_range: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    stated_size: bool = True
    log: list[tuple[str, str, str | None]] = field(default_factory=list)

    def gets(self, end: str) -> list[str | None]:
        """Range headers of the GET requests for paths that end so."""
        return [asked for method, path, asked in self.log if method == "GET" and path.endswith(end)]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: FileServer

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _refuse(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        if status == 503:
            self.send_header("Retry-After", "0")
        self.end_headers()

    def _head(self, status: int, size: int, extra: dict[str, str]) -> None:
        self.send_response(status)
        if self.served.stated_size:
            self.send_header("Content-Length", str(size))
        else:
            self.send_header("Connection", "close")
        for name, value in {**extra, **self.served.headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def do_HEAD(self) -> None:
        """Size and stamp."""
        self._answer(with_body=False)

    def do_GET(self) -> None:
        """The file, or a part of it."""
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        served = self.served
        served.log.append((self.command, self.path, self.headers.get("Range")))
        if with_body and served.refusals:
            self._refuse(served.refusals.pop(0))
            return
        path = served.folder / self.path.lstrip("/")
        if not path.is_file():
            self._refuse(404)
            return
        data = path.read_bytes()
        size = len(data)
        status, extra = 200, {"ETag": f'"{size}-{path.stat().st_mtime_ns}"'}
        asked = _RANGE.fullmatch(self.headers.get("Range") or "")
        if asked and served.ranges and with_body:
            start = int(asked[1]) + served.wrong_range
            end = min(int(asked[2]) if asked[2] else size - 1, size - 1)
            status, extra = 206, {**extra, "Content-Range": f"bytes {start}-{end}/{size}"}
            data = data[start : end + 1]
        self._head(status, len(data), extra)
        if with_body:
            self._send(data)

    def _send(self, data: bytes) -> None:
        cut = self.served.cut_after.pop(0) if self.served.cut_after else self.served.always_cut
        try:
            self.wfile.write(data if cut is None else data[:cut])
        except OSError:
            cut = 0  # the client went away
        if cut is not None or not self.served.stated_size:
            self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that went away."""


@contextmanager
def serve_files(folder: Path) -> Iterator[FileServer]:
    """Serve a folder until the body ends."""
    served = FileServer(folder)
    handler = type("Handler", (_Handler,), {"served": served})
    server = _Server(("127.0.0.1", 0), handler)
    served.url = f"http://127.0.0.1:{server.server_address[1]}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
