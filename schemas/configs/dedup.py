"""Settings of the deduplication stage, and the banding that follows from them.

Each class holds what one unit of the stage depends on: what is in `SignatureConfig` makes signatures stale when it
changes, `EdgeConfig` adds what makes edges stale, `DedupConfig` what makes decisions stale.
"""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar, Literal, NamedTuple, TypeVar

from pydantic import Field, model_validator

from schemas.configs.base import StageConfig
from schemas.configs.dedup_survivors import SurvivorKey, survivor_key

__all__ = ["Banding", "DedupConfig", "EdgeConfig", "SignatureConfig"]

_CURVE = (0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
# Band keys hold the band's number in their upper 16 bits.
_MAX_BANDS = 2**16


class Banding(NamedTuple):
    """A signature's first `bands * rows` values, cut in bands of `rows` values each."""

    bands: int
    rows: int

    def recall(self, similarity: float) -> float:
        """Probability that two texts of this Jaccard similarity agree in at least one whole band.

        `1 - (1 - s^rows)^bands` (Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, section 3.4.2).
        """
        return float(1.0 - (1.0 - similarity**self.rows) ** self.bands)

    def curve(self) -> list[tuple[float, float]]:
        """The S-curve at a few similarities: (similarity, probability that such a pair is found)."""
        return [(similarity, round(self.recall(similarity), 6)) for similarity in _CURVE]

    @classmethod
    def widest(cls, permutations: int, threshold: float, recall: float) -> Banding | None:
        """The banding with the most rows, hence the fewest false candidates, that has the recall at the threshold.

        None where these permutations cannot reach it.
        """
        for rows in range(permutations, 0, -1):
            banding = cls(permutations // rows, rows)
            if banding.bands < _MAX_BANDS and banding.recall(threshold) >= recall:
                return banding
        return None


class SignatureConfig(StageConfig):
    """What the signature of a document depends on, beside its text."""

    stage: ClassVar[str] = "dedup"

    ngram: int = Field(
        default=5,
        ge=1,
        le=100,
        title="Words of a shingle",
        description="Texts are compared as sets of n-grams of lower-cased words; a text of fewer words than n has "
        "none and can be removed as an exact copy only.",
    )
    ngram_characters: int = Field(
        default=10,
        ge=1,
        le=100,
        title="Characters of a shingle",
        description="The same for texts of which at least half is in scripts that put no space between words, such as "
        "Chinese, Japanese and Thai: n-grams of the characters in words.",
    )
    permutations: int = Field(
        default=108,
        ge=1,
        le=4096,
        title="Permutations",
        description="Values of a MinHash signature. Bands and rows are chosen from them; 108 = 18 bands of 6 rows.",
    )
    seed: int = Field(default=1, ge=0, lt=2**32, title="Seed", description="Seed of the permutations.")


class EdgeConfig(SignatureConfig):
    """What decides which pairs are compared and which of them count as near-duplicates."""

    threshold: float = Field(
        default=0.8,
        gt=0,
        le=1,
        title="Threshold",
        description="Two texts are near-duplicates when the exact Jaccard similarity of their n-gram sets is at "
        "least this.",
    )
    recall: float = Field(
        default=0.995,
        gt=0,
        lt=1,
        title="Recall at the threshold",
        description="Probability with which a pair exactly at the threshold becomes a candidate; more similar pairs "
        "are found more often. Fixes the number of bands and rows.",
    )
    max_bucket: int = Field(
        default=256,
        ge=1,
        le=1_000_000,
        title="Largest bucket compared in full",
        description="Where more texts than this agree in a band, each is compared with this many of the "
        "highest-ranked ones, texts of equal shingles counting as one; pairs left out are counted.",
    )

    @model_validator(mode="after")
    def _recall_can_be_reached(self) -> EdgeConfig:
        if Banding.widest(self.permutations, self.threshold, self.recall) is None:
            raise ValueError(
                f"{self.permutations} permutations cannot find pairs of similarity {self.threshold} with probability "
                f"{self.recall}; raise permutations or threshold, or lower recall"
            )
        return self

    @cached_property
    def banding(self) -> Banding:
        """The bands and rows that these settings ask for."""
        banding = Banding.widest(self.permutations, self.threshold, self.recall)
        assert banding is not None
        return banding


NarrowT = TypeVar("NarrowT", bound=SignatureConfig)


class DedupConfig(EdgeConfig):
    """All settings of the stage."""

    # Brakes decide whether decisions are committed, audits only look at them, and memory says how it is done.
    operational: ClassVar[frozenset[str]] = frozenset(
        {
            "memory_mib",
            "brake",
            "brake_action",
            "cluster_brake",
            "brake_least_documents",
            "audit_documents",
            "audit_seed",
        }
    )

    levels: tuple[Literal["url", "exact", "near"], ...] = Field(
        default=("exact", "near"),
        min_length=1,
        title="Levels",
        description="url: documents of one canonical URL, whatever their texts; exact: equal texts; near: texts at or "
        "above the threshold. Without exact, equal texts are near-duplicates of similarity 1, and texts shorter than a "
        "shingle stay.",
    )
    policy: tuple[str, ...] = Field(
        default=(),
        title="Survivor policy",
        description="what ranks a document before another, first key first: score:NAME (highest), longest, "
        "earliest:captured_at, earliest:published, newest:captured_at, newest:published, source; a missing value ranks "
        "last. Ties are broken by partition order, content hash and document id.",
    )
    source_priority: tuple[str, ...] = Field(
        default=(),
        title="Source priority",
        description="sources from the most to the least trusted, for the key source; others come after them, equal.",
    )
    scope: Literal["partition", "corpus"] = Field(
        default="partition",
        title="Scope of the policy",
        description="partition: an earlier partition ranks before a later one, and the policy ranks inside each; "
        "corpus: the policy ranks across partitions, so that a new partition can change decisions on earlier ones.",
    )
    memory_mib: int = Field(
        default=512,
        ge=64,
        le=1_048_576,
        title="Memory",
        description="MiB that one worker may use for what it compares at once; changes no result.",
    )
    brake: float = Field(
        default=0.9,
        ge=0,
        le=1,
        title="Brake on a source",
        description="share of the documents of a source, over its partitions so far, that may go; 1 never brakes.",
    )
    cluster_brake: float = Field(
        default=0.2,
        ge=0,
        le=1,
        title="Brake on a cluster",
        description="share of the documents of a partition that may go to one keeper; 1 never brakes.",
    )
    brake_action: Literal["warn", "stop"] = Field(
        default="warn",
        title="What a brake does",
        description="warn: a report is written and the run goes on; stop: nothing of the partition is committed.",
    )
    brake_least_documents: int = Field(
        default=100, ge=1, title="Fewest documents to brake for", description="with fewer documents a share says little"
    )
    audit_documents: int = Field(
        default=64,
        ge=0,
        le=100_000,
        title="Documents of the audit",
        description="documents of a partition, drawn by hash, that are compared with all others in it when it has been "
        "decided, without bands; 0 for none. `corpusmill audit` compares with the whole corpus.",
    )
    audit_seed: int = Field(default=0, ge=0, lt=2**63, title="Seed of the audit", description="enters its draw.")

    @property
    def near(self) -> bool:
        """Whether near-duplicates go."""
        return "near" in self.levels

    @property
    def needs_signatures(self) -> bool:
        """Whether decisions depend on what signatures hold."""
        return self.near

    @property
    def survivor_keys(self) -> tuple[SurvivorKey, ...]:
        """The keys of the policy."""
        return tuple(survivor_key(written) for written in self.policy)

    def narrowed(self, to: type[NarrowT]) -> NarrowT:
        """The part of these settings that one unit depends on."""
        return to(**{name: getattr(self, name) for name in to.model_fields})

    @model_validator(mode="after")
    def _names_are_known_and_given_once(self) -> DedupConfig:
        for what, names in (("levels", self.levels), ("policy", self.policy), ("sources", self.source_priority)):
            if len(set(names)) != len(names):
                raise ValueError(f"{what} name each one once; {', '.join(names)} repeats one")
        kinds = {key.kind for key in self.survivor_keys}
        if ("source" in kinds) != bool(self.source_priority):
            raise ValueError("the policy's key source and source_priority go together: give both or neither")
        if "source" in kinds and self.scope == "partition":
            raise ValueError(
                "the policy's key source ranks nothing inside a partition; set scope=corpus, or put sources in "
                "order in corpus.toml"
            )
        return self
