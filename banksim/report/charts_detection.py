"""Charts of detection: recall per typology, scores, and what other thresholds would have done."""

from __future__ import annotations

import plotly.graph_objects as go

from banksim.measure.figures import CampaignRow
from banksim.measure.formats import (
    NOT_AVAILABLE,
    count,
    duration,
    figure,
    interval,
    money,
    percent,
    words,
)
from banksim.measure.results import Results
from banksim.model.money import minor_digits
from banksim.report.charts_frame import (
    Chart,
    colours,
    error_bars,
    frame,
    moment,
    moment_text,
    spec_of,
    start_of,
    thinned,
)

# -- The campaign strip: who attacked when, and how long it took until the first alert --------------
#
# One line per campaign on simulated time.  Until its first alert a campaign runs unseen
# (vermillion); after it, it is known (green).  The tick between the two is the first alert.


#: More lines than this are not told apart any more; the costliest are kept.
MAX_LINES = 40


def campaign_chart(results: Results) -> Chart:
    title = "Campaigns and their first alerts"
    rows = results.fraud.campaigns[:MAX_LINES]
    if not rows:
        return Chart("campaigns", title, "", None, empty="No campaign ran.")
    rows = sorted(rows, key=lambda row: (row.first_sim_s, row.campaign))
    labels = [f"{number}  {words(row.typology)}" for number, row in enumerate(rows, start=1)]
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
    seen = [
        (row, label, row.first_alert_sim_s)
        for row, label in zip(rows, labels, strict=True)
        if row.first_alert_sim_s is not None
    ]
    chart.add_scatter(
        name="first alert",
        x=[moment(results, alert_s) for _, _, alert_s in seen],
        y=[label for _, label, _ in seen],
        customdata=[[row.campaign, duration(row.time_to_detect_s)] for row, _, _ in seen],
        mode="markers",
        marker={"symbol": "line-ns-open", "size": 18, "color": colour["text"], "line": {"width": 2.5}},
        hovertemplate="%{customdata[0]}: first alert after %{customdata[1]} of simulated time<extra></extra>",
    )
    missed = [(row, label) for row, label in zip(rows, labels, strict=True) if row.first_alert_sim_s is None]
    chart.add_scatter(
        name="never alerted",
        x=[moment(results, row.last_sim_s) for row, _ in missed],
        y=[label for _, label in missed],
        customdata=[[row.campaign, row.transactions] for row, _ in missed],
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
    total = results.fraud.campaigns_total
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
                row.campaign,
                words(row.typology),
                moment_text(results, row.first_sim_s),
                NOT_AVAILABLE
                if row.first_alert_sim_s is None
                else moment_text(results, row.first_alert_sim_s),
                duration(row.time_to_detect_s),
                count(row.transactions),
                count(row.alerted),
            )
            for row in rows
        ],
        height_px=max(240, 100 + 20 * len(rows)),
    )


Line = tuple[list[str | float | None], list[str | None]]


def _segments(results: Results, rows: list[CampaignRow], labels: list[str]) -> tuple[Line, Line]:
    """Lines with gaps: (unseen, known)."""
    unseen: Line = ([], [])
    known: Line = ([], [])
    length_s = max(row.last_sim_s for row in rows) - min(row.first_sim_s for row in rows)
    # A campaign of one moment would be invisible.
    least_s = max(1.0, length_s * 0.004)
    for row, label in zip(rows, labels, strict=True):
        end_s = max(row.last_sim_s, row.first_sim_s + least_s)
        turn_s = end_s if row.first_alert_sim_s is None else row.first_alert_sim_s
        for line, start_s, stop_s in ((unseen, row.first_sim_s, turn_s), (known, turn_s, end_s)):
            if stop_s > start_s:
                line[0].extend((moment(results, start_s), moment(results, stop_s), None))
                line[1].extend((label, label, None))
    return unseen, known


