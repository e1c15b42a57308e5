"""Settings of the stage `clean`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from schemas.configs.base import StageConfig
from schemas.configs.clean_presets import PRESETS, QUALITY_DRAW, RULES
from schemas.configs.sources import ColumnNames, CommonCrawlConfig, FetchConfig

__all__ = ["CleanConfig"]

_MEBIBYTE = 2**20


def _refuse_unknown(what: str, names: set[str], known: dict[str, object]) -> None:
    unknown = sorted(names - known.keys())
    if unknown:
        raise ValueError(f"unknown {what} {unknown[0]!r}; there are: {', '.join(known)}")


class CleanConfig(StageConfig):
    """How raw records become documents, and which documents are kept."""

    stage: ClassVar[str] = "clean"
    operational: ClassVar[frozenset[str]] = frozenset({"common_crawl", "fetch"})  # the inputs say what is read

    preset: str = Field(
        "fineweb", title="Preset", description="named list of quality rules; `rules` replaces it where given"
    )
    rules: tuple[str, ...] | None = Field(
        None, title="Rules", description="names of the rules to apply; empty switches every filter and edit off"
    )
    thresholds: dict[str, float] = Field(
        default_factory=dict, title="Thresholds", description="by rule, in place of the preset's"
    )
    languages: tuple[str, ...] | None = Field(
        None, title="Languages", description="ISO 639-1 codes kept by the rule `language`; empty for all"
    )
    extractor: Literal["blocks", "precise", "fast", "resiliparse"] = Field(
        "blocks", title="Extractor", description="how main text is found in HTML"
    )
    classifier: str | None = Field(
        None,
        title="Classifier",
        description=f"model.arrow of the stage quality; adds the rule {QUALITY_DRAW} to the preset's",
    )
    classifier_fingerprint: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        title="Fingerprint of the classifier",
        description="filled in from its file; where it is given, a file with another one is refused",
    )
    pareto_alpha: float = Field(
        9.0, gt=0, le=1000, title="Pareto's alpha", description=f"shape of the draw of {QUALITY_DRAW}; GPT-3's is 9"
    )
    seed: int = Field(0, ge=0, lt=2**63, title="Seed", description=f"enters the draw of {QUALITY_DRAW}")
    max_item_bytes: int = Field(
        20 * _MEBIBYTE, gt=0, le=1024 * _MEBIBYTE, title="Largest item", description="bytes after decoding"
    )
    max_html_nodes: int = Field(500_000, gt=0, title="Most HTML nodes", description="tags of a page")
    # The HTML parser drops what lies deeper than 255 elements without a word.
    max_html_depth: int = Field(250, gt=0, le=250, title="Deepest HTML", description="nested tags of a page")
    columns: ColumnNames = Field(
        ColumnNames.model_validate({}), title="Columns", description="names of the columns of JSONL and Parquet rows"
    )
    wiki_namespaces: tuple[int, ...] = Field(
        (0,), title="Wiki namespaces", description="numbers of those kept of a MediaWiki dump; empty for all"
    )
    common_crawl: CommonCrawlConfig | None = Field(
        None, title="Common Crawl", description="files of a snapshot to read in place of inputs"
    )
    fetch: FetchConfig = Field(
        FetchConfig.model_validate({}), title="Fetching", description="how remote files are read"
    )

    @model_validator(mode="after")
    def _names_exist(self) -> CleanConfig:
        _refuse_unknown("preset", {self.preset}, dict(PRESETS))
        _refuse_unknown("rule", {*(self.rules or ()), *self.thresholds}, dict(RULES))
        if QUALITY_DRAW in self.active_rules() and self.classifier is None:
            raise ValueError(
                f"rule {QUALITY_DRAW!r} wants a classifier; give --set classifier=ROOT/classifiers/NAME/"
                "model.arrow, which `corpusmill run quality` writes"
            )
        return self

    def active_rules(self) -> tuple[str, ...]:
        """The rules to apply, in order."""
        if self.rules is not None:
            return self.rules
        listed = PRESETS[self.preset].rules
        return listed if self.classifier is None or QUALITY_DRAW in listed else (*listed, QUALITY_DRAW)

    def threshold(self, rule: str) -> float:
        """The threshold of a rule: the config's, else the preset's, else the rule's own."""
        default = PRESETS[self.preset].thresholds.get(rule, RULES[rule].threshold)
        return self.thresholds.get(rule, default)

    def kept_languages(self) -> tuple[str, ...]:
        """Languages that the rule `language` keeps; empty for all."""
        return PRESETS[self.preset].languages if self.languages is None else self.languages
