from __future__ import annotations

import gzip
import hashlib
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from warcio.archiveiterator import ArchiveIterator

from pipelines.crawl.stage import STAGE_VERSION, pending, run
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from pipelines.engine.unit import UnitOutcome
from schemas.corpus_root import CorpusRoot
from schemas.errors import InputError, OutputError

HOST = "http://site.example"
Crawl = Callable[..., UnitOutcome]


def _stored(root: CorpusRoot, outcome: UnitOutcome) -> dict[str, tuple[str, bytes]]:
    """Status and body by URL, in order of storing."""
    folder = Path(root.partition_folder("crawl", outcome.key).path())
    found = {}
    for file in outcome.manifest.tables["crawl"].files:
        with (folder / file.name).open("rb") as stream:
            for record in ArchiveIterator(stream):
                if record.rec_type == "response":
                    url = record.rec_headers.get_header("WARC-Target-URI")
                    assert url not in found
                    found[url] = (record.http_headers.get_statuscode(), record.content_stream().read())
    return found


def _say(site: Any, path: str, rules: str) -> None:
    """Put up a page that says something to crawlers in its headers."""
    site.link(path, "/behind")
    site.pages[path].headers = {**site.pages[path].headers, "X-Robots-Tag": rules}


def test_breadth_first_in_order_of_discovery(site: Any, crawl_into: Crawl, corpus_root: CorpusRoot) -> None:
    site.link("/", "/b", "/a", "/b#again", "http://elsewhere.example/")
    site.link("/b", "/b1", "/", "/a")
    site.link("/a", "/a1", "/b1")
    site.link("/b1", "/deep")
    site.link("/a1", "mailto:x@y.z", "/a1?page=1")
    site.link("/a1?page=1", "/a1?page=1")
    site.link("/deep")
    outcome = crawl_into(site.config())
    assert site.paths == ["/robots.txt", "/", "/b", "/a", "/b1", "/a1", "/deep", "/a1?page=1"]
    assert list(_stored(corpus_root, outcome)) == [HOST + path for path in site.paths[1:]]
    assert outcome.manifest.counts["pages"] == outcome.manifest.counts["status_200"] == 7
    assert outcome.manifest.counts["links_outside"] == 1
    assert outcome.manifest.counts["bytes"] == sum(len(page.body) for page in site.pages.values())


def test_done_is_skipped_and_same_pages_give_the_same_digest(site: Any, crawl_into: Crawl) -> None:
    site.link("/", "/a", "/b")
    site.link("/a")
    site.link("/b")
    first = crawl_into(site.config())
    asked = len(site.asked)
    assert crawl_into(site.config(delay_seconds=0.001)).status == "skipped"
    assert len(site.asked) == asked
    second = crawl_into(site.config(warc_bytes=1), partition="2")
    assert [len(o.manifest.tables["crawl"].files) for o in (first, second)] == [1, 3]
    assert first.manifest.digest() == second.manifest.digest()
    site.link("/b", text="one word more")
    assert crawl_into(site.config(), partition="3").manifest.digest() != first.manifest.digest()


def test_golden_digest(site: Any, crawl_into: Crawl) -> None:
    site.link("/", "/a")
    site.redirect("/a", "/b")
    site.link("/b", text="ü")

    def prefixed(*parts: bytes) -> bytes:
        return b"".join(len(part).to_bytes(8, "big") + part for part in parts)

    rows = []
    for path, status, body in (("/", 200, site.pages["/"].body), ("/a", 301, b""), ("/b", 200, site.pages["/b"].body)):
        payload = f"sha256:{hashlib.sha256(body).hexdigest()}"
        row = prefixed((HOST + path).encode(), str(status).encode(), payload.encode())
        rows.append(hashlib.blake2b(row, digest_size=32).digest())
    digest = crawl_into(site.config()).manifest.tables["crawl"].digest
    assert digest == hashlib.blake2b(b"".join(sorted(rows)), digest_size=32).hexdigest()
    # Changes with what is stored only: raise STAGE_VERSION together with it.
    assert (STAGE_VERSION, digest) == (2, "e55aab3499098f57bffac6b6ee8c3794457c1e5a0c8311ab04d1d4502615f136")


