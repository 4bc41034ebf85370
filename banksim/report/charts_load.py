"""Charts of the load: what was offered and sent, how long it took, what the generator used."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from banksim.measure.figures import LoadRow
from banksim.measure.formats import count, figure, interval, milliseconds, percent, rate
from banksim.measure.results import CapacityStep, Results
from banksim.measure.scores import FEW
from banksim.report.charts_frame import (
    Chart,
    colours,
    error_bars,
    frame,
    moment,
    moment_text,
    moments,
    rounded,
    sampled,
    spec_of,
    thinned,
    time_axes,
)

# -- Capacity mode's chart: every rate that was tried, whether it held, and how the detector fared there ---


Steps = Sequence[CapacityStep]


def capacity_chart(results: Results) -> Chart:
    """p99 and recall over the offered rate, with the limit as a line between held and failed."""
    found = results.run.capacity
    steps: Steps = sorted(found.steps, key=lambda step: step.tps) if found is not None else []
    title = "Latency and recall at each rate"
    if found is None or not steps:
        return Chart("capacity", title, "", None, empty="No rate was tried to its end.")
    colour = colours("light")
    chart = go.Figure()
    for name, held, role, symbol in (
        ("p99, held", True, "data-genuine", "circle"),
        ("p99, did not hold", False, "data-fraud", "x"),
    ):
        part = [step for step in steps if step.held is held]
        chart.add_scatter(
            name=name,
            x=[step.tps for step in part],
            y=rounded([step.p99_ms for step in part]),
            mode="markers",
            marker={"symbol": symbol, "size": 11, "color": colour[role]},
            hovertemplate="%{x:.4g} tx/s: p99 %{y:.4g} ms<extra></extra>",
        )
    judged = [step for step in steps if _recall(step)[0] is not None]
    chart.add_scatter(
        name="recall",
        x=[step.tps for step in judged],
        y=rounded([_recall(step)[0] for step in judged]),
        yaxis="y2",
        mode="lines+markers",
        marker={"symbol": "triangle-up-open", "size": 8, "color": colour["data-suspicious"]},
        line={"color": colour["data-suspicious"], "width": 1.5, "dash": "dot"},
        hovertemplate="recall %{y:.1%}<extra></extra>",
    )
    if found.found_tps is not None:
        chart.add_vline(
            x=found.found_tps, line={"color": colour["data-neutral"], "width": 1.5, "dash": "dash"}
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
    chart.update_xaxes(title_text="transactions a wall second, as asked", rangemode="tozero", showgrid=False)
    chart.update_yaxes(selector={"side": None}, title_text="p99 response time, ms", type="log")
    return Chart(
        "capacity",
        title,
        f"Each rate was offered for {found.hold_s:g} s and judged alone. "
        "The dashed line is the highest that held. Recall is that at the run's mix of fraud.",
        spec_of(chart),
        (
            "asked",
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


def _recall(step: CapacityStep) -> tuple[float | None, float | None, float | None]:
    """Recall with its interval, at the run's mix where that can be told: only so are steps comparable."""
    if step.mixed_recall is None:
        return step.recall, step.recall_low, step.recall_high
    return step.mixed_recall, step.mixed_recall_low, step.mixed_recall_high


def _row(step: CapacityStep) -> tuple[str, ...]:
    recall, low, high = _recall(step)
    return (
        rate(step.tps),
        rate(step.offered_tps),
        rate(step.achieved_tps),
        milliseconds(step.p50_ms),
        milliseconds(step.p99_ms),
        percent(step.errors),
        str(step.dropped),
        percent(recall),
        interval(low, high),
        percent(step.coverage),
        "held" if step.held else step.reason,
    )


_RATE_COLUMNS = (
    *((name, name) for name in ("offered", "sent", "completed", "failed")),
    *(("unanswered", "unknown"), ("dropped", "dropped"), ("timeouts", "timeouts")),
    *(("HTTP errors", "http_errors"), ("sent again", "resent")),
)


