"""The campaign strip: who attacked when, and how long it took until the first alert.

One line per campaign on simulated time.  Until its first alert a campaign runs unseen
(vermillion); after it, it is known (green).  The tick between the two is the first alert.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

from banksim.report.charts_frame import Chart, frame, moment, moment_text, spec_of, start_of
from banksim.report.formats import NOT_AVAILABLE, count, duration, words
from banksim.report.theme import colours

#: More lines than this are not told apart any more; the costliest are kept.
MAX_LINES = 40


def campaign_chart(results: Mapping[str, Any]) -> Chart:
    title = "Campaigns and their first alerts"
    rows = results["fraud"]["campaigns"][:MAX_LINES]
    if not rows:
        return Chart("campaigns", title, "", None, empty="No campaign ran.")
    rows = sorted(rows, key=lambda row: (row["first_sim_s"], row["campaign"]))
    labels = [f"{number}  {words(row['typology'])}" for number, row in enumerate(rows, start=1)]
    colour = colours("light")
    chart = go.Figure()
    unseen, known = _segments(results, rows, labels)
    for name, (x, y), role, width in (
        ("unseen", unseen, "data-fraud", 7),
        ("after the first alert", known, "data-caught", 7),
    ):
        chart.add_scatter(
            name=name, x=x, y=y, mode="lines", hoverinfo="skip", line={"color": colour[role], "width": width}
        )
    seen = [(row, label) for row, label in zip(rows, labels, strict=True) if _alerted(row)]
    chart.add_scatter(
        name="first alert",
        x=[moment(results, row["first_alert_sim_s"]) for row, _ in seen],
        y=[label for _, label in seen],
        customdata=[[row["campaign"], duration(row["time_to_detect_s"])] for row, _ in seen],
        mode="markers",
        marker={"symbol": "line-ns-open", "size": 18, "color": colour["text"], "line": {"width": 2.5}},
        hovertemplate="%{customdata[0]}: first alert after %{customdata[1]} of simulated time<extra></extra>",
    )
    missed = [(row, label) for row, label in zip(rows, labels, strict=True) if not _alerted(row)]
    chart.add_scatter(
        name="never alerted",
        x=[moment(results, row["last_sim_s"]) for row, _ in missed],
        y=[label for _, label in missed],
        customdata=[[row["campaign"], row["transactions"]] for row, _ in missed],
        mode="markers",
        marker={"symbol": "x", "size": 9, "color": colour["data-fraud"]},
        hovertemplate="%{customdata[0]}: %{customdata[1]} transactions, no alert<extra></extra>",
    )
    frame(chart)
    chart.update_xaxes(title_text="simulated time" if start_of(results) else "simulated hours")
    chart.update_yaxes(
        type="category",
        categoryorder="array",
        categoryarray=labels[::-1],
        automargin=True,
        showgrid=False,
        tickmode="array",
        tickvals=labels,
        range=[-0.7, len(labels) - 0.3],
    )
    total = results["fraud"]["campaigns_total"]
    caption = "Each line is one campaign on simulated time; the tick is its first alert."
    if total > len(rows):
        caption += f" The costliest {len(rows)} of {count(total)}."
    return Chart(
        "campaigns",
        title,
        caption,
        spec_of(chart),
        ("campaign", "typology", "started", "first alert", "time to detect", "transactions", "alerted"),
        [
            (
                row["campaign"],
                words(row["typology"]),
                moment_text(results, row["first_sim_s"]),
                moment_text(results, row["first_alert_sim_s"]) if _alerted(row) else NOT_AVAILABLE,
                duration(row["time_to_detect_s"]),
                count(row["transactions"]),
                count(row["alerted"]),
            )
            for row in rows
        ],
        height_px=max(240, 100 + 20 * len(rows)),
    )


def _alerted(row: Mapping[str, Any]) -> bool:
    return row["first_alert_sim_s"] is not None


Line = tuple[list[str | float | None], list[str | None]]


def _segments(
    results: Mapping[str, Any], rows: list[Mapping[str, Any]], labels: list[str]
) -> tuple[Line, Line]:
    """Lines with gaps: (unseen, known)."""
    unseen: Line = ([], [])
    known: Line = ([], [])
    length_s = max(row["last_sim_s"] for row in rows) - min(row["first_sim_s"] for row in rows)
    # A campaign of one moment would be invisible.
    least_s = max(1.0, length_s * 0.004)
    for row, label in zip(rows, labels, strict=True):
        end_s = max(row["last_sim_s"], row["first_sim_s"] + least_s)
        turn_s = row["first_alert_sim_s"] if _alerted(row) else end_s
        for line, start_s, stop_s in ((unseen, row["first_sim_s"], turn_s), (known, turn_s, end_s)):
            if stop_s > start_s:
                line[0].extend((moment(results, start_s), moment(results, stop_s), None))
                line[1].extend((label, label, None))
    return unseen, known
