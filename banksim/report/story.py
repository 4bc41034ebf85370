"""What a reader sees first: the verdict in sentences, eight tiles, and the way of a transaction.

Words before numbers: each tile carries one that says how to take its figure.  Without
data a tile says what is missing, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from banksim.measure import share
from banksim.report.formats import (
    NOT_AVAILABLE,
    THIN,
    count,
    figure,
    interval,
    milliseconds,
    money,
    percent,
    rate,
)
from banksim.report.limits import FEW_POSITIVES, KEPT_UP_SHARE

#: How a word is shown: "pass" and "fail" only where there is something to be right about.
Tone = Literal["pass", "warn", "fail", "plain"]


@dataclass(frozen=True, slots=True)
class Tile:
    label: str
    value: str
    note: str
    word: str = ""
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Sentence:
    topic: str
    word: str
    tone: Tone
    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """One bar of the funnel.  ``part`` is its share of the offered transactions, for the bar's width."""

    label: str
    value: str
    note: str
    part: float
    role: str = "neutral"


def verdict(results: Mapping[str, Any]) -> list[Sentence]:
    """Are we offering what we said, does the bank hold, does the detector catch."""
    return [_load(results), _bank(results), _detector(results)]


def _load(results: Mapping[str, Any]) -> Sentence:
    transactions, rates = results["transactions"], results["rate"]
    achieved = rates["achieved_share"]
    if achieved is None:
        return Sentence(
            "Load", "nothing offered", "warn", "No transaction was offered, so no load was tested."
        )
    text = (
        f"{count(transactions['sent'])} of {count(transactions['offered'])} offered transactions were sent "
        f"({percent(achieved)}), {rate(rates['achieved_tps'])} on average and "
        f"{rate(rates['peak_tps'])} at the peak."
    )
    if achieved < KEPT_UP_SHARE:
        return Sentence("Load", "fell behind", "fail", text)
    workers = results["run"].get("workers") or ()
    silent = sum(1 for row in workers if row["losses"])
    if silent:
        missing = sum(row["not_offered"] for row in workers)
        text += f" {silent} of {len(workers)} workers fell silent; {count(missing)} more were asked for."
        return Sentence("Load", "workers lost", "warn", text)
    return Sentence("Load", "kept up", "pass", text)


def error_share(results: Mapping[str, Any]) -> float | None:
    """Failed and unanswered transactions among those that ended."""
    transactions = results["transactions"]
    bad: int = transactions["failed"] + transactions["unknown"]
    return share(bad, bad + transactions["completed"])


def _tone_of(bad_share: float | None) -> Tone:
    """Nothing went wrong, a little did, or more than a load test may lose."""
    if not bad_share:
        return "pass"
    return "warn" if bad_share <= 1 - KEPT_UP_SHARE else "fail"


def _bank(results: Mapping[str, Any]) -> Sentence:
    errors = error_share(results)
    if errors is None:
        return Sentence(
            "Bank", "not asked", "plain", "No transaction ended, so nothing can be said about the bank."
        )
    latency = results["latency_ms"]["response"]
    text = f"99 % of transactions were answered within {milliseconds(latency['p99'])} of their intended start"
    if errors == 0:
        return Sentence("Bank", "no errors", "pass", f"{text}; none failed.")
    return Sentence(
        "Bank", "errors", _tone_of(errors), f"{text}; {percent(errors)} failed or went unanswered."
    )


def _detector(results: Mapping[str, Any]) -> Sentence:
    detection = results["detection"]
    positives = positives_of(results)
    if detection["coverage"] is None:
        return Sentence("Detector", "not asked", "plain", "No detector scored anything in this run.")
    per_10000 = figure(detection["false_positives_per_10000"])
    if positives == 0:
        text = f"No fraud was sent. {per_10000} of 10{THIN}000 genuine transactions raised a false alert."
        return Sentence("Detector", "no fraud sent", "plain", text)
    text = (
        f"{count(detection['confusion']['tp'])} of {count(positives)} fraudulent transactions were caught: "
        f"recall {percent(detection['recall'])} "
        f"({interval(detection['recall_low'], detection['recall_high'])}), "
        f"with {per_10000} false alerts per 10{THIN}000 genuine ones."
    )
    return Sentence("Detector", f"{percent(detection['recall'])} caught", "plain", text)


def positives_of(results: Mapping[str, Any]) -> int:
    """Fraudulent transactions the detector was asked about (after the warm-up)."""
    confusion = results["detection"]["confusion"]
    return int(confusion["tp"] + confusion["fn"])


def with_enough(results: Mapping[str, Any], text: str) -> str:
    """``text``, or why a figure without an interval is held back."""
    positives = positives_of(results)
    if text != NOT_AVAILABLE and positives < FEW_POSITIVES:
        return f"{NOT_AVAILABLE} ({positives} frauds, {FEW_POSITIVES} needed)"
    return text


