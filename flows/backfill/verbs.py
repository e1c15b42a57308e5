"""What the verbs of `corpusmill backfill` do, as plain values."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from flows.backfill.claims import Claims, is_live
from flows.backfill.estimate import Estimate, estimate_of, estimate_plan
from flows.backfill.ledger import Ledger
from flows.backfill.plan import Plan, PlannedUnit, UnitName, tokenizer_unit
from flows.backfill.requests import Asked
from pipelines.engine.settings import default_workers
from schemas.corpus_root import MANIFEST_NAME, CorpusRoot
from schemas.errors import ConfigError, InputError, StageError
from schemas.ledger import REPROCESS, Backfill
from schemas.token_shard import token_table

__all__ = ["Cancelled", "asked_for", "cancel_here", "clear_failures", "known_backfill", "plan_json", "take_away"]

_GONE_SECONDS = 15.0


def _unit_json(unit: PlannedUnit) -> dict[str, Any]:
    return {"stage": unit.stage, "decision": unit.decision, "reason": unit.reason, "attempts": unit.attempts}


def plan_json(plan: Plan) -> dict[str, Any]:
    """The contract of `--json`: each partition with its decision and reason, and what a run would take."""
    partitions = []
    for key in plan.asked.keys:
        units = [plan.units[stage][key] for stage in plan.asked.stages]
        there = sum((estimate_of(unit.manifests) for unit in units), Estimate())
        row: dict[str, Any] = {"partition": key.partition, **_unit_json(plan.of(key))}
        row |= {"rows": round(there.rows), "bytes": round(there.bytes), "seconds": round(there.seconds, 3)}
        if len(units) > 1:
            row["stages"] = [_unit_json(unit) for unit in units]
        partitions.append(row)
    about = plan.asked.backfill
    return {
        "backfill": about.identity(),
        "stage": about.stage,
        "source": about.source,
        "counts": plan.counts(),
        "to_do": estimate_plan(plan).as_json(),
        "partitions": partitions,
    }


def asked_for(stage: str, root: str, source: str, partitions: str, local: bool = True, **given: Any) -> Asked:
    """A backfill as it was given, checked.

    Args:
        stage: one of `BACKFILL_STAGES`.
        root: URL of the corpus.
        source: name of the source.
        partitions: as given.
        local: whether this machine runs it, which bounds how much runs at once where that is not given.
        given: the other fields of `Backfill`, None where they were not given.

    Raises:
        UserError: something is wrong.
    """
    if given["reprocess"] not in REPROCESS:
        raise ConfigError(f"--reprocess {given['reprocess']}: give one of {', '.join(REPROCESS)}")
    given["max_active"] = given["max_active"] or (default_workers() if local else 100_000)
    several = ("inputs", "evaluations", "seed_urls", "overrides")
    lists: dict[str, Any] = {name: tuple(given.pop(name, None) or ()) for name in several}
    for name in ("inputs", "evaluations"):
        lists[name] = tuple(_anywhere(one) for one in lists[name])
    given["config"] = _anywhere(given["config"]) if given.get("config") else None
    about = Backfill(stage=stage, source=source, partitions=partitions, **lists, **given)
    return Asked(CorpusRoot(root), about)


def _anywhere(path: str) -> str:
    """A path or URL as it is understood in another folder too, where a backfill is resumed or a worker runs."""
    return path if "://" in path else os.path.abspath(path)  # noqa: PTH100  # a template, and no path yet


def known_backfill(stage: str, root: CorpusRoot, source: str, partitions: str) -> Asked:
    """A backfill that the ledger knows; where it was lost, one with nothing but the partitions.

    Raises:
        UserError: the request is wrong.
    """
    try:
        about = Ledger(root).find(stage, source, partitions)
    except InputError:
        about = Backfill(stage=stage, source=source, partitions=partitions)
    return Asked(root, about)


def take_away(asked: Asked) -> int:
    """For `--reprocess completed`: remove the manifests of all units, so that each is missing; gives how many.

    Files stay until new ones replace them. What another process works on stays too.

    Raises:
        StageError: a unit is being worked on.
    """
    held = Claims(asked.root).held()
    busy = next((name for name in held if name[0] in asked.stages and name[1] in set(asked.keys)), None)
    if busy is not None:
        raise StageError(
            f"{busy[0]} of {busy[1]} is being worked on, and --reprocess completed begins with taking everything away; "
            f"wait for it, or stop it: {asked.command('cancel')}"
        )
    tokens = token_table(asked.config("tokenize").tokenizer, "train") if "tokenize" in asked.stages else ""
    tables = {
        "crawl": ("crawl",),
        "clean": ("documents",),
        "dedup": ("duplicates", "edges", "signatures"),
        "decontaminate": ("contaminated", "overlaps"),
        "tokenize": (tokens,),
    }
    count = 0
    for stage in reversed(asked.stages):
        for key in asked.keys:
            for table in tables[stage]:
                folder = asked.root.partition_folder(table, key)
                if folder.exists(MANIFEST_NAME):
                    folder.remove(MANIFEST_NAME)
                    count += 1
    return count


def clear_failures(asked: Asked) -> list[UnitName]:
    """Forget what failed, so that it is tried from the beginning; gives the units.

    Raises:
        OutputError: the corpus cannot be written.
    """
    ledger, keys = Ledger(asked.root), set(asked.keys)
    known = ledger.failures((*asked.stages, "tokenizer"), asked.backfill.source)
    made = tokenizer_unit(asked) if asked.backfill.stage == "corpus" else None
    mine = [name for name in known if name[1] in keys or name == made]
    for name in mine:
        ledger.forget_failure(*name)
    return mine


@dataclass(frozen=True)
class Cancelled:
    """What a cancel did on this host: processes that were asked to stop, and claims that nobody holds any more."""

    stopped: tuple[int, ...]
    elsewhere: tuple[str, ...]


def cancel_here(asked: Asked) -> Cancelled:
    """Ask whoever works on a backfill to stop, and wait until they have; those on other hosts see a mark.

    Raises:
        StageError: a process does not stop.
        OutputError: the corpus cannot be written.
    """
    ledger, claims, backfill = Ledger(asked.root), Claims(asked.root), asked.backfill
    ledger.ask_to_stop(backfill)
    stopped: set[int] = set()
    until = time.monotonic() + _GONE_SECONDS
    while True:
        mine = [record for _, record in claims.all() if _belongs(record.backfill, backfill) and is_live(record)]
        here = [record for record in mine if record.host == socket.gethostname()]
        if not here:
            break
        for record in here:
            if record.pid not in stopped:
                stopped.add(record.pid)
                with suppress(ProcessLookupError):
                    os.kill(record.pid, signal.SIGTERM)
        if time.monotonic() > until:
            raise StageError(
                f"process {here[0].pid} works on {here[0].stage} of {here[0].source}/{here[0].partition} and does not "
                "stop; end it, then cancel again"
            )
        time.sleep(0.05)
    claims.sweep()
    return Cancelled(tuple(sorted(stopped)), tuple(sorted({record.host for record in mine})))


def _belongs(identity: str, backfill: Backfill) -> bool:
    return identity == backfill.identity()
