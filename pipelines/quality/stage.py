"""The stage `quality`: trains the quality classifier on trusted sources against raw crawl, once.

Writes `<root>/classifiers/<name>/model.arrow` and a manifest with its fingerprint, the area under the ROC curve and a
calibration table on held-out documents. From then on it is frozen: another name makes another one.
"""

from __future__ import annotations

from pipelines.engine.stage import StageRequest, StageResult
from pipelines.engine.staging import StagedFile, StagedTable
from pipelines.engine.unit import Unit, UnitOutcome, UnitOutput, run_unit
from pipelines.kept_documents import input_records, kept_documents
from pipelines.quality.passages import Passage, PassageSample, passages_of
from schemas.catalog import units
from schemas.configs.quality import QualityConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import InputError
from schemas.manifest import Manifest, read_manifest
from schemas.storage import Folder

__all__ = ["CLASSIFIERS", "CLASSIFIER_FILE", "STAGE_VERSION", "pending", "run"]

STAGE_VERSION = 1
CLASSIFIERS = "classifiers"
CLASSIFIER_FILE = "model.arrow"

_Keys = dict[str, list[PartitionKey]]


class _FrozenUnit(Unit):
    """Done as soon as there is a classifier of this name, whatever its settings and documents were."""

    def done(self) -> Manifest | None:
        return read_manifest(self.folder())


def _key(config: QualityConfig) -> PartitionKey:
    return PartitionKey(config.name, "")


def _frozen(request: StageRequest[QualityConfig]) -> UnitOutcome | None:
    config = request.config
    manifest = read_manifest(request.root.partition_folder(CLASSIFIERS, _key(config)))
    if manifest is None:
        return None
    wanted = config.fingerprint_view()
    other = [f"{name} {manifest.config.get(name)}" for name in wanted if manifest.config.get(name) != wanted[name]]
    made = f" (made with {', '.join(other)})" if other else ""
    reason = f"classifier {config.name!r} is frozen{made}; another name makes another one"
    return UnitOutcome(_key(config), "skipped", manifest, reason)


def _partitions(root: CorpusRoot, config: QualityConfig) -> _Keys:
    committed = units(root, "documents")
    found: _Keys = {}
    for source in (*config.positives, *config.negatives):
        found[source] = [key for key in committed if key.source == source]
        if not found[source]:
            there = ", ".join(sorted({key.source for key in committed})) or "none"
            raise InputError(
                f"no documents of source {source!r} in {root.url} (sources there: {there}); clean some, or name another"
            )
    return found


def _sample(root: CorpusRoot, keys: list[PartitionKey], config: QualityConfig) -> list[Passage]:
    """Passages of training documents of one source that deduplication, where it has run, has kept."""
    sample = PassageSample(config.passages, config.seed)
    for key in keys:
        for document in kept_documents(root, key, config.test, config.validation):
            if document.split == "train":
                for passage in passages_of(bytes.fromhex(document.group), document.text, config.passage_characters):
                    sample.add(passage)
    return sample.passages()


def _work(request: StageRequest[QualityConfig], keys: _Keys, folder: Folder) -> UnitOutput:
    from pipelines.quality.training import train  # SciPy takes half a second to import

    samples = {source: _sample(request.root, keys[source], request.config) for source in keys}
    trained = train(samples, request.config)
    content = trained.classifier.to_bytes()
    folder.put_whole(CLASSIFIER_FILE, content)
    file = StagedFile(CLASSIFIER_FILE, len(trained.classifier.weights), len(content), trained.classifier.fingerprint)
    tables = {CLASSIFIERS: StagedTable(folder, (file,))}
    return UnitOutput(tables=tables, counts=trained.counts, notes=trained.notes)


def pending(request: StageRequest[QualityConfig]) -> int:
    """Units that `run` would do now."""
    return 0 if _frozen(request) else 1


def run(request: StageRequest[QualityConfig]) -> StageResult:
    """Train the classifier of this name, unless it is there.

    Raises:
        InputError: a source has no committed documents, or one partition was asked for.
        TooLittleTextError: a class has no passage to learn from or to measure on.
        LeaseError: another live run trains the same classifier.
    """
    if request.source or request.partition:
        raise InputError("quality reads the sources in positives and negatives; leave out --source and --partition")
    outcome = _frozen(request)
    if outcome is None:
        keys = _partitions(request.root, request.config)
        unit = _FrozenUnit(
            root=request.root,
            stage="quality",
            version=STAGE_VERSION,
            key=_key(request.config),
            table=CLASSIFIERS,
            config=request.config,
            inputs=input_records(request.root, [key for source in sorted(keys) for key in keys[source]]),
        )
        outcome = run_unit(unit, request.engine, lambda folder: _work(request, keys, folder))
    return StageResult(stage="quality", outcomes=(outcome,))
