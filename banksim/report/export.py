"""PDF and PNG of a report, printed by a Chromium without a window.

The browser is an extra: nothing else here needs it.  It opens only the report file, which
loads nothing from outside.  PDF comes from the browser's own printing; PNGs are drawn by the
page itself (report_export.js) and read from the page's text.
"""

from __future__ import annotations

import base64
import csv
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from banksim.measure.results import SCHEMA, FeedItem, Results, decode
from banksim.model import BanksimError, UsageError
from banksim.report.html import render_html
from banksim.report.write import last_run, write_whole

# -- Runs as they were saved: results.json, and the feed that was kept ------------------------------


def results_path(run: Path) -> Path:
    """results.json of a run given as its folder or as the file itself."""
    return run / "results.json" if run.is_dir() else run


def read_results(run: Path) -> Results:
    """The results of a saved run.  Raises UsageError with one sentence when they cannot be used."""
    path = results_path(run)
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"{run}: {error.strerror or error} (expected a run's folder or its results.json)"
        ) from None
    except ValueError as error:
        raise UsageError(f"{path}: not JSON: {error}") from None
    if not isinstance(results, dict) or not {"schema", "run", "detection"} <= set(results):
        raise UsageError(f"{path}: not the results of a banksim run")
    if results["schema"] != SCHEMA:
        raise UsageError(
            f"{path}: results of schema {results['schema']}, and this banksim reads schema {SCHEMA}"
        )
    try:
        return decode(Results, results)
    except ValueError as error:
        raise UsageError(f"{path}: not the results of a banksim run: {error}") from None


def read_feed(run: Path) -> list[FeedItem]:
    """The kept feed beside results.json; empty when there is none.  Raises UsageError for any other file."""
    path = results_path(run).with_name("feed.csv")
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        try:
            return [_feed_item(row) for row in rows]
        except (KeyError, ValueError, csv.Error) as error:
            raise UsageError(f"{path}: not the feed of a run (line {rows.line_num}): {error}") from None


def render_again(run: Path) -> Path:
    """Write report.html anew from what was saved; its path.  Raises BanksimError."""
    target = results_path(run).with_name("report.html")
    results = read_results(run)
    write_whole(target, render_html(results, read_feed(run), last_run(target.parent, results)))
    return target


def _feed_item(row: dict[str, str]) -> FeedItem:
    """A row as it was before; an apostrophe in front only kept a cell from being a formula."""
    if None in row or None in row.values():  # so says csv of more cells or fewer than the head names
        raise ValueError("expected a cell for each column")
    plain = {
        name: text[1:] if text[:1] == "'" and text[1:2] in set("=+-@") else text for name, text in row.items()
    }
    reasons = plain["reasons"].split(", ") if plain["reasons"] else []
    numbers = {name: plain.get(name) or None for name in ("score", "account", "bank_ms", "detector_ms")}
    return decode(FeedItem, {**plain, **numbers, "reasons": reasons})


#: Looked for on the PATH, in this order.
BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
)
TIMEOUT_S = 120.0
#: Milliseconds of the page's own time that drawing may take; the browser runs them as fast as it can.
DRAWING_MS = 20_000

_EXPORTED = re.compile(r'<script type="application/json" id="exported">(.*?)</script>', re.DOTALL)


class BrowserError(BanksimError):
    """No browser was found, or it did not do what was asked."""


def find_browser() -> str:
    """The path of a Chromium.  Raises BrowserError when there is none."""
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    raise BrowserError(
        "PDF and PNG need Chromium or Chrome, and none was found on the PATH. Install one, or open "
        "report.html in any browser: it prints, and every chart has a button that saves it as PNG."
    )


def print_pdf(page: Path, target: Path) -> None:
    """Print ``page`` to the PDF ``target``.  Raises BrowserError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    _run([f"--print-to-pdf={target.resolve()}", "--no-pdf-header-footer", page.resolve().as_uri()])
    if not target.is_file():
        raise BrowserError(f"The browser wrote no PDF to {target}.")


def save_pngs(page: Path, folder: Path) -> list[Path]:
    """Save every chart of ``page`` as PNG into ``folder``; the files.  Raises BrowserError."""
    found = _EXPORTED.search(_run(["--dump-dom", f"{page.resolve().as_uri()}?export=png&theme=light"]))
    if found is None:
        raise BrowserError("The browser drew no charts in time. Is this report.html of this version?")
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, image in json.loads(found.group(1)).items():
        # The name comes from a file that may have been sent by others: never a path.
        target = folder / f"{re.sub(r'[^a-z0-9-]', '', name)}.png"
        target.write_bytes(base64.b64decode(image.removeprefix("data:image/png;base64,")))
        files.append(target)
    return files


def _run(arguments: Sequence[str]) -> str:
    """Run the browser with a profile of its own; what it printed."""
    with tempfile.TemporaryDirectory(prefix="banksim-browser-") as profile:
        command = [
            find_browser(),
            "--headless",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={profile}",
            f"--virtual-time-budget={DRAWING_MS}",
            # Chromium's sandbox does not work for root, which is who one is in a container.
            *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
            *arguments,
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            raise BrowserError(f"The browser did not finish within {TIMEOUT_S:g} s.") from None
        except OSError as error:
            raise BrowserError(f"The browser could not be started: {error}.") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise BrowserError(f"The browser ended with code {done.returncode}: {last}")
    return done.stdout
