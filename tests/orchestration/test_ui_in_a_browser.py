"""The UI in a real browser: a form is filled in, a wrong value is refused, a run is watched, its plots are seen.

Screenshots of each step lie in the folder that is printed, and in `$CORPUSMILL_SCREENSHOTS` where that is set.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prefect_api import PrefectApi
from processes import wait_until

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = [pytest.mark.slow, pytest.mark.browser]

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
_PATIENCE = 120_000.0  # milliseconds, as Playwright has it
# Asked for its settings even where analytics are off, and told nothing then.
_ANALYTICS = "https://sr-client-cfg.amplitude.com/"


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


@contextmanager
def open_page(browser, api: PrefectApi) -> Iterator[Any]:
    """A page of the UI; other servers are out of reach, and nothing but the UI's own analytics asks for one."""
    context = browser.new_context(viewport={"width": 1360, "height": 1300}, locale="en-GB", timezone_id="UTC")
    context.set_default_timeout(_PATIENCE)
    strangers: list[str] = []

    def only_ours(route) -> None:
        if route.request.url.startswith(api.address):
            route.continue_()
        else:
            strangers.append(route.request.url)
            route.abort()

    context.route("**/*", only_ours)
    page = context.new_page()
    page.goto(f"{api.address}/v2/login")
    page.locator("input[type=password]").fill(str(api.auth))
    page.get_by_role("button", name="Login").click()
    page.wait_for_url(re.compile(r"/v2/(?!login)"))
    yield page
    context.close()
    assert not [url for url in strangers if not url.startswith(_ANALYTICS)]


def field(page, title: str):
    """A field of the form, by its title: its label, its description and what is filled in."""
    label = re.compile(rf"^{title}( \(Optional\))?$")
    return page.locator("div.group").filter(has=page.locator("label").get_by_text(label)).last


def shoot(page, shots: Path, name: str) -> None:
    """Keep what the page looks like, all of it."""
    page.screenshot(path=shots / f"{name}.png", full_page=True)


def fill_in(page, **texts: str) -> None:
    """Write into fields of text."""
    for title, text in texts.items():
        field(page, title).locator("textarea").fill(text)


def diagrams(page, number: int) -> list[dict]:
    """Width, height and shapes of so many diagrams, once they are drawn."""
    # Counted and measured at one moment: the page draws anew when more of it has come.
    drawn = f"""() => {{
        const found = ({_MEASURE})([...document.querySelectorAll('svg[id^=mermaid]')]);
        return found.length == {number} && found.every(one => one.width > 0) && found;
    }}"""
    found: list[dict] = page.wait_for_function(drawn).json_value()
    assert page.get_by_text("Failed to render mermaid diagram").count() == 0
    return found


_MEASURE = """all => all.map(one => ({
    width: one.getBoundingClientRect().width,
    height: one.getBoundingClientRect().height,
    bars: one.querySelectorAll('.plot rect').length,
    boxes: one.querySelectorAll('.node').length,
}))"""


