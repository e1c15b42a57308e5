"""The classifier that cleaning settings name, and no other: its fingerprint becomes part of the settings."""

from __future__ import annotations

from pathlib import Path

from pipelines.quality.classifier import Classifier, read_classifier
from schemas.configs.clean import CleanConfig
from schemas.configs.clean_presets import QUALITY_DRAW

__all__ = ["named_classifier", "with_pinned_classifier"]


def named_classifier(config: CleanConfig) -> Classifier | None:
    """The classifier of these settings; None where no active rule asks it.

    Raises:
        InputError: its file is missing or not the one that it should be.
        ContractError: its file was damaged.
    """
    if config.classifier is None or QUALITY_DRAW not in config.active_rules():
        return None
    return read_classifier(config.classifier, config.classifier_fingerprint)


def with_pinned_classifier(config: CleanConfig) -> CleanConfig:
    """The same settings with the whole path and the fingerprint of their classifier.

    So workers find it wherever they run, and another classifier makes another unit of work.

    Raises:
        InputError: as `named_classifier`.
        ContractError: as `named_classifier`.
    """
    classifier = named_classifier(config)
    if classifier is None or config.classifier is None:
        return config
    url = config.classifier if "://" in config.classifier else str(Path(config.classifier).absolute())
    return config.model_copy(update={"classifier": url, "classifier_fingerprint": classifier.fingerprint})
