"""The report's charts: Plotly figures as JSON, each with the rows behind it.

Figures are built in the light theme's colours; the page swaps them by role when the theme
changes (theme.py), so no figure is embedded twice.  A chart that has nothing to show gives
a sentence instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from json import loads
from typing import Any

import plotly.graph_objects as go

from banksim.report.formats import count, figure, interval, milliseconds, percent, words
from banksim.report.theme import colours

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


def charts(results: Mapping[str, Any]) -> dict[str, Chart]:
    """All charts by key: rate, latency, recall, scores."""
    made = (rate_chart(results), latency_chart(results), recall_chart(results), score_chart(results))
    return {chart.key: chart for chart in made}


def rate_chart(results: Mapping[str, Any]) -> Chart:
    title = "Offered and achieved rate"
    points = results["timeline"]
    if not points:
        return Chart("rate", title, "", None, empty="No transaction was offered.")
    colour = colours("light")
    moments = _moments(results)
    chart = go.Figure()
    for name, key, role, dash in (
        ("offered", "offered", "data-neutral", "dot"),
        ("achieved", "sent", "data-genuine", "solid"),
        ("dropped", "dropped", "data-purple", "dash"),
        ("failed or unanswered", "", "data-fraud", "solid"),
    ):
        values = [
            (point[key] if key else point["failed"] + point["unknown"]) / point["length_s"]
            for point in points
        ]
        if key in ("offered", "sent") or any(values):
            chart.add_scatter(
                x=moments,
                y=_rounded(values),
                name=name,
                mode="lines",
                line={"color": colour[role], "width": 2, "dash": dash},
            )
    _time_axes(chart, results, "transactions per wall second")
    return Chart(
        "rate",
        title,
        _sampled("Wall-clock rate over simulated time; shaded: attacks.", points),
        _spec(chart),
        ("simulated time", "offered", "sent", "completed", "failed", "unanswered", "dropped"),
        [
            (
                _moment_text(results, point["sim_s"]),
                *(
                    count(point[name])
                    for name in ("offered", "sent", "completed", "failed", "unknown", "dropped")
                ),
            )
            for point in _thinned(points)
        ],
    )


def latency_chart(results: Mapping[str, Any]) -> Chart:
    title = "Response time"
    points = [point for point in results["timeline"] if point["p99_ms"] is not None]
    if not points:
        return Chart("latency", title, "", None, empty="No transaction ended.")
    colour = colours("light")
    moments = [_moment(results, point["sim_s"]) for point in points]
    chart = go.Figure()
    for name, key, role, dash in (
        ("p99", "p99_ms", "data-fraud", "solid"),
        ("p95", "p95_ms", "data-suspicious", "solid"),
        ("p50", "p50_ms", "data-genuine", "solid"),
        ("lag p99 (generator)", "lag_p99_ms", "data-neutral", "dot"),
    ):
        chart.add_scatter(
            x=moments,
            y=_rounded([point[key] for point in points]),
            name=name,
            mode="lines",
            line={"color": colour[role], "width": 2 if dash == "solid" else 1.5, "dash": dash},
        )
    _time_axes(chart, results, "milliseconds")
    return Chart(
        "latency",
        title,
        _sampled("From the intended start, so that a late generator shows; shaded: attacks.", points),
        _spec(chart),
        ("simulated time", "p50", "p95", "p99", "lag p99"),
        [
            (
                _moment_text(results, point["sim_s"]),
                *(milliseconds(point[name]) for name in ("p50_ms", "p95_ms", "p99_ms", "lag_p99_ms")),
            )
            for point in _thinned(points)
        ],
    )


def recall_chart(results: Mapping[str, Any]) -> Chart:
    title = "Recall per typology"
    rows = results["fraud"]["by_typology"]
    drawn = sorted(
        ((name, row) for name, row in rows.items() if row["recall"] is not None),
        key=lambda item: (item[1]["recall"], item[0]),
    )
    if not drawn:
        empty = "No fraud was sent." if not rows else "The detector was not asked about any fraud."
        return Chart("recall", title, "", None, empty=empty)
    colour = colours("light")
    recalls = [row["recall"] for _, row in drawn]
    chart = go.Figure()
    chart.add_bar(
        orientation="h",
        y=[f"{words(name)}  n = {row['transactions']}" for name, row in drawn],
        x=recalls,
        marker={"color": colour["data-caught"]},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [row["recall_high"] - row["recall"] for _, row in drawn],
            "arrayminus": [row["recall"] - row["recall_low"] for _, row in drawn],
            "color": colour["text"],
            "thickness": 1.5,
            "width": 4,
        },
        hovertemplate="%{y}: %{x:.1%}<extra></extra>",
    )
    chart.update_layout(showlegend=False, bargap=0.45, margin={"l": 10, "r": 16, "t": 8, "b": 44})
    chart.update_xaxes(range=[0, 1.02], tickformat=".0%", title_text="share caught, with 95 % interval")
    chart.update_yaxes(automargin=True, showgrid=False)
    return Chart(
        "recall",
        title,
        "Share of fraudulent transactions that raised an alert, weakest at the bottom.",
        _spec(chart),
        ("typology", "n", "alerted", "recall", "95 % interval"),
        [
            (
                words(name),
                count(row["transactions"]),
                count(row["alerted"]),
                percent(row["recall"]),
                interval(row["recall_low"], row["recall_high"]),
            )
            for name, row in reversed(drawn)
        ],
        height_px=max(200, 90 + 38 * len(drawn)),
    )


def score_chart(results: Mapping[str, Any]) -> Chart:
    title = "Scores of fraud and genuine"
    bars = results["scores"]["histogram"]
    totals = {name: sum(bar[name] for bar in bars) for name in ("fraud", "genuine")}
    if not any(totals.values()):
        return Chart("scores", title, "", None, empty="No transaction was scored.")
    colour = colours("light")
    chart = go.Figure()
    for name, pattern in (("genuine", ""), ("fraud", "/")):
        if totals[name]:
            chart.add_bar(
                name=f"{name}, n = {count(totals[name])}",
                x=[(bar["low"] + bar["high"]) / 2 for bar in bars],
                y=[bar[name] / totals[name] for bar in bars],
                customdata=[bar[name] for bar in bars],
                # Hatching tells the two apart without colour.
                marker={"color": colour[f"data-{name}"], "pattern": {"shape": pattern, "solidity": 0.4}},
                hovertemplate="score %{x:.3f}: %{y:.1%} (%{customdata} transactions)<extra></extra>",
            )
    chart.update_layout(barmode="group", bargap=0.12)
    _frame(chart)
    chart.update_xaxes(range=[0, 1], title_text="fraud score", showgrid=False)
    chart.update_yaxes(tickformat=".0%", title_text="share of its kind", rangemode="tozero")
    caption = "Each kind adds up to 100 %, so the rare fraud can be seen beside the many genuine ones."
    if not totals["fraud"]:
        caption = "No fraud was scored; only genuine transactions are drawn."
    return Chart(
        "scores",
        title,
        caption,
        _spec(chart),
        ("score", "fraud", "genuine"),
        [(f"{bar['low']:.2f}–{bar['high']:.2f}", count(bar["fraud"]), count(bar["genuine"])) for bar in bars],
    )


def _time_axes(chart: go.Figure, results: Mapping[str, Any], y_title: str) -> None:
    chart.update_layout(hovermode="x unified")
    _frame(chart)
    chart.update_xaxes(title_text="simulated time" if _start(results) else "simulated hours")
    chart.update_yaxes(title_text=y_title, rangemode="tozero")
    colour = colours("light")
    found = bands(results)
    for name, start_s, end_s in found:
        chart.add_shape(
            type="rect",
            xref="x",
            yref="paper",
            x0=_moment(results, start_s),
            x1=_moment(results, end_s),
            y0=0,
            y1=1,
            layer="below",
            line={"width": 0},
            fillcolor=colour["data-attack-band"],
        )
        if name and len(found) <= MAX_LABELLED_BANDS:
            chart.add_annotation(
                x=_moment(results, start_s),
                y=1,
                yref="paper",
                xanchor="left",
                yanchor="top",
                text=words(name),
                showarrow=False,
                font={"size": 11, "color": colour["text-muted"]},
            )


def _frame(chart: go.Figure) -> None:
    """Room around the plot, and the legend above it."""
    chart.update_layout(
        margin={"l": 56, "r": 16, "t": 32, "b": 44},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )


def bands(results: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """(name, start, end) of attacks in simulated seconds: as planned, else where campaigns were seen."""
    planned = (results.get("planned") or {}).get("attacks") or []
    if planned:
        return [(str(attack["name"]), attack["start_s"], attack["end_s"]) for attack in planned]
    points = results["timeline"]
    if not points:
        return []
    length_s = max(1.0, points[-1]["sim_s"] - points[0]["sim_s"])
    merged: list[list[Any]] = []
    for row in sorted(results["fraud"]["campaigns"], key=lambda row: row["first_sim_s"]):
        end_s = max(row["last_sim_s"], row["first_sim_s"] + length_s * 0.003)
        if merged and row["first_sim_s"] <= merged[-1][2] + length_s * 0.01:
            merged[-1][2] = max(merged[-1][2], end_s)
            if merged[-1][0] != row["typology"]:
                merged[-1][0] = ""
        else:
            merged.append([row["typology"], row["first_sim_s"], end_s])
    if sum(end_s - start_s for _, start_s, end_s in merged) > MAX_BAND_SHARE * length_s:
        return []
    return [(name, start_s, end_s) for name, start_s, end_s in merged]


def _start(results: Mapping[str, Any]) -> datetime | None:
    text = results["run"].get("scenario", {}).get("start_at")
    return datetime.fromisoformat(text).replace(tzinfo=None) if text else None


def _moment(results: Mapping[str, Any], sim_s: float) -> str | float:
    start = _start(results)
    if start is None:
        return round(sim_s / 3600, 4)
    return (start + timedelta(seconds=sim_s)).isoformat(timespec="seconds")


def _moment_text(results: Mapping[str, Any], sim_s: float) -> str:
    start = _start(results)
    if start is None:
        return f"{figure(sim_s / 3600)} h"
    return f"{start + timedelta(seconds=sim_s):%a %d %b %H:%M:%S}"


def _moments(results: Mapping[str, Any]) -> list[str | float]:
    return [_moment(results, point["sim_s"]) for point in results["timeline"]]


def _thinned(points: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    return points[:: _step(points)]


def _step(points: Sequence[Any]) -> int:
    return max(1, -(-len(points) // MAX_TABLE_ROWS))


def _sampled(caption: str, points: Sequence[Any]) -> str:
    step = _step(points)
    if step == 1:
        return caption
    return f"{caption} The table holds one in {step} points; timeline.csv has all."


def _rounded(values: Sequence[float | None]) -> list[float | None]:
    return [None if value is None else round(value, 3) for value in values]


def _spec(chart: go.Figure) -> dict[str, Any]:
    chart.layout.template = None
    spec: dict[str, Any] = loads(chart.to_json())
    return spec
