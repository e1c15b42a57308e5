"""The model file and the score."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.quality.classifier import Classifier, read_classifier
from pipelines.quality.features import hashed_words
from schemas.errors import ContractError, InputError


def made(bits: int = 10, **more: object) -> Classifier:
    """Weights that look random and are not."""
    noise = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(2**bits // 8))
    weights = (np.frombuffer(noise, dtype="<u4") / 2.0**31 - 1).astype(np.float32)
    about = {"weights": weights, "bias": 0.25, "bits": bits, "seed": 3, "weighting": "root-share"}
    return Classifier(**{**about, **more})  # type: ignore[arg-type]


@given(st.text(max_size=300))
def test_score_is_the_logistic_of_an_exact_sum(text: str) -> None:
    classifier = made()
    hashed = hashed_words(text, 10, 3)
    total = int(hashed.counts.sum())
    margin = Fraction(classifier.bias)
    for bucket, count in zip(hashed.buckets.tolist(), hashed.counts.tolist(), strict=True):
        margin += Fraction(float(classifier.weights[bucket]) * math.sqrt(count / total))
    assert classifier.score(text) == float(np.float32(1 / (1 + math.exp(-float(margin)))))


def test_a_score_is_a_float32_and_extremes_are_zero_and_one() -> None:
    score = made().score("some words of a text")
    assert score == float(np.float32(score))
    assert made(bias=-1e6).score("x") == 0.0
    assert made(bias=1e6).score("x") == 1.0
    assert made().score("") == pytest.approx(1 / (1 + math.exp(-0.25)))


def test_the_file_gives_the_same_classifier(tmp_path: Path) -> None:
    classifier = made()
    path = tmp_path / "model.arrow"
    path.write_bytes(classifier.to_bytes())
    read = read_classifier(str(path), classifier.fingerprint)
    assert read.fingerprint == classifier.fingerprint
    assert read.to_bytes() == classifier.to_bytes()
    assert read.score("what it says of this") == classifier.score("what it says of this")


def test_everything_that_a_score_depends_on_is_in_the_fingerprint() -> None:
    classifier = made()
    other = classifier.weights.copy()
    other[5] += 1
    changed = [replace(classifier, bias=0.5), replace(classifier, seed=4), replace(classifier, weighting="count")]
    changed.append(replace(classifier, weights=other))
    assert len({one.fingerprint for one in [classifier, *changed]}) == 5


def rewritten(**metadata: str) -> bytes:
    table = pa.ipc.open_file(pa.BufferReader(made().to_bytes())).read_all()
    table = table.replace_schema_metadata(
        {**table.schema.metadata, **{key.encode(): value for key, value in metadata.items()}}
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def test_wrong_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "model.arrow"
    with pytest.raises(InputError, match=r"cannot read .*model\.arrow: .*give a file that exists"):
        read_classifier(str(path))
    path.write_bytes(b"no Arrow")
    with pytest.raises(
        InputError, match=r"model\.arrow is no classifier \(.*\); give the model\.arrow that `corpusmill"
    ):
        read_classifier(str(path))
    path.write_bytes(rewritten(classifier="{}"))
    with pytest.raises(InputError, match=r"is no classifier; give the model\.arrow that"):
        read_classifier(str(path))
    path.write_bytes(rewritten(classifier=json.dumps({"version": 2})))
    with pytest.raises(InputError, match="is a classifier of version 2, this program reads 1; train it again with"):
        read_classifier(str(path))
    path.write_bytes(rewritten(fingerprint="0" * 64))
    with pytest.raises(ContractError, match="was damaged or changed after it was written"):
        read_classifier(str(path))
    path.write_bytes(made().to_bytes())
    with pytest.raises(InputError, match=r"expected 0{16}…: it is another classifier than the one that was used"):
        read_classifier(str(path), "0" * 64)
