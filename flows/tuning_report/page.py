"""The page of a study, `<out>/tuning.html`: one static file that needs nothing else."""

from __future__ import annotations

from schemas.errors import InputError
from schemas.storage import join_url
from training.tuning.results import BEST_NAME, best_of, read_rows

__all__ = ["PAGE_NAME", "render_study", "write_tuning_page"]

PAGE_NAME = "tuning.html"


def render_study(out: str) -> str:
    """The page as HTML; the same study gives the same bytes.

    Raises:
        InputError: there is no study in this folder, or no trial of it came to its end.
    """
    study = read_rows(out)
    best = best_of(study.rows)
    if best is None:
        raise InputError(f"no trial of the study in {out} came to its end; let `corpusmill tune` go on")
    # Matplotlib takes 1.4 s to import: a wrong path is answered without it.
    from flows.report.page import page_environment
    from flows.tuning_report.plots import family_of, plot_checks, plot_learning_rates

    checks = max(best.losses)
    ranked = sorted(study.rows, key=lambda row: (row.state != "complete", row.loss is None, row.loss or 0, row.number))
    template = page_environment("flows.tuning_report").get_template("tuning_template.html")
    return template.render(
        out=out,
        study=study,
        best=best,
        ranked=ranked,
        checks=checks,
        family_of=family_of,
        config=join_url(out, BEST_NAME),
        plots={
            "rates": plot_learning_rates(study.rows, best),
            "checks": plot_checks(study.rows, best, study.tokens, checks),
        },
    )


def write_tuning_page(out: str) -> str:
    """Write the page of a study; gives where it lies.

    Raises:
        InputError: there is no study in this folder, or no trial of it came to its end.
        OutputError: the page cannot be written.
    """
    from flows.report.page import put_page

    return put_page(render_study(out), join_url(out, PAGE_NAME))
