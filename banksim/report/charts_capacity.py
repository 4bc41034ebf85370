"""Capacity mode's chart: every rate that was tried, whether it held, and how the detector fared there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from banksim.report.charts_frame import Chart, frame, rounded, spec_of
from banksim.report.formats import interval, milliseconds, percent, rate
from banksim.report.theme import colours

Steps = Sequence[Mapping[str, Any]]


def capacity_chart(results: Mapping[str, Any]) -> Chart:
    """p99 and recall over the offered rate, with the limit as a line between held and failed."""
    found = results["run"].get("capacity")
    steps: Steps = sorted(found["steps"], key=lambda step: step["tps"]) if found else []
    title = "Latency and recall at each rate"
    if not steps:
        return Chart("capacity", title, "", None, empty="No rate was tried to its end.")
    colour = colours("light")
    chart = go.Figure()
    for name, held, role, symbol in (
        ("p99, held", True, "data-genuine", "circle"),
        ("p99, did not hold", False, "data-fraud", "x"),
    ):
        part = [step for step in steps if step["held"] is held]
        chart.add_scatter(
            name=name,
            x=[step["tps"] for step in part],
            y=rounded([step["p99_ms"] for step in part]),
            mode="markers",
            marker={"symbol": symbol, "size": 11, "color": colour[role]},
            hovertemplate="%{x:.4g} tx/s: p99 %{y:.4g} ms<extra></extra>",
        )
    judged = [step for step in steps if step["recall"] is not None]
    chart.add_scatter(
        name="recall",
        x=[step["tps"] for step in judged],
        y=rounded([step["recall"] for step in judged]),
        yaxis="y2",
        mode="lines+markers",
        marker={"symbol": "triangle-up-open", "size": 8, "color": colour["data-suspicious"]},
        line={"color": colour["data-suspicious"], "width": 1.5, "dash": "dot"},
        hovertemplate="recall %{y:.1%}<extra></extra>",
    )
    if found["found_tps"] is not None:
        chart.add_vline(
            x=found["found_tps"], line={"color": colour["data-neutral"], "width": 1.5, "dash": "dash"}
        )
    frame(chart)
    chart.update_layout(
        margin={"r": 64},
        yaxis2={
            "overlaying": "y",
            "side": "right",
            "range": [0, 1.04],
            "tickformat": ".0%",
            "tickmode": "auto",
            "nticks": 6,
            "title": {"text": "recall"},
            "showgrid": False,
        },
    )
    chart.update_xaxes(title_text="offered transactions per wall second", rangemode="tozero", showgrid=False)
    chart.update_yaxes(selector={"side": None}, title_text="p99 response time, ms", type="log")
    return Chart(
        "capacity",
        title,
        f"Each rate was offered for {found['hold_s']:g} s and judged alone. "
        "The dashed line is the highest that held.",
        spec_of(chart),
        (
            "offered",
            "achieved",
            "p50",
            "p99",
            "errors",
            "dropped",
            "recall",
            "95 % interval",
            "coverage",
            "verdict",
        ),
        [_row(step) for step in steps],
    )


def _row(step: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        rate(step["tps"]),
        rate(step["achieved_tps"]),
        milliseconds(step["p50_ms"]),
        milliseconds(step["p99_ms"]),
        percent(step["errors"]),
        str(step["dropped"]),
        percent(step["recall"]),
        interval(step["recall_low"], step["recall_high"]),
        percent(step["coverage"]),
        "held" if step["held"] else step["reason"],
    )
