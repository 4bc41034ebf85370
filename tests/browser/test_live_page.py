"""The live page in a real Chromium, on a real Locust web UI with a made-up run behind it.

Skipped, in words, where Playwright or a Chromium is missing.  Locust runs in a process of
its own, so that its greenlets and the browser driver's event loop stay apart.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.web_ext.fakes import HOSTILE
from web_ext.timeline import thin

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="Playwright is not installed: pip install -r requirements-dev.txt"
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="No Chromium on this machine: install the package chromium"),
]

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_MS = 10_000

LOCUSTFILE = """
    import json, os, sys, time
    sys.path.insert(0, os.environ["DEMO_ROOT"])
    from locust import User, constant, events, task
    from tests.unit.web_ext.fakes import DemoCockpit
    from web_ext import register

    class Somebody(User):
        wait_time = constant(1)

        @task
        def nothing(self):
            pass

    @events.init.add_listener
    def on_init(environment, **_):
        register(environment, DemoCockpit(time.time, **json.loads(os.environ["DEMO_COCKPIT"])))
"""


class Server:
    """Locust's web UI with a demo run, on a free port of this machine."""

    def __init__(self, folder: Path, *flags: str, base: str = "", **cockpit: Any) -> None:
        locustfile = folder / "locustfile.py"
        locustfile.write_text(textwrap.dedent(LOCUSTFILE))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}{base}"
        command = [sys.executable, "-m", "locust", "-f", str(locustfile), "--web-host", "127.0.0.1"]
        environ = {**os.environ, "DEMO_ROOT": str(ROOT), "DEMO_COCKPIT": json.dumps(cockpit)}
        self.process = subprocess.Popen(
            [*command, "--web-port", str(port), *flags],
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._await_answer()

    def status(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.address}/api/status", timeout=5) as answer:
            return json.load(answer)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def _await_answer(self) -> None:
        deadline = time.monotonic() + 20
        while True:
            try:
                self.status()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise
                time.sleep(0.1)


@pytest.fixture(scope="module")
def context() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        # One context for all: the chart library is loaded once and then comes from the cache.
        yield browser.new_context(viewport={"width": 1400, "height": 1000}, color_scheme="light")
        browser.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(
        tmp_path_factory.mktemp("live"),
        "--autostart",
        "-u",
        "1",
        speed=400.0,
        duration_s=864_000.0,
        customer=HOSTILE,
    )
    yield server
    server.stop()


@pytest.fixture
def page(context: Any) -> Iterator[Any]:
    """A page that fails its test on any script error or request to another place."""
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
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


def open_live(page: Any, server: Server, query: str = "") -> Any:
    page.goto(f"{server.address}/banksim/{query}", wait_until="domcontentloaded")
    page.wait_for_selector("#feed tr")
    return page


def test_the_page_comes_alive(page, server):
    open_live(page, server)
    assert page.inner_text("#state") == "Running"
    assert page.inner_text("#scenario") == "A day with two attacks"
    assert page.inner_text("#sim-clock").startswith("Day 1, ")
    page.wait_for_selector("#rate-chart .scatterlayer path.js-line")
    assert page.locator(".tile").count() == 7
    assert "tx/s" in page.inner_text("#tile-rate")
    before = page.inner_text("#sim-clock")
    page.wait_for_function("before => document.getElementById('sim-clock').innerText !== before", arg=before)


def test_hostile_text_stays_text(page, server):
    open_live(page, server)
    assert page.inner_text("#feed tr:first-child .feed-who") == HOSTILE
    assert page.locator("#feed img").count() == 0
    assert page.title() == "Live · banksim"


def test_pause_and_resume(page, server):
    open_live(page, server)
    page.click("#pause")
    page.wait_for_selector("#state[data-state=paused]")
    assert page.inner_text("#state") == "Paused"
    page.click("#resume")
    page.wait_for_selector("#state[data-state=running]")


def test_stop_asks_once_more(page, server):
    open_live(page, server)
    page.click("#stop")
    assert page.inner_text("#stop") == "Stop for good?"
    page.focus("#pause")
    assert page.inner_text("#stop") == "Stop"
    assert server.status()["state"] == "running"


def test_speed_by_number_and_by_slider(page, server):
    open_live(page, server)
    page.fill("#speed-number", "0.5")
    page.press("#speed-number", "Enter")
    page.wait_for_function("() => fetch('../api/status').then(a => a.json()).then(s => s.speed === 0.5)")
    page.focus("#speed-slider")
    page.press("#speed-slider", "Home")
    page.press("#speed-slider", "End")
    page.wait_for_function("() => fetch('../api/status').then(a => a.json()).then(s => s.speed === 10000)")
    page.fill("#speed-number", "400")
    page.press("#speed-number", "Enter")
    page.wait_for_function("() => fetch('../api/status').then(a => a.json()).then(s => s.speed === 400)")
    page.fill("#speed-number", "20000")
    page.press("#speed-number", "Enter")
    assert "0.1 to 10,000" in page.inner_text("#control-problem")
    assert server.status()["speed"] == 400


def test_the_feed_holds_while_somebody_points_at_it(page, server):
    open_live(page, server)
    page.hover("#feed-scroll")
    first = page.inner_text("#feed tr:first-child")
    page.wait_for_function("() => /[1-9]\\d* new/.test(document.getElementById('feed-held').innerText)")
    assert page.inner_text("#feed tr:first-child") == first
    page.mouse.move(5, 5)
    page.wait_for_function(
        "first => document.getElementById('feed-held').hidden"
        " && document.querySelector('#feed tr').innerText !== first",
        arg=first,
    )


def test_dark_and_light_follow_locusts_choice_in_another_frame(page, server):
    open_live(page, server)
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    other = page.context.new_page()
    other.goto(f"{server.address}/")
    other.evaluate("localStorage.theme = 'dark'")
    page.wait_for_selector("html[data-theme=dark]", state="attached")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == "rgb(18, 18, 18)"
    page.click("#theme")
    assert other.evaluate("localStorage.theme") == "light"
    other.close()


@pytest.mark.parametrize("width", [420, 768, 1024, 1400, 1920])
def test_nothing_sticks_out_at_any_width(page, server, width):
    page.set_viewport_size({"width": width, "height": 900})
    open_live(page, server)
    page.wait_for_selector("#rate-chart .scatterlayer path.js-line")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_control_is_reached_by_keyboard(page, server):
    open_live(page, server)
    reached = []
    for _ in range(16):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
    order = ["skip", "theme", "speed-slider", "speed-number", "pause", "stop", "feed-hold", "feed-scroll"]
    assert [name for name in dict.fromkeys(reached) if name in order] == order


def test_the_verdict_alone_is_read_aloud(page, server):
    open_live(page, server)
    assert page.locator("[aria-live]").count() == 1
    page.wait_for_function(
        "() => document.getElementById('verdict-aloud').innerText.includes('Bank: holding.')"
    )


def test_tables_stand_behind_the_charts(page, server):
    open_live(page, server)
    for name in ("rate", "recall"):
        page.click(f"details:has(#{name}-table) summary")
        page.wait_for_selector(f"#{name}-table tbody tr")
    assert "Predicted" in page.inner_text("#rate-table thead")


def test_locusts_page_has_the_tab_and_follows_its_address(page, server):
    page.goto(f"{server.address}/?tab=banksim")
    frame = page.frame_locator("iframe[title='banksim, live']")
    frame.locator("#feed tr").first.wait_for()
    assert frame.locator(".brand").is_hidden()
    page.get_by_role("tab", name="Statistics").click()
    page.wait_for_selector("iframe[title='banksim, live']", state="hidden")
    page.get_by_role("tab", name="banksim").click()
    page.wait_for_selector("iframe[title='banksim, live']", state="visible")


def test_page_and_server_thin_a_timeline_alike(page, server):
    points = [
        {"sim_s": i, "offered_tps": i * 1.5, "achieved_tps": None if i % 3 else i, "predicted_tps": None,
         "fraud": i % 4, "alerts": 1, "p99_ms": 90 - i}
        for i in range(40)
    ]  # fmt: skip
    open_live(page, server)
    script = "async points => { const src = document.querySelector('script[type=module]').src;"
    script += " const m = await import(src.replace('live.js', 'timeline.js')); return m.halve(points); }"
    assert page.evaluate(script, points) == thin(points, 20)


def test_no_run_says_what_to_do_under_a_base_path(page, tmp_path):
    idle = Server(tmp_path, "--web-base-path", "/bank", base="/bank", state="idle")
    try:
        page.goto(f"{idle.address}/banksim/")
        page.wait_for_selector("#notice")
        assert page.inner_text("#notice-title") == "No run yet"
        assert page.is_hidden("#run")
        page.click("#notice-action")
        page.wait_for_url(f"{idle.address}/")
        page.get_by_role("link", name="banksim live").click()
        page.wait_for_url(f"{idle.address}/banksim/")
        page.goto("about:blank")
    finally:
        idle.stop()


def test_a_lost_connection_is_said_and_the_end_leads_to_the_report(page, tmp_path):
    short = Server(tmp_path, "--autostart", "-u", "1", duration_s=3600.0, speed=1800.0)
    try:
        page.goto(f"{short.address}/banksim/")
        page.wait_for_selector("#state[data-state=finished]")
        assert page.inner_text("#notice-action") == "Open the report"
        assert page.get_attribute("#notice-action", "href").startswith("/banksim/report/")
        assert page.is_disabled("#pause")
    finally:
        short.stop()
    page.wait_for_selector("#live[data-stale=true]")
    assert page.inner_text("#live").startswith("No updates: figures from ")
    page.problems[:] = [said for said in page.problems if "net::ERR" not in said]
