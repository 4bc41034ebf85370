"""report.html: one file that opens anywhere, without network.

Style, script, charts and the results themselves are inside; a content security policy
forbids the page to load anything else.  Every text is escaped by the template engine, as
merchant names and error texts come from outside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from banksim.measure import formats
from banksim.measure.figures import ScoreTable
from banksim.measure.formats import NOT_AVAILABLE, THIN, count
from banksim.measure.results import Results, encode
from banksim.measure.scores import enough
from banksim.measure.tiles import money_stages
from banksim.measure.verdicts import too_few
from banksim.model.money import minor_digits
from banksim.report.charts_detection import campaign_chart, cost_chart, pr_chart, recall_chart, score_chart
from banksim.report.charts_frame import Chart, bands, moment_text
from banksim.report.charts_load import (
    capacity_chart,
    generator_chart,
    latency_chart,
    load_quality_chart,
    rate_chart,
)
from banksim.report.console import exact, violated
from banksim.report.theme import chart_layout, colours, tokens_css

# -- Two pictures made of counts: the response-time ranges, and what another threshold would have done ---


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


def what_if(results: Results) -> dict[str, Any] | None:
    """What the page needs to work out any threshold; None when there were not both kinds of scores.

    ``start`` is the threshold that flags about as many as the detector itself did: where the handle
    stands before it is moved.
    """
    bins = results.scores.bins
    if not sum(bins.fraud) or not sum(bins.genuine):
        return None
    found = results.detection
    own = found.confusion
    unscored_fraud = max(0, own.tp + own.fn - sum(bins.fraud))
    unscored_genuine = max(0, own.fp + own.tn - sum(bins.genuine))
    currency = results.run.currency
    return {
        "bins": encode(bins),
        "start": _like_own(bins, own.tp + own.fp),
        "unscored": {"fraud": unscored_fraud, "genuine": unscored_genuine},
        "false_positive_cost_cents": found.false_positive_cost_cents,
        "currency": currency,
        "minor_digits": minor_digits(currency),
    }


def _like_own(bins: ScoreTable, alerts: int) -> float:
    flagged, best, best_gap = 0, 1.0, alerts
    for low, fraud, genuine in zip(
        reversed(bins.low), reversed(bins.fraud), reversed(bins.genuine), strict=True
    ):
        flagged += fraud + genuine
        if abs(flagged - alerts) < best_gap:
            best, best_gap = low, abs(flagged - alerts)
    return float(best)


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
MAX_FEED_COLUMNS = 14
SCRIPTS = ("report.js", "report_threshold.js", "report_export.js")
#: Of use to a program, not to a reader.
HIDDEN_FEED_COLUMNS = frozenset({"seq", "transaction_id"})


def render_html(results: Results, feed: Sequence[Mapping[str, Any]] = ()) -> str:
    """The page for a run's results and the kept feed rows, newest last."""
    made = charts(results)
    return (
        _environment()
        .get_template("report.html")
        .render(
            results=results,
            as_json=encode(results),
            run=results.run,
            currency=results.run.currency,
            roles=FUNNEL_ROLES,
            exact=exact,
            money_stages=money_stages(results.detection),
            violated=violated,
            at=lambda sim_s: moment_text(results, sim_s),
            enough=lambda text: _with_enough(results, text),
            charts=made,
            ranges=range_parts(results),
            what_if=what_if(results),
            specs={key: chart.spec for key, chart in made.items() if chart.spec},
            theme={
                "colours": {"light": colours("light"), "dark": colours("dark")},
                "layout": {"light": chart_layout("light"), "dark": chart_layout("dark")},
            },
            feed=list(feed)[-MAX_FEED_ROWS:],
            feed_columns=_feed_columns(feed),
            feed_total=len(feed),
            # Our own files and Plotly's: trusted, and broken by escaping.
            styles=Markup(tokens_css() + _template_text("report.css")),
            script=Markup("".join(map(_template_text, SCRIPTS))),
            plotly_js=Markup(get_plotlyjs()),
        )
    )


def _with_enough(results: Results, text: str) -> str:
    """``text``, or why a figure without an interval is held back."""
    frauds = results.detection.confusion.fraud
    if text == NOT_AVAILABLE or enough(frauds):
        return text
    return f"{NOT_AVAILABLE}: {too_few(frauds, results.detection.asked)}"


def _feed_columns(feed: Sequence[Mapping[str, Any]]) -> list[str]:
    keys = dict.fromkeys(key for row in feed for key in row if key not in HIDDEN_FEED_COLUMNS)
    return list(keys)[:MAX_FEED_COLUMNS]


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


def _template_text(name: str) -> str:
    return files("banksim.report").joinpath("templates", name).read_text(encoding="utf-8")
