"""What the detector says of itself, read before and after a run, to stand beside our own counts.

A detector that others use as well has counted theirs too, so counts are differences between
the two readings where both came.  Everything here comes from outside: only known keys are
kept, only numbers, and short texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gevent

from banksim.systems import BastionClient
from banksim.systems.bastion_wire import DECISION_WORDS

#: Longest wall time that reading may take; a run does not wait for a detector's opinion of itself.
READ_S = 5.0
ALERTS_READ = 1_000
COUNTS = ("transactions_processed",)
FIGURES = ("average_processing_time_ms", "alert_rate", "fraud_detection_rate", "false_positive_rate")
MAX_TEXT = 100


def read_stats(detector: BastionClient | None) -> dict[str, Any] | None:
    """Known figures of GET /stats, None where there are none."""
    found: Mapping[str, Any] | None = None
    if detector is not None:
        with gevent.Timeout(READ_S, False):
            found = detector.stats()
    if found is None:
        return None
    decisions = found.get("decisions")
    return {
        **{key: found[key] for key in (*COUNTS, *FIGURES) if _is_number(found.get(key))},
        "alerts": _alerts_in(decisions) if isinstance(decisions, Mapping) else None,
        "model_version": str(found.get("model_version") or "")[:MAX_TEXT],
    }


def says(detector: BastionClient | None, before: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """{processed, alerts, alerts_listed, average_processing_time_ms, …, model_version}; None when silent.

    ``processed`` and ``alerts`` are what came since ``before``, as `read_stats` told it.
    """
    now = read_stats(detector)
    if detector is None or now is None:
        return None
    listed = None
    with gevent.Timeout(READ_S, False):
        listed = len(detector.alerts(ALERTS_READ))
    before = before or {}
    return {
        "processed": _since(now.get("transactions_processed"), before.get("transactions_processed")),
        "alerts": _since(now["alerts"], before.get("alerts")),
        "alerts_listed": listed,
        **{key: now.get(key) for key in FIGURES},
        "model_version": now["model_version"],
    }


def _alerts_in(decisions: Mapping[str, Any]) -> int | None:
    """Decisions that are alerts, by the detector's own words for them; None when none can be told."""
    counts = {str(word).upper(): int(n) for word, n in decisions.items() if _is_number(n)}
    known = {word: n for word, n in counts.items() if word in DECISION_WORDS}
    return sum(n for word, n in known.items() if DECISION_WORDS[word].is_alert) if known else None


def _since(now: float | None, before: float | None) -> float | None:
    if now is None:
        return None
    return now - before if before is not None and before <= now else now  # it was started anew


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15
