"""The pages show the verdict, tiles and funnel of results.json, word for word: ten recorded runs."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.server import Server
from tests.recorded import NAMES, recorded

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("verdict"))
    yield server
    server.stop()


def select(server: Server, name: str) -> None:
    body = json.dumps({"scenario": name}).encode()
    address = f"{server.address}/api/control/scenario"
    asked = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=5) as answer:
        assert answer.status == 200


def texts(page: Any, selector: str) -> list[str]:
    found: list[str] = page.locator(selector).evaluate_all("nodes => nodes.map((n) => n.textContent)")
    return found


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("which", ["", "results"])
def test_the_page_says_what_results_json_says(page: Any, server: Server, name: str, which: str) -> None:
    results = recorded(name)
    verdict = results.verdict
    select(server, name)
    page.goto(f"{server.address}/banksim/{which}", wait_until="domcontentloaded")
    page.wait_for_selector("#verdicts li")
    assert page.inner_text("#notice-text").startswith(verdict.sentence)
    assert texts(page, "#verdicts li b") == [word.subject for word in verdict.words]
    assert texts(page, "#verdicts li span") == [word.word for word in verdict.words]
    assert texts(page, "#verdict-sentences li span") == [word.sentence for word in verdict.words]
    kinds = page.locator("#verdicts li").evaluate_all("nodes => nodes.map((n) => n.dataset.kind)")
    assert kinds == [word.kind for word in verdict.words]
    assert page.inner_text("#notice-title") == verdict.overall
    if which:
        return
    assert texts(page, ".tile-label") == [tile.label for tile in results.tiles]
    assert texts(page, ".tile-value") == [tile.value for tile in results.tiles]
    assert texts(page, ".tile-word span") == [tile.word for tile in results.tiles]
    assert texts(page, ".tile-note:not(.tile-goal)") == [tile.note for tile in results.tiles]
    assert texts(page, ".funnel-number") == [step.value for step in results.funnel]
    assert texts(page, ".funnel-note") == [step.note for step in results.funnel]