def rate_chart(results: Results) -> Chart:
    title = "Offered and achieved rate"
    points = results.timeline
    if not points:
        return Chart("rate", title, "", None, empty="No transaction was offered.")
    colour = colours("light")
    when = moments(results)
    chart = go.Figure()
    for name, key, role, dash in (
        ("offered", "offered", "data-neutral", "dot"),
        ("achieved", "sent", "data-genuine", "solid"),
        ("dropped", "dropped", "data-purple", "dash"),
        ("timeouts of calls", "timeouts", "data-sky", "dash"),
        ("HTTP errors of calls", "http_errors", "data-suspicious", "dashdot"),
        ("requests sent again", "resent", "data-suspicious", "dot"),
        ("failed or unanswered", "", "data-fraud", "solid"),
    ):
        values = [
            (getattr(point, key) if key else point.failed + point.unknown) / point.length_s
            for point in points
        ]
        if key in ("offered", "sent") or any(values):
            chart.add_scatter(
                x=when,
                y=rounded(values),
                name=name,
                mode="lines",
                line={"color": colour[role], "width": 2, "dash": dash},
            )
    time_axes(chart, results, "transactions per wall second")
    return Chart(
        "rate",
        title,
        sampled("Wall-clock rate over simulated time; shaded: attacks, and in grey faults.", points),
        spec_of(chart),
        ("simulated time", *(words for words, _ in _RATE_COLUMNS)),
        [
            (moment_text(results, point.sim_s), *(count(getattr(point, name)) for _, name in _RATE_COLUMNS))
            for point in thinned(points)
        ],
    )


def latency_chart(results: Results) -> Chart:
    title = "Response time"
    points = [point for point in results.timeline if point.p99_ms is not None]
    if not points:
        return Chart("latency", title, "", None, empty="No transaction ended.")
    colour = colours("light")
    when = [moment(results, point.sim_s) for point in points]
    chart = go.Figure()
    for name, key, role, dash in (
        ("p99", "p99_ms", "data-fraud", "solid"),
        ("p95", "p95_ms", "data-suspicious", "dash"),
        ("p50", "p50_ms", "data-genuine", "solid"),
        ("lag p99 (generator)", "lag_p99_ms", "data-neutral", "dot"),
    ):
        chart.add_scatter(
            x=when,
            y=rounded([getattr(point, key) for point in points]),
            name=name,
            mode="lines",
            line={"color": colour[role], "width": 1.5 if dash == "dot" else 2, "dash": dash},
        )
    time_axes(chart, results, "milliseconds")
    return Chart(
        "latency",
        title,
        sampled(
            "From the intended start, so a late generator shows; shaded: attacks, and in grey faults.",
            points,
        ),
        spec_of(chart),
        ("simulated time", "p50", "p95", "p99", "lag p99"),
        [
            (
                moment_text(results, point.sim_s),
                *(
                    milliseconds(getattr(point, name))
                    for name in ("p50_ms", "p95_ms", "p99_ms", "lag_p99_ms")
                ),
            )
            for point in thinned(points)
        ],
    )


LOAD_COLUMNS = (
    *("offered", "wall seconds", "ended", "frauds", "caught", "recall at one mix", "95 % interval"),
    *("coverage", "p50", "p99"),
)


def load_quality_chart(results: Results) -> Chart:
    title = "Quality against load"
    drawn = [row for row in results.quality_against_load if row.ended]
    if not drawn:
        return Chart("load-quality", title, "", None, empty="No transaction ended.")
    colour = colours("light")
    offered = [round(row.offered_tps, 3) for row in drawn]
    chart = go.Figure()
    with_fraud = [row for row in drawn if row.mixed_recall is not None]
    _add_recall(chart, "recall, with 95 % interval", [row for row in with_fraud if row.enough])
    few = [row for row in with_fraud if not row.enough]
    _add_recall(chart, f"recall, fewer than {FEW} frauds", few, joined=False)
    for name, key, role, symbol, axis in (
        ("coverage", "coverage", "data-genuine", "circle", "y"),
        ("p99 response time", "p99_ms", "data-neutral", "square", "y2"),
    ):
        chart.add_scatter(
            name=name,
            x=offered,
            y=rounded([getattr(row, key) for row in drawn]),
            yaxis=axis,
            mode="lines+markers",
            marker={"symbol": symbol, "size": 7},
            line={"color": colour[role], "width": 2, "dash": "dot" if axis == "y2" else "solid"},
            hovertemplate=f"{name} %{{y:{'.3s} ms' if axis == 'y2' else '.1%}'}<extra></extra>",
        )
    frame(chart)
    chart.update_layout(
        hovermode="x unified",
        margin={"r": 64},
        yaxis2={
            "overlaying": "y",
            "side": "right",
            "rangemode": "tozero",
            "tickmode": "auto",
            "nticks": 6,
            "title": {"text": "milliseconds"},
            "showgrid": False,
        },
    )
    chart.update_xaxes(title_text="offered transactions per wall second", rangemode="tozero", showgrid=False)
    chart.update_yaxes(selector={"side": None}, tickformat=".0%", range=[0, 1.04], title_text="share")
    return Chart(
        "load-quality",
        title,
        "Does the detector still catch when the load rises? Stretches of the run, grouped by offered rate, "
        "each at the run's mix of the typologies that they have in common.",
        spec_of(chart),
        LOAD_COLUMNS,
        [
            (
                rate(row.offered_tps),
                count(row.seconds),
                count(row.ended),
                count(row.fraud),
                count(row.caught),
                percent(row.mixed_recall),
                interval(row.mixed_recall_low, row.mixed_recall_high),
                percent(row.coverage),
                milliseconds(row.p50_ms),
                milliseconds(row.p99_ms),
            )
            for row in drawn
        ],
    )


