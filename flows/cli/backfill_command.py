"""`corpusmill backfill plan|run|status|resume|cancel|retry`: many partitions of a source, and what becomes of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from flows.cli.backfill_options import (
    BackwardsOption,
    ConfigOption,
    DryRunOption,
    EvaluationsOption,
    HtmlOption,
    InputsOption,
    JsonOption,
    LocalOption,
    MaxActiveOption,
    MaxAttemptsOption,
    PartitionsOption,
    ReprocessOption,
    RetryWaitOption,
    RootOption,
    RunnerOption,
    SeedOption,
    SeedUrlsOption,
    SetOption,
    SourceOption,
    StageArgument,
    WaitOption,
    WorkersOption,
)
from flows.cli.backfill_output import show_end, show_plan
from flows.cli.output import existing_corpus, print_json, working

if TYPE_CHECKING:
    from flows.backfill.requests import Asked

__all__ = ["register"]

_SHORT = "Many partitions of a source: plan, run, status, resume, cancel, retry."
_HELP = (
    f"{_SHORT}\n\n"
    "STAGE is crawl, clean, dedup, decontaminate or tokenize, or corpus: clean, dedup, decontaminate and tokenize, one "
    "after the other. A partition is done when its manifest says so; the ledger in the corpus holds who works on what, "
    "and what failed and why.\n\n"
    "Example: corpusmill backfill plan clean --root corpus --source web --partitions 2026-01..2026-12 "
    "--input 'dumps/{partition}.warc.gz'"
)


def _plan(
    stage: StageArgument,
    root: RootOption,
    source: SourceOption,
    partitions: PartitionsOption,
    inputs: InputsOption = None,
    evaluations: EvaluationsOption = None,
    seed_urls: SeedUrlsOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    seed: SeedOption = None,
    reprocess: ReprocessOption = "stale",
    max_active: MaxActiveOption = None,
    max_attempts: MaxAttemptsOption = 3,
    html: HtmlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say of each partition whether it is done, and if not, why; and what doing the rest would take.

    Example: corpusmill backfill plan dedup --root corpus --source web --partitions 2026-01..2026-12
    """
    from flows.backfill.plan import make_plan
    from flows.backfill.verbs import asked_for

    asked = asked_for(
        stage,
        root,
        source,
        partitions,
        inputs=inputs,
        evaluations=evaluations,
        seed_urls=seed_urls,
        config=config,
        overrides=overrides,
        seed=seed,
        reprocess=reprocess,
        max_active=max_active,
        max_attempts=max_attempts,
    )
    show_plan(make_plan(asked), html, as_json)


