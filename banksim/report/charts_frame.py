"""What every chart shares: its frame, simulated time along the bottom, attack bands behind.

Figures are built in the light theme's colours; the page swaps them by role when the theme
changes (`chart_layout`), so no figure is embedded twice.  A chart that has nothing to show gives
a sentence instead.

One chart theme, shared by the report and the live pages.

The colours live in ``templates/tokens.css`` and nowhere else: `colours` reads them from
there, so that a chart and the page around it cannot drift apart.  Traces name a colour by
its role; `chart_layout` gives what a Plotly layout needs to sit on the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from json import loads
from typing import Any, Literal, TypeVar

import plotly.graph_objects as go

from banksim.measure.formats import figure, words
from banksim.measure.results import Results

Theme = Literal["light", "dark"]

#: Roles a chart may use, in the words of tokens.css.
ROLES = (
    *("page", "surface", "surface-sunken", "line", "line-strong", "text", "text-muted", "accent"),
    *("data-fraud", "data-genuine", "data-suspicious", "data-caught", "data-sky", "data-purple"),
    *("data-neutral", "data-attack-band", "data-fault-band"),
)

_DECLARATION = re.compile(r"--([a-z0-9-]+):\s*([^;]+);")


#: The chart library's bundle of line and bar charts, a quarter of the whole, under its own MIT licence.
PLOTLY = "plotly-basic.min.js"


def template_text(name: str) -> str:
    """A file of this package's templates."""
    return files("banksim.report").joinpath("templates", name).read_text(encoding="utf-8")


@cache
def plotly_js() -> str:
    """The chart library, of the version that the plotly package draws for."""
    return files("banksim.report").joinpath("static", PLOTLY).read_text(encoding="utf-8")


def script(name: str) -> str:
    """A script as the report embeds it; what pages import as a module is plain functions there."""
    return template_text(name).replace("\nexport ", "\n")


@cache
def tokens_css() -> str:
    """The text of the design token file."""
    return template_text("tokens.css")


@cache
def tokens(theme: Theme) -> dict[str, str]:
    """Every custom property of one theme: {"page": "#f6f7f6", ...}."""
    light_block, dark_block = tokens_css().split(':root[data-theme="dark"]')
    found = dict(_DECLARATION.findall(light_block.split("@media")[0]))
    if theme == "dark":
        found |= dict(_DECLARATION.findall(dark_block))
    return found


def colours(theme: Theme) -> dict[str, str]:
    """The colours of the chart roles in one theme."""
    every = tokens(theme)
    return {role: every[role] for role in ROLES}


def chart_layout(theme: Theme) -> dict[str, Any]:
    """The part of a Plotly layout that depends on the theme (fonts, grid, hover, legend)."""
    every = tokens(theme)
    axis = {
        "gridcolor": every["line"],
        "linecolor": every["line-strong"],
        "zerolinecolor": every["line-strong"],
        "tickfont": {"color": every["text-muted"]},
        "title": {"font": {"color": every["text-muted"], "size": 13}},
    }
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "separators": ".\u202f",
        "font": {"family": every["font-sans"], "size": 13, "color": every["text"]},
        "hoverlabel": {
            "bgcolor": every["surface-sunken"],
            "bordercolor": every["line-strong"],
            "font": {"color": every["text"]},
        },
        "modebar": {
            "bgcolor": "rgba(0,0,0,0)",
            "color": every["text-muted"],
            "activecolor": every["accent"],
        },
        "xaxis": axis,
        "yaxis": axis,
        "yaxis2": axis,
    }


Row = TypeVar("Row")
#: Name, start and end in simulated seconds.
Band = tuple[str, float, float]

MAX_TABLE_ROWS = 100
MAX_LABELLED_BANDS = 8
#: Bands over more of the run than this say nothing: the whole run is then an attack.
MAX_BAND_SHARE = 0.7


@dataclass(frozen=True, slots=True)
class Chart:
    """``spec`` is None when there is nothing to draw; ``empty`` then says why."""

    key: str
    title: str
    caption: str
    spec: dict[str, Any] | None
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    empty: str = ""
    height_px: int = 340


def time_axes(chart: go.Figure, results: Results, y_title: str) -> None:
    chart.update_layout(hovermode="x unified")
    frame(chart)
    chart.update_xaxes(title_text="simulated time" if start_of(results) else "simulated hours")
    chart.update_yaxes(title_text=y_title, rangemode="tozero")
    _add_bands(chart, results, bands(results), "data-attack-band", "top")
    _add_bands(chart, results, fault_bands(results), "data-fault-band", "bottom")