def tiles(results: Mapping[str, Any]) -> list[Tile]:
    return [*_load_tiles(results), *_detection_tiles(results)]


def _load_tiles(results: Mapping[str, Any]) -> list[Tile]:
    rates, transactions = results["rate"], results["transactions"]
    achieved, errors = rates["achieved_share"], error_share(results)
    kept_up = achieved is not None and achieved >= KEPT_UP_SHARE
    response = results["latency_ms"]["response"]
    dropped = share(transactions["dropped"], transactions["offered"])
    return [
        Tile(
            "Achieved rate",
            rate(rates["achieved_tps"]),
            f"of {rate(rates['offered_tps'])} offered" if achieved is not None else "nothing was offered",
            "" if achieved is None else "kept up" if kept_up else "fell behind",
            "pass" if kept_up else "fail",
        ),
        Tile(
            "Dropped",
            NOT_AVAILABLE if dropped is None else count(transactions["dropped"]),
            "nothing was offered" if dropped is None else f"{percent(dropped)} of offered",
            "" if dropped is None else "none" if dropped == 0 else "some",
            _tone_of(dropped),
        ),
        Tile(
            "Errors",
            percent(errors),
            f"{count(transactions['failed'])} failed, {count(transactions['unknown'])} unanswered"
            if errors is not None
            else "no transaction ended",
            "" if errors is None else "none" if errors == 0 else "some",
            _tone_of(errors),
        ),
        Tile(
            "Response time p99",
            milliseconds(response["p99"]),
            f"p50 {milliseconds(response['p50'])}, from the intended start"
            if response["count"]
            else "no transaction ended",
        ),
    ]


def _detection_tiles(results: Mapping[str, Any]) -> list[Tile]:
    detection, currency = results["detection"], results["run"].get("currency", "USD")
    positives = positives_of(results)
    coverage = detection["coverage"]
    nobody = "no detector was asked"
    no_fraud = nobody if coverage is None else "no fraud was sent"
    confusion = detection["confusion"]
    return [
        Tile(
            "Coverage",
            percent(coverage),
            f"{count(detection['missing'])} got no usable score" if coverage is not None else nobody,
            "" if coverage is None else "all scored" if coverage == 1 else "gaps",
            "pass" if coverage == 1 else "warn",
        ),
        Tile(
            "Recall",
            percent(detection["recall"]),
            f"95 %: {interval(detection['recall_low'], detection['recall_high'])}, n = {count(positives)}"
            if positives
            else no_fraud,
            "few frauds" if 0 < positives < FEW_POSITIVES else "",
            "warn",
        ),
        Tile(
            "False alerts",
            figure(detection["false_positives_per_10000"]),
            f"per 10{THIN}000 genuine, {count(confusion['fp'])} in all"
            if detection["false_positive_rate"] is not None
            else nobody,
        ),
        Tile(
            "Net savings",
            money(detection["net_savings_cents"], currency),
            f"{money(detection['caught_cents'], currency)} caught, each false alert costs "
            f"{money(detection['false_alert_cost_cents'], currency)}"
            if positives
            else no_fraud,
        ),
    ]


def funnel(results: Mapping[str, Any]) -> list[Step]:
    """Offered → sent → accepted → scored → alerted → caught, missed, false."""
    transactions, detection = results["transactions"], results["detection"]
    offered = transactions["offered"]
    if not offered:
        return []
    confusion = detection["confusion"]
    accepted = transactions["completed"] - transactions["refused"]
    alerted = confusion["tp"] + confusion["fp"]

    def step(label: str, value: int, note: str, role: str = "neutral") -> Step:
        return Step(label, count(value), note, value / offered, role)

    steps = [
        step("Offered", offered, "asked for by the scenario"),
        step("Sent", transactions["sent"], f"{count(transactions['dropped'])} dropped"),
        step(
            "Accepted by the bank",
            accepted,
            f"{count(transactions['refused'])} refused, {count(transactions['failed'])} failed, "
            f"{count(transactions['unknown'])} unanswered",
        ),
    ]
    if detection["coverage"] is None:
        return [*steps, Step("Scored", NOT_AVAILABLE, "no detector was asked", 0.0)]
    fraud = positives_of(results)
    caught_note = f"{percent(detection['recall'])} of {count(fraud)} frauds" if fraud else "no fraud was sent"
    return [
        *steps,
        step(
            "Scored", detection["scored"], f"{count(detection['missing'])} without a usable score", "genuine"
        ),
        step("Alerted", alerted, f"{percent(detection['alert_rate'])} of scored", "suspicious"),
        step("Caught", confusion["tp"], caught_note, "caught"),
        step("Missed", confusion["fn"], "fraud that raised no alert", "fraud"),
        step(
            "False alerts",
            confusion["fp"],
            f"{figure(detection['false_positives_per_10000'])} per 10{THIN}000 genuine",
            "suspicious",
        ),
    ]
