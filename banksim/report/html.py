"""report.html: one file that opens anywhere, without network.

Style, script, charts and the results themselves are inside; a content security policy
forbids the page to load anything else.  Every text is escaped by the template engine, as
merchant names and error texts come from outside.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from banksim.measure import formats
from banksim.measure.formats import NOT_AVAILABLE, THIN, count
from banksim.measure.results import FeedItem, Results, encode
from banksim.measure.scores import enough
from banksim.measure.story import findings
from banksim.measure.tiles import money_stages
from banksim.measure.verdicts import too_few
from banksim.model.money import minor_digits
from banksim.report.charts_detection import campaign_chart, cost_chart, pr_chart, recall_chart, score_chart
from banksim.report.charts_frame import (
    Chart,
    bands,
    chart_layout,
    colours,
    moment_text,
    plotly_js,
    script,
    template_text,
    tokens_css,
)
from banksim.report.charts_load import (
    capacity_chart,
    generator_chart,
    latency_chart,
    load_quality_chart,
    rate_chart,
)
from banksim.report.console import exact, violated

# -- The response-time ranges as one bar ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RangePart:
    """One part of the bar; ``share`` is 0..1 of all that ended, ``role`` a style."""

    label: str
    value: str
    share: float
    role: str


def range_parts(results: Results) -> list[RangePart]:
    """Fast, middle, slow, failed; empty when nothing ended."""
    found = results.response_ranges
    total = found.fast + found.middle + found.slow + found.failed
    if not total:
        return []
    fast, slow = f"{found.fast_ms:g}{THIN}ms", f"{found.slow_ms:g}{THIN}ms"
    return [
        RangePart(label, count(number), number / total, name)
        for name, number, label in (
            ("fast", found.fast, f"up to {fast}"),
            ("middle", found.middle, f"{fast} to {slow}"),
            ("slow", found.slow, f"over {slow}"),
            ("failed", found.failed, "failed or unanswered"),
        )
    ]


# -- All charts of the report, each a Plotly figure as JSON with the rows behind it -----------------


__all__ = ["Chart", "bands", "charts"]


def charts(results: Results) -> dict[str, Chart]:
    """All charts by key, in the order of the page."""
    made = (
        *([capacity_chart(results)] if results.run.capacity else []),
        rate_chart(results),
        latency_chart(results),
        load_quality_chart(results),
        generator_chart(results),
        recall_chart(results),
        score_chart(results),
        pr_chart(results),
        cost_chart(results),
        campaign_chart(results),
    )
    return {chart.key: chart for chart in made}


#: Colours of the funnel's bars; the others are neutral.
FUNNEL_ROLES = {
    "scored": "genuine",
    "alerted": "suspicious",
    "caught": "caught",
    "missed": "fraud",
    "false_positives": "suspicious",
}
#: Rows of the feed shown in the page; feed.csv has all that were kept.
MAX_FEED_ROWS = 50
SCRIPTS = ("threshold.js", "report.js", "report_threshold.js", "report_export.js")
STAND_IN = "Bank and detector were the built-in stand-ins: the figures say nothing about your systems."
#: Those that a reader wants; feed.csv has them all.
FEED_COLUMNS = [one.name for one in fields(FeedItem)][2:16]


STAND_INS = ("dry-run", "sandbox")
_SECTION = re.compile(r'<h2 id="([a-z-]+)">([^<]+)</h2>')
_SCROLLER = '<div tabindex="0" role="group" aria-label="Table" class="scroll'


def render_html(
    results: Results, feed: Sequence[FeedItem] = (), before: Mapping[str, Any] | None = None
) -> str:
    """The page for a run's results and the kept feed rows, newest last.

    ``before`` is results.json of the last run of the same scenario, for the column "last run".
    """
    made, run = charts(results), results.run
    html = (
        _environment()
        .get_template("report.html")
        .render(
            results=results,
            as_json=encode(results),
            run=run,
            currency=run.currency,
            roles=FUNNEL_ROLES,
            exact=exact,
            money_stages=money_stages(results.detection),
            violated=violated,
            at=lambda sim_s: moment_text(results, sim_s),
            enough=lambda text: _with_enough(results, text),
            charts=made,
            ranges=range_parts(results),
            findings=findings(results),
            stand_in=STAND_IN if run.mode in STAND_INS else "",
            minor_digits=minor_digits(run.currency),
            before={tile["key"]: tile["value"] for tile in before["tiles"]} if before else {},
            before_run=before["run"]["run_id"] if before else "",
            specs={key: chart.spec for key, chart in made.items() if chart.spec},
            theme={
                "colours": {"light": colours("light"), "dark": colours("dark")},
                "layout": {"light": chart_layout("light"), "dark": chart_layout("dark")},
            },
            feed=list(feed)[-MAX_FEED_ROWS:],
            feed_columns=FEED_COLUMNS,
            feed_total=len(feed),
            # Our own files and Plotly's: trusted, and broken by escaping.
            styles=Markup(tokens_css() + template_text("report.css")),
            script=Markup("".join(map(script, SCRIPTS))),
            plotly_js=Markup(plotly_js()),
        )
    )
    return _with_contents(html)


def _with_contents(html: str) -> str:
    """Links to all sections below the verdict, and scrolling tables that a keyboard reaches."""
    links = "".join(f'<a href="#{name}">{title}</a>' for name, title in _SECTION.findall(html))
    html = html.replace("<!-- contents -->", f'<nav class="contents" aria-label="Contents">{links}</nav>', 1)
    return html.replace('<div class="scroll', _SCROLLER)


def _with_enough(results: Results, text: str) -> str:
    """``text``, or why a figure without an interval is held back."""
    frauds = results.detection.confusion.fraud
    if text == NOT_AVAILABLE or enough(frauds):
        return text
    return f"{NOT_AVAILABLE}: {too_few(frauds, results.detection.judged)}"


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("banksim.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in (
        "count",
        "figure",
        "percent",
        "milliseconds",
        "rate",
        "duration",
        "words",
        "money",
        "interval",
    ):
        environment.filters[name] = getattr(formats, name)
    return environment
