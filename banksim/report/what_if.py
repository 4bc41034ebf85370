"""Two pictures made of counts: the response-time ranges, and what another threshold would have done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from banksim.domain.money import minor_digits
from banksim.measure import share
from banksim.report.formats import THIN, count


@dataclass(frozen=True, slots=True)
class RangePart:
    """One part of the bar; ``share`` is 0..1 of all that ended, ``role`` a style."""

    label: str
    value: str
    share: float
    role: str


def range_parts(results: Mapping[str, Any]) -> list[RangePart]:
    """Fast, middle, slow, failed; empty when nothing ended (or the results are of an older version)."""
    found = results.get("response_ranges")
    total = sum(found[name] for name in ("fast", "middle", "slow", "failed")) if found else 0
    if not found or not total:
        return []
    fast, slow = f"{found['fast_ms']:g}{THIN}ms", f"{found['slow_ms']:g}{THIN}ms"
    return [
        RangePart(label, count(found[name]), share(found[name], total) or 0.0, name)
        for name, label in (
            ("fast", f"up to {fast}"),
            ("middle", f"{fast} to {slow}"),
            ("slow", f"over {slow}"),
            ("failed", "failed or unanswered"),
        )
    ]


def what_if(results: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the page needs to work out any threshold; None when there were not both kinds of scores.

    ``start`` is the threshold that flags about as many as the detector itself did: where the handle
    stands before it is moved.
    """
    bins = results["scores"].get("bins")
    if not bins or not sum(bins["fraud"]) or not sum(bins["genuine"]):
        return None
    found = results["detection"]
    own = found["confusion"]
    unscored_fraud = max(0, own["tp"] + own["fn"] - sum(bins["fraud"]))
    unscored_genuine = max(0, own["fp"] + own["tn"] - sum(bins["genuine"]))
    currency = results["run"].get("currency", "USD")
    return {
        "bins": bins,
        "own": own,
        "start": _like_own(bins, own["tp"] + own["fp"]),
        "unscored": {"fraud": unscored_fraud, "genuine": unscored_genuine},
        "false_alert_cost_cents": found["false_alert_cost_cents"],
        "currency": currency,
        "minor_digits": minor_digits(currency),
    }


def _like_own(bins: Mapping[str, list[Any]], alerts: int) -> float:
    flagged, best, best_gap = 0, 1.0, alerts
    for low, fraud, genuine in zip(
        reversed(bins["low"]), reversed(bins["fraud"]), reversed(bins["genuine"]), strict=True
    ):
        flagged += fraud + genuine
        if abs(flagged - alerts) < best_gap:
            best, best_gap = low, abs(flagged - alerts)
    return float(best)
