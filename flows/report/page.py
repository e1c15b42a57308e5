"""The report as one static page that needs nothing else: no script, no font, no request."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import version

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from flows.report import numbers
from flows.report.facts import ReportFacts, read_facts
from schemas.split import SPLITS
from schemas.storage import Folder, join_url

__all__ = ["page_environment", "put_page", "render", "write_report"]

_NAME = "report.html"
_PROGRAMS = ("corpusmill", "apache-beam", "pyarrow", "tokenizers", "torch")


# Matplotlib takes 1.4 s to import: a wrong path is answered without it.


def _corpus_plots(facts: ReportFacts) -> dict[str, Markup]:
    from flows.report import corpus_plots

    drawn = {}
    if facts.funnel is not None:
        drawn["funnel"] = corpus_plots.plot_funnel(facts.funnel)
    if facts.duplicates is not None and facts.duplicates.sizes:
        drawn["clusters"] = corpus_plots.plot_cluster_sizes(facts.duplicates.sizes)
    if facts.duplicates is not None and facts.duplicates.similarities:
        drawn["similarities"] = corpus_plots.plot_similarities(facts.duplicates.similarities)
    for number, facts_of_one in enumerate(facts.tokens):
        drawn[f"tokens-{facts_of_one.tokenizer}"] = corpus_plots.plot_tokens(facts_of_one.tokens, f"tokens-{number}")
    drawn["costs"] = corpus_plots.plot_costs(facts.costs)
    return drawn


def _training_plots(facts: ReportFacts) -> dict[str, Markup]:
    from flows.report import training_plots

    drawn = {}
    if facts.run is not None and facts.run.steps:
        drawn["loss"] = training_plots.plot_loss(facts.run)
        drawn["learning_rate"] = training_plots.plot_learning_rate(facts.run)
    if facts.run is not None and facts.run.test_loss is not None:
        drawn["compression"] = training_plots.plot_compression(facts.run.test_loss)
    if facts.task_scores:
        drawn["tasks"] = training_plots.plot_tasks(facts.task_scores)
    if facts.finetuning is not None and facts.finetuning.changes:
        drawn["changes"] = training_plots.plot_changes(facts.finetuning)
    return drawn


def page_environment(package: str = "flows.report") -> Environment:
    """Templates of a package, with the head, style sheet and number filters of this one; what is shown is escaped."""
    own = PackageLoader("flows.report", package_path="")
    environment = Environment(
        loader=own if package == "flows.report" else ChoiceLoader([PackageLoader(package, package_path=""), own]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        count=numbers.as_count,
        compact=numbers.as_compact,
        bytes=numbers.as_bytes,
        duration=numbers.as_duration,
        number=numbers.as_number,
        metric=numbers.as_metric,
        shots=numbers.as_shots,
    )
    environment.globals.update(percent=numbers.as_percent, estimate=numbers.as_estimate, splits=SPLITS)
    return environment


def render(facts: ReportFacts, made_at: datetime) -> str:
    """The page as HTML; the same facts and time give the same bytes."""
    programs = {name: version(name) for name in _PROGRAMS} | {"Python": platform.python_version()}
    return (
        page_environment()
        .get_template("template.html")
        .render(
            facts=facts,
            plots=_corpus_plots(facts) | _training_plots(facts),
            programs=programs,
            made_at=made_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        )
    )


def write_report(root: str, run: str | None = None, finetune_run: str | None = None, out: str | None = None) -> str:
    """Write the report on a corpus and, where given, on a training run and a fine-tuning run.

    Args:
        root: folder or fsspec URL of the corpus.
        run: folder of a training run.
        finetune_run: folder of a fine-tuning run.
        out: file to write; `report.html` in the corpus where not given.

    Returns:
        Where the page lies.

    Raises:
        InputError: there is no corpus at this place.
        ManifestError: a manifest or a run's description is damaged.
        OutputError: the page cannot be written.
    """
    return put_page(render(read_facts(root, run, finetune_run), datetime.now(UTC)), out or join_url(root, _NAME))


def put_page(page: str, target: str) -> str:
    """Write a page to a path or URL; gives back where it lies.

    Raises:
        OutputError: it cannot be written.
    """
    folder, _, name = target.rpartition("/")
    Folder(folder or ("/" if target.startswith("/") else ".")).put_whole(name, page.encode("utf-8"))
    return target
