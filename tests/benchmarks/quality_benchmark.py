"""The quality classifier on real texts: does it rank texts of sites it never saw, and what does a score cost.

    python tests/benchmarks/quality_benchmark.py [DATA_FOLDER]

Learned from: an encyclopedia and books against the whole text of HTML pages (documentation). Measured on held-out
documents of these, and on 91 news and blog pages of other sites: the article by its human annotators against the other
lines of the same page.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
import tarfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from resiliparse.extract.html2text import extract_plain_text

from pipelines.quality.passages import Passage, PassageSample, passages_of
from pipelines.quality.ranking import area_under_curve
from pipelines.quality.training import train
from schemas.configs.quality import QualityConfig
from schemas.identity import content_hash

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
PAGES = ("httpd-manual", "ipython-docs", "w3c-i18n", "git-htmldocs")


def plain(content: bytes) -> str:
    return str(extract_plain_text(content.decode("utf-8", "replace"), main_content=False))


def wiki(data: Path) -> list[str]:
    text = gzip.decompress((data / "text/wiki/wikitext-2.valid.txt.gz").read_bytes()).decode()
    return [part for part in re.split(r"(?m)^ = (?=[^=].* = $)", text) if len(part) > 300]


def books(data: Path) -> list[str]:
    return [gzip.decompress(path.read_bytes()).decode() for path in sorted((data / "text/books").glob("*.gz"))]


def crawl(data: Path) -> list[str]:
    texts = []
    for name in PAGES:
        with tarfile.open(data / f"html/{name}.tar.xz") as archive:
            files = (archive.extractfile(member) for member in archive if member.isfile())
            texts += [plain(file.read()) for file in files if file is not None]
    return texts


def articles(data: Path) -> tuple[list[str], list[str]]:
    """Article bodies, and what else stands on their pages."""
    folder = data / "extraction/aeb"
    wanted = json.loads(gzip.decompress((folder / "ground-truth.json.gz").read_bytes()))
    bodies, others = [], []
    for page, about in sorted(wanted.items()):
        text = plain(gzip.decompress((folder / f"html/{page}.html.gz").read_bytes()))
        bodies.append(about["articleBody"])
        others.append("\n".join(line for line in text.split("\n") if line.strip() not in about["articleBody"]))
    return bodies, others


def sampled(texts: Iterable[str], config: QualityConfig) -> list[Passage]:
    sample = PassageSample(config.passages, config.seed)
    for text in texts:
        for passage in passages_of(content_hash(text), text, config.passage_characters):
            sample.add(passage)
    return sample.passages()


def main(data: Path) -> None:
    texts = {"wiki": wiki(data), "books": books(data), "crawl": crawl(data)}
    bodies, others = articles(data)
    labels = np.array([True] * len(bodies) + [False] * len(others))
    print(
        f"{'weighting':<11} {'penalty':>8} {'held-out AUC':>12} {'other sites':>11} {'train s':>7} {'documents/s':>11}"
    )
    for weighting in ("root-share", "count"):
        for penalty in (1e-3, 1e-4, 1e-5, 1e-6):
            config = QualityConfig(
                positives=("wiki", "books"), negatives=("crawl",), weighting=weighting, regularization=penalty
            )
            samples = {source: sampled(mine, config) for source, mine in texts.items()}
            began = time.perf_counter()
            trained = train(samples, config)
            seconds = time.perf_counter() - began
            began = time.process_time()
            scores = np.array([trained.classifier.score(text) for text in bodies + others])
            rate = len(scores) / (time.process_time() - began)
            held_out, other = trained.notes["held_out_auc"], area_under_curve(scores, labels)
            print(f"{weighting:<11} {penalty:>8g} {held_out:>12.4f} {other:>11.3f} {seconds:>7.1f} {rate:>11,.0f}")
    characters = sum(map(len, bodies + others)) / len(labels)
    print(f"\n{len(labels)} texts of other sites, {characters:,.0f} characters each; documents a second on one core")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA)
