"""What was made of texts: shards that hold their tokens, plans that pin these shards, runs that trained on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.corpus_digest import tokenizer_names
from schemas.catalog import manifest_of
from schemas.corpus_root import MANIFEST_NAME, CorpusRoot, PartitionKey
from schemas.errors import ShardError
from schemas.manifest import read_manifest
from schemas.mixture import read_mixture
from schemas.run import read_run
from schemas.split import SPLITS
from schemas.storage import Folder, join_url
from schemas.takedown import Exposure
from schemas.token_shard import INDEX_NAME, header_of, token_table

__all__ = ["exposure_of", "shard_checksums", "shards_with"]

Documents = Mapping[PartitionKey, frozenset[bytes]]


def _streams(root: CorpusRoot, keys: Iterable[PartitionKey]) -> Iterator[tuple[str, PartitionKey, dict[str, int]]]:
    """Table, partition and tokens by file of each committed stream."""
    tables = [token_table(name, split) for name in tokenizer_names(root) for split in SPLITS]
    for key in keys:
        for table in tables:
            manifest = manifest_of(root, table, key)
            if manifest and table in manifest.tables:
                yield table, key, {file.name: file.rows for file in manifest.tables[table].files}


def shard_checksums(root: CorpusRoot, keys: Iterable[PartitionKey]) -> dict[str, str]:
    """Checksum by path, relative to the root, of all shards of some partitions.

    Raises:
        ShardError: a shard is missing or damaged.
    """
    found = {}
    for table, key, files in _streams(root, keys):
        folder = root.partition_folder(table, key)
        for name in files:
            if name == INDEX_NAME:
                continue
            where = f"{folder.url}/{name}"
            try:
                with folder.open_read(name) as stream:
                    header = header_of(pa.ipc.open_file(stream).schema, where)
            except (OSError, pa.ArrowInvalid) as error:
                raise ShardError(f"{where} cannot be read: {error}; remove its manifest, then run tokenize") from error
            found[join_url(table, key.source, key.partition, name)] = header.checksum
    return found


def shards_with(root: CorpusRoot, documents: Documents) -> list[str]:
    """Paths of the shards that hold tokens of some documents, sorted."""
    found = set()
    for table, key, files in _streams(root, documents):
        if INDEX_NAME not in files:
            continue
        with root.partition_folder(table, key).open_read(INDEX_NAME) as stream:
            index = pq.read_table(stream, columns=["document_id", "start", "length"])
        wanted = pa.array([one in documents[key] for one in index.column("document_id").to_pylist()], pa.bool_())
        spans = [(row["start"], row["start"] + row["length"]) for row in index.filter(wanted).to_pylist()]
        first = 0
        for name in sorted(files.keys() - {INDEX_NAME}):
            end = first + files[name]
            if any(start < end and first < stop for start, stop in spans):
                found.add(join_url(table, key.source, key.partition, name))
            first = end
    return sorted(found)


def _plans_with(root: CorpusRoot, checksums: Mapping[str, str]) -> dict[str, str]:
    """Digest by name of the plans that pin one of these shards, as it is now."""
    found = {}
    folder = root.mixture_folder()
    for file in folder.names():
        if not file.endswith(".json"):
            continue
        plan = read_mixture(folder, file.removesuffix(".json"))
        pinned = (shard for stream in (*plan.train, *plan.validation, *plan.test) for shard in stream.shards)
        if any(checksums.get(shard.path) == shard.checksum for shard in pinned):
            found[plan.name] = plan.digest()
    return found


def _runs_of(root: CorpusRoot, plans: Mapping[str, str], folders: Sequence[str]) -> list[str]:
    """URLs of runs, in the corpus or below the given folders, that trained on these plans, or went on from such."""
    places = [join_url(url, name) if name else url for url in folders for name in _run_folders(url)]
    configs = {place: config for place in places if (config := read_run(place)) is not None}
    found = {place for place, config in configs.items() if config.plan_digest in plans.values()}
    while more := {place for place, config in configs.items() if config.base in found} - found:
        found |= more
    return sorted(found)


def _run_folders(url: str) -> list[str]:
    folder = Folder(url)
    return [""] if folder.exists("config.json") else folder.find("config.json")


def exposure_of(root: CorpusRoot, documents: Documents, run_folders: Sequence[str] = ()) -> Exposure:
    """What was made of some documents.

    Args:
        root: the corpus; its folder `runs` is searched for runs.
        documents: ids by partition.
        run_folders: further runs, or folders of runs.

    Raises:
        ContractError: a manifest, a shard, a plan or the description of a run is damaged.
    """
    if not documents:
        return Exposure()
    checksums = shard_checksums(root, documents)
    plans = _plans_with(root, {path: checksums[path] for path in shards_with(root, documents)})
    inputs = {f"documents/{key}" for key in documents}
    tokenizers = [
        name
        for name in root.folder.child("tokenizers").find(MANIFEST_NAME)
        if (made := read_manifest(root.tokenizer_folder(name))) and inputs & {record.name for record in made.inputs}
    ]
    runs = _runs_of(root, plans, [join_url(root.url, "runs"), *run_folders])
    return Exposure(mixtures=tuple(sorted(plans)), runs=tuple(runs), tokenizers=tuple(sorted(tokenizers)))
