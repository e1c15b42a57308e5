"""Serves the documentation of the Python that runs it, as `pydoc` renders it, on the loopback.

Run as a plain file by an isolated interpreter, `python -I -S pydoc_server.py`, with an empty environment: it sees the
standard library alone, so this module imports nothing else. It prints its port as one line, and ends when its standard
input does: the pipe that the starting process holds closes even when that process is killed.

Two servers of one Python give equal bytes for every page. The library is imported in one fixed order, each page is
rendered in a process forked from that state, so that no request shows in a later page, and addresses become a fixed
word. Hash randomization shows nowhere: in three runs each of 3.11.7, 3.12.1 and 3.13.0 all pages were equal.
"""

from __future__ import annotations

import http.server
import importlib
import os
import pkgutil
import pydoc
import re
import select
import socketserver
import sys
import warnings

__all__ = [
    "PydocServer",
    "forget_this_file",
    "import_library",
    "is_left_out",
    "main",
    "render_index",
    "render_module",
    "without_addresses",
]

# Importing these opens a browser, prints, draws windows or runs a program.
_LEFT_OUT = frozenset({"antigravity", "idlelib", "this", "turtledemo"})
_LEFT_OUT_PARTS = frozenset({"__main__", "idle_test", "test", "tests"})
# As in `<object at 0x7f3b5c0d2e50>` and in ctypes' `<PyDLL 'None', handle 7fb3e20782e0>`; pydoc writes some spaces
# as `&nbsp;`.
_ADDRESS = re.compile(r"((?:\s|&nbsp;)(?:at|handle)(?:\s|&nbsp;))(?:0x[0-9a-f]+|[0-9a-f]{8,})")
_ROBOTS = "User-agent: *\nAllow: /\n"


def is_left_out(name: str) -> bool:
    """Whether a module is never imported here, because importing it does more than define names."""
    parts = name.split(".")
    return parts[0] in _LEFT_OUT or not _LEFT_OUT_PARTS.isdisjoint(parts)


def import_library() -> list[str]:
    """Import the standard library, modules of packages too, and name what could be imported, in order of import."""
    names = []
    waiting = sorted(sys.stdlib_module_names, reverse=True)
    while waiting:
        name = waiting.pop()
        if is_left_out(name):
            continue
        try:
            module = importlib.import_module(name)
        except ImportError:  # of another system, or built without
            continue
        names.append(name)
        inner = pkgutil.iter_modules(getattr(module, "__path__", []))
        waiting.extend(sorted((f"{name}.{entry.name}" for entry in inner), reverse=True))
    return names


def without_addresses(text: str) -> str:
    """`text` with each address of an object replaced by `0x…`."""
    return _ADDRESS.sub(r"\g<1>0x…", text)


class _Renderer(pydoc.HTMLDoc):
    """As pydoc renders, but a package page links only to modules that are served."""

    def __init__(self, names: frozenset[str]) -> None:
        super().__init__()
        self.names = names

    def modpkglink(self, modpkginfo: tuple[str, str, bool, bool]) -> str:
        name, path, is_package, shadowed = modpkginfo
        served = (f"{path}.{name}" if path else name) in self.names
        return str(super().modpkglink((name, path, is_package, shadowed or not served)))


def render_module(name: str, names: frozenset[str]) -> str:
    """The page of an imported module; `names` are those that have a page."""
    renderer = _Renderer(names)
    module = sys.modules[name]
    return without_addresses(renderer.page(pydoc.describe(module), renderer.document(module, name)))


def render_index(names: list[str]) -> str:
    """The page that links to all others: top-level modules first, then modules of packages, then private ones."""
    renderer = _Renderer(frozenset(names))
    private = [name for name in names if any(part.startswith("_") for part in name.split("."))]
    public = [name for name in names if name not in set(private)]
    sections = {
        "Modules": [name for name in public if "." not in name],
        "Modules of packages": [name for name in public if "." in name],
        "Private modules": private,
    }
    contents = renderer.heading('<strong class="title">Index of Modules</strong>')
    for title, entries in sections.items():
        links = renderer.multicolumn(entries, lambda name: f'<a href="{name}.html">{name}</a>')
        contents += renderer.bigsection(title, "index", links)
    return renderer.page("Index of Modules", contents)


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers one request; runs in a process of its own."""

    server: PydocServer

    def do_GET(self) -> None:
        name = self.path.removeprefix("/").removesuffix(".html")
        if self.path == "/":
            self._answer(render_index(self.server.names), "text/html")
        elif self.path == "/robots.txt":
            self._answer(_ROBOTS, "text/plain")
        elif self.path == f"/{name}.html" and name in self.server.served:
            self._answer(render_module(name, self.server.served), "text/html")
        else:
            self.send_error(404)

    def _answer(self, text: str, kind: str) -> None:
        body = text.encode("utf-8")
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the base class's
        pass


class PydocServer(socketserver.ForkingMixIn, http.server.HTTPServer):
    """An HTTP/1.0 server on 127.0.0.1, at a port that the system picks; one forked process a request."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.served = frozenset(names)
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        """Bind without the look-up of the host's name that the base class does, which may take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]

    def serve_until_end_of(self, lifeline: int) -> None:
        """Answer requests until the file descriptor `lifeline` has nothing more to read, ever."""
        while True:
            ready, _, _ = select.select([self.fileno(), lifeline], [], [])
            if lifeline in ready and not os.read(lifeline, 4096):
                return
            if self.fileno() in ready:
                self.handle_request()
            self.service_actions()


def forget_this_file() -> None:
    """Take out of `sys`, which has a page, what names the place of this file: no page depends on where it lies."""
    main_module = sys.modules["__main__"]
    sys.argv, sys.orig_argv = [""], [""]
    sys.path_importer_cache.pop(str(main_module.__file__), None)
    del main_module.__file__


def main() -> None:
    """Import, bind, say where, serve."""
    report = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # no import and no page writes to the terminal
    warnings.simplefilter("ignore")
    forget_this_file()
    with PydocServer(import_library()) as server:
        os.write(report, f"{server.server_port}\n".encode())
        os.close(report)
        os.dup2(nowhere, 2)
        server.serve_until_end_of(0)


if __name__ == "__main__":
    main()
