"""Settings: what banding follows from them, what each unit depends on, and what is refused."""

from __future__ import annotations

import pytest

from schemas.configs.base import load_config
from schemas.configs.dedup import Banding, DedupConfig, EdgeConfig, SignatureConfig
from schemas.errors import ConfigError


def test_default_banding_has_the_recall() -> None:
    config = DedupConfig()
    assert config.banding == (18, 6)
    assert config.banding.recall(0.8) == pytest.approx(1 - (1 - 0.8**6) ** 18)
    assert config.banding.recall(0.8) >= 0.995


@pytest.mark.parametrize(
    ("bands", "rows", "expected"), [(14, 8, 0.92), (26, 11, 0.90), (20, 13, 0.68), (9, 13, 0.40), (10, 1, 1.0)]
)
def test_recall_of_known_schemes_at_08(bands: int, rows: int, expected: float) -> None:
    assert Banding(bands, rows).recall(0.8) == pytest.approx(expected, abs=0.005)


def test_no_banding_with_more_rows_has_the_recall() -> None:
    for permutations in (32, 64, 108, 128, 256):
        chosen = Banding.widest(permutations, 0.8, 0.9)
        assert chosen is not None
        assert chosen.bands * chosen.rows <= permutations
        assert chosen.recall(0.8) >= 0.9
        assert all(
            Banding(permutations // rows, rows).recall(0.8) < 0.9 for rows in range(chosen.rows + 1, permutations + 1)
        )


def test_curve_is_the_true_one() -> None:
    curve = dict(DedupConfig().banding.curve())
    assert curve[0.5] == pytest.approx(0.2468, abs=1e-4)
    assert curve[0.8] == pytest.approx(0.9958, abs=1e-4)


def test_each_unit_depends_on_its_own_settings() -> None:
    config = DedupConfig(threshold=0.7, levels=("exact", "near"), memory_mib=100)
    assert set(config.narrowed(SignatureConfig).fingerprint_view()) == {
        *("ngram", "ngram_characters", "permutations", "seed"),
    }
    assert "levels" not in config.narrowed(EdgeConfig).fingerprint_view()
    assert config.narrowed(EdgeConfig).threshold == 0.7
    assert "memory_mib" not in config.fingerprint_view()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("permutations=2", "2 permutations cannot find pairs of similarity 0.8 with probability 0.995; raise"),
        ("threshold=1.5", r"dedup.threshold: .*less than or equal to 1"),
        ("levels=[]", r"dedup.levels: .*at least 1 item"),
        ('levels=["exact", "exact"]', "levels name each one once; exact, exact repeats one"),
        ('levels=["urls"]', "dedup.levels.0: .*'url', 'exact' or 'near'"),
        ('policy=["best"]', "unknown key of the policy 'best'; give score:NAME, longest, earliest:captured_at"),
        ('policy=["longest", "longest"]', "policy name each one once"),
        ('policy=["source"]', "key source and source_priority go together: give both or neither"),
        ('source_priority=["a"]', "key source and source_priority go together: give both or neither"),
        ("treshold=0.7", "unknown key; did you mean 'threshold'"),
    ],
)
def test_wrong_settings_are_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(DedupConfig, overrides=[override])


def test_trust_in_sources_ranks_nothing_inside_a_partition() -> None:
    DedupConfig(policy=("source",), source_priority=("a",), scope="corpus")
    with pytest.raises(ConfigError, match="ranks nothing inside a partition; set scope=corpus, or put sources"):
        load_config(DedupConfig, policy=("source",), source_priority=("a",))


def test_keys_of_the_policy() -> None:
    keys = DedupConfig(policy=("score:edu", "longest", "newest:published", "earliest:captured_at")).survivor_keys
    assert [(key.kind, key.name, key.descending) for key in keys] == [
        ("score", "edu", True),
        ("length", "", True),
        ("date", "published", True),
        ("date", "captured_at", False),
    ]


def test_brakes_and_audits_make_nothing_stale() -> None:
    view = DedupConfig(brake=0.5, brake_action="stop", cluster_brake=0.1, audit_documents=3).fingerprint_view()
    assert view == DedupConfig().fingerprint_view()
    assert {"levels", "policy", "scope", "source_priority"} <= view.keys()
