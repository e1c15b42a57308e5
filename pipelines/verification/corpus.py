"""The whole corpus: what every manifest lists, rows against their digests, tokenizers, token streams, mixtures."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.kept_documents import input_records
from pipelines.tokens.frozen import TOKENIZERS, FrozenTokenizer, read_tokenizer
from pipelines.verification.findings import Findings
from pipelines.verification.streams import StreamPlace, open_stream
from pipelines.verification.texts import compare_texts
from schemas.corpus_root import MANIFEST_NAME, CorpusRoot, PartitionKey
from schemas.errors import CorpusmillError
from schemas.manifest import Manifest, OutputFile, TableRecord, read_manifest
from schemas.mixture import read_mixture
from schemas.row_hash import digest_of_hashes, row_hashes
from schemas.split import SPLITS
from schemas.storage import Folder, file_checksum
from schemas.tables import TABLES

__all__ = ["compare_files", "verify_corpus"]

_Tell = Callable[[str], None]


def _rows_digest(folder: Folder, file: OutputFile, findings: Findings) -> bytes | None:
    where = f"{folder.url}/{file.name}"
    hashes: list[bytes] = []
    try:
        with folder.open_read(file.name) as stream:
            for batch in pq.ParquetFile(stream).iter_batches(batch_size=4096):
                hashes += row_hashes(batch)
    except (OSError, pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError, TypeError) as error:
        findings.add(where, f"cannot be read: {error}")
        return None
    if len(hashes) != file.rows:
        findings.add(where, f"{len(hashes)} rows, its manifest says {file.rows}")
        return None
    findings.checked["rows"] += len(hashes)
    return bytes.fromhex(digest_of_hashes(hashes))


def compare_files(folder: Folder, record: TableRecord, findings: Findings) -> bool:
    """Whether all files of a table are there, of the size and, where it was kept, the checksum of then."""
    before = len(findings.problems)
    filesystem, _ = folder.filesystem()
    for file in record.files:
        where = f"{folder.url}/{file.name}"
        if not folder.exists(file.name):
            findings.add(where, "is missing, and its manifest lists it")
        elif (size := int(filesystem.size(folder.path(file.name)))) != file.bytes:
            findings.add(where, f"has {size} bytes, its manifest says {file.bytes}")
        elif file.checksum and file_checksum(folder, file.name) != file.checksum:
            findings.add(where, "its bytes are not those that were written: their checksum differs")
        findings.checked["files"] += 1
    return len(findings.problems) == before


def _rows(folder: Folder, record: TableRecord, findings: Findings) -> None:
    digests = [_rows_digest(folder, file, findings) for file in record.files]
    found = [one for one in digests if one is not None]
    if len(found) == len(digests) and digest_of_hashes(found) != record.digest:
        findings.add(folder.url, "its rows are not those that were written: the table's digest differs")


class _Tokenizers:
    """Each tokenizer is read, and what is wrong with it noted, once."""

    def __init__(self, root: CorpusRoot, findings: Findings) -> None:
        self._root, self._findings = root, findings
        self._known: dict[str, FrozenTokenizer | None] = {}

    def get(self, name: str) -> FrozenTokenizer | None:
        if name not in self._known:
            try:
                self._known[name] = read_tokenizer(self._root, name)
                self._findings.checked["tokenizers"] += 1
            except CorpusmillError as error:
                self._findings.add(self._root.tokenizer_folder(name).url, str(error))
                self._known[name] = None
        return self._known[name]


def _tokens(root: CorpusRoot, unit: Manifest, sound: dict[str, bool], known: _Tokenizers, findings: Findings) -> None:
    key = PartitionKey(unit.source, unit.partition)
    shares = (float(unit.config["test"]), float(unit.config["validation"]))
    for table, record in unit.tables.items():
        _, name, split = table.split("/")
        tokenizer = known.get(name)
        if tokenizer is None or split not in SPLITS:
            continue
        place = StreamPlace(root, key, split, tokenizer)
        stream = open_stream(place, record.files, findings)
        if stream is None or not sound[table]:
            continue
        try:
            if not set(input_records(root, [key])) <= set(unit.inputs):
                findings.add(
                    place.folder.url, "is older than its documents, or than decisions about them: run tokenize"
                )
                continue
            compare_texts(place, stream, shares, findings)
        except CorpusmillError as error:  # of the documents, which are looked at on their own too
            findings.add(place.folder.url, f"cannot be compared with its texts: {error}")


def _unit(root: CorpusRoot, unit: Manifest, known: _Tokenizers, findings: Findings) -> None:
    sound = {}
    for table, record in unit.tables.items():
        folder = root.folder.child(table, unit.source, unit.partition)
        sound[table] = compare_files(folder, record, findings)
        if table in TABLES and sound[table]:
            _rows(folder, record, findings)
        if table == TOKENIZERS and sound[table]:
            known.get(unit.source)
    if unit.stage == "tokenize":
        _tokens(root, unit, sound, known, findings)
    findings.checked["units"] += 1


def _mixtures(root: CorpusRoot, findings: Findings) -> None:
    folder = root.mixture_folder()
    for file in folder.names():
        if not file.endswith(".json"):
            continue
        try:
            plan = read_mixture(folder, file.removesuffix(".json"))
        except CorpusmillError as error:
            findings.add(f"{folder.url}/{file}", str(error))
            continue
        if plan.name != file.removesuffix(".json"):
            findings.add(f"{folder.url}/{file}", f"holds the plan {plan.name!r}")
        for stream in (*plan.train, *plan.validation, *plan.test):
            for path in [*(shard.path for shard in stream.shards), *(index.path for index in stream.indexes)]:
                if not root.folder.exists(path):
                    findings.add(f"{root.url}/{path}", f"is missing, and mixture {plan.name} pins it")
        findings.checked["mixtures"] += 1


def verify_corpus(root: CorpusRoot, tell: _Tell = lambda text: None) -> Findings:
    """Read everything that is committed in a corpus and say what is wrong with it.

    Files against manifests (size, rows, digest, and checksum where one was kept), tokenizers against their
    fingerprint, shards and indexes against their headers and each other, and the decoded tokens of every document
    against its text. Memory: a file of a table, or the index of a stream.

    Args:
        root: the corpus.
        tell: is given the unit that is looked at.
    """
    findings = Findings()
    known = _Tokenizers(root, findings)
    for place in root.folder.find(MANIFEST_NAME):
        if place.startswith(".work/"):
            continue
        tell(place)
        where = root.folder.child(place)
        try:
            unit = read_manifest(where)
        except CorpusmillError as error:
            findings.add(f"{where.url}/{MANIFEST_NAME}", str(error))
            continue
        if unit is not None:
            _unit(root, unit, known, findings)
    _mixtures(root, findings)
    return findings
