"""What the manifests of a corpus say, read once and kept in the ledger: a plan asks about tens of thousands.

A manifest is known by its stamp: size, time and inode of a local file, else what the store tells of the object. What
the ledger keeps is used where the stamp is the same, and read anew where it is not, so that it may be lost or old.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from schemas.corpus_root import MANIFEST_NAME, CorpusRoot, PartitionKey
from schemas.errors import OutputError
from schemas.ledger import ledger_folder
from schemas.manifest import MANIFEST_VERSION, InputRecord, Manifest, TableRecord, read_manifest
from schemas.storage import Folder

__all__ = ["BYTES_NOTE", "KnownManifests"]

# What a manifest out of the ledger has instead of files: their bytes together.
BYTES_NOTE = "bytes of files"
_set = object.__setattr__
_NONE_SET: set[str] = set()
_RecordT = TypeVar("_RecordT", bound=BaseModel)
_NAME = "manifests.tsv"
_HEADER = "corpusmill manifests 1"
# What stores call the time or the content of an object; a size alone would not do.
_STAMPS = ("ETag", "etag", "generation", "md5Hash", "updated", "LastModified", "last_modified", "mtime", "created")


def _packed(manifest: Manifest, config: str) -> str:
    """A manifest in one short line: its settings by their digest, and no files."""
    tables = {
        name: [table.rows, table.digest, sum(file.bytes for file in table.files)]
        for name, table in manifest.tables.items()
    }
    row = [
        manifest.stage,
        manifest.stage_version,
        manifest.source,
        manifest.partition,
        manifest.fingerprint,
        config,
        [[one.name, one.digest] for one in manifest.inputs],
        tables,
        manifest.counts,
        manifest.seconds,
        manifest.workers,
    ]
    return json.dumps(row, separators=(",", ":"), ensure_ascii=False)


def _bare(kind: type[_RecordT], fields: dict[str, Any]) -> _RecordT:
    """A record of fields that were checked when they were written; `model_construct` takes 25 times as long."""
    record = kind.__new__(kind)
    _set(record, "__dict__", fields)
    _set(record, "__pydantic_fields_set__", _NONE_SET)
    _set(record, "__pydantic_extra__", None)
    _set(record, "__pydantic_private__", None)
    return record


def _unpacked(line: str, configs: Mapping[str, dict[str, Any]]) -> Manifest:
    stage, version, source, partition, fingerprint, config, inputs, tables, counts, seconds, workers = json.loads(line)
    read = [_bare(InputRecord, {"name": name, "digest": digest, "content_digest": None}) for name, digest in inputs]
    written = {
        name: _bare(TableRecord, {"rows": rows, "digest": digest, "files": ()})
        for name, (rows, digest, _) in tables.items()
    }
    fields = {
        "schema_version": MANIFEST_VERSION,
        "stage": stage,
        "stage_version": version,
        "source": source,
        "partition": partition,
        "fingerprint": fingerprint,
        "config": configs[config],
        "inputs": tuple(read),
        "tables": written,
        "counts": counts,
        "notes": {BYTES_NOTE: sum(size for _, _, size in tables.values())},
        "seconds": seconds,
        "peak_rss_bytes": 0,
        "workers": workers,
        "code_version": "",
    }
    return _bare(Manifest, fields)


class KnownManifests:
    """The manifests of a corpus at the moment at which each is first asked for."""

    def __init__(self, root: CorpusRoot) -> None:
        self._root = root
        self._local = root.folder.is_local
        self._base = root.folder.path().rstrip("/")
        self._lines: dict[str, tuple[str, str]] = {}  # by folder: stamp and line
        self._configs: dict[str, dict[str, Any]] = {}
        self._seen: dict[str, Manifest | None] = {}
        self._listed: dict[str, dict[str, str]] = {}  # by table of a store: stamp by folder
        self._keys: dict[str, list[PartitionKey]] = {}
        self._config_names: dict[str, str] = {}
        self._changed = False
        self._load()

    def _load(self) -> None:
        try:
            text = ledger_folder(self._root).read(_NAME).decode("utf-8")
        except (OSError, UnicodeDecodeError):
            return
        header, _, rest = text.partition("\n")
        if header != _HEADER or not text.endswith("\n"):
            return
        for line in rest.split("\n")[:-1]:  # `splitlines` would cut at characters that URLs hold
            kind, stamp, content = line.split("\t", 2)
            if kind == "config":
                self._configs[stamp] = json.loads(content)
            else:
                self._lines[kind] = (stamp, content)

    def _stamp(self, table: str, folder: str) -> str | None:
        """What tells whether a manifest is still the same; None where there is none, empty where nothing tells."""
        if self._local:
            try:
                status = os.stat(f"{self._base}/{folder}/{MANIFEST_NAME}")  # noqa: PTH116  # tens of thousands of them
            except (FileNotFoundError, NotADirectoryError):
                return None
            return f"{status.st_size}:{status.st_mtime_ns}:{status.st_ino}"
        if table not in self._listed:
            self._listed[table] = _stamps_below(self._root.folder, table)
        return self._listed[table].get(folder)

    def manifest(self, table: str, key: PartitionKey) -> Manifest | None:
        """The manifest in the folder of a partition of a table; None where there is none.

        Raises:
            ManifestError: it is damaged or of a version this code does not read.
        """
        folder = f"{table}/{key.source}/{key.partition}".rstrip("/")
        if folder not in self._seen:
            self._seen[folder] = self._look(table, folder)
        return self._seen[folder]

    def _look(self, table: str, folder: str) -> Manifest | None:
        stamp = self._stamp(table, folder)
        if stamp is None:
            self._changed |= self._lines.pop(folder, None) is not None
            return None
        known = self._lines.get(folder)
        if known is not None and stamp and known[0] == stamp:
            return _unpacked(known[1], self._configs)
        manifest = read_manifest(self._root.folder.child(folder))
        if manifest is not None and "\t" not in folder and "\n" not in folder:
            self._lines[folder] = (stamp, _packed(manifest, self._config_name(manifest.config)))
            self._changed = True
        return manifest

    def _config_name(self, config: dict[str, Any]) -> str:
        text = json.dumps(config, sort_keys=True)
        if text not in self._config_names:
            name = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
            self._config_names[text] = name
            self._configs[name] = config
        return self._config_names[text]

    def keys(self, table: str) -> list[PartitionKey]:
        """Partitions of a table that have a manifest, in partition order."""
        if table not in self._keys:
            self._keys[table] = self._root.partitions(table)
        return self._keys[table]

    def history(self, stage: str) -> list[Manifest]:
        """Manifests of a stage that were asked for, or that the ledger still keeps."""
        seen = [one for one in self._seen.values() if one is not None and one.stage == stage]
        if seen:
            return seen
        start = f'["{stage}",'
        return [_unpacked(line, self._configs) for _, line in self._lines.values() if line.startswith(start)]

    def forget(self) -> None:
        """Look at everything anew from now on; what has the same stamp is not read again."""
        self._seen, self._listed, self._keys = {}, {}, {}

    def save(self) -> None:
        """Keep in the ledger what was read; a corpus that cannot be written stays as it is."""
        if not self._changed:
            return
        used = {json.loads(line)[5] for _, line in self._lines.values()} if len(self._configs) > 1 else self._configs
        configs = [f"config\t{name}\t{json.dumps(self._configs[name])}" for name in sorted(used)]
        rows = [f"{folder}\t{stamp}\t{line}" for folder, (stamp, line) in sorted(self._lines.items())]
        try:
            ledger_folder(self._root).put_whole(_NAME, "\n".join([_HEADER, *configs, *rows, ""]).encode("utf-8"))
        except OutputError:
            return
        self._changed = False


def _stamps_below(root: Folder, table: str) -> dict[str, str]:
    """Stamps of all manifests of a table of a store, by folder, from one listing."""
    fs, path = root.filesystem()
    fs.invalidate_cache()
    base, end = path.rstrip("/"), f"/{MANIFEST_NAME}"
    try:
        found = fs.find(f"{base}/{table}", detail=True)
    except FileNotFoundError:
        return {}
    stamps = {}
    for name, about in found.items():
        if name.endswith(end):
            told = next((str(about[field]) for field in _STAMPS if about.get(field)), "")
            stamps[name.removesuffix(end).removeprefix(f"{base}/")] = f"{about.get('size')}:{told}" if told else ""
    return stamps
