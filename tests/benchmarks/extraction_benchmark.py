"""Main-text extraction on the article benchmark: F1 over word 4-grams, and pages a second on one core.

    python tests/benchmarks/extraction_benchmark.py [DATA_FOLDER]

The score is that of the benchmark's authors: 4-grams of `\\w+` with their multiplicity, true positives counted per
page, precision and recall averaged over pages, F1 of the two averages. Time is that of the process, from the bytes of
a page to its text as the stage does it: charset, parsing, limits, metadata, extraction.
"""

from __future__ import annotations

import gzip
import json
import re
import statistics
import sys
import time
from collections import Counter
from pathlib import Path

from pipelines.cleaning.charset import decode_body
from pipelines.cleaning.extraction import EXTRACTORS, extract_text
from pipelines.cleaning.html_page import parse_page

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
ROUNDS = 3


def four_grams(text: str) -> Counter[tuple[str, ...]]:
    words = re.findall(r"\w+", text)
    return Counter(tuple(words[i : i + 4]) for i in range(max(1, len(words) - 3)) if words)


def score(wanted: dict[str, str], found: dict[str, str]) -> tuple[float, float, float]:
    precisions, recalls = [], []
    for page, text in wanted.items():
        true, seen = four_grams(text), four_grams(found[page])
        both = (true & seen).total()
        precisions += [both / seen.total()] if seen else []
        recalls += [both / true.total()] if true else []
    precision, recall = statistics.mean(precisions), statistics.mean(recalls)
    return 2 * precision * recall / (precision + recall), precision, recall


def text_of(body: bytes, extractor: str) -> str:
    html, _ = decode_body(body, None, html=True)
    page = parse_page(html, 10**6, 250)
    page.facts()
    return extract_text(page, extractor)  # type: ignore[arg-type]


def main() -> None:
    folder = (Path(sys.argv[1]) if len(sys.argv) > 1 else DATA) / "extraction" / "aeb"
    truth = json.loads(gzip.decompress((folder / "ground-truth.json.gz").read_bytes()))
    wanted = {page: entry.get("articleBody", "") for page, entry in truth.items()}
    bodies = {page: gzip.decompress((folder / "html" / f"{page}.html.gz").read_bytes()) for page in wanted}
    print(f"{len(bodies)} pages, {statistics.mean(map(len, bodies.values())):.0f} bytes on average")
    print("extractor    F1      precision  recall  pages/s")
    for extractor in EXTRACTORS:
        found = {page: text_of(body, extractor) for page, body in bodies.items()}
        seconds = []
        for _ in range(ROUNDS):
            start = time.process_time()
            for body in bodies.values():
                text_of(body, extractor)
            seconds.append(time.process_time() - start)
        f1, precision, recall = score(wanted, found)
        print(f"{extractor:12} {f1:.4f}  {precision:.4f}     {recall:.4f}  {len(bodies) / min(seconds):.0f}")


if __name__ == "__main__":
    main()