def _add_recall(chart: go.Figure, name: str, rows: Sequence[LoadRow], joined: bool = True) -> None:
    """Recall by offered rate; points of too few frauds are hollow and not joined by a line."""
    if not rows:
        return
    colour = colours("light")["data-fraud"]
    chart.add_scatter(
        name=name,
        x=[round(row.offered_tps, 3) for row in rows],
        y=[row.mixed_recall for row in rows],
        customdata=[[row.caught, row.fraud] for row in rows],
        error_y=error_bars([(row.mixed_recall, row.mixed_recall_low, row.mixed_recall_high) for row in rows]),
        mode="lines+markers" if joined else "markers",
        marker={"symbol": "triangle-up" if joined else "triangle-up-open", "size": 9, "color": colour},
        line={"color": colour, "width": 2},
        hovertemplate="recall at one mix %{y:.1%}, %{customdata[0]} of %{customdata[1]}<extra></extra>",
    )


def generator_chart(results: Results) -> Chart:
    title = "The load generator itself"
    points = [point for point in results.timeline if point.cpu_percent is not None]
    if not points:
        return Chart("generator", title, "", None, empty="Its use of the machine was not sampled.")
    colour = colours("light")
    when = [moment(results, point.sim_s) for point in points]
    chart = go.Figure()
    for name, key, scale, role, dash, axis in (
        ("CPU of one core", "cpu_percent", 1, "data-genuine", "solid", "y"),
        ("network of the machine", "network_bytes_s", 2**20, "data-purple", "dot", "y2"),
    ):
        chart.add_scatter(
            x=when,
            y=rounded([(getattr(point, key) or 0.0) / scale for point in points]),
            name=name,
            yaxis=axis,
            mode="lines",
            line={"color": colour[role], "width": 2, "dash": dash},
        )
    time_axes(chart, results, "% of one core")
    highest = max(point.cpu_percent or 0.0 for point in points)
    chart.update_layout(
        # The whole core, so that the room left can be seen.
        yaxis={"range": [0, max(104.0, highest * 1.04)]},
        margin={"r": 64},
        yaxis2={
            "overlaying": "y",
            "side": "right",
            "rangemode": "tozero",
            "tickmode": "auto",
            "nticks": 5,
            "title": {"text": "MiB/s"},
            "showgrid": False,
        },
    )
    return Chart(
        "generator",
        title,
        sampled(
            "Near 100 % of a core the generator, not the bank, sets the response times. "
            f"Memory up to {figure(max(point.rss_bytes or 0.0 for point in points) / 2**20)} MiB.",
            points,
        ),
        spec_of(chart),
        ("simulated time", "CPU of one core", "memory", "network of the machine"),
        [
            (
                moment_text(results, point.sim_s),
                f"{figure(point.cpu_percent)} %",
                f"{figure((point.rss_bytes or 0.0) / 2**20)} MiB",
                f"{figure((point.network_bytes_s or 0.0) / 2**20)} MiB/s",
            )
            for point in thinned(points)
        ],
    )
