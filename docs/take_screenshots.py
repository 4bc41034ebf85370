"""Takes every picture of the pages and of a report in docs/images: `make screenshots`.

Runs the scenario `showcase` on a free port, and photographs each page in both themes, 1400 and 420
pixels wide, while a second wave is under way; then the end of the run and its report.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
PAGES = {"live": "", "feed": "feed", "mistake": "feed", "metrics": "metrics"}
PAGES |= {"detection": "detection", "timeline": "timeline"}
AFTERWARDS = {"end": "", "results": "results"}
#: Wall second of the run from which the pages are photographed.
FROM_WALL_S = 28.0
WIDTHS = {"": (1400, 900), "-420": (420, 900)}


def main() -> None:
    with socket.socket() as free, tempfile.TemporaryDirectory() as reports, sync_playwright() as playwright:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        command = [sys.executable, "-m", "locust", "-f", "locustfiles/banking.py", "--scenario", "showcase"]
        command += ["--seed", "7", "--dry-run", "--autostart", "--web-host", "127.0.0.1"]
        command += ["--web-port", str(port), "--report-dir", reports]
        run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        base = f"http://127.0.0.1:{port}"
        try:
            wait(base, lambda status: status["wall_s"] >= FROM_WALL_S)
            photograph(browser, f"{base}/banksim/", PAGES)
            wait(base, lambda status: status["state"] == "finished")
            report = next(Path(reports).glob("*/report.html"))
            replay = {"replay": f"?replay={report.parent.name}"}
            photograph(browser, f"{base}/banksim/", AFTERWARDS | replay)
            photograph(browser, f"file://{report.parent}/", {"report": report.name})
        finally:
            browser.close()
            run.terminate()
            run.wait()


def wait(base: str, until: Any) -> None:
    """Until the run's status satisfies ``until``; five minutes at most."""
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"{base}/api/status", timeout=5) as answer:
                if until(json.load(answer)):
                    return
        except OSError:
            pass
        time.sleep(0.5)
    sys.exit("the run did not get there within five minutes")


def photograph(browser: Browser, base: str, pages: dict[str, str]) -> None:
    """Each page in both themes and widths, as ``name-theme[-420].png``."""
    for theme in ("light", "dark"):
        for suffix, (width, height) in WIDTHS.items():
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=theme, device_scale_factor=1
            )
            page = context.new_page()
            for name, slug in pages.items():
                page.goto(base + slug, wait_until="domcontentloaded")
                page.wait_for_timeout(1_800)
                if name == "mistake":
                    page.keyboard.press("m")
                    page.keyboard.press("Enter")
                    page.wait_for_selector("#drawer[open]")
                if name == "replay":  # half of it is over
                    for _ in range(5):
                        page.press("#replay-seek", "PageUp")
                    page.wait_for_timeout(1_000)
                page.screenshot(path=IMAGES / f"{name}-{theme}{suffix}.png")
            context.close()


if __name__ == "__main__":
    main()
