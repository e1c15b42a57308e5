from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from processes import alive, command_of, wait_until

from flows.demo import pydoc_server, pydoc_site
from flows.demo.pydoc_site import ServedSite, serve_pydoc
from pipelines.crawl.stage import run
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from schemas.configs.crawl import CrawlConfig
from schemas.corpus_root import CorpusRoot
from schemas.errors import StageError

# Modules whose pages show addresses, sets, environments, paths, times or processes, and some of each kind beside.
PAGES = [
    "abc", "argparse", "asyncio", "asyncio.events", "builtins", "calendar", "collections", "collections.abc",
    "configparser", "contextlib", "ctypes", "ctypes._endian", "decimal", "difflib", "email.mime.audio",
    "encodings.cp1252", "errno", "hashlib", "http.client", "importlib.metadata", "io", "json", "keyword",
    "locale", "logging", "multiprocessing", "os", "posixpath", "platform", "random", "re", "select", "signal",
    "socket", "sys", "tempfile", "threading", "time", "token", "typing", "unittest.main", "uuid",
    "xml.dom.minidom", "zoneinfo",
]  # fmt: skip


@pytest.fixture(scope="module")
def served() -> Iterator[ServedSite]:
    with serve_pydoc() as site:
        yield site


@pytest.fixture(scope="module")
def other() -> Iterator[ServedSite]:
    with serve_pydoc() as site:
        yield site


def _get(site: ServedSite, path: str) -> httpx.Response:
    return httpx.get(f"http://{site.address}{path}", trust_env=False, timeout=120, verify=False)


def _children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "pydoc_server.py" in command_of(child)]


@pytest.mark.slow
def test_two_servers_give_equal_pages_in_any_order(served: ServedSite, other: ServedSite) -> None:
    pages = {name: _get(served, f"/{name}.html").content for name in PAGES}
    assert {name: _get(other, f"/{name}.html").content for name in reversed(PAGES)} == pages
    assert _get(served, "/").content == _get(other, "/").content
    for name, page in pages.items():
        text = page.decode("utf-8")
        assert f"{name}" in text
        assert not re.search(r"\bat(?:&nbsp;|\s)0x[0-9a-f]", text), name
        assert str(Path(pydoc_site.__file__).parent) not in text, name
    assert " at 0x…" in pages["collections"].decode()


def test_index_and_package_pages_link_to_what_is_served(served: ServedSite) -> None:
    index = _get(served, "/")
    assert index.headers["content-type"] == "text/html; charset=UTF-8"
    names = re.findall(r'href="([^"]+)\.html"', index.text)
    assert len(names) == len(set(names)) > 500
    assert {"os", "json", "json.decoder", "builtins", "sys", "email.mime.audio", "xml.etree.ElementTree"} <= set(names)
    assert not any(pydoc_server.is_left_out(name) for name in names)
    assert names.index("zipimport") < names.index("json.decoder") < names.index("_abc")
    package = _get(served, "/unittest.html").text
    contents = re.findall(r'href="(unittest\.[^"]+)\.html"', package)
    assert "unittest.mock" in contents
    assert set(contents) <= set(names)
    assert "<title>Python: module json.decoder</title>" in _get(served, "/json.decoder.html").text


@pytest.mark.parametrize(
    "path",
    [
        "/antigravity.html",
        "/this.html",
        "/idlelib.html",
        "/test.html",
        "/numpy.html",
        "/os",
        "/../etc/passwd",
        "/x.css",
    ],
)
def test_other_paths_are_not_found(served: ServedSite, path: str) -> None:
    assert _get(served, path).status_code == 404


def test_robots(served: ServedSite) -> None:
    response = _get(served, "/robots.txt")
    assert response.status_code == 200
    assert "Allow: /" in response.text


