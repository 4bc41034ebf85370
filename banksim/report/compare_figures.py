"""Which figures two runs are compared by, which way is better, and how much worse is tolerated.

Tolerances keep chance and machine noise from failing a pipeline; they are absolute for shares
and counts, relative for times and money.  Where a figure has an interval, that must leave out
0 as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from banksim.measure.intervals import wilson

Unit = Literal["share", "per_10000", "ms", "money", "index", "rate"]


@dataclass(frozen=True, slots=True)
class Value:
    """A figure with the ends of its 95 % interval, if it has one."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """``tolerance`` is in the figure's unit, or a share of A's value when ``relative``.

    ``gates``: whether getting worse makes a comparison fail.
    """

    key: str
    label: str
    unit: Unit
    higher_is_better: bool
    tolerance: float
    group: str
    read: Callable[[Mapping[str, Any]], Value | None]
    relative: bool = False
    gates: bool = True

    def tolerance_at(self, before: float) -> float:
        """The tolerance in the figure's own unit."""
        return self.tolerance * abs(before) if self.relative else self.tolerance


Read = Callable[[Mapping[str, Any]], Value | None]


def _detection(key: str, ends: bool = False) -> Read:
    def read(results: Mapping[str, Any]) -> Value | None:
        found = results["detection"]
        if found[key] is None:
            return None
        return Value(found[key], found[f"{key}_low"], found[f"{key}_high"]) if ends else Value(found[key])

    return read


def _false_alerts(results: Mapping[str, Any]) -> Value | None:
    found = results["detection"]
    rate, low, high = (found[f"false_positive_rate{end}"] for end in ("", "_low", "_high"))
    return None if rate is None else Value(rate * 10_000, low * 10_000, high * 10_000)


def _coverage(results: Mapping[str, Any]) -> Value | None:
    found = results["detection"]
    if found["coverage"] is None:
        return None
    return _share(found["scored"], found["scored"] + found["missing"] + found["unasked"])


def _errors(results: Mapping[str, Any]) -> Value | None:
    ended = results["transactions"]
    bad = ended["failed"] + ended["unknown"]
    return _share(bad, bad + ended["completed"])


def _achieved(results: Mapping[str, Any]) -> Value | None:
    share = results["rate"]["achieved_share"]
    return None if share is None else Value(share)


def _latency(series: str, percent: str) -> Read:
    def read(results: Mapping[str, Any]) -> Value | None:
        value = results["latency_ms"].get(series, {}).get(percent)
        if value is None:
            return None
        ends = (results.get("latency_intervals_ms") or {}).get(series, {}).get(percent)
        return Value(value, *ends) if ends else Value(value)

    return read


def _share(part: int, whole: int) -> Value | None:
    ends = wilson(part, whole)
    return Value(part / whole, *ends) if ends else None


def _shares() -> list[Figure]:
    return [
        Figure("recall", "Recall", "share", True, 0.01, "Detection", _detection("recall", True)),
        Figure(
            "campaign_recall",
            "Recall by campaign",
            "share",
            True,
            0.05,
            "Detection",
            _detection("campaign_recall", True),
        ),
        Figure("precision", "Precision", "share", True, 0.02, "Detection", _detection("precision", True)),
        Figure(
            "false_positives_per_10000",
            "False alerts per 10 000 genuine",
            "per_10000",
            False,
            10.0,
            "Detection",
            _false_alerts,
        ),
        Figure("coverage", "Coverage", "share", True, 0.005, "Detection", _coverage),
        Figure("roc_auc", "ROC-AUC", "index", True, 0.01, "Detection", _detection("roc_auc")),
        Figure(
            "average_precision",
            "Average precision",
            "index",
            True,
            0.02,
            "Detection",
            _detection("average_precision"),
        ),
        Figure(
            "value_detection_rate",
            "Value detection rate",
            "share",
            True,
            0.02,
            "Detection",
            _detection("value_detection_rate"),
            # A few large amounts decide it, and nobody knows its interval: shown, never judged.
            gates=False,
        ),
        Figure(
            "net_savings_cents",
            "Net savings",
            "money",
            True,
            0.05,
            "Detection",
            _detection("net_savings_cents"),
            relative=True,
            gates=False,
        ),
        Figure("errors", "Failed or unanswered", "share", False, 0.001, "Load", _errors),
        Figure("achieved_share", "Sent of what was offered", "share", True, 0.01, "Load", _achieved),
    ]


def _times() -> list[Figure]:
    names = {
        "response": "Response time",
        "service": "Service time",
        "nexum": "Calls to nexum",
        "bastion": "Calls to bastion",
    }
    return [
        Figure(
            f"{series}_{percent}",
            f"{label} {percent}",
            "ms",
            False,
            0.1,
            "Times",
            _latency(series, percent),
            relative=True,
            # The service time is part of the response time; one of both is enough to fail.
            gates=series != "service",
        )
        for series, label in names.items()
        for percent in ("p50", "p95", "p99")
    ]


FIGURES: tuple[Figure, ...] = (*_shares(), *_times())
