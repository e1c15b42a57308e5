"""What the search for evaluation items costs beside cleaning the same pages, in processor seconds of one process.

The cleaning runs no rule, which is the least that it can cost.

    .venv/bin/python tests/benchmarks/decontaminate_benchmark.py --pages FOLDER --evaluation FOLDER
"""

from __future__ import annotations

import argparse
import tempfile
import time

import pyarrow.compute as pc

from pipelines.cleaning.stage import run as clean
from pipelines.decontamination.evaluation_files import find_files, read_items
from pipelines.decontamination.lookup import Lookup, write_lookup
from pipelines.decontamination.ngrams import build_ngrams
from pipelines.decontamination.scan import overlaps_of
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from schemas.catalog import iterate_table
from schemas.configs.clean import CleanConfig
from schemas.configs.decontaminate import NgramConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.storage import Folder


def main() -> None:
    """Clean the pages, search the documents, print what both took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", required=True)
    parser.add_argument("--evaluation", required=True)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root, key = CorpusRoot(f"{temporary}/corpus"), PartitionKey("pages", "all")
        config = CleanConfig(rules=())
        request = StageRequest(
            root=root, config=config, engine=Engine(), source="pages", partition="all", inputs=(given.pages,)
        )
        begun = time.process_time()
        clean(request)
        cleaned = time.process_time() - begun

        begun = time.process_time()
        items = [item for file in find_files([given.evaluation]) for item in read_items(file)]
        settings = NgramConfig()
        tables = build_ngrams(items, settings)
        write_lookup(Folder(temporary).child("ngrams"), tables)
        prepared = time.process_time() - begun

        lookup = Lookup(Folder(temporary).child("ngrams"), settings.punctuation)
        lookup.find(["the table of code points is made by the first search"])
        begun = time.process_time()
        documents = characters = rows = 0
        for table in iterate_table(root, "documents", key, ["document_id", "text"]):
            rows += overlaps_of(lookup, table).num_rows
            documents += table.num_rows
            characters += pc.sum(pc.utf8_length(table.column("text"))).as_py()
        searched = time.process_time() - begun
    print(f"{len(items):,} items, {tables.postings.num_rows:,} n-grams: {prepared:.1f} s to prepare, once")
    print(f"clean   {cleaned:7.2f} s for {documents:,} documents of {characters / 1e6:.1f} M characters")
    print(
        f"search  {searched:7.2f} s: {characters / searched / 1e6:.0f} M characters/s, {documents / searched:,.0f} "
        f"documents/s, {searched / cleaned:.1%} of clean; {rows:,} n-grams found"
    )


if __name__ == "__main__":
    main()
