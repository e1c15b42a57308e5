"""Real texts as documents of a corpus: encyclopedia and books against text of pages as they come."""

from __future__ import annotations

import gzip
import re
import tarfile
from pathlib import Path

import pytest
from resiliparse.extract.html2text import extract_plain_text


@pytest.fixture(scope="session")
def real_texts(shared_data: Path) -> dict[str, list[str]]:
    """Texts by source: `wiki` (articles), `books` (chapters or so), `crawl` (whole text of HTML pages)."""
    wiki = gzip.decompress((shared_data / "text/wiki/wikitext-2.valid.txt.gz").read_bytes()).decode()
    articles = [part for part in re.split(r"(?m)^ = (?=[^=].* = $)", wiki) if len(part) > 300]
    books = []
    for name in ("walden", "the-time-machine", "aesop-s-fables", "dracula"):
        book = gzip.decompress((shared_data / f"text/books/{name}.md.gz").read_bytes()).decode()
        books += [book[start : start + 20_000] for start in range(0, len(book), 20_000)]
    pages = []
    with tarfile.open(shared_data / "html/w3c-i18n.tar.xz") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is not None:
                pages.append(extract_plain_text(file.read().decode("utf-8", "replace"), main_content=False))
    return {"wiki": articles, "books": books, "crawl": [page for page in pages if page.strip()]}