def recall_chart(results: Results) -> Chart:
    title = "Recall per typology"
    rows = results.fraud.by_typology
    drawn = sorted(
        ((name, row) for name, row in rows.items() if row.recall is not None),
        key=lambda item: (item[1].recall, item[0]),
    )
    if not drawn:
        empty = "No fraud was sent." if not rows else "The detector was not asked about any fraud."
        return Chart("recall", title, "", None, empty=empty)
    colour = colours("light")
    recalls = [row.recall for _, row in drawn]
    chart = go.Figure()
    chart.add_bar(
        orientation="h",
        y=[f"{words(name)}  n = {row.transactions}" for name, row in drawn],
        x=recalls,
        marker={"color": colour["data-caught"]},
        error_x=error_bars((row.recall, row.recall_low, row.recall_high) for _, row in drawn)
        | {"color": colour["text"]},
        hovertemplate="%{y}: %{x:.1%}<extra></extra>",
    )
    chart.update_layout(showlegend=False, bargap=0.45, margin={"l": 10, "r": 16, "t": 8, "b": 44})
    chart.update_xaxes(range=[0, 1.02], tickformat=".0%", title_text="share caught, with 95 % interval")
    chart.update_yaxes(automargin=True, showgrid=False)
    return Chart(
        "recall",
        title,
        "Share of fraudulent transactions that raised an alert, weakest at the bottom.",
        spec_of(chart),
        ("typology", "n", "alerted", "recall", "95 % interval"),
        [
            (
                words(name),
                count(row.transactions),
                count(row.alerted),
                percent(row.recall),
                interval(row.recall_low, row.recall_high),
            )
            for name, row in reversed(drawn)
        ],
        height_px=max(200, 90 + 38 * len(drawn)),
    )


def score_chart(results: Results) -> Chart:
    title = "Scores of fraud and genuine"
    bars = results.scores.histogram
    totals = {name: sum(getattr(bar, name) for bar in bars) for name in ("fraud", "genuine")}
    if not any(totals.values()):
        return Chart("scores", title, "", None, empty="No transaction was scored.")
    colour = colours("light")
    chart = go.Figure()
    for name, pattern in (("genuine", ""), ("fraud", "/")):
        if totals[name]:
            chart.add_bar(
                name=f"{name}, n = {count(totals[name])}",
                x=[(bar.low + bar.high) / 2 for bar in bars],
                y=[getattr(bar, name) / totals[name] for bar in bars],
                customdata=[getattr(bar, name) for bar in bars],
                # Hatching tells the two apart without colour.
                marker={"color": colour[f"data-{name}"], "pattern": {"shape": pattern, "solidity": 0.4}},
                hovertemplate="score %{x:.3f}: %{y:.1%} (%{customdata} transactions)<extra></extra>",
            )
    chart.update_layout(barmode="group", bargap=0.12)
    frame(chart)
    chart.update_xaxes(range=[0, 1], title_text="fraud score", showgrid=False)
    chart.update_yaxes(tickformat=".0%", title_text="share of its kind", rangemode="tozero")
    caption = "Each kind adds up to 100 %, so the rare fraud can be seen beside the many genuine ones."
    if not totals["fraud"]:
        caption = "No fraud was scored; only genuine transactions are drawn."
    return Chart(
        "scores",
        title,
        caption,
        spec_of(chart),
        ("score", "fraud", "genuine"),
        [(f"{bar.low:.2f}–{bar.high:.2f}", count(bar.fraud), count(bar.genuine)) for bar in bars],
    )


