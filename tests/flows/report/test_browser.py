"""The page in a real browser: it opens without a request, and its plots are seen, by day and by night."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.report.page import write_report

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
_SIZE = (1100, 6400)
_STARTS, _SECONDS = 3, 120
# Colours of the style sheet: page, and the four that plots are drawn in.
_DAY = {"page": 0xF6F6F3, "1": 0x0B66A8, "2": 0xCF5300, "3": 0x14836A, "4": 0xA04C98}
_NIGHT = {"page": 0x0F1318, "1": 0x58AEE6, "2": 0xFF9457, "3": 0x43C2A0, "4": 0xD493CD}


@pytest.fixture(scope="module")
def browser() -> str:
    """The browser; a skip where there is none, a failure in CI."""
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None:
        reason = f"none of {', '.join(_BROWSERS)} is installed"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{reason}, and CI=true")
        pytest.skip(reason)
    return found


def _take(browser: str, page: str, folder: Path, *flags: str) -> str:
    """One try at a screenshot; gives what went wrong."""
    command = [
        browser,
        *_FLAGS,
        *flags,
        f"--user-data-dir={folder / 'profile'}",
        f"--screenshot={folder / 'page.png'}",
        f"--window-size={_SIZE[0]},{_SIZE[1]}",
        f"file://{page}",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True) as process:
        try:
            said = process.communicate(timeout=_SECONDS)[0].decode(errors="replace")
        except subprocess.TimeoutExpired:
            said = f"not within {_SECONDS} s"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return "" if process.returncode == 0 and (folder / "page.png").is_file() else f"{process.returncode}: {said}"


def _screenshot(browser: str, page: str, folder: Path, *flags: str) -> np.ndarray:
    """The page as the browser draws it. A browser that does not come up is started again, with a new profile."""
    said = []
    for number in range(_STARTS):
        place = folder / str(number)
        place.mkdir()
        said.append(_take(browser, page, place, *flags))
        if not said[-1]:
            with Image.open(place / "page.png") as image:
                return np.asarray(image.convert("RGB")).astype(np.uint32)
    raise AssertionError("\n".join(said))


def _pixels(image: np.ndarray, color: int) -> int:
    return int(((image[..., 0] << 16 | image[..., 1] << 8 | image[..., 2]) == color).sum())


@pytest.mark.browser
@pytest.mark.parametrize(
    ("flags", "colors"), [((), _DAY), (("--blink-settings=preferredColorScheme=0",), _NIGHT)], ids=["day", "night"]
)
def test_plots_are_seen(browser: str, whole, tmp_path: Path, flags, colors):
    page = write_report(whole[0].url, *whole[1:])
    image = _screenshot(browser, page, tmp_path, *flags)
    seen = {name: _pixels(image, color) for name, color in colors.items()}
    assert seen.pop("page") > 50_000
    # A bar of a plot is at least 20 by 100 pixels.
    assert min(seen.values()) > 2_000, seen
