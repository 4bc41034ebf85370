"""`dashboard` and `metrics`: what is shown and what is kept while a run goes on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from banksim.scenario.fields import Block, Label, Number, Port, Share

#: Samples of a whole run: enough for any chart, and the least that still shows a shape.
MAX_POINTS = 2_000
MIN_POINTS = 60


class Dashboard(Block):
    """The web pages."""

    enabled: bool = Field(
        default=True,
        description="Whether banksim's pages are served; `--dashboard` wins over `false`.",
    )
    port: Port = Field(default=8095, description="TCP port of the dashboard.")
    host: Label = Field(
        default="127.0.0.1", description="Address to bind to; 0.0.0.0 serves every network interface."
    )
    theme: Literal["light", "dark", "auto"] = Field(
        default="auto", description="Colours of the pages; auto follows the viewer's system."
    )
    refresh_rate_ms: Annotated[int, Number(50, 60_000)] = Field(
        default=1000, description="Milliseconds between two updates of the pages."
    )
    max_feed_items: Annotated[int, Number(1, 10_000)] = Field(
        default=500, description="Transactions kept in the live feed."
    )
    chart_retention_hours: Annotated[float, Number(above=0, high=8784)] = Field(
        default=24.0, description="Hours of chart data that are kept."
    )
    chart_resolution_seconds: Annotated[float, Number(0.1, 3600)] = Field(
        default=5.0, description="Seconds between two points of a chart."
    )
    fraud_alert_threshold: Share = Field(
        default=0.8, description="Scores above this one raise an alert on the pages."
    )
    sound_alerts: bool = Field(default=False, description="Whether alerts make a sound.")
    record: bool = Field(
        default=True, description="Whether the run leaves a record that the pages can play again."
    )


class Metrics(Block):
    """The collector of measurements."""

    enabled: bool = Field(default=True, description="Whether measurements are collected over time.")
    collect_interval_seconds: Annotated[float, Number(0.05, 3600)] = Field(
        default=1.0, description="Wall-clock seconds between two samples; may be a fraction."
    )
    retention_minutes: Annotated[float, Number(above=0, high=44_640)] = Field(
        default=60.0,
        description="Wall-clock minutes kept at full resolution, at most 2,000 samples; "
        "a longer run is kept whole, with coarser ones.",
    )
    export_csv: bool = Field(default=True, description="Whether the samples are written as CSV at the end.")

    @property
    def max_points(self) -> int:
        """Samples over time that are kept before neighbours are merged."""
        wanted = self.retention_minutes * 60.0 / self.collect_interval_seconds
        return int(min(MAX_POINTS, max(MIN_POINTS, wanted)))
