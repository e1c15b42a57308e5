"""Main-text extraction on the article benchmark: F1 over word 4-grams, and pages a second on one core.

    make bench-extraction

The score is that of the benchmark's authors: 4-grams of `\\w+` with their multiplicity, true positives counted per
page, precision and recall averaged over pages, F1 of the two averages. Ours are timed from the bytes of a page to its
text as the stage does it (charset, limits, metadata, extraction), the others from decoded text to text. The weights of
`blocks` were fitted on these pages among others: its score is that of five models, each asked about pages that it was
not fitted on.
"""

from __future__ import annotations

import gzip
import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fit_main_text import article_score, cross_validated, passage_score, shuffled_pages

from pipelines.cleaning.charset import decode_body
from pipelines.cleaning.extraction import EXTRACTORS, extract_text
from pipelines.cleaning.html_page import parse_page

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
ROUNDS = 3


def decoded(body: bytes) -> str:
    return decode_body(body, None, html=True)[0]


def ours(extractor: str) -> Callable[[bytes], str]:
    def text_of(body: bytes) -> str:
        page = parse_page(decoded(body), 10**6, 250)
        page.facts()
        return extract_text(page, extractor)  # type: ignore[arg-type]

    return text_of


def _rs_trafilatura(module: Any, html: str) -> str:
    return str(module.extract(html).main_content or "")


def _readability(module: Any, html: str) -> str:
    import lxml.html

    summary = module.Document(html).summary()
    return str(lxml.html.fromstring(summary).text_content()) if summary else ""


def _justext(module: Any, html: str) -> str:
    paragraphs = module.justext(html.encode(), module.get_stoplist("English"), encoding="utf-8")
    return "\n".join(one.text for one in paragraphs if not one.is_boilerplate)


OTHERS: dict[str, tuple[str, Callable[[Any, str], str]]] = {
    "rs-trafilatura": ("rs_trafilatura", _rs_trafilatura),
    "readability-lxml": ("readability", _readability),
    "justext": ("justext", _justext),
}


def contenders() -> dict[str, Callable[[bytes], str]]:
    found = {name: ours(name) for name in EXTRACTORS}
    for name, (module_name, extract) in OTHERS.items():
        module = importlib.import_module(module_name)
        found[name] = lambda body, module=module, extract=extract: extract(module, decoded(body))  # type: ignore[misc]
    return found


def main() -> None:
    folder = DATA / "extraction" / "aeb"
    truth = json.loads(gzip.decompress((folder / "ground-truth.json.gz").read_bytes()))
    wanted = {page: entry.get("articleBody", "") for page, entry in truth.items()}
    bodies = {page: gzip.decompress((folder / "html" / f"{page}.html.gz").read_bytes()) for page in wanted}
    print(f"{len(bodies)} pages, {statistics.mean(map(len, bodies.values())):.0f} bytes on average\n")
    articles, passages, pages = shuffled_pages()
    held_out = cross_validated(pages)
    print("| extractor | F1 | precision | recall | pages/s |\n|---|---:|---:|---:|---:|")
    for name, extract in contenders().items():
        found = {page: extract(body) for page, body in bodies.items()}
        seconds = []
        for _ in range(ROUNDS):
            start = time.process_time()
            for body in bodies.values():
                extract(body)
            seconds.append(time.process_time() - start)
        texts = [(wanted[page], found[page]) for page in wanted]
        if name == "blocks":
            texts = [(page.text, held_out[id(page)]) for page in articles]
        f1, precision, recall = article_score(texts)
        print(f"| {name} | {f1:.4f} | {precision:.4f} | {recall:.4f} | {len(bodies) / min(seconds):.0f} |")
        sys.stdout.flush()
    f1, share, wrong = passage_score((page, held_out[id(page)]) for page in passages)
    print(f"\nblocks on {len(passages)} other pages, held out: F1 {f1:.3f}, wanted {share:.3f}, unwanted {wrong:.3f}")


if __name__ == "__main__":
    main()
