"""The rule that keeps documents by a classifier's score and a draw."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.cleaning.replay import replay
from pipelines.cleaning.rows import RowMaker
from pipelines.cleaning.rules import evaluate
from pipelines.cleaning.stage import pending, run
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from pipelines.quality.classifier import Classifier
from pipelines.quality.draw import pareto_draw
from pipelines.quality.pinned import with_pinned_classifier
from pipelines.sources.items import Address, Item
from schemas.catalog import read_table
from schemas.configs.base import load_config
from schemas.configs.clean import CleanConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import ConfigError, InputError
from schemas.identity import content_hash

KEY = PartitionKey("web", "one")


def constant(score: float) -> Classifier:
    """Gives every text this score."""
    bias = math.log(score / (1 - score)) if 0 < score < 1 else math.copysign(1e6, score - 0.5)
    return Classifier(np.zeros(256, dtype=np.float32), bias, 8, 0, "root-share")


def mixed() -> Classifier:
    """Gives texts scores over the whole range."""
    weights = np.random.default_rng(3).normal(0, 9, 256).astype(np.float32)
    return Classifier(weights, 0.0, 8, 0, "root-share")


def config(**settings: object) -> CleanConfig:
    return CleanConfig.model_validate({"rules": ["quality-draw"], "classifier": "model.arrow", **settings})


@pytest.mark.parametrize("score", [0.0, 0.5, 0.9])
def test_keep_rates_match_theory(score: float) -> None:
    classifier, settings, count = constant(score), config(), 20_000
    verdicts = [evaluate(f"text {n}", "en", 1.0, settings, classifier=classifier) for n in range(count)]
    rate = (2 - score) ** -9
    kept = sum(not verdict.failed for verdict in verdicts)
    assert abs(kept - count * rate) < 3 * math.sqrt(count * rate * (1 - rate))
    assert {verdict.scores["quality"] for verdict in verdicts} == {float(np.float32(score))}


def test_the_verdict_follows_from_the_stored_values() -> None:
    classifier, settings = mixed(), config(seed=5, pareto_alpha=2.0)
    for number in range(500):
        text = f"word{number} other{number % 7} third"
        verdict = evaluate(text, "en", 1.0, settings, classifier=classifier)
        draw = pareto_draw(content_hash(text), 5, 2.0)
        assert verdict.scores["quality"] == classifier.score(text)
        assert verdict.scores["quality-draw"] == float(np.float32(classifier.score(text) + draw))
        assert (verdict.failed == ()) == (verdict.scores["quality-draw"] >= 1)
        assert verdict.failed in {(), ("quality-draw",)}


def test_what_editing_rules_leave_is_scored() -> None:
    settings = config(rules=["pii", "quality-draw"])
    verdict = evaluate("write to me@example.org", "en", 1.0, settings, classifier=mixed())
    assert verdict.text != "write to me@example.org"
    assert verdict.scores["quality"] == mixed().score(verdict.text)


def test_the_draw_is_of_the_stored_text_wherever_the_rule_stands() -> None:
    text = "write to me@example.org"
    last, first = (
        evaluate(text, "en", 1.0, config(rules=rules), classifier=mixed())
        for rules in (["pii", "quality-draw"], ["quality-draw", "pii"])
    )
    assert first.scores == last.scores
    draw = pareto_draw(content_hash(first.text), 0, 9.0)
    assert first.scores["quality-draw"] == float(np.float32(mixed().score(first.text) + draw))


def test_the_rule_is_added_where_a_classifier_is_given() -> None:
    plain = CleanConfig(preset="gopher")
    given = CleanConfig(preset="gopher", classifier="model.arrow")
    assert given.active_rules() == (*plain.active_rules(), "quality-draw")
    assert CleanConfig(rules=(), classifier="model.arrow").active_rules() == ()
    with pytest.raises(ConfigError, match=r"rule 'quality-draw' wants a classifier; give --set classifier="):
        load_config(CleanConfig, None, ['rules=["quality-draw"]'])
    with pytest.raises(ConfigError, match=r"clean\.classifier_fingerprint: String should match pattern"):
        load_config(CleanConfig, None, ["classifier_fingerprint=abc"])


def stored(folder: Path, classifier: Classifier) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "model.arrow").write_bytes(classifier.to_bytes())
    return str(folder / "model.arrow")


def test_a_document_has_one_score_whatever_comes_beside_it(tmp_path: Path) -> None:
    settings = with_pinned_classifier(config(classifier=stored(tmp_path, mixed())))
    texts = [f"the document number {n} of {'many ' * (n % 5)}words" for n in range(40)]
    items = [Item(kind="row", address=Address(record_file="f", record_offset=n), text=t) for n, t in enumerate(texts)]
    maker = RowMaker(KEY, settings)
    together = [maker.row(item) for item in items]
    assert [maker.row(item) for item in reversed(items)] == together[::-1]
    assert [RowMaker(KEY, settings).row(item) for item in items[:3]] == together[:3]  # each the first of its process
    assert {table for table, _ in together} == {"documents", "dropped"}


def request(root: CorpusRoot, given: Path, workers: int, **settings: Any) -> StageRequest[CleanConfig]:
    return StageRequest(
        root=root,
        config=CleanConfig.model_validate({"preset": "gpt3", **settings}),
        engine=Engine(workers=workers),
        source=KEY.source,
        partition=KEY.partition,
        inputs=(str(given),),
    )


@pytest.mark.slow
def test_the_stage_pins_the_classifier(tmp_path: Path, corpus_root: CorpusRoot) -> None:
    given = tmp_path / "rows.jsonl"
    rows = [f'{{"text": "the row number {n} has its own words{n}"}}' for n in range(300)]
    given.write_text("\n".join([*rows, "no json"]))
    url = stored(tmp_path / "m", mixed())
    asked = request(corpus_root, given, 2, classifier=url)
    assert pending(asked) == 1
    manifest = run(asked).outcomes[0].manifest
    assert manifest.config["classifier_fingerprint"] == mixed().fingerprint
    assert manifest.counts["dropped.quality-draw"] > 0 < manifest.counts["documents"]
    assert pending(asked) == 0
    for row in read_table(corpus_root, "documents", KEY).to_pylist():
        assert dict(row["scores"])["quality"] == mixed().score(row["text"])
    other = CorpusRoot(str(tmp_path / "other"))
    assert run(request(other, given, 1, classifier=url)).outcomes[0].manifest.tables == manifest.tables
    stored(tmp_path / "m", constant(0.9))  # another classifier at the same place: other rows, and no replay
    assert pending(asked) == 1
    with pytest.raises(InputError, match="it is another classifier than the one that was used"):
        replay(corpus_root, Engine())


def test_a_path_is_made_whole_and_a_url_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = stored(tmp_path, mixed())
    monkeypatch.chdir(tmp_path)
    wanted = config(classifier=url, classifier_fingerprint=mixed().fingerprint)
    assert with_pinned_classifier(config(classifier="model.arrow")) == wanted
    assert with_pinned_classifier(config(classifier=f"file://{url}")).classifier == f"file://{url}"
    unused = config(rules=["pii"])
    assert with_pinned_classifier(unused) is unused


def test_a_missing_classifier_ends_it_at_once(tmp_path: Path, corpus_root: CorpusRoot) -> None:
    given = tmp_path / "rows.jsonl"
    given.write_text('{"text": "x"}')
    with pytest.raises(InputError, match=r"cannot read .*nowhere\.arrow"):
        run(request(corpus_root, given, 1, classifier=str(tmp_path / "nowhere.arrow")))
