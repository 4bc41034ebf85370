"""timeline.csv, detection.csv, errors.csv and feed.csv: the figures for a spreadsheet.

A spreadsheet runs a cell that begins with = + - @ as a formula.  Texts from outside
(merchant names, error texts) may begin so; such a cell gets an apostrophe in front.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")

DETECTION_COLUMNS = (
    "kind",
    "typology",
    "transactions",
    "scored",
    "missing",
    "alerted",
    "alerted_share",
    "alerted_share_low",
    "alerted_share_high",
    "value_cents",
    "caught_cents",
)


def cell(value: Any) -> Any:
    """``value`` fit for a CSV cell: None is empty, a list is joined, text is never a formula."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        value = ", ".join(map(str, value))
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return "'" + value
    return value


def as_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([cell(column) for column in columns])
    for row in rows:
        writer.writerow([cell(row.get(column)) for column in columns])
    return text.getvalue()


def timeline_csv(results: Mapping[str, Any]) -> str:
    points = results["timeline"]
    columns = list(points[0]) if points else ["wall_s", "sim_s", "length_s"]
    return as_csv(columns, points)


def detection_csv(results: Mapping[str, Any]) -> str:
    """One row per typology and kind of decoy; an alert on a decoy is a false one."""
    rows = []
    for kind, groups, name in (
        ("fraud", results["fraud"]["by_typology"], "recall"),
        ("decoy", results["fraud"]["decoys"], "false_positive_rate"),
    ):
        for typology, row in groups.items():
            ends = {f"alerted_share{end}": row[f"{name}{end}"] for end in ("", "_low", "_high")}
            rows.append({"kind": kind, "typology": typology, **row, **ends})
    return as_csv(DETECTION_COLUMNS, rows)


def errors_csv(results: Mapping[str, Any]) -> str:
    """One row per call and error text, most frequent first; without errors only the head."""
    return as_csv(("target", "call", "error", "count"), results["errors"])


def feed_csv(feed: Sequence[Mapping[str, Any]]) -> str:
    columns = list(dict.fromkeys(key for row in feed for key in row))
    return as_csv(columns, feed)
