"""axe-core finds nothing on any page, in either theme, from a phone to a desktop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from banksim.report import write_report
from banksim.report.compare import compare_runs
from banksim.report.html import render_comparison
from tests.browser.server import Server
from tests.recorded import recorded
from web_ext.api import PAGES

axe = pytest.importorskip("axe_playwright_python", reason="pip install -r requirements-dev.txt")
pytestmark = pytest.mark.browser

SCRIPT = Path(axe.__file__).with_name("axe.min.js").read_text("utf-8")
WIDTHS = (420, 900, 1400)
#: The only rules that a theme can break; they take axe most of its time.
COLOURS = ("color-contrast", "link-in-text-block")
#: By the rules of WCAG 2.2 AA and axe's own of good practice.
RUN = """async (asked) => (await axe.run(document, {resultTypes: ["violations"], preload: false, ...asked}))
    .violations.map((rule) =>
        `${rule.id}: ${rule.nodes.map((node) => node.target.join(" ")).slice(0, 4).join(" | ")}`)"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(
        tmp_path_factory.mktemp("axe"), "--autostart", "-u", "1", speed=600.0, duration_s=864_000.0
    )
    yield server
    server.stop()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of a run with everything in it, one of a run that lost money, and a comparison."""
    folder = tmp_path_factory.mktemp("reports")
    for name in ("outage", "money_differs", "capacity"):
        write_report(folder / name, recorded(name))
    both = compare_runs(recorded("calm"), recorded("outage"))
    (folder / "compare.html").write_text(render_comparison(both), "utf-8")
    return folder


def found(page: Any, dark: bool = False, **asked: Any) -> list[str]:
    page.evaluate("name => { document.documentElement.dataset.theme = name; }", "dark" if dark else "light")
    if page.evaluate("() => typeof axe === 'undefined'"):
        page.evaluate(SCRIPT)
    return list(page.evaluate(RUN, asked))


def colours(page: Any, dark: bool) -> list[str]:
    return found(page, dark, runOnly=COLOURS)


def found_at_all_widths(page: Any, coloured: tuple[int, ...] = WIDTHS) -> dict[str, list[str]]:
    """What is found, by width and theme; nothing where nothing is.

    Every rule but those of colour at each width, and those of colour in either theme where they are
    asked for.  For colours the window is as high as the page, or axe scrolls to each word.
    """
    everything = {}
    others = {name: {"enabled": False} for name in COLOURS}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(250)  # charts are drawn anew
        everything[f"{width}"] = found(page, rules=others)
        if width not in coloured:
            continue
        height = page.evaluate("() => document.documentElement.scrollHeight")
        page.set_viewport_size({"width": width, "height": height})
        everything |= {f"{width}, dark {dark}": colours(page, dark) for dark in (True, False)}
    return {where: rules for where, rules in everything.items() if rules}


@pytest.mark.parametrize("slug", [page.slug for page in PAGES])
def test_nothing_is_found_on_a_page(page: Any, server: Server, slug: str) -> None:
    page.goto(f"{server.address}/banksim/{slug}", wait_until="domcontentloaded")
    page.wait_for_selector("#state[data-state=running]")
    page.wait_for_timeout(1_500)  # charts, tables and the first transactions
    assert found_at_all_widths(page) == {}


def test_nothing_is_found_in_an_opened_transaction(page: Any, server: Server) -> None:
    page.goto(f"{server.address}/banksim/feed", wait_until="domcontentloaded")
    page.locator("#feed tr").first.click()
    page.wait_for_selector("#drawer[open]")
    assert (found(page), colours(page, dark=True)) == ([], [])


@pytest.mark.parametrize(
    "name", ["outage/report.html", "money_differs/report.html", "capacity/report.html", "compare.html"]
)
def test_nothing_is_found_in_a_report(context: Any, files: Path, name: str) -> None:
    page = context.new_page()
    page.goto(f"file://{files / name}")
    assert found_at_all_widths(page, coloured=(WIDTHS[0], WIDTHS[-1])) == {}
    page.close()


@pytest.mark.parametrize("state", ["idle", "finished"])
def test_nothing_is_found_before_and_after_a_run(page: Any, tmp_path: Path, state: str) -> None:
    server = Server(tmp_path, "--autostart", "-u", "1", state=state)
    try:
        page.goto(f"{server.address}/banksim/")
        page.wait_for_selector("#pick-scenario option", state="attached")
        assert (found(page), colours(page, dark=True)) == ([], [])
        page.goto("about:blank")
    finally:
        server.stop()
