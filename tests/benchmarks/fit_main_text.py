"""Fits the weights of the extractor `blocks`, and tells how well they do on pages that they have not seen.

    python tests/benchmarks/fit_main_text.py [--write]

Two sets of pages: the article benchmark, whose pages come with their whole text, and 129 pages of which some passages
are known to belong to the text and some not. What is unknown of these is taken from trafilatura, at a weight of a half
where its two modes agree and of a tenth where they do not; the known passages weigh three. Five-fold cross-validation
over the pages of both sets; `--write` then fits on all of them and writes the file that ships.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import statistics
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from selectolax.lexbor import LexborHTMLParser

from pipelines.cleaning.charset import decode_body
from pipelines.cleaning.extraction import extract_text
from pipelines.cleaning.html_page import parse_page
from pipelines.cleaning.main_text import model as model_module
from pipelines.cleaning.main_text.features import BlockFeatures, block_features, context_features
from pipelines.cleaning.main_text.model import MainTextModel, logistic, main_text
from pipelines.cleaning.main_text.page_blocks import PageBlocks, page_blocks

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "extraction"
THRESHOLD, PENALTY, FOLDS = 0.6, 1.0, 5
F64 = NDArray[np.float64]


@dataclass
class Page:
    """A page with what is known of it: its whole text, or passages that belong to it and that do not."""

    blocks: PageBlocks
    features: BlockFeatures
    labels: F64
    weights: F64
    text: str = ""
    wanted: list[str] = field(default_factory=list)
    unwanted: list[str] = field(default_factory=list)


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def four_grams(text: str) -> Counter[tuple[str, ...]]:
    found = words(text)
    return Counter(tuple(found[i : i + 4]) for i in range(max(1, len(found) - 3)) if found)


def article_score(texts: Iterable[tuple[str, str]]) -> tuple[float, float, float]:
    """F1, precision, recall over word 4-grams, averaged over pages as the benchmark's authors do."""
    precisions, recalls = [], []
    for wanted, found in texts:
        true, seen = four_grams(wanted), four_grams(found)
        both = (true & seen).total()
        precisions += [both / seen.total()] if seen else []
        recalls += [both / true.total()] if true else []
    precision, recall = statistics.mean(precisions), statistics.mean(recalls)
    return 2 * precision * recall / (precision + recall), precision, recall


def folded(text: str) -> str:
    return " ".join(text.split())


def passage_score(texts: Iterable[tuple[Page, str]]) -> tuple[float, float, float]:
    """F1, share of the wanted passages found, share of the unwanted ones found."""
    found = wanted = wrong = unwanted = 0
    for page, text in texts:
        said = folded(text)
        found += sum(folded(one) in said for one in page.wanted)
        wrong += sum(folded(one) in said for one in page.unwanted)
        wanted, unwanted = wanted + len(page.wanted), unwanted + len(page.unwanted)
    return 2 * found / (found + wrong + wanted), found / wanted, wrong / unwanted


def labels_by(text: str, blocks: list[str]) -> F64:
    """1 for a block most of whose word 3-grams are in the text, the first time that it comes."""
    said = words(text)
    joined, grams = f" {' '.join(said)} ", {tuple(said[i : i + 3]) for i in range(len(said) - 2)}
    starts: set[str] = set()
    labels = []
    for block in blocks:
        own = words(block)
        again = len(block) >= 80 and block[:80] in starts and joined.count(" ".join(own)) < 2
        if len(own) < 5:
            inside = bool(own) and f" {' '.join(own)} " in joined
        else:
            inside = statistics.mean(tuple(own[i : i + 3]) in grams for i in range(len(own) - 2)) > 0.5
        starts.add(block[:80])
        labels.append(float(inside and not again))
    return np.array(labels)


def size_weights(features: BlockFeatures) -> F64:
    return np.minimum(features.sizes, 400) ** 0.7 / 20 + 0.2


def read_articles() -> list[Page]:
    truth = json.loads(gzip.decompress((DATA / "aeb" / "ground-truth.json.gz").read_bytes()))
    pages = []
    for name in sorted(truth):
        body = gzip.decompress((DATA / "aeb" / "html" / f"{name}.html.gz").read_bytes())
        html, _ = decode_body(body, None, html=True)
        text, blocks = truth[name].get("articleBody", ""), page_blocks(LexborHTMLParser(html))
        features = block_features(blocks)
        pages.append(Page(blocks, features, labels_by(text, blocks.texts()), size_weights(features), text))
    return pages


