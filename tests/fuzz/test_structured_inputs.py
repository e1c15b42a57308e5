"""Inputs that random bytes never come near: headers, records and settings that are nearly right."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import fuzz_stored_data as stored
import pytest
import tomli_w
from fuzz_targets import archive, http_answer, stored_http
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.configs.base import load_config
from schemas.configs.clean import CleanConfig
from schemas.configs.crawl import CrawlConfig
from schemas.configs.decontaminate import DecontaminateConfig
from schemas.configs.dedup import DedupConfig
from schemas.configs.evaluate import EvaluateConfig
from schemas.configs.finetune import FinetuneConfig
from schemas.configs.generate import GenerateConfig
from schemas.configs.mix import MixConfig
from schemas.configs.train import TrainConfig
from schemas.configs.tune import TuneConfig
from schemas.errors import UserError
from schemas.suites import read_suite

_NAMES = st.sampled_from(
    (
        *("Content-Type", "Content-Length", "Content-Encoding", "Transfer-Encoding", "Location", "Retry-After"),
        *("X-Robots-Tag", "Set-Cookie", "Link", "content-type"),
    )
)
_LINE = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\r\n\0"), max_size=40)
_VALUES = _LINE | st.sampled_from(
    (
        *("text/html; charset=utf-16", "text/html;charset=", "gzip, br", "zstd", "chunked", "0", "-1", "9" * 30, "//["),
        *("Fri, 99 Zzz 9999 99:99:99 +9999", "http://exämple.org:99/ü?a b", "otherbot: noindex, nofollow", "a=ü; b"),
    )
)
_BODIES = st.binary(max_size=60) | st.sampled_from([b"<p>text</p>", gzip.compress(b"<p>text</p>", mtime=0), b"5\r\nab"])


@st.composite
def _http_messages(draw: st.DrawFn) -> bytes:
    status = draw(
        st.sampled_from([b"200 OK", b"200", b"302 Found", b"404 Gr\xfc\xdfe", b"429 ", b"503 Busy", b"999 x"])
    )
    fields = [f"{name}: {value}" for name, value in draw(st.lists(st.tuples(_NAMES, _VALUES), max_size=6))]
    end = draw(st.sampled_from([b"\r\n", b"\n"]))
    coding = draw(st.sampled_from(["utf-8", "utf-16-le"]))
    lines = [b"HTTP/1.1 " + status, *(field.encode(coding).replace(b"\n", b"") for field in fields)]
    return end.join(lines) + end * 2 + draw(_BODIES)


@given(_http_messages())
@example("HTTP/1.1 200 OK\r\nSet-Cookie: größe=1\r\n\r\n".encode())
@example(b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=\x04utf\r\n\r\n<p>")
def test_a_message_is_an_answer_on_the_wire_and_in_an_archive(message: bytes):
    http_answer(message)
    stored_http(message)


@st.composite
def _records(draw: st.DrawFn) -> bytes:
    body = draw(_http_messages() | st.binary(max_size=30))
    length = len(body) + draw(st.sampled_from([0, 0, 0, 0, 1, -1, 2, 10**6]))
    stated = draw(
        st.sampled_from([f"{length}", f"{length}", f"{length}", f" {length} ", f"+{length}", f"{length}.0", ""])
    )
    kind = draw(st.sampled_from(["response", "resource", "conversion", "revisit", "request", "RESPONSE", ""]))
    lines = [
        draw(st.sampled_from(["WARC/1.0", "WARC/1.0", "WARC/1.1", "WARC/0.18 ", "warc/1.0"])),
        f"WARC-Type: {kind}",
        f"WARC-Target-URI: {draw(_LINE)}",
        f"WARC-Date: {draw(st.sampled_from(['2026-01-02T03:04:05Z', '0001-01-01T00:00:00+23:59', 'x', '20260102']))}",
        f"Content-Length: {stated}",
        *draw(
            st.lists(st.sampled_from([" folded", "no colon", "Content-Length: 3", "\tWARC-Type: x", ": "]), max_size=2)
        ),
    ]
    end = draw(st.sampled_from(["\r\n", "\n"]))
    return (
        (end.join(lines) + end * 2).encode() + body + draw(st.sampled_from([b"\r\n\r\n", b"\n", b"", b"\r\n\r\n\r\n"]))
    )


@given(st.lists(_records(), min_size=1, max_size=4), st.sampled_from(["plain", "members", "whole"]))
def test_as_many_records_are_read_as_are_counted(records: list[bytes], packed: str):
    data = b"".join(gzip.compress(one, mtime=0) if packed == "members" else one for one in records)
    archive(gzip.compress(data, mtime=0) if packed == "whole" else data)


_KINDS = (
    CrawlConfig,
    CleanConfig,
    DedupConfig,
    DecontaminateConfig,
    EvaluateConfig,
    FinetuneConfig,
    GenerateConfig,
    MixConfig,
    TrainConfig,
    TuneConfig,
)
_KEYS = st.sampled_from([*sorted({name for kind in _KINDS for name in kind.model_fields}), "no_such_key"])
_SCALARS = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | _LINE
    | st.sampled_from(["", "0", "http://a:b@c/", "full"])
    | st.dates()
)
_SETTINGS = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS | _LINE, inner, max_size=3),
    max_leaves=6,
)


def _refused(read: Callable[[], object]) -> str:
    """What a user is told; nothing where all is well."""
    try:
        read()
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("kind", _KINDS)
@example(stated={"preset": []})
@settings(max_examples=50)
@given(stated=st.dictionaries(_KEYS, _SETTINGS, max_size=4))
def test_settings_are_taken_or_refused_in_one_line(kind: type, stated: dict[str, object]):
    path = stored.scratch_file("settings.toml", tomli_w.dumps({kind.stage: stated}).encode())
    assert "\n" not in _refused(lambda: load_config(kind, path))


# No file is looked for on other machines.
_LOCAL = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.text("ab./ ", max_size=6) | st.just("s.toml"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "kind", "items"]), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["name", "tasks", "include", "defaults"]), _LOCAL, max_size=4))
@example({"name": "s", "include": 7})
@example({"name": "s", "defaults": [1], "tasks": [{}]})
def test_a_suite_is_taken_or_refused(content: dict[str, object]):
    path = stored.scratch_file("suite/s.toml", tomli_w.dumps(content).encode())
    assert "\n" not in _refused(lambda: read_suite(path))
