"""The row that stays of a page that was taken down: its address, and nothing that was on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.cleaning.url_key import url_key
from schemas.configs.clean import CleanConfig
from schemas.takedown import TAKEDOWN_RULE

__all__ = ["takedown_row"]

_KEPT = ("url", "source", "partition", "record_file", "record_offset", "record_id", "captured_at")


def takedown_row(row: Mapping[str, Any], config: CleanConfig) -> dict[str, Any]:
    """The row of `dropped/` in place of a row of `documents/`, `dropped/` or `dead/`.

    It is the same whatever the page would have become: neither text nor title, hash, language or scores are kept.
    """
    return {
        **{name: row[name] for name in _KEPT},
        "url_key": url_key(row["url"]),
        "rules": [TAKEDOWN_RULE],
        "unevaluated": list(config.active_rules()),
    }
