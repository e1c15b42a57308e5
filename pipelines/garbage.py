"""Files of a corpus that nothing refers to: what killed runs left, and what later runs made superfluous.

Below `.work/`: temporary files, and leases whose process is gone. In the folders of tables: files that no manifest
lists, such as those of a unit that was killed while it committed. In `mixtures/`: files that were never renamed. What
belongs to a partition that a live run holds is left alone. So are WARC files in a folder without a manifest, because
people put their own there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from schemas.catalog import manifest_of, manifest_table
from schemas.corpus_root import MANIFEST_NAME, CorpusRoot, PartitionKey
from schemas.errors import StageError
from schemas.lease import Leases, no_new_leases, read_leases
from schemas.storage import TEMPORARY_SUFFIX
from schemas.tables import TABLES
from schemas.takedown import read_takedowns

__all__ = ["collect", "garbage"]

# Folders of units that have a name and no partition.
_OF_NAMES = frozenset({"benchmarks", "classifiers", "clean-dirty", "heldout", "ngrams", "tokenizers"})


def _in_work_folders(root: CorpusRoot, leases: Leases) -> Iterator[str]:
    work, own = root.folder.child(".work"), root.lease_folder()
    spared = [f"{root.work_folder(stage, key).url}/" for stage, key in leases.held] + [f"{own.url}/"]
    for path in work.files_below():
        if not f"{work.url}/{path}".startswith(tuple(spared)):
            yield f".work/{path}"
    for name in leases.left:
        yield f".work/leases/{name}"


def _unit_of(folder: str) -> tuple[str, PartitionKey] | None:
    """The table and the partition that a folder below the root belongs to; None where it is of no unit."""
    parts = folder.split("/")
    if parts[0] in _OF_NAMES:
        return (parts[0], PartitionKey(parts[1], "")) if len(parts) == 2 else None
    depth = 3 if parts[0] == "tokens" else 1
    if len(parts) < depth + 2:
        return None
    return "/".join(parts[:depth]), PartitionKey(parts[depth], "/".join(parts[depth + 1 :]))


def _in_tables(root: CorpusRoot, leases: Leases) -> Iterator[str]:
    held = {key for _, key in leases.held}
    by_folder: defaultdict[str, list[str]] = defaultdict(list)
    for top in sorted({*TABLES, *_OF_NAMES, "crawl", "tokens"}):
        for path in root.folder.child(top).files_below():
            folder, _, name = f"{top}/{path}".rpartition("/")
            by_folder[folder].append(name)
    for folder, names in by_folder.items():
        unit = _unit_of(folder)
        if unit is None or unit[1] in held:
            continue
        table, key = unit
        manifest = manifest_of(root, table, key)
        if manifest is None and table == "crawl":
            continue
        listed = {MANIFEST_NAME} if manifest_table(table) == table else set()
        if manifest is not None and table in manifest.tables:
            listed |= {file.name for file in manifest.tables[table].files}
        yield from (f"{folder}/{name}" for name in names if name not in listed)


def _in_mixtures(root: CorpusRoot, leases: Leases) -> Iterator[str]:
    if not any(stage == "mix" for stage, _ in leases.held):
        names = root.mixture_folder().names()
        yield from (f"mixtures/{name}" for name in names if name.endswith(TEMPORARY_SUFFIX))


def garbage(root: CorpusRoot) -> list[str]:
    """Paths, relative to the root and sorted, of all files that can go.

    Raises:
        ManifestError: a manifest is damaged, so that nobody knows what it lists.
        StageError: a takedown was interrupted; what it needs to go on lies where garbage would.
    """
    if read_takedowns(root).pending:
        raise StageError(
            f"a takedown in {root.url} was interrupted; run `corpusmill takedown --root {root.url}` to finish it first"
        )
    leases = read_leases(root)
    return sorted([*_in_work_folders(root, leases), *_in_tables(root, leases), *_in_mixtures(root, leases)])


def collect(root: CorpusRoot, dry_run: bool = False) -> list[str]:
    """Remove all garbage, or only say what it is; no unit can begin meanwhile.

    Returns:
        The paths that went, or would go.

    Raises:
        ManifestError: as `garbage`; nothing was removed.
        StageError: as `garbage`; nothing was removed.
        OutputError: the corpus cannot be written.
    """
    if dry_run:
        return garbage(root)
    with no_new_leases(root):
        paths = garbage(root)
        for path in paths:
            root.folder.remove(path)
    return paths
