"""What the job that finds edges works on, and what its workers leave for the driver."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from pipelines.dedup.band_index import KeyFilter, own_keys
from pipelines.dedup.signed_files import SignedFile
from pipelines.engine.spill import BucketedSpill
from schemas.configs.dedup import EdgeConfig
from schemas.storage import Folder

__all__ = ["FILTER_NAME", "EdgeJob"]

FILTER_NAME = "keys.bits"  # the filter of the new partition's band keys, in the work folder
_GROUP_ROWS = 2**16  # documents of a group of indexed files
_FILTER_SHARE = 4  # the part of a worker's memory that the filter may take; what is grouped is not yet there then


@dataclass(frozen=True)
class EdgeJob:
    """What the job works on.

    Attributes:
        files: signatures of the partition and of all before it, in partition order.
        config: the settings.
        folder: the unit's work folder.
        memory_bytes: what one worker may use for what it compares at once.
        position: position of the partition in partition order, the last of them.
    """

    files: tuple[SignedFile, ...]
    config: EdgeConfig
    folder: Folder
    memory_bytes: int
    position: int

    def write_filter(self) -> None:
        """Leave the filter of the new partition's band keys where workers look for it, if one of them will."""
        if any(file.bands_url for file in self.files):
            mine = [file for file in self.files if file.order == self.position]
            count = sum(file.rows for file in mine) * self.config.banding.bands
            keys = KeyFilter.of(count, own_keys(mine, self.config.banding), self.memory_bytes // _FILTER_SHARE)
            self.folder.put_whole(FILTER_NAME, keys.to_bytes())

    def groups(self) -> list[list[SignedFile]]:
        """The files, those together that one worker takes on at once.

        What is looked up in an indexed file of an earlier partition, and how many of its texts are compared, is little:
        of these several are a group. Any other file is one by itself.
        """
        groups: list[list[SignedFile]] = []
        for file in self.files:
            joined = [*groups[-1], file] if groups else []
            if joined and all(one.bands_url for one in joined) and sum(one.rows for one in joined) <= _GROUP_ROWS:
                groups[-1] = joined
            else:
                groups.append([file])
        return groups

    def documents_that_meet(self) -> int:
        """How many documents have keys that are grouped, at most about: the index gives few of those before."""
        unindexed = sum(file.rows for file in self.files if not file.bands_url)
        return min(sum(file.rows for file in self.files), 4 * unindexed)

    def spill(self) -> BucketedSpill:
        """A spill in the work folder."""
        return BucketedSpill(self.folder.child("spill"))

    def tally(self, name: str, **counts: int) -> None:
        """Leave counts for the driver; a bundle that is tried again leaves the same ones."""
        with self.folder.child("tallies").open_write(f"{name}.json", durable=False) as stream:
            stream.write(json.dumps(counts).encode())

    def tallies(self) -> Counter[str]:
        """The sums of all counts that workers left."""
        place = self.folder.child("tallies")
        total: Counter[str] = Counter()
        for name in (
            one for one in place.names() if one.endswith(".json")
        ):  # not what a killed worker left half written
            total.update(json.loads(place.read(name)))
        return total
