"""report.html: one file that opens anywhere, without network.

Style, script, charts and the results themselves are inside; a content security policy
forbids the page to load anything else.  Every text is escaped by the template engine, as
merchant names and error texts come from outside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from banksim.report import formats, story
from banksim.report.charts import charts
from banksim.report.charts_frame import moment_text
from banksim.report.reconciled import exact, violated
from banksim.report.theme import chart_layout, colours, tokens_css
from banksim.report.what_if import range_parts, what_if

#: Rows of the feed shown in the page; feed.csv has all that were kept.
MAX_FEED_ROWS = 50
MAX_FEED_COLUMNS = 14
SCRIPTS = ("report.js", "report_threshold.js", "report_export.js")
#: Of use to a program, not to a reader.
HIDDEN_FEED_COLUMNS = frozenset({"seq", "transaction_id"})


def render_html(results: Mapping[str, Any], feed: Sequence[Mapping[str, Any]] = ()) -> str:
    """The page for a results dictionary (see results.py) and the kept feed rows, newest last."""
    made = charts(results)
    return (
        _environment()
        .get_template("report.html")
        .render(
            results=results,
            run=results["run"],
            currency=results["run"].get("currency", "USD"),
            verdict=story.verdict(results),
            tiles=story.tiles(results),
            funnel=story.funnel(results),
            exact=exact,
            violated=violated,
            at=lambda sim_s: moment_text(results, sim_s),
            enough=lambda text: story.with_enough(results, text),
            charts=made,
            ranges=range_parts(results),
            what_if=what_if(results),
            slices=results.get("detection_by"),
            calibration=results["scores"].get("calibration"),
            drift=results["scores"].get("drift"),
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
