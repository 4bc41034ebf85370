"""The headline figures as text with a word each, and the way of a transaction: for page and report.

Words before numbers: each tile carries one that says how to take its figure.  Without data
a tile says what is missing, never 0.
"""

from __future__ import annotations

from collections.abc import Callable

from banksim.measure.figures import DetectionFigures, ResponseParts
from banksim.measure.formats import (
    NOT_AVAILABLE,
    count,
    figure,
    interval,
    milliseconds,
    money,
    percent,
    rate,
)
from banksim.measure.results import FunnelStep, Kind, ThresholdRow, Tile
from banksim.measure.scores import enough, share
from banksim.measure.verdicts import (
    Evidence,
    coverage_kind,
    dropped_kind,
    errors_kind,
    sent_kind,
    too_few,
)

#: The metrics whose thresholds each tile is held against.
METRICS = {
    "rate": ("achieved_rate", "tps"),
    "dropped": ("drops",),
    "errors": ("errors",),
    "response": ("response_time",),
    "coverage": ("coverage",),
    "recall": ("recall",),
    "false_positives": ("fp_per_10000", "fpr"),
    "savings": ("value_detection_rate",),
}
WORDS: dict[str, dict[Kind, str]] = {
    "rate": {"pass": "kept up", "warn": "slipping", "fail": "fell behind"},
    "dropped": {"pass": "hardly any", "warn": "some"},
    "errors": {"pass": "hardly any", "warn": "some", "fail": "many"},
    "coverage": {"pass": "complete", "warn": "gaps", "fail": "large gaps"},
}


def tiles(evidence: Evidence) -> list[Tile]:
    """Eight tiles: four of the load, four of detection."""
    makers: tuple[Callable[[Evidence], Tile], ...] = (_rate, _dropped, _errors, _response)
    makers += (_coverage, _recall, _false_positives, _savings)
    return [_against_thresholds(make(evidence), evidence.thresholds) for make in makers]


def _against_thresholds(tile: Tile, rows: list[ThresholdRow]) -> Tile:
    """A threshold on the whole figure wins over the usual goal, once there is enough to judge."""
    mine = [row for row in rows if row.metric in METRICS[tile.key] and "[" not in row.expression]
    if not mine:
        return tile
    goal = ", ".join(row.expression for row in mine)
    if tile.word.startswith("too few") or tile.value == NOT_AVAILABLE:
        return Tile(tile.key, tile.label, tile.value, tile.note, tile.kind, tile.word, goal)
    met = all(row.passed for row in mine)
    word = "meets its threshold" if met else "misses its threshold"
    return Tile(tile.key, tile.label, tile.value, tile.note, "pass" if met else "fail", word, goal)


def _judged(key: str, kind: Kind, events: int, of: int) -> tuple[Kind, str]:
    if kind == "none":
        return "none", too_few(events, of) if events else "no data yet"
    return kind, WORDS[key][kind]


def _rate(evidence: Evidence) -> Tile:
    rates, counts = evidence.rate, evidence.transactions
    note = f"{percent(rates.achieved_share)} of due sent, peak {rate(rates.peak_tps)}"
    value = f"{figure(rates.achieved_tps)} of {rate(rates.offered_tps)}"
    if not counts.offered:
        value, note = NOT_AVAILABLE, "no transaction was due"
    kind, word = _judged("rate", sent_kind(evidence), counts.offered, counts.offered)
    return Tile(
        "rate", "Achieved of offered", value, note, kind, word, f"at least {percent(evidence.goals.sent)}"
    )


def _dropped(evidence: Evidence) -> Tile:
    counts = evidence.transactions
    note = f"{percent(share(counts.dropped, counts.offered))} of {count(counts.offered)} due"
    value = count(counts.dropped) if counts.offered else NOT_AVAILABLE
    kind, word = _judged("dropped", dropped_kind(evidence), counts.offered, counts.offered)
    word = "none" if kind == "pass" and not counts.dropped else word
    note = note if counts.offered else "no transaction was due"
    return Tile("dropped", "Dropped", value, note, kind, word, f"at most {percent(evidence.goals.dropped)}")


def _errors(evidence: Evidence) -> Tile:
    counts = evidence.transactions
    note = f"{count(counts.failed)} failed, {count(counts.unknown)} unanswered"
    kind, word = _judged("errors", errors_kind(evidence), counts.ended, counts.offered)
    word = "none" if kind == "pass" and not counts.error_share else word
    note = note if counts.ended else "no transaction ended"
    goal = f"at most {percent(evidence.goals.errors)}"
    return Tile("errors", "Errors", percent(counts.error_share), note, kind, word, goal)


PARTS = {"own_queue_ms": "own queue", "bank_ms": "bank", "detector_ms": "detector"}


def parts_text(parts: ResponseParts) -> str:
    """ "own queue 2.0 s, bank 0.5 s, detector n/a"."""
    return ", ".join(f"{name} {milliseconds(getattr(parts, key))}" for key, name in PARTS.items())


