"""Feed, metrics, timeline and results in a real Chromium; the login; names that mean harm."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.server import Server

pytestmark = pytest.mark.browser

SCRIPT = "<script>alert(1)</script>"
FORMULA = "=cmd()"
#: Marks whatever takes the focus; and says which controls that are still there never had it.
CONTROLS = """() => {
    document.addEventListener("focusin", (event) => { event.target.dataset.reached = "yes"; });
    const shown = (one) => one.checkVisibility({ visibilityProperty: true }) && !one.disabled;
    const wanted = "button, a[href], input:not([type=radio]), input:checked, select, textarea, "
        + "summary, [tabindex='0']";
    window.controls = () => [...document.querySelectorAll(wanted)].filter(shown);
    window.first = window.controls();
    return window.first.length;
}"""
NOT_REACHED = """() => window.first
    .filter((one) => window.controls().includes(one) && one.dataset.reached !== "yes")
    .map((one) => one.id || one.className || one.innerText)"""
PAGES = ("", "feed", "metrics", "detection", "timeline", "customers", "results")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(
        tmp_path_factory.mktemp("pages"),
        speed=400.0,
        duration_s=864_000.0,
        customer=FORMULA,
        merchant=SCRIPT,
        dashboard={"refresh_rate_ms": 500, "chart_resolution_seconds": 1.0},
    )
    yield server
    server.stop()


def open_page(page: Any, server: Server, name: str, ready: str) -> None:
    page.goto(f"{server.address}/banksim/{name}", wait_until="domcontentloaded")
    page.wait_for_selector(ready, state="attached")  # a level line has no height, and counts as hidden


def test_the_feed_filters_and_counts_what_it_hides(page, server):
    open_page(page, server, "feed", "#feed tr")
    page.wait_for_selector("#filter-typology option[value=card_testing]", state="attached", timeout=60_000)
    page.check("#filter-mistakes")
    page.wait_for_function("() => document.getElementById('feed-count').innerText.includes('filtered out')")
    results = page.locator("#feed .feed-result").all_inner_texts()
    assert set(results) <= {"missed", "false positive"}
    page.click("#filter-reset")
    page.select_option("#filter-kind", "transfer")
    page.wait_for_function(
        "() => { const kinds = [...document.querySelectorAll('#feed .feed-what b')].map((b) => b.innerText);"
        " return kinds.length > 0 && kinds.every((kind) => kind.toLowerCase() === 'transfer'); }"
    )
    page.click("#filter-reset")
    page.fill("#filter-score", "0.7")
    page.wait_for_function(
        "() => [...document.querySelectorAll('#feed .feed-score b')].every((b) => Number(b.innerText) >= 0.7)"
    )
    page.fill("#filter-min", "1000000")
    page.wait_for_selector("#feed-empty")
    assert "Nothing of what is kept matches" in page.inner_text("#feed-empty")
    page.click("#filter-reset")
    page.fill("#filter-text", "cmd")
    page.wait_for_selector("#feed tr")


def test_what_was_kept_before_the_page_was_opened_is_there_and_outlives_a_pause(page, server):
    page.request.get(f"{server.address}/api/status")
    open_page(page, server, "feed", "#feed tr")
    more = "() => Number(/last (\\d+)/.exec(document.getElementById('feed-count').innerText)[1]) > 60"
    page.wait_for_function(more)  # the stream begins with sixty
    for action, state in (("pause", "paused"), ("resume", "running")):
        page.request.post(f"{server.address}/api/control/{action}")
        page.wait_for_selector(f"#state[data-state={state}]")
        assert page.evaluate(f"({more})()")


def test_what_is_shown_is_downloaded_without_formulas(page, server, tmp_path):
    open_page(page, server, "feed", "#feed tr")
    page.click("#feed-hold")
    with page.expect_download() as download:
        page.click("#feed-csv")
    download.value.save_as(tmp_path / "feed.csv")
    assert download.value.suggested_filename.startswith("banksim-feed-")
    with (tmp_path / "feed.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == page.locator("#feed tr").count()
    assert {row["customer"] for row in rows} == {f"'{FORMULA}"}


def test_customers_show_who_was_attacked_only_when_asked(page, server):
    open_page(page, server, "customers", "#customer-table tbody tr")
    assert "Fraud on the account" not in page.inner_text("#customer-table")
    assert FORMULA in page.inner_text("#customer-table tbody")
    page.press("#truth", "Space")
    page.wait_for_function(
        "() => document.getElementById('customer-table').innerText.includes('Fraud on the')"
    )
    page.select_option("#sort", "fraud")
    falling = "() => { const n = [...document.querySelectorAll('#customer-table td:last-child')].map((c) => Number(c.innerText)); return n[0] > 0 && n.every((v, i) => !i || v <= n[i - 1]); }"  # noqa: E501
    page.wait_for_function(falling, timeout=60_000)
    page.uncheck("#truth")
    assert page.input_value("#sort") == "transactions"
    page.wait_for_function(
        "() => !document.getElementById('customer-table').innerText.includes('Fraud on the')"
    )


def test_names_that_mean_harm_stay_text_on_every_page(page, server):
    for name in PAGES:
        page.goto(f"{server.address}/banksim/{name}", wait_until="domcontentloaded")
        page.wait_for_selector("#state[data-state=running]")
    open_page(page, server, "feed", "#feed tr")
    page.fill("#filter-text", "<script>")
    page.wait_for_function(
        "text => [...document.querySelectorAll('#feed .feed-what')].some((n) => n.innerText.includes(text))",
        arg=SCRIPT,
    )
    assert page.locator("#feed script").count() == 0


def test_a_transaction_opens_and_keys_go_to_the_next_mistake(page, server):
    open_page(page, server, "feed", "#feed tr.result-missed, #feed tr.result-false-positive")
    page.keyboard.press("m")
    chosen = page.locator("#feed tr.selected")
    assert chosen.get_attribute("class").split()[0] in ("result-missed", "result-false-positive")
    assert page.is_visible("#feed-held")  # the rows stand still meanwhile
    page.keyboard.press("Enter")
    assert page.inner_text("#drawer-result") in ("missed", "false positive")
    assert page.inner_text("#drawer-why li:first-child").startswith("The detector gave")
    assert page.locator("#drawer-calls tbody tr").count() == 5
    before = page.inner_text("#drawer-calls")
    page.press("#drawer-after", "Enter")
    assert page.inner_text("#drawer-calls") != before
    page.keyboard.press("Escape")
    assert page.is_hidden("#drawer")
    page.locator("#feed tr").first.click()
    assert page.is_visible("#drawer")
    page.click("#drawer-close")


def test_an_alert_pops_up_and_can_be_closed_and_muted(page, server):
    open_page(page, server, "feed", "#feed tr")
    assert not page.is_checked("#pop-ups")  # every alert is a row there already
    page.check("#pop-ups")
    page.wait_for_selector(".toast", timeout=60_000)
    assert page.inner_text(".toast b") in ("caught", "false positive")
    assert float(page.inner_text(".toast span").split(" · ")[1]) >= 0.8
    assert page.locator(".toast").count() == 1
    page.uncheck("#pop-ups")
    page.click(".toast-close")
    page.wait_for_selector("#toasts", state="hidden")


def test_metrics_draw_every_chart_and_follow_the_range(page, server):
    open_page(page, server, "metrics", "#tps-chart .scatterlayer path.js-line")
    assert page.locator(".kpi").count() == 12
    page.wait_for_selector("#nexum-chart .scatterlayer path.js-line", state="attached")
    page.wait_for_selector("#scores-chart .bars path", state="attached")
    assert "No call to the detector" in page.inner_text("#bastion-empty")
    page.get_by_text("5 min", exact=True).click()
    page.wait_for_function("() => document.getElementById('range-means').innerText.includes('the last')")
    page.press("details:has(#tps-table) summary", "Enter")
    page.wait_for_selector("#tps-table tbody tr")
    with page.expect_download() as download:
        page.press("[data-png=tps-chart]", "Enter")
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")
    page.get_by_text("All", exact=True).click()


def test_the_timeline_shows_plan_campaigns_and_what_comes(page, server):
    open_page(page, server, "timeline", "#plan-chart .scatterlayer path")
    assert "Business hours begin" in page.inner_text("#plan")
    page.press("details:has(#campaign-table) summary", "Enter")
    page.wait_for_selector("#campaign-table tbody tr")
    assert page.locator("#campaign-table tbody tr").count() == 8
    assert "after 10" in page.inner_text("#campaign-table tbody tr:first-child")
    assert "the scenario ends" in page.inner_text("#events-next").lower()


def test_results_so_far_and_past_runs_side_by_side(page, server):
    open_page(page, server, "results", "#runs tbody tr")
    page.wait_for_selector("#summary-facts dd")
    assert page.inner_text("#summary-state") == "so far; the run is running"
    assert "✕ failed" in page.inner_text("#thresholds")
    for box in page.locator("#runs input").all():
        box.press("Space")
    page.wait_for_selector("#comparison-table")
    recall = page.locator("#comparison-table tr", has_text="Recall").first.inner_text()
    assert "+30" in recall.replace("\u202f", " ")


@pytest.mark.parametrize("name", PAGES)
def test_whatever_can_be_pressed_is_reached_by_tab(page, server, name):
    open_page(page, server, name, "#state[data-state=running]")
    page.wait_for_timeout(500)
    controls = page.evaluate(CONTROLS)
    assert controls > 8
    for _ in range(controls + 20):
        page.keyboard.press("Tab")
    assert page.evaluate(NOT_REACHED) == []


def test_theme_is_switched_and_kept_on_the_next_page(page, server):
    open_page(page, server, "metrics", "#kpis .kpi")
    page.press("#theme", "Enter")
    page.wait_for_selector("html[data-theme=dark]", state="attached")
    open_page(page, server, "results", "#runs tbody tr")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.click("#theme")
    page.evaluate("localStorage.removeItem('theme')")


@pytest.mark.parametrize("width", [420, 1400])
def test_no_page_sticks_out(page, server, width):
    page.set_viewport_size({"width": width, "height": 900})
    for name in PAGES:
        page.goto(f"{server.address}/banksim/{name}", wait_until="domcontentloaded")
        page.wait_for_selector("#state[data-state=running]")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name


def test_refresh_and_theme_follow_the_scenarios_dashboard(page, tmp_path):
    dark = Server(
        tmp_path, dashboard={"theme": "dark", "refresh_rate_ms": 200, "fraud_alert_threshold": 0.999}
    )
    try:
        open_page(page, dark, "feed", "#feed tr")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        updates = page.evaluate(
            "() => new Promise((done) => { const source = new EventSource('events'); const at = [];"
            " source.addEventListener('update', () => { at.push(performance.now());"
            " if (at.length === 5) { source.close(); done((at[4] - at[0]) / 4); } }); })"
        )
        assert updates < 800  # a second without the block
        page.goto("about:blank")
    finally:
        dark.stop()


def test_signing_in_leads_to_the_page_that_was_asked_for(context, tmp_path, monkeypatch):
    monkeypatch.setenv("BANKSIM_WEB_USER", "ana")
    monkeypatch.setenv("BANKSIM_WEB_PASSWORD", "let me in")
    locked = Server(tmp_path, "--web-login")
    page = context.new_page()
    try:
        page.goto(f"{locked.address}/banksim/feed")
        page.wait_for_url("**/login")
        for password in ("wrong", "let me in"):
            page.fill("input[name=username]", "ana")
            page.fill("input[name=password]", password)
            page.get_by_role("button", name="Login", exact=True).click()
            if password == "wrong":
                page.get_by_text("User name or password is wrong.").wait_for()
        page.wait_for_url("**/banksim/feed")
        page.wait_for_selector("#feed tr")
        assert page.request.get(f"{locked.address}/api/status").status == 200
        refused = page.request.post(
            f"{locked.address}/api/control/stop", headers={"Origin": "http://evil.example"}
        )
        assert (refused.status, json.loads(refused.body())["error"][:7]) == (403, "Refused")
    finally:
        page.close()
        locked.stop()
