"""Seeds of fuzzing: small real files from the data beside the checkout, and what the project's own writers make."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from backports import zstd
from token_corpus import plan_of, write_stream
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from schemas.configs.model import ModelConfig
from schemas.corpus_root import CorpusRoot
from schemas.manifest import InputRecord, Manifest, OutputFile, TableRecord
from schemas.mixture import MixturePlan
from schemas.run import RunConfig
from schemas.takedown import TakedownList

_MOST_BYTES = 40_000
_ROWS = [
    {"text": "A first row with some words in it.", "url": "https://example.org/1", "date": "2026-01-02"},
    {"text": "Une deuxième ligne, Ünïcödé \U0001f600 in it.", "id": 7, "title": "Zwei", "language": "fr"},
    {"text": "", "metadata": {"url": "https://example.org/3"}},
]
_PAGE = (
    b"<!DOCTYPE html><html><head><meta charset=utf-8><title>A page</title><meta name=robots content=nofollow>"
    b'<base href="/a/"><script type="application/ld+json">{"@type": "Article", "datePublished": "2026-01-02"}</script>'
    b'</head><body><nav><a href="x?y=1#z">more</a></nav><article><p>Words of a paragraph, one after the other, so that'
    b" there is a main text to be found.</p><pre>code</pre><table><tr><td>1</table></article></body></html>"
)
_DUMP = (
    b'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/"><siteinfo><base>https://en.example.org/wiki/Main'
    b'</base><namespaces><namespace key="6">File</namespace></namespaces></siteinfo><page><title>One</title><ns>0</ns>'
    b"<id>1</id><revision><timestamp>2026-01-02T03:04:05Z</timestamp><text>'''One''' is a {{template|a=b}}"
    b" [[link|text]] &lt;ref&gt;x&lt;/ref&gt; {| class=a\n|-\n| cell\n|}</text></revision></page></mediawiki>"
)


def _cut(data: bytes) -> bytes:
    return data[:_MOST_BYTES]


def http_answers() -> list[bytes]:
    """What servers send: pages in several codings, redirects, headers that ask for a pause."""
    packed = gzip.compress(_PAGE, mtime=0)
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (_PAGE[:100], _PAGE[100:])) + b"0\r\n\r\n"
    kind = b"Content-Type: text/html; charset=utf-8\r\n"
    length = b"Content-Length: %d\r\n\r\n"
    return [
        b"HTTP/1.1 200 OK\r\n" + kind + length % len(_PAGE) + _PAGE,
        b"HTTP/1.1 200 OK\r\n" + kind + b"Content-Encoding: gzip\r\n" + length % len(packed) + packed,
        b"HTTP/1.1 200 OK\r\n" + kind + b"Transfer-Encoding: chunked\r\nX-Robots-Tag: noindex\r\n\r\n" + chunks,
        b"HTTP/1.1 302 Found\r\nLocation: /other?a=1#b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 Busy\r\nRetry-After: 120\r\nContent-Length: 2\r\n\r\nno",
        b"HTTP/1.1 429 Slow\r\nRetry-After: Fri, 31 Dec 2027 23:59:59 GMT\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-Robots-Tag: otherbot: noindex, nofollow\r\n\r\n" + _PAGE,
    ]


def robots_texts() -> list[bytes]:
    """robots.txt files."""
    return [
        b"User-agent: *\nDisallow: /private/*.html$\nAllow: /\nCrawl-delay: 2.5\nSitemap: https://example.org/s.xml\n",
        b"\xef\xbb\xbfuser-agent: corpusmill\r\nuser-agent: other\r\ndisallow: /%C3%BC\r\nrequest-rate: 1/10s\r\n",
        b"# nothing\nDisallow:\nvisit-time: 0100-0200\nhost: example.org\n",
    ]


def sitemaps(data: Path) -> list[bytes]:
    """Sitemaps: XML, an index, lines; gzip or not."""
    listed = (data / "html/odd/sitemap-hreflang.xml").read_bytes()
    index = b"<sitemapindex><sitemap><loc>https://example.org/a.xml</loc></sitemap></sitemapindex>"
    return [listed, gzip.compress(listed, mtime=0), index, b"https://example.org/1\nhttps://example.org/2\n"]


def pages(data: Path) -> list[bytes]:
    """HTML pages."""
    odd = sorted((data / "html/odd").glob("*.html"))
    return [_PAGE, *(_cut(path.read_bytes()) for path in odd), "<p>Grüße</p>".encode("utf-16")]


def archives(data: Path) -> list[bytes]:
    """WARC and ARC files, whole or their beginning, plain and compressed."""
    names = ("warcio/example.warc", "warcio/example.warc.gz", "warcio/example.arc.gz", "aut/issue-493.warc")
    whole = [_cut((data / "warc" / name).read_bytes()) for name in names]
    cut = gzip.compress(whole[0][:6000], mtime=0)
    return [*whole, cut, zstd.compress(whole[0][:9000]), bz2.compress(whole[0][:9000])]


def parquet(rows: list[dict[str, Any]], **options: Any) -> bytes:
    """A Parquet file of rows."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [None if row.get(name) is None else str(row[name]) for row in rows] for name in names}
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream, **options)
    return stream.getvalue()