def pr_chart(results: Results) -> Chart:
    title = "Precision over recall"
    rows, found = results.scores.sweep, results.detection
    if not rows:
        return Chart("pr", title, "", None, empty="There were not both fraud and genuine scores.")
    colour = colours("light")
    chart = go.Figure()
    chart.add_scatter(
        name="other thresholds",
        x=[row.recall for row in rows],
        y=[row.precision for row in rows],
        customdata=[row.threshold for row in rows],
        mode="lines",
        line={"color": colour["data-genuine"], "width": 2},
        hovertemplate="threshold %{customdata:.3f}: recall %{x:.1%}, precision %{y:.1%}<extra></extra>",
    )
    _operating_point(chart, found.recall, found.precision, "recall %{x:.1%}, precision %{y:.1%}")
    frame(chart)
    chart.update_xaxes(range=[0, 1.02], tickformat=".0%", title_text="recall")
    chart.update_yaxes(range=[0, 1.04], tickformat=".0%", title_text="precision, as sent")
    area = figure(found.average_precision)
    return Chart(
        "pr",
        title,
        f"At the share of fraud that was sent ({percent(found.measured_prevalence)}); area {area}.",
        spec_of(chart),
        ("threshold", "recall", "precision", "false positive rate", "flagged"),
        [
            (
                _threshold(row.threshold),
                percent(row.recall),
                percent(row.precision),
                percent(row.false_positive_rate),
                count(row.flagged),
            )
            for row in thinned(rows)
        ],
    )


def cost_chart(results: Results) -> Chart:
    title = "Cost of a threshold"
    rows, found = results.scores.sweep, results.detection
    if not rows:
        return Chart("cost", title, "", None, empty="There were not both fraud and genuine scores.")
    currency = results.run.currency
    each_cents, at_stake = found.false_positive_cost_cents, found.value_cents
    # Before the first row: a threshold above every score catches nothing and bothers nobody.
    points: list[tuple[float, int, int]] = [(1.0, at_stake, 0)]
    points += [(row.threshold, at_stake - row.caught_cents, row.false_positives * each_cents) for row in rows]
    colour = colours("light")
    scale = 10 ** minor_digits(currency)
    chart = go.Figure()
    for name, values, role, dash, width in (
        ("fraud missed", [missed for _, missed, _ in points], "data-fraud", "dot", 1.5),
        ("false positives", [alarms for _, _, alarms in points], "data-suspicious", "dash", 1.5),
        ("both", [missed + alarms for _, missed, alarms in points], "data-genuine", "solid", 2.5),
    ):
        chart.add_scatter(
            name=name,
            x=[threshold for threshold, _, _ in points],
            y=[value / scale for value in values],
            mode="lines",
            line={"color": colour[role], "width": width, "dash": dash, "shape": "hv"},
        )
    cheapest = min(points, key=lambda point: (point[1] + point[2], -point[0]))
    spent = at_stake - found.caught_cents + found.confusion.fp * each_cents
    chart.add_hline(
        y=spent / scale,
        line={"color": colour["text-muted"], "width": 1.5, "dash": "longdash"},
        annotation={"text": "the detector's own decisions", "font": {"size": 12}},
        annotation_position="top left",
    )
    frame(chart)
    chart.update_layout(hovermode="x unified")
    chart.update_xaxes(range=[0, 1], title_text="threshold on the fraud score", showgrid=False)
    chart.update_yaxes(title_text=currency, rangemode="tozero", tickformat="~s")
    return Chart(
        "cost",
        title,
        f"Fraud money missed plus {money(each_cents, currency)} for each false positive. Cheapest here: "
        f"{_threshold(cheapest[0])}, {money(cheapest[1] + cheapest[2], currency)}; "
        f"the detector's own decisions cost {money(spent, currency)}.",
        spec_of(chart),
        ("threshold", "fraud missed", "false positives", "both"),
        [
            (
                _threshold(threshold),
                money(missed, currency),
                money(alarms, currency),
                money(missed + alarms, currency),
            )
            for threshold, missed, alarms in thinned(points)
        ],
    )


def _threshold(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".") or "0"


def _operating_point(chart: go.Figure, x: float | None, y: float | None, text: str) -> None:
    """What the detector decided itself, as a diamond."""
    if x is None or y is None:
        return
    chart.add_scatter(
        name="the detector's own decisions",
        x=[x],
        y=[y],
        mode="markers",
        marker={
            "symbol": "diamond",
            "size": 13,
            "color": colours("light")["data-suspicious"],
            "line": {"color": colours("light")["text"], "width": 1.5},
        },
        hovertemplate=f"{text}<extra></extra>",
    )
