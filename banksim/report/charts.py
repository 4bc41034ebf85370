"""All charts of the report, each a Plotly figure as JSON with the rows behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from banksim.report.charts_campaigns import campaign_chart
from banksim.report.charts_capacity import capacity_chart
from banksim.report.charts_detection import cost_chart, pr_chart, recall_chart, score_chart
from banksim.report.charts_frame import Chart, bands
from banksim.report.charts_load import generator_chart, latency_chart, load_quality_chart, rate_chart

__all__ = ["Chart", "bands", "charts"]


def charts(results: Mapping[str, Any]) -> dict[str, Chart]:
    """All charts by key, in the order of the page."""
    made = (
        *([capacity_chart(results)] if results["run"].get("capacity") else []),
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