def _run(
    stage: StageArgument,
    root: RootOption,
    source: SourceOption,
    partitions: PartitionsOption,
    inputs: InputsOption = None,
    evaluations: EvaluationsOption = None,
    seed_urls: SeedUrlsOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    seed: SeedOption = None,
    reprocess: ReprocessOption = "stale",
    max_active: MaxActiveOption = None,
    max_attempts: MaxAttemptsOption = 3,
    backwards: BackwardsOption = False,
    runner: RunnerOption = "local",
    workers: WorkersOption = None,
    retry_wait: RetryWaitOption = 5.0,
    local: LocalOption = False,
    wait: WaitOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Do what is not done: as runs of a Prefect server, or with --local on this machine. Repeat it to go on.

    Example: corpusmill backfill run corpus --root corpus --source web --partitions 2026-01..2026-12
    --input 'dumps/{partition}.warc.gz' --local
    """
    from flows.backfill.verbs import asked_for

    asked = asked_for(
        stage,
        root,
        source,
        partitions,
        local,
        inputs=inputs,
        evaluations=evaluations,
        seed_urls=seed_urls,
        config=config,
        overrides=overrides,
        seed=seed,
        reprocess=reprocess,
        max_active=max_active,
        max_attempts=max_attempts,
        backwards=backwards,
        runner=runner,
        workers=workers,
        retry_seconds=retry_wait,
    )
    if dry_run:
        from flows.backfill.plan import make_plan

        show_plan(make_plan(asked), None, as_json)
        return
    _go(asked, local=local, wait=wait, as_json=as_json, anew=True)


def _go(asked: Asked, *, local: bool, wait: bool, as_json: bool, anew: bool) -> None:
    from flows.backfill.ledger import Ledger
    from flows.backfill.requests import Asked
    from flows.backfill.submit import PrefectBackfill, required_server
    from flows.backfill.verbs import take_away
    from flows.stage_request import require_writable

    server = None if local else required_server()
    require_writable(asked.root)
    if anew and asked.backfill.reprocess == "completed":
        take_away(asked)
    asked = Asked(asked.root, Ledger(asked.root).begin(asked.backfill))
    with working(f"backfill {asked.backfill.stage}") as tell:
        if server is None:
            from flows.backfill.local_run import LocalRun

            report = LocalRun(asked, tell).run()
            more: dict[str, Any] = {"units_done": dict(report.done)}
            show = (report.plan, report.messages, more)
        else:
            backfill = PrefectBackfill(asked, server)
            sent = backfill.wait(tell) if wait else backfill.submit()
            show = (sent.plan, sent.messages, sent.counts())
    show_end(*show, as_json, over=local or wait)


def _status(
    stage: StageArgument,
    root: RootOption,
    source: SourceOption,
    partitions: PartitionsOption,
    html: HtmlOption = None,
    as_json: JsonOption = False,
) -> None:
    """The grid partition × stage, from manifests and the ledger; asks no server.

    Example: corpusmill backfill status corpus --root corpus --source web --partitions 2026-01..2026-12 --html grid.html
    """
    from flows.backfill.plan import make_plan
    from flows.backfill.verbs import known_backfill

    show_plan(make_plan(known_backfill(stage, existing_corpus(root), source, partitions)), html, as_json)


def _resume(
    stage: StageArgument,
    root: RootOption,
    source: SourceOption,
    partitions: PartitionsOption,
    local: LocalOption = False,
    wait: WaitOption = False,
    as_json: JsonOption = False,
) -> None:
    """Go on with a backfill that was begun before, with everything that was given then.

    Example: corpusmill backfill resume corpus --root corpus --source web --partitions 2026-01..2026-12 --local
    """
    from flows.backfill.ledger import Ledger
    from flows.backfill.requests import Asked

    corpus = existing_corpus(root)
    asked = Asked(corpus, Ledger(corpus).find(stage, source, partitions))
    _go(asked, local=local, wait=wait, as_json=as_json, anew=False)


def _cancel(
    stage: StageArgument,
    root: RootOption,
    source: SourceOption,
    partitions: PartitionsOption,
    as_json: JsonOption = False,
) -> None:
    """Stop whatever works on a backfill, here, on other hosts and in Prefect; what is done stays.

    Example: corpusmill backfill cancel corpus --root corpus --source web --partitions 2026-01..2026-12
    """
    from flows.backfill.ledger import Ledger
    from flows.backfill.requests import Asked
    from flows.backfill.submit import PrefectBackfill, server_if_up
    from flows.backfill.verbs import cancel_here

    corpus = existing_corpus(root)
    asked = Asked(corpus, Ledger(corpus).find(stage, source, partitions))
    server = server_if_up()
    runs = PrefectBackfill(asked, server).cancel() if server is not None else 0
    found = cancel_here(asked)
    if as_json:
        print_json({"runs": runs, "processes": list(found.stopped), "other_hosts": list(found.elsewhere)})
        return
    typer.echo(f"asked to stop: {runs} runs of Prefect, {len(found.stopped)} processes here")
    for host in found.elsewhere:
        typer.echo(f"{host} still works on it, and stops when it sees the mark in the ledger")
    typer.echo(f"to go on: {asked.command('resume')}")


def _retry(
    stage: StageArgument,
    root: RootOption,
    source: SourceOption,
    partitions: PartitionsOption,
    as_json: JsonOption = False,
) -> None:
    """Forget failures of these partitions, poisoned ones too, so that the next run tries them from the beginning.

    Example: corpusmill backfill retry clean --root corpus --source web --partitions 2026-03
    """
    from flows.backfill.verbs import clear_failures, known_backfill

    asked = known_backfill(stage, existing_corpus(root), source, partitions)
    cleared = clear_failures(asked)
    if as_json:
        print_json({"cleared": [{"stage": stage, "partition": key.partition} for stage, key in cleared]})
        return
    typer.echo(f"{len(cleared)} failures forgotten; to try again: {asked.command('resume')}")


def register(app: typer.Typer) -> None:
    """Add the group of commands to the application."""
    group = typer.Typer(no_args_is_help=True)
    group.command("plan")(_plan)
    group.command("run")(_run)
    group.command("status")(_status)
    group.command("resume")(_resume)
    group.command("cancel")(_cancel)
    group.command("retry")(_retry)
    app.add_typer(group, name="backfill", help=_HELP, short_help=_SHORT)
