"""A real Chromium that opens the page of a stage.

With STAGE_URL and STAGE_TOKEN the tests open a stage that runs, else the functions behind a server
of their own.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

PICTURES = Path(__file__).resolve().parents[2] / "build" / "screenshots"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = "there is no Chromium; on Debian or Ubuntu: apt-get install chromium"


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, without a window."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None and os.environ.get("CI"):
        pytest.fail(MISSING)
    if found is None:
        pytest.skip(MISSING)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, url: str, *, complains: bool = False, **how: Any) -> Iterator[Page]:
    """The page in a fresh profile; it fails if the browser's console complains unexpectedly."""
    context = browser.new_context(base_url=url, **({"locale": "en-GB"} | how))
    context.set_default_timeout(10_000)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        # A refused request is told by the browser itself, as "Failed to load resource".
        lambda told: (
            complaints.append(told.text)
            if told.type == "error" and "Failed to load resource" not in told.text
            else None
        ),
    )
    page.goto(url)
    yield page
    context.close()
    assert complains or complaints == []


def photograph(page: Page, name: str) -> None:
    """Keep what a person would see, to be looked at."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.wait_for_timeout(600)  # the gauge fills in half a second
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True)
