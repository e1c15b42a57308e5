"""Settings of the stage `clean`."""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

from pydantic import Field, model_validator

from schemas.configs.base import StageConfig
from schemas.configs.clean_lists import CleanLists
from schemas.configs.clean_presets import PRESETS, RULES

__all__ = ["PII_KINDS", "CleanConfig", "PiiKind"]

_MEBIBYTE = 2**20

PiiKind = Literal["email", "ip-address", "phone", "card", "secret"]
PII_KINDS: tuple[PiiKind, ...] = get_args(PiiKind)


def _refuse_unknown(what: str, names: set[str], known: dict[str, object]) -> None:
    unknown = sorted(names - known.keys())
    if unknown:
        raise ValueError(f"unknown {what} {unknown[0]!r}; there are: {', '.join(known)}")


class CleanConfig(StageConfig):
    """How raw records become documents, and which documents are kept."""

    stage: ClassVar[str] = "clean"
    # The brake decides whether a partition is committed, never what is in it.
    operational: ClassVar[frozenset[str]] = frozenset({"brake", "brake_least_pages"})

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
    extractor: Literal["precise", "fast", "resiliparse"] = Field(
        "precise", title="Extractor", description="how main text is found in HTML"
    )
    max_item_bytes: int = Field(
        20 * _MEBIBYTE, gt=0, le=1024 * _MEBIBYTE, title="Largest item", description="bytes after decoding"
    )
    max_html_nodes: int = Field(500_000, gt=0, title="Most HTML nodes", description="tags of a page")
    # The HTML parser drops what lies deeper than 255 elements without a word.
    max_html_depth: int = Field(250, gt=0, le=250, title="Deepest HTML", description="nested tags of a page")

    @model_validator(mode="after")
    def _names_exist(self) -> CleanConfig:
        _refuse_unknown("preset", {self.preset}, dict(PRESETS))
        _refuse_unknown("rule", {*(self.rules or ()), *self.thresholds}, dict(RULES))
        return self

    @model_validator(mode="after")
    def _lists_are_there(self) -> CleanConfig:
        for rule in self.rules or ():
            needs = RULES[rule].needs
            if needs and not getattr(self.lists, needs):
                raise ValueError(f"rule {rule!r} needs a list; name its file in lists.{needs}")
        return self

    def active_rules(self) -> tuple[str, ...]:
        """The rules to apply, in order: those given, else the preset's with those whose lists are named.

        Of the latter, those that the preset does not place come first.
        """
        if self.rules is not None:
            return self.rules
        listed = [rule for rule, spec in RULES.items() if spec.needs and getattr(self.lists, spec.needs)]
        placed = [rule for rule in PRESETS[self.preset].rules if not RULES[rule].needs or rule in listed]
        return (*(rule for rule in listed if rule not in placed), *placed)

    def threshold(self, rule: str) -> float:
        """The threshold of a rule: the config's, else the preset's, else the rule's own."""
        default = PRESETS[self.preset].thresholds.get(rule, RULES[rule].threshold)
        return self.thresholds.get(rule, default)

    def kept_languages(self) -> tuple[str, ...]:
        """Languages that the rule `language` keeps; empty for all."""
        return PRESETS[self.preset].languages if self.languages is None else self.languages
