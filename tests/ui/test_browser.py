"""The UI in a real browser: a form is filled in, a wrong value is refused, a run is watched, its plots are seen.

Screenshots of each step lie in the folder that is printed, and in `$CORPUSMILL_SCREENSHOTS` where that is set.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect_api import PrefectApi

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = [pytest.mark.slow, pytest.mark.browser]

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
_PATIENCE = 120_000.0  # milliseconds, as Playwright has it


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """The browser of the system; a skip where there is none, a failure in CI."""
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None:
        reason = f"none of {', '.join(_BROWSERS)} is installed"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{reason}, and CI=true")
        pytest.skip(reason)
    with playwright.sync_playwright() as driver:
        one = driver.chromium.launch(executable_path=found, args=_FLAGS)
        yield one
        one.close()


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of screenshots."""
    folder = Path(os.environ.get("CORPUSMILL_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    print(f"screenshots are in {folder}")
    return folder


@pytest.fixture
def page(browser, worker: PrefectApi, shots: Path) -> Iterator[object]:
    """A page of the UI's server; requests to others are refused, and named."""
    context = browser.new_context(viewport={"width": 1360, "height": 1000}, locale="en-GB", timezone_id="UTC")
    context.set_default_timeout(_PATIENCE)
    strangers: list[str] = []

    def only_ours(route) -> None:
        if route.request.url.startswith(worker.address):
            route.continue_()
        else:
            strangers.append(route.request.url)
            route.abort()

    context.route("**/*", only_ours)
    yield context.new_page()
    context.close()
    assert not strangers


def fill(page, label: str, text: str) -> None:
    """Write into a field of the form, found by its title."""
    page.get_by_label(re.compile(rf"^{label}( \(Optional\))?$"), exact=True).fill(text)


def shoot(page, shots: Path, name: str) -> None:
    """Keep what the page looks like, all of it."""
    page.screenshot(path=shots / f"{name}.png", full_page=True)


def drawn(page) -> list[dict]:
    """Width and height of every diagram that is drawn on the page."""
    return page.eval_on_selector_all(
        "svg[id^=mermaid]", "all => all.map(one => one.getBoundingClientRect()).map(box => [box.width, box.height])"
    )


def test_a_form_is_filled_in_and_its_run_is_watched_to_its_plots(
    page, worker: PrefectApi, shots: Path, shared_data: Path, settings: Path, tmp_path: Path
):
    expect = playwright.expect
    page.goto(f"{worker.address}/v2/deployments")
    page.get_by_role("link", name="corpus-build").first.wait_for()
    shoot(page, shots, "1-deployments")
    deployment = worker.deployment("corpus-build/local")["id"]
    page.goto(f"{worker.address}/v2/deployments/deployment/{deployment}/run")

    fill(page, "Corpus", str(tmp_path / "corpus"))
    fill(page, "Source", "my archive")
    fill(page, "Partition", "2016-03")
    shoot(page, shots, "2-form")
    page.get_by_role("button", name="Submit").click()
    refused = page.get_by_text("'my archive' does not match")
    refused.wait_for()
    expect(page.get_by_text("[] should be non-empty")).to_be_visible()
    shoot(page, shots, "3-refused")
    assert worker.ask("flow_runs/count", {"flow_runs": {"deployment_id": {"any_": [deployment]}}}) == 0