def row_files() -> list[bytes]:
    """JSONL, Parquet and wiki dumps, plain and compressed."""
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in _ROWS)
    packed = [gzip.compress(lines, mtime=0), lzma.compress(lines), zstd.compress(_DUMP)]
    tables = [parquet(_ROWS), parquet(_ROWS * 40, compression="zstd", data_page_version="2.0", row_group_size=50)]
    return [lines, _DUMP, *packed, *tables]


def stored_responses() -> list[bytes]:
    """HTTP messages as archives hold them."""
    coded = b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Type: text/html\r\n\r\n"
    packed = {b"gzip": gzip.compress(_PAGE, mtime=0), b"zstd": zstd.compress(_PAGE), b"br, deflate": _PAGE}
    return [*http_answers(), *(coded % name + body for name, body in packed.items())]


def tokenizer() -> Tokenizer:
    """A small byte-level BPE."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>"]
    trainer = trainers.BpeTrainer(vocab_size=40, special_tokens=special, initial_alphabet=[], show_progress=False)
    made.train_from_iterator(["the cat sees the dog near the house"] * 4, trainer)
    return made


def write_shards(folder: Path) -> tuple[CorpusRoot, MixturePlan]:
    """A corpus of one stream in one shard, and the plan that pins it."""
    root = CorpusRoot(str(folder))
    stream = write_stream(root, "web", "train", np.arange(300) % 17, tokenizer(), shard_tokens=1000)
    plan = plan_of((stream,), {"web": 4}, sequence_length=16, vocabulary_size=tokenizer().get_vocab_size())
    fingerprint = json.loads(
        pa.ipc.open_file(root.folder.path(stream.shards[0].path)).schema.metadata[b"corpusmill.shard"]
    )
    return root, plan.model_copy(update={"tokenizer_fingerprint": fingerprint["tokenizer_fingerprint"]})


def manifests(plan: MixturePlan) -> list[bytes]:
    """What lies in a corpus and in a run as JSON."""
    files = (OutputFile(name="part-0.parquet", rows=3, bytes=10),)
    manifest = Manifest(
        stage="clean",
        stage_version=1,
        source="web",
        partition="one",
        fingerprint="f",
        config={"a": [1, 2.5, None], "b": {"c": "d"}},
        inputs=(InputRecord(name="a", digest="d"),),
        tables={"documents": TableRecord(rows=3, digest="e", files=files)},
    )
    model = ModelConfig(vocabulary_size=40, context=32, layers=2, heads=2, width=32, band=8)
    about = {"root": "r", "mixture": "main", "plan_digest": "d", "tokenizer": "t", "end_of_text": 0, "seed": 1}
    run = RunConfig(**about, model=model, settings={"batch": 8})
    taken = TakedownList(urls=("https://example.org/",), domains=("example.org",), ids=("0" * 32,))
    lease = b'{"host": "other", "pid": 1, "start": "2", "taken_at": 3.5}'
    state = b'{"schema_version": 2, "step": 4, "tokens": 8, "plan_digest": "d", "data": {"a": 1}, "seed": 1}'
    return [*(one.model_dump_json().encode() for one in (manifest, plan, run, taken)), lease, state]


def configs(repository: Path) -> list[bytes]:
    """Stage configs and suites."""
    suites = sorted((repository / "schemas/shipped_suites").glob("*.toml"))
    stages = (
        b'[crawl]\nseed_urls = ["https://example.org/"]\ndelay_seconds = 1.5\n[crawl.connect_to]\n"a:80" = "b:81"\n',
        b'[clean]\npreset = "c4"\nthresholds = { language = 0.5 }\n[clean.columns]\ntext = "body"\n',
        b"[train]\nbatch = 8\nsteps = 10\nmodel = { context = 32, layers = 2, heads = 2, width = 32 }\n",
        b'[mix]\nname = "main"\nweights = { web = 0.5, books = 0.5 }\n[dedup]\nthreshold = 0.8\n',
        b'sources = ["web", "books"]\n',
    )
    asked = (
        b'{"name": "mine", "tasks": [{"name": "a", "kind": "cloze", "items": "a.jsonl", "template": {"query": "{a}"}}]}'
    )
    return [*stages, asked, b'name = "x"\ninclude = ["x.toml"]\n', *(_cut(path.read_bytes())[:1500] for path in suites)]


def task_rows() -> list[bytes]:
    """Rows of tasks and of pairs, JSONL and Parquet."""
    lines = (
        b'{"id": "7", "context": "The sky is", "choices": ["blue", "heavy"], "answer": 0}',
        b'{"id": "7", "prompt": "The sky is", "answers": ["blue"]}',
        b'{"id": "7", "text": "The sky is blue."}\n{"prompt": "The sky is", "answer": "blue", "group": "g"}',
    )
    return [*lines, gzip.compress(lines[0], mtime=0), parquet(_ROWS), b"[" + b",".join(lines[:2]) + b"]", b"a,b\n1,2\n"]