def _response(evidence: Evidence) -> Tile:
    """Response time has three causes: Load, Bank and Detector judge one each, and nothing the sum."""
    p99_ms, parts = evidence.p99("response"), evidence.response_parts["p99"]
    known = {name: getattr(parts, key) for key, name in PARTS.items() if getattr(parts, key) is not None}
    word = f"mostly {max(known, key=lambda name: known[name])}" if p99_ms is not None and known else ""
    ended = evidence.transactions.ended
    note = parts_text(parts) if p99_ms is not None else "no transaction ended"
    if ended and not enough(ended):
        word = too_few(ended, evidence.transactions.offered)
    return Tile("response", "Response time p99", milliseconds(p99_ms), note, "none", word, "each part at p99")


def _coverage(evidence: Evidence) -> Tile:
    found = evidence.detection
    ended = found.asked + found.unasked
    note = f"{count(found.scored)} scored, {count(found.missing)} without a usable score"
    note = note if found.asked else "no transaction was put to a detector"
    kind, word = _judged("coverage", coverage_kind(evidence), ended, evidence.transactions.offered)
    goal = f"at least {percent(evidence.goals.coverage)}"
    return Tile("coverage", "Coverage", percent(found.coverage), note, kind, word, goal)


def _detection_note(evidence: Evidence, text: str) -> str:
    found = evidence.detection
    if not found.judged:
        return "no transaction was put to a detector"
    if not found.scored and not found.by_bank:
        return "nothing was scored"
    return text


def _of_fraud(evidence: Evidence) -> tuple[str, str]:
    """(why there is no figure of fraud, or "", and the word of a figure that rests on fraud)."""
    found = evidence.detection
    frauds = found.confusion.fraud
    missing = _detection_note(evidence, "" if frauds else "no fraud was put to the detector")
    return missing, "" if missing or enough(frauds) else too_few(frauds, found.judged)


def _recall(evidence: Evidence) -> Tile:
    found = evidence.detection
    missing, word = _of_fraud(evidence)
    ends = interval(found.recall_low, found.recall_high)
    note = f"{count(found.confusion.tp)} of {count(found.confusion.fraud)} frauds, 95 %: {ends}"
    return Tile("recall", "Recall", percent(found.recall), missing or note, "none", word, "")


def money_stages(found: DetectionFigures) -> list[tuple[str, int]]:
    """Fraud money by what became of it, in words and cents."""
    return [
        ("Fraud money tried", found.tried_cents),
        ("of it caught: alerted on", found.caught_cents),
        ("of it stopped: alerted on, not booked", found.stopped_cents),
        (
            "of it refused, failed or unanswered",
            found.tried_cents - found.lost_cents - found.stopped_cents,
        ),
        ("of it lost: booked", found.lost_cents),
        ("still in reach at the first alerts", found.in_reach_cents),
        ("moved by laundering, no loss of its own", found.moved_cents),
    ]


def _false_positives(evidence: Evidence) -> Tile:
    found = evidence.detection
    genuine = found.confusion.genuine
    note = _detection_note(evidence, f"per {count(10_000)} genuine, {count(found.confusion.fp)} in all")
    word = too_few(genuine, found.judged) if found.judged and not enough(genuine) else ""
    value = figure(found.false_positives_per_10000)
    return Tile("false_positives", "False positives", value, note, "none", word, "")


def _savings(evidence: Evidence) -> Tile:
    found, currency = evidence.detection, evidence.currency
    missing, word = _of_fraud(evidence)
    note = (
        f"{money(found.caught_cents, currency)} of {money(found.value_cents, currency)} fraud caught, "
        f"{money(found.lost_cents, currency)} lost, "
        f"each false positive costs {money(found.false_positive_cost_cents, currency)}"
    )
    value = money(found.net_savings_cents, currency)
    return Tile("savings", "Net savings", value, missing or note, "none", word, "")


def funnel(evidence: Evidence) -> list[FunnelStep]:
    """Offered, sent, accepted, scored, alerted; then caught, missed, false positives.  Empty without load."""
    counts, found = evidence.transactions, evidence.detection
    if not counts.offered:
        return []
    offered, confusion = counts.offered, found.confusion

    def step(key: str, label: str, value: int, note: str) -> FunnelStep:
        return FunnelStep(key, label, count(value), note, value / offered)

    accepted = (
        f"{count(counts.refused)} refused, {count(counts.failed)} failed, {count(counts.unknown)} unanswered"
    )
    steps = [
        step("offered", "Offered", offered, "asked for by the scenario"),
        step("sent", "Sent", counts.sent, f"{count(counts.dropped)} dropped"),
        step("accepted", "Accepted by the bank", counts.completed - counts.refused, accepted),
    ]
    if not found.asked:
        without = "no transaction was put to a detector"
        steps.append(FunnelStep("scored", "Scored", NOT_AVAILABLE, without, 0.0))
    else:
        steps.append(step("scored", "Scored", found.scored, f"{count(found.missing)} without a usable score"))
    if not found.scored and not found.by_bank:
        return steps
    missing, _ = _of_fraud(evidence)
    share_of = f"{percent(found.recall)} of {count(confusion.fraud)} frauds"
    false_positives = f"{figure(found.false_positives_per_10000)} per {count(10_000)} genuine"
    return [
        *steps,
        step("alerted", "Alerted", confusion.alerts, f"{percent(found.alert_rate)} of those asked about"),
        step("caught", "Caught", confusion.tp, missing or share_of),
        step("missed", "Missed", confusion.fn, "fraud that raised no alert"),
        step("false_positives", "False positives", confusion.fp, false_positives),
    ]
