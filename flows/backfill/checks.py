"""What `run STAGE` would find done, of stages that look at one partition at a time: their own units are asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from flows.backfill.corpus_view import CorpusView
from flows.backfill.looks import Look, compare
from flows.backfill.requests import Asked
from pipelines.cleaning.stage import clean_unit, input_files
from schemas.corpus_root import PartitionKey
from schemas.errors import UserError
from schemas.manifest import Manifest
from schemas.token_shard import token_table

__all__ = ["Looks", "look_at_clean", "look_at_crawl", "look_at_tokenize", "to_be_made", "without_documents"]

Looks = dict[PartitionKey, Look]


def look_at_crawl(asked: Asked, view: CorpusView, keys: Sequence[PartitionKey]) -> Looks:
    """The crawls of these partitions."""
    from pipelines.crawl.stage import crawl_unit

    return {key: compare(crawl_unit(asked.request("crawl", key, view))) for key in keys}


def look_at_clean(asked: Asked, view: CorpusView, keys: Sequence[PartitionKey]) -> Looks:
    """The documents of these partitions.

    Raises:
        UserError: a list or a classifier that the settings name cannot be read.
    """
    from pipelines.cleaning.lists.list_files import list_records
    from pipelines.quality.pinned import with_pinned_classifier

    config = with_pinned_classifier(asked.config("clean"))
    lists = list_records(config.lists)
    looks = {}
    for key in keys:
        request = replace(asked.request("clean", key, view), config=config)
        try:
            files = input_files(request)
        except UserError as error:
            there = view.known.manifest("documents", key)
            looks[key] = Look("blocked", str(error), (there,) if there else ())
            continue
        looks[key] = compare(clean_unit(request, files, lists))
    return looks


def look_at_tokenize(
    asked: Asked, view: CorpusView, keys: Sequence[PartitionKey], remade: Mapping[PartitionKey, str]
) -> Looks:
    """The token shards of these partitions."""
    from pipelines.tokens.tokenize_stage import checked_tokenizer, tokenize_unit

    request = asked.request("tokenize", keys[0], view)
    try:
        tokenizer = checked_tokenizer(request)
    except UserError as error:
        return {key: Look("blocked", str(error)) for key in keys}
    there, table = set(view.partitions("documents")), token_table(tokenizer.name, "train")
    looks = {}
    for key in keys:
        if key in remade:
            looks[key] = to_be_made(view.known.manifest(table, key), remade[key])
        elif key in there:
            looks[key] = compare(tokenize_unit(request, tokenizer, key))
        else:
            looks[key] = without_documents(key)
    return looks


def without_documents(key: PartitionKey) -> Look:
    """Of a stage that reads documents, where there are none."""
    return Look("blocked", f"documents of {key} are missing; run clean first")


def to_be_made(manifest: Manifest | None, reason: str) -> Look:
    """Of a unit that is to be done because of something else that is done before it."""
    return Look("stale", reason, (manifest,)) if manifest else Look("missing", reason)
