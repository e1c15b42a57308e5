"""The stage on real texts: what it learns, that it depends on content alone, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from pipelines.engine.unit import UnitOutcome
from pipelines.garbage import garbage
from pipelines.kept_documents import kept_documents
from pipelines.quality import stage
from pipelines.quality.classifier import read_classifier
from schemas.configs.base import load_config
from schemas.configs.quality import QualityConfig
from schemas.corpus_root import CorpusRoot
from schemas.errors import ConfigError, InputError, TooLittleTextError
from schemas.identity import content_hash, document_id
from schemas.split import split_of

GOLDEN = [0.996692, 0.063700, 0.953685]
SMALL: dict[str, Any] = {
    "positives": ("wiki", "books"),
    "negatives": ("crawl",),
    "bits": 14,
    "test": 0,
    "validation": 0,
}


def request(root: CorpusRoot, workers: int = 1, **settings: Any) -> StageRequest[QualityConfig]:
    config = QualityConfig.model_validate({**SMALL, **settings})
    return StageRequest(root=root, config=config, engine=Engine(workers=workers))


def trained(root: CorpusRoot, workers: int = 1, **settings: Any) -> UnitOutcome:
    return stage.run(request(root, workers, **settings)).outcomes[0]


def commit(writer: Any, texts: dict[str, list[str]]) -> None:
    for source, mine in texts.items():
        writer.documents("a", mine, source=source)


def toy(count: int = 60) -> dict[str, list[str]]:
    return {
        "wiki": [f"the history of the town number {n} was written by a scholar" for n in range(count)],
        "books": [f"she looked at him and said nothing of the letter {n}" for n in range(count)],
        "crawl": [f"click here buy now login {n} menu home contact" for n in range(count)],
    }


def test_real_texts_are_told_apart(corpus_writer: Any, real_texts: dict[str, list[str]]) -> None:
    commit(corpus_writer, real_texts)
    root = corpus_writer.root
    outcome = trained(root, bits=18)
    manifest = outcome.manifest
    assert (outcome.status, str(outcome.key), stage.pending(request(root))) == ("done", "quality/", 0)
    assert manifest.counts["held_out_positives"] > 50
    assert manifest.counts["held_out_negatives"] > 30
    assert manifest.notes["held_out_auc"] > 0.99
    calibration = manifest.notes["calibration"]
    assert sum(row["positives"] for row in calibration) == manifest.counts["held_out_positives"]
    rows = {row["source"]: row for row in manifest.notes["held_out_by_source"]}
    assert list(rows) == ["books", "crawl", "wiki"]
    assert rows["crawl"]["keep_rate"] < 0.05 < 0.5 < rows["books"]["keep_rate"]
    url = f"{root.url}/classifiers/quality/model.arrow"
    classifier = read_classifier(url, manifest.notes["fingerprint"])
    assert classifier.score(real_texts["books"][3]) > 0.8 > 0.2 > classifier.score(real_texts["crawl"][3])
    assert garbage(root) == []


def test_content_alone_makes_the_model(tmp_path: Path, corpus_writer: Any) -> None:
    texts = toy()
    models = set()
    for name, workers in (("one", 1), ("two", 2)):
        writer = type(corpus_writer)(CorpusRoot(str(tmp_path / name)))
        for source, mine in texts.items():
            if name == "one":
                writer.documents("a", mine, source=source)
            else:  # other partitions, order, files and URLs, and some copies
                writer.documents("b", {f"x{n}": text for n, text in enumerate(mine[25:][::-1])}, source=source, files=4)
                writer.documents("a", mine[:40], source=source)
        sources = {"positives": ("books", "wiki")} if name == "two" else {}
        trained(writer.root, workers, passages=50, **sources)
        models.add((tmp_path / name / "classifiers/quality/model.arrow").read_bytes())
    assert len(models) == 1


def test_scores_are_those_of_this_version(corpus_writer: Any) -> None:
    """Where this goes red and is meant to, count up STAGE_VERSION."""
    commit(corpus_writer, toy())
    root = corpus_writer.root
    trained(root)
    classifier = read_classifier(f"{root.url}/classifiers/quality/model.arrow")
    texts = ("the history of the letter", "click here", "nothing of all this is known")
    # The fit ends where the gradient is flat to 1e-7; the last digits may differ on another processor.
    assert {stage.STAGE_VERSION: [classifier.score(text) for text in texts]} == {1: pytest.approx(GOLDEN, abs=2e-4)}


def test_seed_and_settings_make_other_models(corpus_writer: Any) -> None:
    commit(corpus_writer, toy())
    notes = [
        trained(corpus_writer.root, name=f"n{number}", **settings).manifest.notes["fingerprint"]
        for number, settings in enumerate([{}, {"seed": 1}, {"weighting": "count"}, {"regularization": 1e-3}])
    ]
    assert len(set(notes)) == 4


def test_a_classifier_is_frozen_under_its_name(corpus_writer: Any) -> None:
    commit(corpus_writer, toy())
    first = trained(corpus_writer.root)
    again = trained(corpus_writer.root, seed=9)
    assert (again.status, again.manifest) == ("skipped", first.manifest)
    assert again.reason == "classifier 'quality' is frozen (made with seed 0); another name makes another one"


def test_only_kept_training_documents_are_read(corpus_writer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = toy()
    keys = {source: corpus_writer.documents("a", mine, source=source) for source, mine in texts.items()}
    gone = set(range(0, 60, 7))
    ids = [document_id("crawl", f"doc-{n}", content_hash(texts["crawl"][n])) for n in gone]
    corpus_writer.duplicates(keys["crawl"], ids)
    assert len(list(kept_documents(corpus_writer.root, keys["crawl"], 0, 0))) == 60 - len(gone)
    seen: set[bytes] = set()
    cut = stage.passages_of

    def spy(document: bytes, text: str, characters: int) -> Any:
        seen.add(document)
        return cut(document, text, characters)

    monkeypatch.setattr(stage, "passages_of", spy)
    counts = trained(corpus_writer.root, test=0.2, validation=0.1).manifest.counts
    wanted = {
        content_hash(text)
        for source, mine in texts.items()
        for n, text in enumerate(mine)
        if not (source == "crawl" and n in gone) and split_of(content_hash(text), 0.2, 0.1) == "train"
    }
    assert seen == wanted
    assert sum(counts[f"{part}_{kind}"] for part in ("learned", "held_out") for kind in ("positives", "negatives")) == (
        len(wanted)
    )


def test_a_text_in_both_classes_is_trusted(corpus_writer: Any) -> None:
    texts = toy()
    texts["crawl"] += texts["wiki"]
    commit(corpus_writer, texts)
    counts = trained(corpus_writer.root).manifest.counts
    assert counts["learned_negatives"] + counts["held_out_negatives"] == 60
    assert counts["learned_positives"] + counts["held_out_positives"] == 120


def test_what_cannot_be_trained_on_is_said(corpus_writer: Any) -> None:
    root = corpus_writer.root
    with pytest.raises(InputError, match=r"no documents of source 'wiki' in .* \(sources there: none\); clean some"):
        trained(root)
    commit(corpus_writer, {**toy(3), "books": []})
    with pytest.raises(InputError, match=r"no documents of source 'blogs' in .* \(sources there: books, crawl, wiki\)"):
        trained(root, positives=("wiki", "blogs"))
    with pytest.raises(
        TooLittleTextError, match="no trusted passage is left to learn from: the documents of positives"
    ):
        trained(root, positives=("books",))
    with pytest.raises(TooLittleTextError, match=r"passage is held out: the documents of (positives|negatives)"):
        trained(root, held_out=1e-9)
    with pytest.raises(InputError, match="quality reads the sources in positives and negatives; leave out --source"):
        stage.run(StageRequest(root=root, config=request(root).config, engine=Engine(), source="wiki"))
    assert stage.pending(request(root)) == 1


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], r"positives names no source; give --set positives='\[\"NAME\"\]' with a source of the corpus"),
        (['positives=["wiki"]'], "negatives names no source"),
        (['positives=["a", "b"]', 'negatives=["b"]'], "source 'b' is among both positives and negatives"),
        (["bits=30"], "quality.bits: Input should be less than or equal to 24, got 30"),
        (["weighting=tfidf"], "quality.weighting: Input should be 'root-share' or 'count'"),
    ],
)
def test_wrong_settings_are_named(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(QualityConfig, None, overrides)