@pytest.fixture(scope="module")
def asked(shared_data: Path, settings: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is filled in."""
    return {
        "Corpus": str(tmp_path_factory.mktemp("built") / "corpus"),
        "Source": "archive",
        "Partition": "2016-03",
        "Settings": str(settings),
        "Inputs": str(shared_data / "warc/aut/example.warc.gz"),
    }


def runs_into(api: PrefectApi, root: str) -> list[str]:
    """The runs that were asked to build a corpus."""
    newest = api.ask("flow_runs/filter", {"sort": "EXPECTED_START_TIME_DESC", "limit": 100})
    return [run["id"] for run in newest if run["parameters"].get("parameters", {}).get("root") == root]


@pytest.fixture(scope="module")
def run_id(browser, api: PrefectApi, shots: Path, asked: dict[str, str]) -> str:
    """A run that was asked for by the form, after wrong values were refused."""
    with open_page(browser, api) as page:
        page.goto(f"{api.address}/v2/deployments")
        page.get_by_text("corpus-build").first.wait_for()
        shoot(page, shots, "1-deployments")
        deployment = api.deployment("corpus-build/local")["id"]
        page.goto(f"{api.address}/v2/deployments/deployment/{deployment}/run")
        field(page, "Workers").locator("input").wait_for()
        fill_in(page, Corpus=asked["Corpus"], Source="my archive", Partition=asked["Partition"])
        shoot(page, shots, "2-form")

        page.get_by_role("button", name="Submit").click()
        field(page, "Source").get_by_text("'my archive' does not match").wait_for()
        field(page, "Inputs").get_by_text("[] should be non-empty").wait_for()
        shoot(page, shots, "3-refused")
        assert runs_into(api, asked["Corpus"]) == []

        # Opened anew: after a refusal the page checks at the first click, and starts the run at the second.
        page.goto(f"{api.address}/v2/deployments/deployment/{deployment}/run")
        field(page, "Workers").locator("input").wait_for()
        fill_in(page, **{title: asked[title] for title in ("Corpus", "Source", "Partition", "Settings")})
        field(page, "Inputs").get_by_role("button", name="Add item").click()
        fill_in(page, Inputs=asked["Inputs"])
        field(page, "Small corpus").locator("fieldset button").click()
        page.get_by_role("option", name="leave out").click()
        field(page, "Workers").locator("input").fill("1")
        shoot(page, shots, "4-filled-in")
        page.get_by_role("button", name="Submit").click()
        page.wait_for_url(re.compile(rf"/deployments/deployment/{deployment}(\?|$)"))
        (run,) = runs_into(api, asked["Corpus"])
        return run


def test_what_was_filled_in_arrives(api: PrefectApi, run_id: str, asked: dict[str, str]):
    given = api.run(run_id)["parameters"]["parameters"]
    assert (given["root"], given["source"], given["partition"]) == (asked["Corpus"], "archive", "2016-03")
    assert (given["inputs"], given["small_corpus"], given["workers"]) == ([asked["Inputs"]], "leave out", 1)


def test_a_run_is_watched_to_its_end(browser, api: PrefectApi, shots: Path, run_id: str):
    progress = "progress-corpus-build-archive-2016-03"
    wait_until(lambda: api.artifacts(run_id).get(progress), "the bar of progress")
    with open_page(browser, api) as page:
        page.goto(f"{api.address}/v2/runs/flow-run/{run_id}?tab=Artifacts")
        page.get_by_text(progress).wait_for()
        page.get_by_text(re.compile(r"\d of 7 steps done")).wait_for()
        shoot(page, shots, "5-running")
        api.completed(run_id)
        page.goto(f"{api.address}/v2/runs/flow-run/{run_id}?tab=Artifacts")
        page.get_by_text("7 of 7 steps done").wait_for()
        page.get_by_text("Completed").first.wait_for()
        page.get_by_text("partition:archive/2016-03").first.wait_for()
        shoot(page, shots, "6-done")


@pytest.mark.parametrize(
    ("key", "drawn"),
    [("funnel-archive-2016-03", "bars"), ("lineage-archive-2016-03", "boxes")],
    ids=["funnel", "lineage"],
)
def test_plots_are_drawn(browser, api: PrefectApi, shots: Path, run_id: str, key: str, drawn: str):
    api.completed(run_id)
    artifact = api.artifacts(run_id)[key]["id"]
    with open_page(browser, api) as page:
        page.goto(f"{api.address}/v2/artifacts/artifact/{artifact}")
        (diagram,) = diagrams(page, 1)
        shoot(page, shots, f"7-{key}")
        assert diagram["width"] > 400
        assert diagram["height"] > 100
        assert diagram[drawn] >= 2
        assert page.get_by_role("table").count() == 1


def test_rows_of_the_funnel_are_a_table(browser, api: PrefectApi, shots: Path, run_id: str):
    api.completed(run_id)
    artifact = api.artifacts(run_id)["funnel-rows-archive-2016-03"]["id"]
    with open_page(browser, api) as page:
        page.goto(f"{api.address}/v2/artifacts/artifact/{artifact}")
        page.get_by_role("cell", name="kept").wait_for()
        shoot(page, shots, "8-funnel-rows")
        assert page.get_by_role("row").count() >= 3
