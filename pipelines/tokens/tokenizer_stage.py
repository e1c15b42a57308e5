"""The stage `tokenizer`: learns a vocabulary from kept training documents, once.

Writes `<root>/tokenizers/<name>/tokenizer.json` and a manifest with its fingerprint, vocabulary size, end-of-text id,
fertility by source and longest tokens. From then on it is frozen: another name makes another tokenizer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from pipelines.engine.stage import StageRequest, StageResult
from pipelines.engine.staging import StagedFile, StagedTable
from pipelines.engine.unit import Unit, UnitOutcome, UnitOutput, run_unit
from pipelines.kept_documents import input_records, kept_documents
from pipelines.tokens.bpe import fertility, longest_tokens, train_tokenizer
from pipelines.tokens.encoding import TextEncoder
from pipelines.tokens.frozen import TOKENIZER_FILE, TOKENIZERS, tokenizer_key
from pipelines.tokens.sample import Sample, SampledText
from schemas.configs.tokenizer import TokenizerConfig
from schemas.corpus_root import PartitionKey
from schemas.errors import TooLittleTextError
from schemas.manifest import Manifest, read_manifest
from schemas.storage import Folder
from schemas.token_shard import tokenizer_fingerprint

__all__ = ["STAGE_VERSION", "pending", "run"]

STAGE_VERSION = 1
# Characters of the sample that are encoded for each source's fertility: a second or less.
_FERTILITY_CHARACTERS = 2**20
_LONGEST = 20


class _FrozenUnit(Unit):
    """Done as soon as there is a tokenizer of this name, whatever its settings and documents were."""

    def done(self) -> Manifest | None:
        return read_manifest(self.folder())


def _frozen(request: StageRequest[TokenizerConfig]) -> UnitOutcome | None:
    config = request.config
    manifest = read_manifest(request.root.tokenizer_folder(config.name))
    if manifest is None:
        return None
    wanted = config.fingerprint_view()
    other = [f"{name} {manifest.config.get(name)}" for name in wanted if manifest.config.get(name) != wanted[name]]
    made = f" (made with {', '.join(other)})" if other else ""
    reason = f"tokenizer {config.name!r} is frozen{made}; another name makes another one"
    return UnitOutcome(tokenizer_key(config.name), "skipped", manifest, reason)


def _draw(request: StageRequest[TokenizerConfig], keys: list[PartitionKey]) -> Sample:
    config = request.config
    sample = Sample(config.sample_bytes, config.seed)
    documents = 0
    for key in keys:
        for document in kept_documents(request.root, key, config.test, config.validation):
            documents += 1
            if document.split == "train":
                sample.add(bytes.fromhex(document.group), key.source, document.text)
    if sample.utf8_bytes == 0:
        raise TooLittleTextError(
            f"no kept training documents with text in {request.root.url} ({documents} documents kept in "
            f"{len(keys)} partitions); clean more pages, or loosen its rules"
        )
    return sample


def _beginning(texts: Iterable[str], characters: int) -> Iterator[str]:
    """The texts up to so many characters together; the last one may be cut."""
    for text in texts:
        yield text[:characters]
        characters -= len(text)
        if characters <= 0:
            return


def _describe(encoder: TextEncoder, texts: list[SampledText]) -> dict[str, Any]:
    by_source: dict[str, list[str]] = defaultdict(list)
    for one in texts:
        by_source[one.source].append(one.text)
    measured = [
        fertility(encoder, name, _beginning(by_source[name], _FERTILITY_CHARACTERS)) for name in sorted(by_source)
    ]
    return {
        "fertility": [one.row() for one in measured],
        "longest_tokens": list(longest_tokens(encoder, _LONGEST)),
    }


def _work(request: StageRequest[TokenizerConfig], keys: list[PartitionKey], folder: Folder) -> UnitOutput:
    sample = _draw(request, keys)
    texts = list(sample.texts())
    content = train_tokenizer((one.text for one in texts), request.config.vocabulary_size)
    folder.put_whole(TOKENIZER_FILE, content)
    encoder = TextEncoder(content)
    fingerprint = tokenizer_fingerprint(content)
    file = StagedFile(TOKENIZER_FILE, encoder.vocabulary_size, len(content), fingerprint)
    counts = {
        "vocabulary_size": encoder.vocabulary_size,
        "end_of_text": encoder.end_of_text,
        "sample_documents": len(texts),
        "sample_bytes": sample.utf8_bytes,
    }
    notes = {"fingerprint": fingerprint, **_describe(encoder, texts)}
    return UnitOutput(tables={TOKENIZERS: StagedTable(folder, (file,))}, counts=counts, notes=notes)


def pending(request: StageRequest[TokenizerConfig]) -> int:
    """Units that `run` would do now."""
    return 0 if _frozen(request) else 1


def run(request: StageRequest[TokenizerConfig]) -> StageResult:
    """Make the tokenizer of this name from the kept documents of all (or the asked for) partitions, unless it is made.

    Raises:
        InputError: no documents are committed.
        TooLittleTextError: no kept document is a training document.
        LeaseError: another live run makes the same tokenizer.
    """
    outcome = _frozen(request)
    if outcome is None:
        keys = request.selected("documents")
        unit = _FrozenUnit(
            root=request.root,
            stage="tokenizer",
            version=STAGE_VERSION,
            key=tokenizer_key(request.config.name),
            table=TOKENIZERS,
            config=request.config,
            inputs=input_records(request.root, keys),
        )
        outcome = run_unit(unit, request.engine, lambda folder: _work(request, keys, folder))
    return StageResult(stage="tokenizer", outcomes=(outcome,))
