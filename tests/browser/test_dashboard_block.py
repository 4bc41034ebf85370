"""What the scenario's dashboard block does on the pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.server import Server

pytestmark = pytest.mark.browser

#: Counts the tones that a page would play.
SOUND = """
    window.tones = 0;
    window.AudioContext = class {
      currentTime = 0;
      createOscillator() {
        return { frequency: {}, connect: (to) => to, start: () => (window.tones += 1), stop: () => {} };
      }
      createGain() { return { gain: {}, connect: () => {} }; }
    };
"""


@pytest.mark.parametrize("sound", [True, False])
def test_the_block_reaches_feed_charts_and_sound(page: Any, tmp_path: Path, sound: bool) -> None:
    block = {"max_feed_items": 20, "chart_resolution_seconds": 2.0, "sound_alerts": sound}
    server = Server(tmp_path, speed=400.0, dashboard={**block, "fraud_alert_threshold": 0.2})
    try:
        page.add_init_script(SOUND)
        page.goto(f"{server.address}/banksim/", wait_until="domcontentloaded")
        page.wait_for_selector(".toast")
        assert (page.evaluate("window.tones") > 0) is sound
        page.goto(f"{server.address}/banksim/feed", wait_until="domcontentloaded")
        page.wait_for_function("() => document.getElementById('feed-count').innerText.includes('last 20')")
        assert page.is_checked("#sound") is sound
        # The viewer's own choice counts more, and is heard at once.
        page.evaluate("window.tones = 0")
        page.set_checked("#sound", not sound)
        assert (page.evaluate("window.tones") > 0) is not sound
        page.evaluate("localStorage.removeItem('banksim.sound')")
        page.goto(f"{server.address}/banksim/metrics", wait_until="domcontentloaded")
        page.wait_for_selector("#tps-chart .scatterlayer path.js-line", state="attached")
        assert "a point each 2" in page.inner_text("#range-means")
        # Some six points of a second are three or four of two seconds.
        page.wait_for_function(
            "() => { const [line] = document.getElementById('tps-chart').data.slice(-1);"
            " return line.x.length > 2 && line.x.every((x, at) => at < 1 || x - line.x[at - 1] >= 1); }"
        )
        steps = page.evaluate(
            "(() => { const { x } = document.getElementById('tps-chart').data[0];"
            " return x.slice(1, -1).map((at, place) => at - x[place]); })()"
        )
        assert steps
        assert all(1.5 <= step <= 2.5 for step in steps)
    finally:
        page.goto("about:blank")
        server.stop()
