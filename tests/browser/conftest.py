"""One browser for the whole session.  Skipped, in words, where Playwright or a Chromium is missing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.server import BROWSER_ARGS

PATIENCE_MS = 15_000

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def context() -> Iterator[Any]:
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is not installed: pip install -r requirements-dev.txt"
    )
    if CHROMIUM is None:
        pytest.skip("No Chromium on this machine: install the package chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=BROWSER_ARGS)
        # One context for all: the chart library is loaded once and then comes from the cache.
        yield browser.new_context(viewport={"width": 1400, "height": 1000}, color_scheme="light")
        browser.close()


@pytest.fixture
def page(context: Any) -> Iterator[Any]:
    """A page that fails its test on any script error or request to another place."""
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    page.on("dialog", lambda dialog: (problems.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on(
        "request",
        lambda asked: (
            None
            if asked.url.startswith(("http://127.0.0.1:", "data:", "blob:"))
            else problems.append(asked.url)
        ),
    )
    page.problems = problems
    yield page
    page.close()
    assert problems == []
