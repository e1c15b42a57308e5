"""The stage `tokenizer`: learns a vocabulary from kept training documents, once, or takes one that was made elsewhere.

Writes `<root>/tokenizers/<name>/tokenizer.json` and a manifest with its fingerprint, vocabulary size, end-of-text id,
fertility by source and language and longest tokens. From then on it is frozen: another name makes another tokenizer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any

from pipelines.engine.stage import StageRequest, StageResult
from pipelines.engine.staging import StagedFile, StagedTable
from pipelines.engine.unit import Unit, UnitOutcome, UnitOutput, run_unit
from pipelines.kept_documents import input_records, kept_documents
from pipelines.tokens.bpe import fertility, longest_tokens, train_tokenizer
from pipelines.tokens.encoding import TextEncoder
from pipelines.tokens.frozen import TOKENIZER_FILE, TOKENIZERS, tokenizer_key
from pipelines.tokens.load_tokenizer import load_tokenizer
from pipelines.tokens.sample import Sample, SampledText
from schemas.configs.tokenizer import TokenizerConfig
from schemas.corpus_root import PartitionKey
from schemas.errors import InputError, TooLittleTextError
from schemas.manifest import Manifest, read_manifest
from schemas.storage import Folder
from schemas.token_shard import tokenizer_fingerprint

__all__ = ["STAGE_VERSION", "pending", "run"]

STAGE_VERSION = 1
# Characters of the sample that are encoded for each source's fertility: a second or less.
_FERTILITY_CHARACTERS = 2**20
_LANGUAGE_CHARACTERS = 2**17
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
        of_source = config.source_weights.get(key.source, 1.0)
        for document in kept_documents(request.root, key, config.test, config.validation):
            documents += 1
            language = document.language or ""
            weight = of_source * config.language_weights.get(language, 1.0)
            if document.split == "train":
                sample.add(bytes.fromhex(document.group), key.source, document.text, language, weight)
    if sample.utf8_bytes == 0 and config.load is None:
        raise TooLittleTextError(
            f"no kept training documents with text in {request.root.url} ({documents} documents kept in "
            f"{len(keys)} partitions); clean more pages, loosen its rules, or give some source and language a weight"
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
    by_language: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in texts:
        by_source[one.source].append(one.text)
        by_language[one.source, one.language].append(one.text)
    of_sources = [
        fertility(encoder, name, _beginning(by_source[name], _FERTILITY_CHARACTERS)) for name in sorted(by_source)
    ]
    of_languages = [
        fertility(encoder, name, _beginning(by_language[name, language], _LANGUAGE_CHARACTERS), language)
        for name, language in sorted(by_language)
    ]
    return {
        "fertility": [one.row() for one in of_sources],
        "fertility_by_language": [one.row() for one in of_languages],
        "longest_tokens": list(longest_tokens(encoder, _LONGEST)),
    }


def _content(config: TokenizerConfig, texts: list[SampledText]) -> bytes:
    if config.load is not None:
        return load_tokenizer(config.load, config.pattern, config.end_of_text, config.special_tokens)
    return train_tokenizer(
        (one.text for one in texts),
        config.vocabulary_size,
        pattern=config.pattern,
        special_tokens=(config.end_of_text, *config.special_tokens),
    )


def _work(request: StageRequest[TokenizerConfig], keys: list[PartitionKey], folder: Folder) -> UnitOutput:
    config = request.config
    sample = _draw(request, keys)
    texts = list(sample.texts())
    content = _content(config, texts)
    folder.put_whole(TOKENIZER_FILE, content)
    encoder = TextEncoder(content, config.end_of_text)
    fingerprint = tokenizer_fingerprint(content)
    file = StagedFile(TOKENIZER_FILE, encoder.vocabulary_size, len(content), fingerprint)
    counts = {
        "vocabulary_size": encoder.vocabulary_size,
        "end_of_text": encoder.end_of_text,
        "sample_documents": len(texts),
        "sample_bytes": sample.utf8_bytes,
    }
    notes = {"fingerprint": fingerprint, "end_of_text_token": config.end_of_text, **_describe(encoder, texts)}
    return UnitOutput(tables={TOKENIZERS: StagedTable(folder, (file,))}, counts=counts, notes=notes)


def _keys(request: StageRequest[TokenizerConfig]) -> list[PartitionKey]:
    """Partitions to draw from; a tokenizer that was made elsewhere can come before there are any."""
    try:
        return request.selected("documents")
    except InputError:
        if request.config.load is None:
            raise
        return []


def _beside(request: StageRequest[TokenizerConfig]) -> StageRequest[TokenizerConfig]:
    """The request under the name that it makes: with `retrain`, and one frozen, the next free one."""
    config = request.config
    if not config.retrain:
        return request
    names = (config.name if number == 1 else f"{config.name}-{number}" for number in count(1))
    free = next(name for name in names if read_manifest(request.root.tokenizer_folder(name)) is None)
    return replace(request, config=config.model_copy(update={"name": free, "retrain": False}))


def pending(request: StageRequest[TokenizerConfig]) -> int:
    """Units that `run` would do now."""
    request = _beside(request)
    return 0 if _frozen(request) else 1


def run(request: StageRequest[TokenizerConfig]) -> StageResult:
    """Make the tokenizer of this name from the kept documents of all (or the asked for) partitions, unless it is made.

    Raises:
        InputError: no documents are committed, or what is to be loaded is no tokenizer.
        ConfigError: the pattern cannot be read, or a loaded tokenizer has no such end-of-text token.
        TooLittleTextError: no kept document is a training document.
        LeaseError: another live run makes the same tokenizer.
    """
    request = _beside(request)
    outcome = _frozen(request)
    if outcome is None:
        keys = _keys(request)
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