def test_robots_and_crawl_delay_are_honoured(site: Any, crawl_into: Crawl) -> None:
    site.robots("User-agent: *\nDisallow: /no\nCrawl-delay: 0.15\n")
    site.link("/", "/no", "/no/deeper", "/yes")
    site.link("/yes")
    outcome = crawl_into(site.config())
    assert site.paths == ["/robots.txt", "/", "/yes"]
    assert outcome.manifest.counts["robots_denied"] == 2
    assert site.asked[2][0] - site.asked[1][0] >= 0.15
    crawl_into(site.config(obey_robots=False), partition="2")
    assert site.paths[3:] == ["/", "/no", "/no/deeper", "/yes"]


def test_delay_between_all_requests_of_a_host(site: Any, crawl_into: Crawl) -> None:
    site.link("/", "/a", "/missing")
    site.link("/a")
    crawl_into(site.config(delay_seconds=0.12))
    times = [moment for moment, _ in site.asked]
    assert len(times) == 4
    assert all(later - earlier >= 0.12 for earlier, later in itertools.pairwise(times))


def test_limits_of_pages_and_depth(site: Any, crawl_into: Crawl) -> None:
    for number in range(20):  # an endless chain, as calendars are
        site.link(f"/{number or ''}", f"/{number + 1}", "/missing")
    assert crawl_into(site.config(max_pages=3)).manifest.counts["pages"] == 3
    assert site.counts["/3"] == 0
    outcome = crawl_into(site.config(max_depth=2, sitemaps=False), partition="2")
    assert outcome.manifest.counts["pages"] == 3
    assert outcome.manifest.counts["not_asked_for"] == 0
    assert outcome.manifest.counts["links_too_deep"] == 1


def test_errors_are_counted_and_listed(site: Any, crawl_into: Crawl, corpus_root: CorpusRoot) -> None:
    site.link("/", "/missing", "/broken", "/huge", "/chunked", "/image", "/cut", "/ok")
    site.link("/ok")
    site.pages["/broken"] = type(site.pages["/"])(b"oh", 500)
    site.pages["/huge"] = type(site.pages["/"])(b"x" * 5000)
    site.pages["/chunked"] = type(site.pages["/"])(
        b"1388\r\n" + b"x" * 5000 + b"\r\n0\r\n\r\n",
        headers={"Content-Type": "text/html", "Transfer-Encoding": "chunked"},
    )
    site.pages["/image"] = type(site.pages["/"])(b"\x89PNG", headers={"Content-Type": "image/png"})
    site.pages["/cut"] = type(site.pages["/"])(b"half", headers={"Content-Type": "text/html", "Content-Length": "99"})
    outcome = crawl_into(site.config(max_bytes=1000, retries=1))
    counts, notes = outcome.manifest.counts, outcome.manifest.notes
    assert {name: counts[name] for name in ("pages", "errors", "other_content_types", "status_404", "status_500")} == {
        "pages": 2,
        "errors": 5,
        "other_content_types": 1,
        "status_404": 1,
        "status_500": 1,
    }
    assert [(failure["url"], failure["error"]) for failure in notes["failures"]] == [
        (f"{HOST}/missing", "status-404"),
        (f"{HOST}/broken", "status-500"),
        (f"{HOST}/huge", "too-large"),
        (f"{HOST}/chunked", "too-large"),
        (f"{HOST}/cut", "connection"),
    ]
    assert notes["failures_not_listed"] == 0
    assert (site.counts["/broken"], site.counts["/cut"], site.counts["/missing"], counts["retries"]) == (2, 2, 1, 2)
    assert {url: status for url, (status, _) in _stored(corpus_root, outcome).items()} == {
        f"{HOST}/": "200",
        f"{HOST}/missing": "404",
        f"{HOST}/broken": "500",
        f"{HOST}/ok": "200",
    }


def test_a_hiccup_is_got_over(site: Any, crawl_into: Crawl) -> None:
    site.link("/", "/shy")
    good = site.pages["/"]
    replies = iter([type(good)(b"", 503, {"Retry-After": "0"}), good])
    site.pages["/shy"] = lambda: next(replies)
    manifest = crawl_into(site.config()).manifest
    assert (manifest.counts["pages"], manifest.counts["errors"], manifest.counts["retries"]) == (2, 0, 1)


def test_a_slow_page_is_given_up(site: Any, crawl_into: Crawl) -> None:
    site.link("/", "/slow")
    page = site.pages["/"]

    given_up = threading.Event()

    def slow() -> Any:
        given_up.wait(60)
        return page

    site.pages["/slow"] = slow
    manifest = crawl_into(site.config(timeout_seconds=2, retries=0)).manifest
    given_up.set()
    assert manifest.counts["error_connection"] == 1
    assert manifest.notes["failures"][0]["message"] == "timed out"


