"""Locust's own HTML report (--html, or "Download report" in the UI) gets a link to ours.

Locust has no hook for its report, so the function that makes it is wrapped where Locust calls
it, in two modules.  The link goes before the last ``</body>``: the first one is inside the page's
own script.  A page without one, or a run without a report, is left as it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import locust.main
import locust.web
from locust.env import Environment

BODY_END = "</body>"
LINK = (
    '<p style="margin: 24px; padding: 12px 16px; border-left: 4px solid #15803d; font: 16px sans-serif">'
    '<a href="{href}" style="color: #15803d">banksim report of this run</a>: what was caught and missed, '
    "thresholds, simulated time.</p>\n"
)


def link_reports() -> None:
    """Wrap the function in both places; harmless when called again."""
    for module in (locust.main, locust.web):
        original = module.get_html_report
        if not hasattr(original, "banksim_original"):
            module.get_html_report = _linked(original)


def _linked(original: Callable[..., str]) -> Callable[..., str]:
    @wraps(original)
    def with_link(environment: Environment, *args: Any, **options: Any) -> str:
        page = original(environment, *args, **options)
        href = report_address(environment)
        return insert_link(page, href) if href else page

    with_link.banksim_original = original  # type: ignore[attr-defined]
    return with_link


def insert_link(page: str, href: str) -> str:
    """``page`` with the link at its end."""
    before, end, after = page.rpartition(BODY_END)
    return before + LINK.format(href=escape(href, quote=True)) + end + after if end else page


def report_address(environment: Environment) -> str | None:
    """Where the last run's report is, seen from Locust's page; None without one.

    A page in a file points to the report's file, relative to it as long as both are on one drive; a
    page from the web UI points into the UI.
    """
    session = getattr(environment, "banksim", None)
    run = session.last_run if session is not None else None
    if run is None or not (run.settings.folder / "report.html").is_file():
        return None
    report: Path = (run.settings.folder / "report.html").resolve()
    options = environment.parsed_options
    if environment.web_ui is None and options.html_file:
        try:
            return quote(Path(os.path.relpath(report, Path(options.html_file).resolve().parent)).as_posix())
        except ValueError:  # another drive
            return report.as_uri()
    base_path = (options.web_base_path or "").rstrip("/")
    return f"{base_path}/banksim/report/{quote(run.settings.run_id)}/report.html"
