"""Settings of the stage `clean`."""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

from pydantic import Field, model_validator

from schemas.configs.base import StageConfig
from schemas.configs.clean_lists import CleanLists
from schemas.configs.clean_presets import PRESETS, QUALITY_DRAW, RULES
from schemas.configs.sources import ColumnNames, CommonCrawlConfig, FetchConfig

__all__ = ["PII_KINDS", "CleanConfig", "PiiKind"]

_MEBIBYTE = 2**20
# What a worker holds beside an item, and at most for each byte of an item or each tag of a page; measured on pages made
# to cost the most (docs/decisions/0012-throughput-of-clean.md).
_WORKER_BYTES, _BYTES_OF_ITEM_BYTE, _BYTES_OF_TAG = 512 * _MEBIBYTE, 32, 2048

PiiKind = Literal["email", "ip-address", "phone", "card", "secret"]
PII_KINDS: tuple[PiiKind, ...] = get_args(PiiKind)


def _refuse_unknown(what: str, names: set[str], known: dict[str, object]) -> None:
    unknown = sorted(names - known.keys())
    if unknown:
        raise ValueError(f"unknown {what} {unknown[0]!r}; there are: {', '.join(known)}")


class CleanConfig(StageConfig):
    """How raw records become documents, and which documents are kept."""

    stage: ClassVar[str] = "clean"
    # The brake decides whether a partition is committed, never what is in it; the inputs say what is read.
    operational: ClassVar[frozenset[str]] = frozenset(
        {"brake", "brake_least_pages", "common_crawl", "fetch", "worker_memory_bytes"}
    )

    preset: str = Field(
        "fineweb", title="Preset", description="named list of quality rules; `rules` replaces it where given"
    )
    rules: tuple[str, ...] | None = Field(
        None, title="Rules", description="names of the rules to apply; empty switches every filter and edit off"
    )
    thresholds: dict[str, float] = Field(
        default_factory=dict, title="Thresholds", description="by rule, in place of the preset's"
    )
    language_thresholds: dict[str, dict[str, float]] = Field(
        default_factory=dict,
        title="Thresholds of languages",
        description="by ISO 639-1 code and rule, in place of the others: fi.language = 0.8, de.stop-words = 0",
    )
    languages: tuple[str, ...] | None = Field(
        None, title="Languages", description="ISO 639-1 codes kept by the rule `language`; empty for all"
    )
    lists: CleanLists = Field(
        default_factory=CleanLists, title="Lists", description="the user's block lists and bad-word lists"
    )
    pii_kinds: tuple[PiiKind, ...] = Field(
        PII_KINDS, title="Personal data", description="kinds that the rule `pii` replaces by placeholders"
    )
    brake: float = Field(
        1.0,
        ge=0,
        le=1,
        title="Brake",
        description="share of the pages of a partition that rules may drop; more stops before anything is committed",
    )
    brake_least_pages: int = Field(
        100, ge=1, title="Fewest pages to brake for", description="with fewer pages a share says little"
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
    worker_memory_bytes: int = Field(
        1536 * _MEBIBYTE,
        ge=768 * _MEBIBYTE,
        title="Memory of a worker",
        description="bytes; limits on items that could take more are refused",
    )
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
        of_languages = {rule for thresholds in self.language_thresholds.values() for rule in thresholds}
        _refuse_unknown("rule", {*(self.rules or ()), *self.thresholds, *of_languages}, dict(RULES))
        about_url = sorted(rule for rule in of_languages if RULES[rule].about == "url")
        if about_url:
            raise ValueError(
                f"rule {about_url[0]!r} is asked before the language of a page is known; set it in thresholds"
            )
        if QUALITY_DRAW in self.active_rules() and self.classifier is None:
            raise ValueError(
                f"rule {QUALITY_DRAW!r} wants a classifier; give --set classifier=ROOT/classifiers/NAME/"
                "model.arrow, which `corpusmill run quality` writes"
            )
        return self

    @model_validator(mode="after")
    def _lists_are_there(self) -> CleanConfig:
        for rule in self.rules or ():
            needs = RULES[rule].needs
            if needs and not getattr(self.lists, needs):
                raise ValueError(f"rule {rule!r} needs a list; name its file in lists.{needs}")
        return self

    @model_validator(mode="after")
    def _largest_item_fits(self) -> CleanConfig:
        largest = max(_BYTES_OF_ITEM_BYTE * self.max_item_bytes, _BYTES_OF_TAG * self.max_html_nodes)
        if _WORKER_BYTES + largest > self.worker_memory_bytes:
            raise ValueError(
                f"items of {self.max_item_bytes} bytes and pages of {self.max_html_nodes} tags may take a worker "
                f"{_WORKER_BYTES + largest} bytes, worker_memory_bytes allows {self.worker_memory_bytes}; raise it, or "
                "lower max_item_bytes or max_html_nodes"
            )
        return self

    def active_rules(self) -> tuple[str, ...]:
        """The rules to apply, in order: those given, else the preset's with those whose lists and classifier are named.

        Of the latter, rules that look in lists and that the preset does not place come first, the draw last.
        """
        if self.rules is not None:
            return self.rules
        listed = [rule for rule, spec in RULES.items() if spec.needs and getattr(self.lists, spec.needs)]
        placed = [rule for rule in PRESETS[self.preset].rules if not RULES[rule].needs or rule in listed]
        draw = [QUALITY_DRAW] if self.classifier is not None and QUALITY_DRAW not in placed else []
        return (*(rule for rule in listed if rule not in placed), *placed, *draw)

    def threshold(self, rule: str, language: str | None = None) -> float:
        """The threshold of a rule: the language's, else the config's, else the preset's, else the rule's own."""
        of_language = self.language_thresholds.get(language or "", {})
        default = PRESETS[self.preset].thresholds.get(rule, RULES[rule].threshold)
        return of_language.get(rule, self.thresholds.get(rule, default))

    def kept_languages(self) -> tuple[str, ...]:
        """Languages that the rule `language` keeps; empty for all."""
        return PRESETS[self.preset].languages if self.languages is None else self.languages