def test_compressed_pages_are_stored_as_they_read(site: Any, crawl_into: Crawl, corpus_root: CorpusRoot) -> None:
    site.link("/", "/zip", "/bomb", "/broken")
    kind = type(site.pages["/"])
    headers = {"Content-Type": "text/html", "Content-Encoding": "gzip"}
    site.pages["/zip"] = kind(gzip.compress(b'<a href="/inside">x</a>'), headers=headers)
    site.pages["/bomb"] = kind(gzip.compress(b" " * 2_000_000), headers=headers)
    site.pages["/broken"] = kind(b"no gzip", headers=headers)
    site.link("/inside")
    outcome = crawl_into(site.config(max_bytes=1_000_000, retries=0))
    assert _stored(corpus_root, outcome)[f"{HOST}/zip"] == ("200", b'<a href="/inside">x</a>')
    assert f"{HOST}/inside" in _stored(corpus_root, outcome)
    errors = {failure["url"]: failure["error"] for failure in outcome.manifest.notes["failures"]}
    assert errors == {f"{HOST}/bomb": "too-large", f"{HOST}/broken": "connection"}


def test_redirects(site: Any, crawl_into: Crawl, corpus_root: CorpusRoot) -> None:
    site.link("/", "/old", "/loop", "/out", "/nowhere", "/chain0", "/new")
    site.redirect("/old", "new", 302)
    site.link("/new")
    site.redirect("/loop", "/loop")
    site.redirect("/out", "http://elsewhere.example/")
    site.redirect("/nowhere", "mailto:x@y.z")
    for step in range(4):
        site.redirect(f"/chain{step}", f"/chain{step + 1}")
    outcome = crawl_into(site.config(max_redirects=2))
    stored = _stored(corpus_root, outcome)
    assert stored[f"{HOST}/old"][0] == "302"
    assert stored[f"{HOST}/new"][0] == "200"
    assert site.counts["/new"] == site.counts["/loop"] == 1
    assert site.counts["/chain3"] == 0
    assert outcome.manifest.counts["links_outside"] == 1
    errors = {failure["url"]: failure["error"] for failure in outcome.manifest.notes["failures"]}
    assert errors == {f"{HOST}/nowhere": "bad-redirect", f"{HOST}/chain2": "too-many-redirects"}


def test_a_seed_may_move_to_another_host(make_site: Any, crawl_into: Crawl) -> None:
    here, there = make_site(), make_site()
    here.redirect("/", "http://www.site.example/")
    there.link("/", "/a", f"{HOST}/b")
    there.link("/a")
    here.link("/b")
    both = {"site.example:80": f"127.0.0.1:{here.port}", "www.site.example:80": f"127.0.0.1:{there.port}"}
    manifest = crawl_into(here.config(connect_to=both)).manifest
    assert manifest.counts["pages"] == 3
    assert there.paths == ["/robots.txt", "/", "/a"]
    assert here.paths == ["/robots.txt", "/", "/b"]


def test_a_redirect_to_a_private_address_is_refused(make_site: Any, crawl_into: Crawl) -> None:
    site, secret = make_site(), make_site()
    secret.link("/")
    site.redirect("/", f"http://127.0.0.1:{secret.port}/")
    site.link("/good")
    seeds = [f"{HOST}/", f"{HOST}/good"]
    manifest = crawl_into(site.config(seed_urls=seeds, retries=0)).manifest
    assert secret.asked == []
    (failure,) = manifest.notes["failures"]
    assert failure["error"] == "private-address"
    assert "is at the private address 127.0.0.1" in failure["message"]
    crawl_into(site.config(seed_urls=seeds, allow_private_addresses=True), partition="2")
    assert secret.paths == ["/robots.txt", "/"]