def read_passages() -> list[Page]:
    rows = [json.loads(line) for line in (DATA / "trafilatura" / "snippets.jsonl").open()]
    with tarfile.open(DATA / "trafilatura" / "pages.tar.xz") as archive:
        bodies = {Path(one.name).name: archive.extractfile(one).read() for one in archive if one.isfile()}  # type: ignore[union-attr]
    pages = []
    for row in sorted(rows, key=lambda row: str(row["file"])):
        html, _ = decode_body(bodies[Path(row["file"]).name], None, html=True)
        blocks = page_blocks(LexborHTMLParser(html))
        if not len(blocks):
            continue
        features = block_features(blocks)
        careful, generous = (labels_by(teacher(html, mode), blocks.texts()) for mode in ("precise", "fast"))
        labels, known = careful, np.where(careful == generous, 0.5, 0.1)
        for place, block in enumerate(map(folded, blocks.texts())):
            for passages, label in ((row["with"], 1.0), (row["without"], 0.0)):
                if any(folded(one) in block for one in passages):
                    labels[place], known[place] = label, 3.0
        weights = size_weights(features) * known
        pages.append(Page(blocks, features, labels, weights, wanted=row["with"], unwanted=row["without"]))
    return pages


def teacher(html: str, mode: str) -> str:
    return extract_text(parse_page(html, 10**6, 250), mode)  # type: ignore[arg-type]


def regression(rows: F64, labels: F64, weights: F64) -> F64:
    """Weighted logistic regression with a ridge on standardized columns, by Newton's method; weights of raw columns."""
    mean, scale = rows.mean(0), rows.std(0)
    scale[scale == 0] = 1
    mean[0], scale[0] = 0, 1
    scaled = (rows - mean) / scale
    found = np.zeros(scaled.shape[1])
    for _ in range(60):
        likely = logistic(scaled @ found)
        slope = scaled.T @ (weights * (likely - labels)) + PENALTY * found
        curve = (scaled * (weights * likely * (1 - likely))[:, None]).T @ scaled + PENALTY * np.eye(len(found))
        step = np.linalg.solve(curve, slope)
        found -= step
        if np.abs(step).max() < 1e-6:
            break
    raw = found / scale
    raw[0] -= (found * mean / scale).sum()
    return np.asarray(raw)


def stacked(pages: list[Page], rows: Callable[[Page], F64]) -> tuple[F64, F64, F64]:
    return (
        np.vstack([rows(page) for page in pages]),
        np.concatenate([page.labels for page in pages]),
        np.concatenate([page.weights for page in pages]),
    )


def fit(pages: list[Page]) -> MainTextModel:
    """The second regression learns from judgements that the first made of pages it had not seen."""
    first = regression(*stacked(pages, lambda page: page.features.rows))
    judged: dict[int, F64] = {}
    for number in range(4):
        rest = [page for place, page in enumerate(pages) if place % 4 != number]
        part = regression(*stacked(rest, lambda page: page.features.rows))
        for page in pages[number::4]:
            judged[id(page)] = logistic(page.features.rows @ part)
    second = regression(*stacked(pages, lambda page: context_features(page.blocks, page.features, judged[id(page)])))
    return MainTextModel(first, second, THRESHOLD)


def cross_validated(pages: list[Page]) -> dict[int, str]:
    """The text of each page, by a model that has not seen the page."""
    texts = {}
    for number in range(FOLDS):
        model = fit([page for place, page in enumerate(pages) if place % FOLDS != number])
        for page in pages[number::FOLDS]:
            texts[id(page)] = main_text(page.blocks, model)
    return texts


def shuffled_pages() -> tuple[list[Page], list[Page], list[Page]]:
    articles, passages = read_articles(), read_passages()
    pages = [*articles, *passages]
    random.Random(1).shuffle(pages)
    return articles, passages, pages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="fit on all pages and write weights.json")
    write = parser.parse_args().write
    articles, passages, pages = shuffled_pages()
    texts = cross_validated(pages)
    f1, precision, recall = article_score((page.text, texts[id(page)]) for page in articles)
    print(f"articles, held out: F1 {f1:.4f}, precision {precision:.4f}, recall {recall:.4f}")
    f1, found, wrong = passage_score((page, texts[id(page)]) for page in passages)
    print(f"passages, held out: F1 {f1:.4f}, wanted {found:.4f}, unwanted {wrong:.4f}")
    if write:
        model = fit(pages)
        stored = {"first": model.first.tolist(), "second": model.second.tolist(), "threshold": THRESHOLD}
        rounded = json.loads(json.dumps(stored), parse_float=lambda text: float(f"{float(text):.6g}"))
        Path(model_module.__file__).with_name("weights.json").write_text(json.dumps(rounded) + "\n")


if __name__ == "__main__":
    main()
