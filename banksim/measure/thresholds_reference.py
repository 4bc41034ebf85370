"""The catalogue as a table for people: what docs/thresholds.md holds, word for word."""

from __future__ import annotations

from banksim.measure.thresholds_metrics import CATALOGUE, Bracket, Metric
from banksim.measure.thresholds_units import SHARE, TIME


def metric_table() -> str:
    """The metrics as a Markdown table: metric, unit, brackets, meaning."""
    lines = ["| Metric | Unit | In brackets | Meaning |", "|---|---|---|---|"]
    lines += [_line(metric) for metric in CATALOGUE]
    return "\n".join(lines) + "\n"


def _line(metric: Metric) -> str:
    unit = {SHARE.name: "share: `90%` or `0.9`", TIME.name: "time: `us`, `ms`, `s`, `min`"}.get(
        metric.unit.name, metric.unit.name
    )
    brackets = "–" if metric.bracket is Bracket.NONE else str(metric.bracket)
    aliases = f" Also `{'`, `'.join(metric.aliases)}`." if metric.aliases else ""
    # The form's own "nexum|bastion" would end a cell of the table.
    name = (
        metric.name
        + ("[…]" if metric.bracket is Bracket.SYSTEM else "")
        + (".…" if metric.statistics else "")
    )
    return f"| `{name}` | {unit} | {brackets} | {metric.meaning}.{aliases} |"