def test_sitemaps_of_robots(site: Any, crawl_into: Crawl, corpus_root: CorpusRoot) -> None:
    def xml(kind: str, *paths: str) -> Any:
        inner = "".join(f"<{kind}><loc>{HOST}{path}</loc></{kind}>" for path in paths)
        return type(site.pages["/"])(f"<all>{inner}</all>".encode(), headers={"Content-Type": "application/xml"})

    site.link("/", "/linked")
    site.link("/linked")
    site.link("/listed")
    site.link("/hidden")
    site.robots(
        "Sitemap: /index.xml\nSitemap: http://elsewhere.example/x.xml\nSitemap: /moved.xml\nSitemap: /away.xml\n"
    )
    site.redirect("/away.xml", "http://elsewhere.example/y.xml")
    site.pages["/index.xml"] = xml("sitemap", "/inner.xml")
    site.redirect("/moved.xml", "/moved-here.xml")
    site.pages["/moved-here.xml"] = xml("url", "/listed")
    site.pages["/inner.xml"] = xml("url", "/hidden")
    site.pages["/third.xml"] = xml("url", "/never")
    outcome = crawl_into(site.config())
    stored = _stored(corpus_root, outcome)
    assert set(stored) == {HOST + path for path in ("/", "/linked", "/listed", "/hidden")}
    assert outcome.manifest.counts["sitemaps"] == 3
    assert outcome.manifest.counts["errors"] == 0
    assert set(_stored(corpus_root, crawl_into(site.config(sitemaps=False), "2"))) == {f"{HOST}/", f"{HOST}/linked"}


@pytest.mark.parametrize(
    ("arrange", "settings", "message"),
    [
        (lambda site: None, {"connect_to": {"site.example:80": "127.0.0.1:1"}, "retries": 0}, "Connection refused"),
        (lambda site: site.robots("User-agent: *\nDisallow: /"), {}, "its robots.txt forbids it"),
        (lambda site: None, {}, "http://site.example/: 404 Not Found"),
        (lambda site: site.link("/"), {"connect_to": {}, "seed_urls": ["http://localhost:1/"]}, "private address"),
        (lambda site: site.link("/"), {"content_types": ["text/plain"]}, "no answer of the content types text/plain"),
        (lambda site: _say(site, "/", "noindex"), {}, "its pages say noindex"),
    ],
)
def test_nothing_stored_is_an_error_and_tried_again(
    site: Any, crawl_into: Crawl, arrange: Callable[[Any], None], settings: dict[str, object], message: str
) -> None:
    arrange(site)
    with pytest.raises(InputError, match=r"crawl of http://.* stored no page: ") as caught:
        crawl_into(site.config(**settings))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    asked = len(site.asked)
    with pytest.raises(InputError, match="check the seed URLs"):
        crawl_into(site.config(**settings))
    assert len(site.asked) == 2 * asked


def test_a_seed_that_cannot_be_asked_for(site: Any, crawl_into: Crawl) -> None:
    with pytest.raises(InputError, match=r"seed URL 'http://a\.example:0x50/' cannot be asked for"):
        crawl_into(site.config().model_copy(update={"seed_urls": ("http://a.example:0x50/",)}))


def test_pending(site: Any, crawl_into: Crawl, corpus_root: CorpusRoot) -> None:
    site.link("/")
    config = site.config()
    request = StageRequest(root=corpus_root, config=config, engine=Engine(), source="web", partition="1")
    assert pending(request) == 1
    crawl_into(config)
    assert pending(request) == 0
    with pytest.raises(InputError, match="give --source NAME and --partition NAME"):
        pending(StageRequest(root=corpus_root, config=config, engine=Engine(), source="web"))


def test_asking_whether_it_is_done_imports_little(repository: Path) -> None:
    code = "import sys, pipelines.crawl.stage; print({'apache_beam', 'httpx', 'lxml', 'warcio'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_only_local_roots(site: Any) -> None:
    request = StageRequest(
        root=CorpusRoot("memory://corpus"), config=site.config(), engine=Engine(), source="web", partition="1"
    )
    with pytest.raises(OutputError, match="crawl writes to a local disk only, got --root memory://corpus"):
        run(request)


def test_progress_line(site: Any, corpus_root: CorpusRoot, capsys: pytest.CaptureFixture[str]) -> None:
    site.link("/", "/a")
    site.link("/a", text="x" * 120_000)
    seen: list[tuple[int, int, str]] = []
    request = StageRequest(
        root=corpus_root, config=site.config(max_pages=2), engine=Engine(), source="web", partition="1"
    )
    run(request)
    assert capsys.readouterr().err == "crawl web/1  2/2 pages  0.1 MB\n"
    other = StageRequest(
        root=corpus_root, config=site.config(max_pages=2), engine=Engine(), source="web", partition="2"
    )
    run(other, on_progress=lambda done, limit, url: seen.append((done, limit, url)))
    assert seen == [(1, 2, f"{HOST}/"), (2, 2, f"{HOST}/a")]


