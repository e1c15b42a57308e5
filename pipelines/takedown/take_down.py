"""The whole of a takedown: find, write down, take out, do again.

The list is written first, with what was made of the texts and with the partitions that are to be done; it says that
nothing is left to do only when nothing is. So a takedown that is killed is finished by the next one, whatever it is of.
The corpus is then the one that would be there had the list been there from the start.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pipelines.cleaning.brake import forget_samples
from pipelines.cleaning.url_key import url_key
from pipelines.engine.settings import Engine
from pipelines.takedown.again import do_again, redo_list
from pipelines.takedown.exposure import exposure_of, shard_checksums, shards_with
from pipelines.takedown.find import TakenRow, taken_rows
from pipelines.takedown.purge import purge_partition
from schemas.catalog import read_table, units
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import InputError, LeaseError
from schemas.lease import read_leases
from schemas.takedown import Exposure, TakedownList, read_takedowns, write_takedowns

__all__ = ["TakedownReport", "Wanted", "take_down"]

_ID = re.compile(r"[0-9a-f]{32}")
_DOMAIN = re.compile(r"(?!-)[a-z0-9-]+(\.[a-z0-9-]+)+")

Tell = Callable[[str], None]
Place = tuple[PartitionKey, bytes]  # a document


@dataclass(frozen=True)
class Wanted:
    """What is to be taken down, as the user gave it."""

    urls: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()

    def as_list(self) -> TakedownList:
        """The same in canonical form.

        Raises:
            InputError: something is no URL, domain or id.
        """
        urls = [(url, url_key(url)) for url in self.urls]
        domains = [one.strip().lower().rstrip(".").removeprefix("www.") for one in self.domains]
        ids = [one.strip().lower() for one in self.ids]
        for url, key in urls:
            if key is None:
                raise InputError(f"{url!r} is no URL with a host; give it as it stands in the column `url`")
        for domain in domains:
            if not _DOMAIN.fullmatch(domain):
                raise InputError(f"{domain!r} is no domain; give one like example.org, for a single page use --url")
        for one in ids:
            if not _ID.fullmatch(one):
                raise InputError(f"{one!r} is no document id; expected 32 hexadecimal digits, one id a line")
        return TakedownList().extended([key for _, key in urls if key], domains, ids)


@dataclass(frozen=True)
class TakedownReport:
    """What was done, or would be.

    Attributes:
        rows: all rows that go, documents among them.
        twins: documents that had been removed in favour of one that goes and that stay now; before, all candidates.
        shards: paths of shards that were written anew with other tokens, or went; before, those that hold the texts.
        exposure: what was made of the texts, now and in takedowns before this one.
        dry_run: whether nothing was changed.
    """

    rows: tuple[TakenRow, ...]
    twins: tuple[Place, ...]
    shards: tuple[str, ...]
    exposure: Exposure
    dry_run: bool = False


def _followers(root: CorpusRoot, documents: Iterable[Place]) -> list[Place]:
    """Documents that were removed in favour of one of these."""
    gone = set(documents)
    found = []
    for key in units(root, "duplicates") if gone else []:
        columns = ["removed_id", "kept_source", "kept_partition", "kept_id"]
        for row in read_table(root, "duplicates", key, columns).to_pylist():
            kept = (PartitionKey(row["kept_source"], row["kept_partition"]), row["kept_id"])
            if kept in gone and (key, row["removed_id"]) not in gone:
                found.append((key, row["removed_id"]))
    return found


def _staying(root: CorpusRoot, places: Sequence[Place]) -> tuple[Place, ...]:
    """Those of some documents that no decision removes now."""
    removed = {
        key: frozenset(read_table(root, "duplicates", key, ["removed_id"]).column("removed_id").to_pylist())
        for key in {key for key, _ in places}
    }
    return tuple(place for place in places if place[1] not in removed[place[0]])


def _refuse_while_cleaning(root: CorpusRoot) -> None:
    """A clean that has begun knows the list as it was, and would bring in what is taken down now."""
    for stage, key in read_leases(root).held:
        if stage == "clean":
            raise LeaseError(f"clean of {key} is under way and does not know the new list; wait for it, then try again")


def _found(root: CorpusRoot, known: TakedownList, wanted: TakedownList, unseen: bool) -> list[TakenRow]:
    """The rows that go by the new list; ids bring in their URLs."""
    rows = list(taken_rows(root, known.extended(wanted.urls, wanted.domains, wanted.ids)))
    new = (
        set(wanted.urls) - set(known.urls) | set(wanted.domains) - set(known.domains) | set(wanted.ids) - set(known.ids)
    )
    for name in sorted(new) if not unseen else []:
        one = TakedownList(
            urls=(name,) if name in wanted.urls else (),
            domains=(name,) if name in wanted.domains else (),
            ids=(name,) if name in wanted.ids else (),
        )
        if not any(one.has_url(row.url_key) or one.has_id(row.document_id) for row in rows):
            raise InputError(
                f"nothing in {root.url} is of {name}; check the spelling, or give --unseen to keep it out in future"
            )
    return rows


def take_down(
    root: CorpusRoot,
    wanted: Wanted,
    engine: Engine,
    *,
    dry_run: bool = False,
    unseen: bool = False,
    run_folders: Sequence[str] = (),
    tell: Tell = lambda text: None,
) -> TakedownReport:
    """Take pages down, and finish takedowns that were interrupted.

    Args:
        root: the corpus.
        wanted: URLs, domains and document ids; nothing, to finish what was interrupted.
        engine: where pipelines run.
        dry_run: only say what would go.
        unseen: whether something of which the corpus holds nothing may stand on the list.
        run_folders: training runs, or folders of such, outside the corpus's own folder `runs`.
        tell: called with what is being done.

    Raises:
        InputError: something is no URL, domain or id, or the corpus holds nothing of it, or there is nothing to do.
        LeaseError: a clean is under way, or another run works on a unit that has to be done again.
        ContractError: stored data is damaged.
        StageError: a pipeline failed.
    """
    asked = wanted.as_list()
    known = read_takedowns(root)
    if not asked and not known.pending:
        raise InputError("nothing to take down: give --url URL, --domain DOMAIN or --id-file FILE")
    _refuse_while_cleaning(root)
    rows = _found(root, known, asked, unseen)
    ids = set(asked.ids)
    by_id = [row.url_key for row in rows if row.document_id and row.document_id.hex() in ids and row.url_key]
    takedowns = known.extended([*asked.urls, *by_id], asked.domains, asked.ids)
    if by_id:  # all of a page goes, not only the text that was named
        rows = list(taken_rows(root, takedowns))
    documents: defaultdict[PartitionKey, set[bytes]] = defaultdict(set)
    for row in rows:
        if row.table == "documents" and row.document_id is not None:
            documents[row.key].add(row.document_id)
    gone = {key: frozenset(found) for key, found in documents.items()}
    followers = _followers(root, [(key, one) for key, found in gone.items() for one in found])
    exposure = known.exposure.joined(exposure_of(root, gone, run_folders))
    if dry_run:
        return TakedownReport(tuple(rows), tuple(followers), tuple(shards_with(root, gone)), exposure, True)
    write_takedowns(root, _with_work(root, takedowns.changed(exposure=exposure), rows))
    shards = _finish(root, engine, tell)
    return TakedownReport(tuple(rows), _staying(root, followers), shards, exposure)


def _with_work(root: CorpusRoot, takedowns: TakedownList, rows: Sequence[TakenRow]) -> TakedownList:
    """The list with what is to be done for these rows, beside what an interrupted takedown has left to do."""
    pending = {*takedowns.pending, *(str(row.key) for row in rows)}
    first = next((key for key in units(root, "documents") if str(key) in pending), None)
    redo = [*takedowns.redo, *(redo_list(root, first) if first else ())]
    unique = {one.model_dump_json(): one for one in redo}
    stages = ["dedup", "decontaminate", "heldout", "tokenize"]
    ordered = sorted(unique.values(), key=lambda one: stages.index(one.stage))
    return takedowns.changed(pending=tuple(sorted(pending)), redo=tuple(ordered))


def _finish(root: CorpusRoot, engine: Engine, tell: Tell) -> tuple[str, ...]:
    """Do all that the list has pending; gives the shards that changed or went."""
    takedowns = read_takedowns(root)
    forget_samples(root, takedowns)
    for name in takedowns.pending:
        tell(f"clean {name}")
        purge_partition(root, PartitionKey(*name.split("/", 1)), takedowns, engine)
    there = units(root, "documents")
    before = shard_checksums(root, there) if takedowns.redo else {}
    for redo in takedowns.redo:
        tell(f"{redo.stage} {redo.source or 'all'}/{redo.partition or ''}")
        do_again(root, redo, engine)
    now = shard_checksums(root, there) if takedowns.redo else {}
    write_takedowns(root, takedowns.changed(pending=(), redo=()))
    return tuple(sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path)))