def test_the_server_is_isolated_and_silent(served: ServedSite) -> None:
    (server,) = [child for child in _children() if child.net_connections()[0].laddr.port == int(served.address[10:])]
    assert server.cmdline()[1:3] == ["-I", "-S"]
    assert "PATH" not in server.environ()
    assert "HOME" not in server.environ()
    page = _get(served, "/os.html").text
    assert "PYTEST_CURRENT_TEST" not in page
    assert "site-packages" not in _get(served, "/sys.html").text


def test_addresses_become_a_fixed_word() -> None:
    text = (
        "<function f at 0x7f3b5c0d2e50> object&nbsp;at&nbsp;0x1f handle 7fb3e20782e0; at 0xyz, handle bad, 0x7fffffff"
    )
    assert pydoc_server.without_addresses(text) == (
        "<function f at 0x…> object&nbsp;at&nbsp;0x… handle 0x…; at 0xyz, handle bad, 0x7fffffff"
    )


def test_what_is_left_out() -> None:
    left_out = [
        "antigravity",
        "this",
        "idlelib.run",
        "turtledemo",
        "ctypes.test.test_x",
        "asyncio.__main__",
        "test.support",
    ]
    assert all(pydoc_server.is_left_out(name) for name in left_out)
    assert not any(pydoc_server.is_left_out(name) for name in ("unittest", "doctest", "turtle", "__future__"))


def test_nothing_in_sys_names_the_place_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    # The page of `sys` shows the first ten keys of this cache: a checkout sorted before the library showed in it.
    place = "/a/checkout/pydoc_server.py"
    started = types.ModuleType("__main__")
    started.__file__ = place
    monkeypatch.setitem(sys.modules, "__main__", started)
    monkeypatch.setitem(sys.path_importer_cache, place, None)
    monkeypatch.setattr(sys, "argv", [place])
    monkeypatch.setattr(sys, "orig_argv", ["python", place])
    pydoc_server.forget_this_file()
    assert place not in sys.path_importer_cache
    assert place not in [*sys.argv, *sys.orig_argv]
    assert not hasattr(started, "__file__")


def test_the_server_ends_with_the_body_and_not_with_an_interrupt_of_the_group() -> None:
    before = {child.pid for child in _children()}
    with serve_pydoc() as site:
        (server,) = [child for child in _children() if child.pid not in before]
        assert os.getpgid(server.pid) != os.getpgrp()
        assert _get(site, "/robots.txt").status_code == 200
    assert not server.is_running()


def test_the_server_dies_when_its_owner_is_killed(repository: Path) -> None:
    script = (
        "import time\n"
        "from flows.demo.pydoc_site import serve_pydoc\n"
        "with serve_pydoc() as site:\n"
        "    print(site.address, flush=True)\n"
        "    time.sleep(600)\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(repository)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    with owner.stdout:
        assert owner.stdout.readline().startswith("127.0.0.1:")
        (server,) = psutil.Process(owner.pid).children()
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    wait_until(lambda: not alive(server), "the end of the server", 60)


def test_a_server_that_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "server.py"
    broken.write_text("raise OSError('no port left')")
    monkeypatch.setattr(pydoc_site, "_SERVER", broken)
    with (
        pytest.raises(StageError, match="the documentation server did not start: OSError: no port left"),
        serve_pydoc(),
    ):
        pass


def test_a_crawl_of_it_is_the_same_whatever_the_port(
    served: ServedSite, other: ServedSite, corpus_root: CorpusRoot
) -> None:
    digests = []
    for partition, site in enumerate((served, other)):
        config = CrawlConfig(seed_urls=(site.url,), connect_to=site.connect_to(), delay_seconds=0, max_pages=12)
        request = StageRequest(
            root=corpus_root, config=config, engine=Engine(), source="pydoc", partition=str(partition)
        )
        (outcome,) = run(request, on_progress=lambda done, limit, url: None).outcomes
        assert outcome.manifest.counts["pages"] == outcome.manifest.counts["status_200"] == 12
        assert outcome.manifest.counts["errors"] == 0
        digests.append((outcome.manifest.digest(), outcome.manifest.fingerprint))
    assert digests[0] == digests[1]
