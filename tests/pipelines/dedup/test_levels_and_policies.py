"""Levels, survivor policies and scopes on texts, against a walk over all pairs of texts."""

from __future__ import annotations

import datetime
import functools
import itertools
import random
import re
from typing import Any

import pytest

from pipelines.dedup import measured_similarity
from pipelines.dedup.stage import pending
from schemas.configs.dedup import DedupConfig
from schemas.corpus_root import PartitionKey

DAY = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
PARTITIONS = (("alpha", "1"), ("alpha", "2"), ("beta", "1"))
LEVELS = (("exact", "near"), ("url", "exact", "near"), ("url",), ("url", "near"), ("near",), ("url", "exact"))
POLICIES: tuple[dict[str, Any], ...] = (
    {},
    {"policy": ("longest",)},
    {"policy": ("score:edu", "newest:captured_at")},
    {"policy": ("earliest:published",), "scope": "corpus"},
    {"policy": ("source", "longest"), "source_priority": ("beta",), "scope": "corpus"},
)


@functools.cache
def grams(text: str) -> frozenset[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return frozenset(zip(*(words[i:] for i in range(5)), strict=False))


def jaccard(one: str, other: str) -> float:
    left, right = grams(one), grams(other)
    return 1.0 if one == other else len(left & right) / max(1, len(left | right))


def make_documents(seed: int, chain: Any) -> dict[tuple[str, str], dict[str, dict[str, Any]]]:
    """By partition and name, the columns of documents that repeat each other in every way."""
    draw = random.Random(seed)
    found: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for place in PARTITIONS:
        rows = {}
        for number in range(22):
            text = chain(draw.choice("abc"), draw.randrange(6)) if draw.random() < 0.8 else draw.choice(["a b", "c"])
            rows[f"{number}"] = {
                "text": text,
                "url_key": draw.choice([None, "http://u.example/1", f"http://u.example/{draw.randrange(9)}"]),
                "captured_at": draw.choice([None, DAY + datetime.timedelta(days=draw.randrange(5))]),
                "published": draw.choice([None, "2024-01-02", "2025-01-02"]),
                "scores": [
                    ("characters", float(len(text))),
                    *([("edu", draw.choice([0.1, 0.5, float("nan")]))] if number % 3 else []),
                ],
            }
        found[place] = rows
    return found


def value(doc: dict[str, Any], key: str) -> Any:
    """What a key of the policy makes of a document; less is better."""
    kind, _, name = key.partition(":")
    if kind == "longest":
        return -len(doc["text"])
    if kind == "source":
        return doc["place"][0] != "beta"
    if kind == "score":
        score = dict(doc["scores"]).get(name, float("nan"))
        return (1, 0.0) if score != score else (0, -score)
    moment = doc[name]
    if isinstance(moment, datetime.datetime):
        moment = (moment - DAY).days
    elif moment:
        moment = int(moment[:4])
    return (1, 0) if moment is None else (0, -moment if kind == "newest" else moment)


def expected(docs: list[dict[str, Any]], config: DedupConfig) -> dict[Any, tuple[Any, str, float]]:
    """By document that goes: its keeper, the level, and the similarity of the two."""

    def rank(doc: dict[str, Any]) -> Any:
        keys = [value(doc, key) for key in config.policy]
        order = [PARTITIONS.index(doc["place"])]
        return (*(keys + order if config.scope == "corpus" else order + keys), doc["content_hash"], doc["document_id"])

    ranked = sorted(docs, key=rank)
    name = {id(doc): (doc["place"], doc["document_id"]) for doc in docs}
    heads: dict[str, dict[str, Any]] = {}
    after_url, redirected = [], []
    for doc in ranked:
        if "url" in config.levels and doc["url_key"] and heads.setdefault(doc["url_key"], doc) is not doc:
            redirected.append(doc)
        else:
            after_url.append(doc)
    kept: list[dict[str, Any]] = []
    gone: dict[Any, tuple[Any, str, float]] = {}
    keeper_of: dict[int, dict[str, Any]] = {}
    for doc in after_url:
        for other in kept:
            alike, same = jaccard(doc["text"], other["text"]), doc["text"] == other["text"]
            comparable = bool(grams(doc["text"]))
            if same and "exact" in config.levels:
                level = "exact"
            elif "near" in config.levels and comparable and alike >= 0.8:
                level = "near"
            else:
                continue
            gone[name[id(doc)]], keeper_of[id(doc)] = (name[id(other)], level, alike), other
            break
        else:
            kept.append(doc)
    for doc in redirected:
        head = heads[doc["url_key"]]
        keeper = keeper_of.get(id(head), head)
        gone[name[id(doc)]] = (name[id(keeper)], "url", jaccard(doc["text"], keeper["text"]))
    return gone


def found(corpus: Any) -> dict[Any, tuple[Any, str, float]]:
    rows = [row for source, partition in PARTITIONS for row in corpus.rows("duplicates", partition, source)]
    return {
        ((row["removed_source"], row["removed_partition"]), row["removed_id"]): (
            ((row["kept_source"], row["kept_partition"]), row["kept_id"]),
            row["level"],
            row["similarity"],
        )
        for row in rows
    }


def test_every_setting_equals_a_walk_over_all_pairs(corpus: Any, chain: Any) -> None:
    docs: list[dict[str, Any]] = []
    for (source, partition), rows in make_documents(1, chain).items():
        corpus.put(partition, {name: row["text"] for name, row in rows.items()}, source=source, more=rows, files=2)
        for row in corpus.rows("documents", partition, source):
            docs.append({**row, "place": (source, partition)})
    checked = 0
    for levels, policy in itertools.product(LEVELS, POLICIES):
        settings = {"levels": levels, **policy}
        corpus.dedup(audit_documents=0, **settings)
        wanted = expected(docs, DedupConfig(**settings))
        assert found(corpus) == wanted, settings
        assert len(wanted) > 10
        assert pending(corpus.request(audit_documents=0, **settings)) == 0
        checked += len(wanted)
    assert checked > 500


def test_a_text_whose_documents_went_by_their_url_is_taken_up_again(corpus: Any, chain: Any) -> None:
    # In the first partition "b" goes by its URL, so that nothing stands for its text, and the edge between "b" and "c"
    # lies there. The second partition brings the text of "b" under a URL of its own: "c" stands, so it goes to it.
    url = {"url_key": "http://u.example/"}
    first = {**url, "scores": [("first", 1.0)]}
    corpus.put(
        "1",
        {"a": chain("z", 0), "b": chain("w", 0), "c": chain("w", 1)},
        more={"a": first, "b": url, "c": {"url_key": "c"}},
    )
    corpus.put("2", {"d": chain("w", 0)}, more={"d": {"url_key": "d"}})
    levels = ("url", "exact", "near")
    corpus.dedup(levels=levels, policy=("score:first",))
    names = corpus.names("1")
    (by_url,) = corpus.rows("duplicates", "1")
    assert (names[by_url["removed_id"]], by_url["level"], by_url["similarity"]) == ("b", "url", 0.0)
    (row,) = corpus.rows("duplicates", "2")
    assert (row["level"], names[row["kept_id"]]) == ("near", "c")
    assert row["similarity"] == (196 - 15) / (196 + 15)


def test_a_partition_that_changes_earlier_decisions_is_told(corpus: Any, chain: Any) -> None:
    settings = {"scope": "corpus", "policy": ("longest",)}
    corpus.put("1", {"short": chain("w", 1)[:-9], "alone": chain("v", 0)})
    corpus.put("3", {"other": chain("x", 0)})
    first = corpus.dedup(**settings)
    assert (first.changed, first.outdated) == ((), ())
    corpus.put("2", {"long": chain("w", 1) + " and more"})
    part = corpus.dedup(partition="2", **settings)
    assert part.changed == ()
    assert [str(key) for key in part.outdated] == ["web/1", "web/3"]
    assert corpus.removed("2") == set()
    whole = corpus.dedup(**settings)
    assert [str(key) for key in whole.changed] == ["web/1"]
    assert (whole.outdated, corpus.removed("1")) == ((), {"short"})
    assert corpus.rows("duplicates", "1")[0]["kept_partition"] == "2"


def test_a_partition_filled_in_makes_later_ones_outdated(corpus: Any, chain: Any) -> None:
    corpus.put("2", {"b": chain("w", 0)})
    corpus.dedup()
    corpus.put("1", {"a": chain("w", 0)})
    result = corpus.dedup(partition="1")
    assert result.outdated == (PartitionKey("web", "2"),)
    result = corpus.dedup()
    assert (result.changed, result.outdated) == ((PartitionKey("web", "2"),), ())


def test_dates_of_capture_make_decisions_stale_where_they_rank(corpus: Any) -> None:
    def put(first: int, second: int) -> None:
        days = {"a": first, "b": second}
        more = {name: {"captured_at": DAY + datetime.timedelta(days=day)} for name, day in days.items()}
        corpus.put("p", dict.fromkeys(days, "the same few words"), more=more)

    for policy, kept_after in ((("newest:captured_at",), "a"), (("earliest:captured_at",), "b")):
        put(1, 2)
        corpus.dedup(policy=policy)
        before = corpus.removed("p")
        put(2, 1)  # the digest of documents has no dates, so it is the same as before
        corpus.dedup(policy=policy)
        assert before | corpus.removed("p") == {"a", "b"}
        assert kept_after not in corpus.removed("p")
    corpus.dedup()
    put(1, 2)
    assert pending(corpus.request()) == 0


def test_lengths_are_counted_where_no_score_tells_them(corpus: Any, chain: Any) -> None:
    texts = {"long": chain("w", 0) + " ends here", "short": chain("w", 0), "told": chain("v", 0), "counted": ""}
    texts["counted"] = texts["told"] + " is longer"
    # Where the score is there it is believed, for each document by itself.
    corpus.put("p", texts, files=2, more={"told": {"scores": [("characters", 10_000.0)]}})
    corpus.dedup(policy=("longest",))
    names = corpus.names("p")
    gone = {names[row["removed_id"]]: names[row["kept_id"]] for row in corpus.rows("duplicates", "p")}
    assert gone == {"short": "long", "counted": "told"}


def test_url_similarities_are_measured_as_memory_allows(
    make_corpus: Any, chain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {f"{family}{link}": chain(family, link) for family in "abc" for link in range(9)}
    found, read = [], []
    within = measured_similarity.texts_within
    monkeypatch.setattr(
        measured_similarity,
        "texts_within",
        lambda *given: read.append((len(given[2].ids), given[3])) or within(*given),
    )
    for text_bytes in (8, 2**14):  # all at once, and 2 kB of each side, of which a text has 0.9
        monkeypatch.setattr(measured_similarity, "_TEXT_BYTES", text_bytes)
        corpus = make_corpus()
        corpus.put("p", texts, more={name: {"url_key": name[0]} for name in texts})
        corpus.dedup(levels=("url",), memory_mib=64, audit_documents=0)
        found.append(corpus.rows("duplicates", "p"))
    assert found[0] == found[1]
    assert len(found[0]) == 24
    assert (196 - 15) / (196 + 15) in {row["similarity"] for row in found[0]}
    assert read[0][0] == 24
    assert {count for count, most in read if most > 2**40} == {1}  # what is too long by itself is read all the same
