"""Which items of a suite the training text has no words of, as decontamination lists them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from schemas.clean_dirty import LISTS, ItemOverlap, list_name, read_overlaps
from schemas.configs.evaluate import EvaluateConfig
from schemas.errors import InputError
from schemas.run import RunConfig
from schemas.storage import Folder, join_url
from schemas.suites import Suite
from training.evaluation.results import ItemRecord
from training.evaluation.statistics import Estimate, estimate_mean

__all__ = ["CleanSplit", "list_digests", "lists_folder", "split_by_overlap"]


class CleanSplit(NamedTuple):
    """The scores of the items that are clean, and of those that are dirty."""

    clean: Estimate
    dirty: Estimate


def lists_folder(config: EvaluateConfig, run: RunConfig, suite: Suite) -> Folder | None:
    """Where the lists of a suite lie: where the settings say, else in the run's corpus under the suite's name.

    Raises:
        InputError: the settings name a folder that is not there.
    """
    if config.overlaps is not None:
        folder = Folder(config.overlaps)
        if not folder.exists():
            raise InputError(
                f"no folder {config.overlaps}; give overlaps a folder below {LISTS}/ of a corpus, as "
                "`corpusmill run decontaminate` writes it"
            )
        return folder
    if not run.root:
        return None
    folder = Folder(join_url(run.root, LISTS, suite.name))
    return folder if folder.exists() else None


def list_digests(folder: Folder | None, suite: Suite) -> dict[str, str]:
    """Digest by task of the lists that there are."""
    names = [task.name for task in suite.tasks if folder is not None and folder.exists(list_name(task.name))]
    if folder is None:
        return {}
    return {name: hashlib.blake2b(folder.read(list_name(name)), digest_size=32).hexdigest() for name in names}


def split_by_overlap(records: Sequence[ItemRecord], metric: str, folder: Folder | None, task: str) -> CleanSplit | None:
    """The score of a task's clean items and of its dirty ones; None where there is no list of the task.

    Items whose words were cut out of the training text are clean; items that the list does not know, and those with too
    few words to be looked for, are neither.

    Raises:
        ContractError: the list is damaged.
    """
    overlaps = read_overlaps(folder, task) if folder is not None else None
    if overlaps is None:
        return None
    return CleanSplit(
        _estimate(records, metric, overlaps, ("clean", "removed")), _estimate(records, metric, overlaps, ("dirty",))
    )


def _estimate(
    records: Sequence[ItemRecord], metric: str, overlaps: Mapping[str, ItemOverlap], statuses: Collection[str]
) -> Estimate:
    chosen = [one for one in records if one.id in overlaps and overlaps[one.id].status in statuses]
    groups = [one.id if one.group is None else one.group for one in chosen]
    return estimate_mean([one.metrics[metric] for one in chosen], groups)
