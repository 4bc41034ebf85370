"""report.html: one file that opens anywhere, without network.

Style, script, charts and the results themselves are inside; a content security policy
forbids the page to load anything else.  Every text is escaped by the template engine, as
merchant names and error texts come from outside.

compare.html: the comparison as one small page, with each difference drawn on its tolerance.

No script and no chart library: a bar is a few boxes placed in percent.  Its scale is the
row's own: the tolerance is the grey band, the dot the difference, the line its interval.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from banksim.measure import formats
from banksim.measure.formats import NOT_AVAILABLE, THIN, count, figure, milliseconds, money, percent
from banksim.measure.results import FeedItem, Results, encode
from banksim.measure.scores import enough
from banksim.measure.story import findings, unstopped
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
from banksim.report.compare import Change, Comparison, Difference, Unit
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
            unstopped=unstopped(results.detection, run.flow or "", run.currency),
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


# -- A comparison in words and numbers, and as a table for a terminal -------------------------------


SIGNS = {Change.WORSE: "✗", Change.LOST: "✗", Change.BETTER: "✓"}


def shown(value: float | None, unit: Unit, currency: str) -> str:
    """A figure in its unit."""
    if value is None:
        return NOT_AVAILABLE
    if unit == "share":
        return percent(value)
    if unit == "ms":
        return milliseconds(value)
    return money(round(value), currency) if unit == "money" else figure(value)


def moved(value: float | None, unit: Unit, currency: str) -> str:
    """A difference with its sign; of shares in percentage points."""
    if value is None:
        return NOT_AVAILABLE
    if unit == "share":
        text = f"{figure(value * 100)}{THIN}pp"
    elif unit == "ms":
        text = f"{figure(value)}{THIN}ms"
    else:
        text = shown(value, unit, currency)
    return f"+{text}" if value > 0 else text


def interval_of(row: Difference) -> str:
    """The ends of a difference: "−3.1 to +0.4 pp"."""
    if row.low is None or row.high is None:
        return ""
    scale, unit = {"share": (100, "pp"), "ms": (1, "ms")}.get(row.figure.unit, (1, ""))
    low, high = (f"{'+' if end > 0 else ''}{figure(end * scale)}" for end in (row.low, row.high))
    return f"{low} to {high}{THIN}{unit}".rstrip(THIN) + (" (paired)" if row.paired else "")


def comparison_text(comparison: Comparison) -> str:
    """The whole comparison for a terminal, ending in a line break."""
    currency = comparison.b.currency
    lines = ["", f"A  {comparison.a.run_id}", f"B  {comparison.b.run_id}", ""]
    lines += [f"  {remark}" for remark in comparison.remarks]
    rows = [row for row in comparison.headline if row.change is not Change.ABSENT]
    cells = [("", "A", "B", "B − A", "95 % interval", "")]
    cells += [_cells(row, currency) for row in rows]
    if comparison.typologies:
        cells.append(("", "", "", "", "", ""))
        cells += [_cells(row, currency, "recall of ") for row in comparison.typologies]
    widths = [max(len(row[column]) for row in cells) for column in range(6)]
    lines.append("")
    for row in cells:
        name, *numbers, word = row
        aligned = "  ".join(f"{text:>{width}}" for text, width in zip(numbers, widths[1:5], strict=True))
        lines.append(f"  {name:<{widths[0]}}  {aligned}  {word}".rstrip())
    lines += ["", f"  {conclusion(comparison)}", ""]
    return "\n".join(lines) + "\n"


def conclusion(comparison: Comparison) -> str:
    """One sentence: what got worse, or that nothing did."""
    found = comparison.regressions
    if not found:
        return "No judged figure got worse by more than its tolerance and chance."
    names = ", ".join(row.figure.label for row in found)
    return f"Worse by more than tolerance and chance: {names}."


def comparison_markdown(comparison: Comparison) -> str:
    """The comparison as Markdown, for a job's summary."""
    currency = comparison.b.currency
    rows = [_cells(row, currency) for row in comparison.headline if row.change is not Change.ABSENT]
    rows += [_cells(row, currency, "recall of ") for row in comparison.typologies]
    lines = [f"**{conclusion(comparison)}**", ""]
    lines += [f"- {remark}" for remark in comparison.remarks]
    lines += ["", f"| | {comparison.a.run_id} | {comparison.b.run_id} | B − A | 95 % interval | |"]
    lines += ["|---|---:|---:|---:|---:|---|"]
    lines += ["| " + " | ".join(cell.strip().replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cells(row: Difference, currency: str, prefix: str = "") -> tuple[str, str, str, str, str, str]:
    unit = row.figure.unit
    sign = SIGNS.get(row.change, " ") if row.judged else " "
    remark = "" if row.judged or row.change in (Change.SAME, Change.SHOWN) else " (not judged)"
    return (
        prefix + row.figure.label,
        shown(row.a, unit, currency),
        shown(row.b, unit, currency),
        moved(row.difference, unit, currency),
        interval_of(row),
        f"{sign} {row.change}{remark}",
    )


TONES = {Change.WORSE: "fail", Change.LOST: "fail", Change.BETTER: "pass"}


@dataclass(frozen=True, slots=True)
class Bar:
    """Places on a row's own scale in % of its width; worse is always to the left."""

    band_left: float
    band_width: float
    dot: float
    left: float | None
    width: float | None


def bar_of(row: Difference) -> Bar | None:
    """None when there is nothing to draw."""
    if row.difference is None or row.a is None:
        return None
    tolerance = row.figure.tolerance_at(row.a)
    ends = [end for end in (row.low, row.high) if end is not None]
    reach = 1.1 * max([abs(row.difference), tolerance, *map(abs, ends)])
    if reach == 0:
        return None
    direction = 1 if row.figure.higher_is_better else -1

    def place(value: float) -> float:
        return 50 + 50 * direction * value / reach

    left = width = None
    if row.low is not None and row.high is not None:
        low, high = sorted((place(row.low), place(row.high)))
        left, width = low, high - low
    return Bar(50 - 50 * tolerance / reach, 100 * tolerance / reach, place(row.difference), left, width)


def render_comparison(comparison: Comparison) -> str:
    """The page."""
    currency = comparison.b.currency

    def cells(row: Difference) -> dict[str, Any]:
        unit = row.figure.unit
        return {
            "label": row.figure.label,
            "a": shown(row.a, unit, currency),
            "b": shown(row.b, unit, currency),
            "moved": moved(row.difference, unit, currency),
            "interval": interval_of(row),
            "tolerance": f"{row.figure.tolerance:.0%}"
            if row.figure.relative
            else moved(row.figure.tolerance, unit, currency).lstrip("+"),
            "word": str(row.change),
            "tone": TONES.get(row.change, "plain") if row.judged else "plain",
            "bar": bar_of(row),
            "judged": row.judged,
        }

    groups: dict[str, list[dict[str, Any]]] = {}
    for row in comparison.headline:
        if row.change is not Change.ABSENT:
            groups.setdefault(row.figure.group, []).append(cells(row))
    if comparison.typologies:
        groups["Recall per typology (shown, never judged)"] = list(map(cells, comparison.typologies))
    environment = Environment(
        loader=PackageLoader("banksim.report", "templates"), autoescape=True, undefined=StrictUndefined
    )
    folder = files("banksim.report").joinpath("templates")
    styles = "".join(
        folder.joinpath(name).read_text(encoding="utf-8") for name in ("report.css", "compare.css")
    )
    return environment.get_template("compare.html").render(
        runs=[("A", comparison.a), ("B", comparison.b)],
        remarks=comparison.remarks,
        groups=groups,
        regressed=bool(comparison.regressions),
        conclusion=conclusion(comparison),
        styles=Markup(tokens_css() + styles),
    )