def test_noindex_and_nofollow(site: Any, crawl_into: Crawl, corpus_root: CorpusRoot) -> None:
    site.link("/", "/quiet", "/closed")
    _say(site, "/quiet", "noindex")
    _say(site, "/closed", "nofollow, otherbot: noindex")
    site.link("/behind")
    site.link("/closed-behind")
    outcome = crawl_into(site.config())
    assert set(_stored(corpus_root, outcome)) == {f"{HOST}{path}" for path in ("/", "/closed", "/behind")}
    assert outcome.manifest.notes["noindex"] == [f"{HOST}/quiet"]
    assert outcome.manifest.notes["noindex_not_listed"] == 0
    assert (outcome.manifest.counts["noindex"], outcome.manifest.counts["links_not_followed"]) == (1, 1)
    whole = crawl_into(site.config(obey_noindex=False, obey_nofollow=False), "2")
    assert f"{HOST}/quiet" in _stored(corpus_root, whole)
    assert (whole.manifest.counts["noindex"], whole.manifest.counts["links_not_followed"]) == (0, 0)


def test_a_host_that_asks_for_long_pauses_is_left_alone(make_site: Any, crawl_into: Crawl) -> None:
    site, slow, busy = make_site(), make_site(), make_site()
    hosts = {"site.example:80": site, "slow.example:80": slow, "busy.example:80": busy}
    connect = {name: f"127.0.0.1:{one.port}" for name, one in hosts.items()}
    seeds = [f"{HOST}/", "http://slow.example/", "http://busy.example/a", "http://busy.example/b"]
    site.link("/")
    slow.robots("User-agent: *\nCrawl-delay: 1000\n")
    busy.pages["/a"] = type(site.pages["/"])(b"", 503, {"Retry-After": "1000"})
    started = time.monotonic()
    manifest = crawl_into(site.config(seed_urls=seeds, connect_to=connect, max_pause_seconds=5)).manifest
    assert time.monotonic() - started < 500
    assert [(one["error"], one["message"]) for one in manifest.notes["failures"]] == [
        ("crawl-delay", "robots.txt asks for 1000 s between requests"),
        ("status-503", "503 Service Unavailable"),
        ("left-alone", "it asked for a pause of more than 5 s"),
    ]
    assert slow.paths == ["/robots.txt"]
    assert busy.paths == ["/robots.txt", "/a"]


def test_the_whole_host_waits_when_a_page_asks_for_a_pause(site: Any, crawl_into: Crawl) -> None:
    site.link("/", "/busy", "/next")
    site.link("/next")
    good = site.pages["/next"]
    replies = iter([type(good)(b"", 429, {"Retry-After": "1"}), good])
    site.pages["/busy"] = lambda: next(replies)
    assert crawl_into(site.config()).manifest.counts["pages"] == 3
    assert site.paths == ["/robots.txt", "/", "/busy", "/busy", "/next"]
    assert site.asked[3][0] - site.asked[2][0] >= 1


def test_a_host_that_breaks_every_connection_is_left_alone(site: Any, crawl_into: Crawl) -> None:
    site.link("/", *(f"/{number}" for number in range(20)))
    for number in range(20):
        site.pages[f"/{number}"] = type(site.pages["/"])(b"half", headers={"Content-Length": "99"})
    counts = crawl_into(site.config(host_failures=3, retries=0)).manifest.counts
    assert (counts["error_connection"], counts["error_left-alone"]) == (3, 17)
    assert len(site.asked) == 2 + 3


def test_robots_that_redirects_to_another_host(make_site: Any, crawl_into: Crawl) -> None:
    here, there = make_site(), make_site()
    connect = {"site.example:80": f"127.0.0.1:{here.port}", "there.example:80": f"127.0.0.1:{there.port}"}
    here.redirect("/robots.txt", "http://there.example/rules.txt")
    there.pages["/rules.txt"] = type(here.pages["/robots.txt"])(b"User-agent: *\nDisallow: /no\n", 200, {})
    here.link("/", "/no", "/yes")
    here.link("/yes")
    manifest = crawl_into(here.config(connect_to=connect)).manifest
    assert (manifest.counts["pages"], manifest.counts["robots_denied"]) == (2, 1)
    assert there.paths == ["/rules.txt"]
