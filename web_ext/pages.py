"""The pages there are.  Adding one is a line here, a template and a module in static/."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Page:
    """``slug`` is its place under /banksim/ (empty for the first one), ``title`` its name in the menu."""

    slug: str
    title: str
    template: str
    module: str
    charts: bool = True


PAGES: Final = (
    Page(slug="", title="Control", template="banksim_live.html", module="live.js"),
    Page(slug="feed", title="Feed", template="banksim_feed.html", module="page_feed.js", charts=False),
    Page(slug="metrics", title="Metrics", template="banksim_metrics.html", module="page_metrics.js"),
    Page(slug="detection", title="Detection", template="banksim_detection.html", module="page_detection.js"),
    Page(slug="timeline", title="Timeline", template="banksim_timeline.html", module="page_timeline.js"),
    Page(slug="results", title="Results", template="banksim_results.html", module="page_results.js"),
)
