"""The detection page in a real Chromium: a threshold that is dragged, and what follows it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.server import Server

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("detection"), speed=3600.0, duration_s=864_000.0)
    yield server
    server.stop()


@pytest.fixture
def detection(page: Any, server: Server) -> Any:
    """The page of a run that stands still, so that its figures hold."""
    page.goto(f"{server.address}/banksim/detection", wait_until="domcontentloaded")
    page.wait_for_selector("#scores-chart .bars path", state="attached", timeout=60_000)
    page.request.post(f"{server.address}/api/control/pause")
    page.wait_for_selector("#state[data-state=paused]")
    page.wait_for_function(
        "() => fetch('../api/results.json').then((a) => a.json()).then(({ detection: { confusion: c } }) =>"
        " Number(document.getElementById('cell-tp').innerText) === c.tp && c.tp + c.fn > 3)"
    )
    yield page
    page.request.post(f"{server.address}/api/control/resume")


def cells(page: Any) -> dict[str, int]:
    texts = {name: page.inner_text(f"#cell-{name}") for name in ("tp", "fn", "fp", "tn")}
    return {name: int("".join(filter(str.isdecimal, text))) for name, text in texts.items()}


def test_the_line_moves_by_keyboard_and_the_counts_follow(detection):
    own = cells(detection)
    detection.focus("#threshold")
    detection.keyboard.press("Home")
    detection.wait_for_function("() => document.getElementById('threshold-value').innerText === '0.000'")
    everything = cells(detection)
    # Whoever got a score is alerted now; a few got none.
    assert everything["fn"] + everything["tn"] <= 0.05 * sum(own.values())
    assert everything["tp"] + everything["fn"] == own["tp"] + own["fn"]
    assert everything["fp"] + everything["tn"] == own["fp"] + own["tn"]
    assert "would have" in detection.inner_text("#threshold-of")
    detection.keyboard.press("End")
    detection.wait_for_function("() => document.getElementById('threshold-value').innerText === '1.000'")
    assert cells(detection)["tp"] == cells(detection)["fp"] == 0
    detection.click("#threshold-reset")
    detection.wait_for_function("() => document.getElementById('threshold-reset').disabled")
    assert cells(detection) == own


def test_the_line_is_dragged_on_the_chart(detection):
    box = detection.locator("#scores-chart .nsewdrag").bounding_box()
    y = box["y"] + box["height"] / 2
    detection.mouse.move(box["x"] + 0.2 * box["width"], y)
    detection.mouse.down()
    detection.mouse.move(box["x"] + 0.8 * box["width"], y, steps=5)
    detection.mouse.up()
    detection.wait_for_function(
        "() => Math.abs(Number(document.getElementById('threshold-value').innerText) - 0.8) < 0.02"
    )
    assert "threshold 0." in detection.inner_text("#scores-chart")
    assert "the detector's own" in detection.inner_text("#pr-chart")


def test_every_chart_is_drawn_with_a_table_behind(detection):
    for name in ("pr", "cost", "load", "recall"):
        detection.wait_for_selector(f"#{name}-chart .main-svg", state="attached")
    for name in ("scores", "pr", "cost", "load", "recall"):
        detection.click(f"details:has(#{name}-table) summary")
        detection.wait_for_selector(f"#{name}-table tbody tr")
    # Fewer than thirty frauds say little: the mark is hollow.
    assert re.search(r"\d\s?tx/s", detection.inner_text("#load-table"))


def test_goals_of_the_scenario_are_what_a_tile_is_held_against(page, server):
    page.goto(f"{server.address}/banksim/", wait_until="domcontentloaded")
    page.wait_for_selector("#tile-response[data-kind=pass]")
    assert page.inner_text("#tile-response .tile-goal") == "goal: response_time.p99 < 5s"
    assert "meets its threshold" in page.inner_text("#tile-response")
    assert page.inner_text("#tile-rate .tile-goal").replace("\u202f", " ") == "goal: at least 99.0 %"
    page.wait_for_selector("#tile-dropped[data-kind=fail]")
    assert "misses its threshold" in page.inner_text("#tile-dropped")
    assert page.inner_text("#tile-savings .tile-value").startswith("USD")
    assert page.locator("#ranges-keys li").count() == 4
    assert "up to 80" in page.inner_text("#ranges-keys")