def _add_bands(chart: go.Figure, results: Results, found: Sequence[Band], role: str, name_at: str) -> None:
    """Shaded stretches of time; names of one kind at the top and of the other at the bottom."""
    colour = colours("light")
    for name, start_s, end_s in found:
        chart.add_shape(
            type="rect",
            xref="x",
            yref="paper",
            x0=moment(results, start_s),
            x1=moment(results, end_s),
            y0=0,
            y1=1,
            layer="below",
            line={"width": 0},
            fillcolor=colour[role],
        )
        if name and len(found) <= MAX_LABELLED_BANDS:
            chart.add_annotation(
                x=moment(results, start_s),
                y=1 if name_at == "top" else 0,
                yref="paper",
                xanchor="left",
                yanchor=name_at,
                text=words(name),
                showarrow=False,
                font={"size": 11, "color": colour["text-muted"]},
            )


def frame(chart: go.Figure) -> None:
    """Room around the plot, and the legend above it."""
    chart.update_layout(
        margin={"l": 56, "r": 16, "t": 32, "b": 44},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )


def error_bars(recalls: Iterable[tuple[float | None, float | None, float | None]]) -> dict[str, Any]:
    """95 % intervals as Plotly draws them, of recalls with their lower and upper ends."""
    ends = [(recall or 0.0, low or 0.0, high or 0.0) for recall, low, high in recalls]
    return {
        "type": "data",
        "symmetric": False,
        "array": [high - recall for recall, _, high in ends],
        "arrayminus": [recall - low for recall, low, _ in ends],
        "thickness": 1.5,
        "width": 4,
    }


def fault_bands(results: Results) -> list[Band]:
    """(name, start, end) of the faults that were made in the stand-ins, in simulated seconds."""
    return [(fault.name, fault.start_s, fault.end_s) for fault in results.run.faults if fault.begun]


def bands(results: Results) -> list[Band]:
    """(name, start, end) of attacks in simulated seconds: as planned, else where campaigns were seen."""
    if results.planned is not None and results.planned.attacks:
        return [(attack.name, attack.start_s, attack.end_s) for attack in results.planned.attacks]
    points = results.timeline
    if not points:
        return []
    length_s = max(1.0, points[-1].sim_s - points[0].sim_s)
    merged: list[list[Any]] = []
    for row in sorted(results.fraud.campaigns, key=lambda row: row.first_sim_s):
        end_s = max(row.last_sim_s, row.first_sim_s + length_s * 0.003)
        if merged and row.first_sim_s <= merged[-1][2] + length_s * 0.01:
            merged[-1][2] = max(merged[-1][2], end_s)
            if merged[-1][0] != row.typology:
                merged[-1][0] = ""
        else:
            merged.append([row.typology, row.first_sim_s, end_s])
    if sum(end_s - start_s for _, start_s, end_s in merged) > MAX_BAND_SHARE * length_s:
        return []
    return [(name, start_s, end_s) for name, start_s, end_s in merged]


def start_of(results: Results) -> datetime | None:
    text = results.run.scenario.start_at
    return datetime.fromisoformat(text).replace(tzinfo=None) if text else None


def moment(results: Results, sim_s: float) -> str | float:
    start = start_of(results)
    if start is None:
        return round(sim_s / 3600, 4)
    return (start + timedelta(seconds=sim_s)).isoformat(timespec="seconds")


def moment_text(results: Results, sim_s: float) -> str:
    start = start_of(results)
    if start is None:
        return f"{figure(sim_s / 3600)} h"
    return f"{start + timedelta(seconds=sim_s):%a %d %b %H:%M:%S}"


def moments(results: Results) -> list[str | float]:
    return [moment(results, point.sim_s) for point in results.timeline]


def thinned(points: Sequence[Row]) -> Sequence[Row]:
    return points[:: _step(points)]


def _step(points: Sequence[Any]) -> int:
    return max(1, -(-len(points) // MAX_TABLE_ROWS))


def sampled(caption: str, points: Sequence[Any]) -> str:
    step = _step(points)
    if step == 1:
        return caption
    return f"{caption} The table holds one in {step} points; timeline.csv has all."


def rounded(values: Sequence[float | None]) -> list[float | None]:
    return [None if value is None else round(value, 3) for value in values]


def spec_of(chart: go.Figure) -> dict[str, Any]:
    chart.layout.template = None
    spec: dict[str, Any] = loads(chart.to_json())
    return spec
