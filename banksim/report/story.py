"""What a reader sees first: the verdict in sentences, eight tiles, and the way of a transaction.

Words before numbers: each tile carries one that says how to take its figure.  Without
data a tile says what is missing, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from banksim.measure import Measures, share
from banksim.report.formats import (
    NOT_AVAILABLE,
    THIN,
    count,
    duration,
    figure,
    interval,
    milliseconds,
    money,
    percent,
    rate,
)

# -- What the figures of a run cannot say, in sentences ---------------------------------------------
#
# First what went wrong or ran into a bound in this run, then what is true of every run.


#: Below this many positives a share is shown with its interval only, other figures not at all.
FEW_POSITIVES = 30
#: The generator counts as the bottleneck from this lag on (99th percentile), or when its process was
#: busy (over 90 % of a core, see measure/generator.py) in this share of the samples.
LATE_MS = 50.0
BUSY_SHARE = 0.05
#: A generator that sends less than this share of what was asked did not test the asked load.
KEPT_UP_SHARE = 0.99

ALWAYS = (
    "Intervals take transactions as independent. Those of one campaign are not, so recall by campaign "
    "stands beside recall by transaction.",
    "Precision depends on how much fraud was sent; the adjusted one restates it at the stated prevalence.",
    "Percentiles of the whole run are exact to 0.1 %, those of one timeline point to 2 %. Ranking figures "
    "are exact for up to 4,096 different scores, and come from as many bins beyond that.",
)


def limits(results: Mapping[str, Any], measures: Measures) -> list[str]:
    """Sentences for the end of the report; ``results`` without its "limits" is enough."""
    return [
        *_of_the_run(results),
        *_of_the_workers(results),
        *_of_the_load(results),
        *_of_the_detection(results),
        *_of_the_bounds(results, measures),
        *(f"The counts do not add up: {problem}." for problem in measures.tally.problems()),
        *ALWAYS,
    ]


def _of_the_run(results: Mapping[str, Any]) -> list[str]:
    found = []
    run = results["run"]
    if run.get("end", "completed") != "completed":
        found.append(f"The run was {run['end']}: the figures cover what was done until then.")
    if run.get("mode") in ("dry-run", "sandbox"):
        found.append(
            "Bank and detector were the built-in stand-ins: the figures describe them, no other system."
        )
    if made := [fault["name"] for fault in run.get("faults") or () if fault["begun"]]:
        found.append(f"The stand-ins had faults on purpose, and all figures contain them: {', '.join(made)}.")
    if (run.get("feedback") or {}).get("accepted"):
        found.append("The detector was told labels while the run went on: later scores may rest on them.")
    if results.get("warm_up"):
        found.append("Detection and latency leave out the warm-up; its own figures stand beside them.")
    if lost := (run.get("transaction_log") or {}).get("lost"):
        found.append(f"The transaction log lacks {count(lost)} transactions: the disk could not keep up.")
    return found


def _of_the_workers(results: Mapping[str, Any]) -> list[str]:
    workers = results["run"].get("workers") or ()
    offered = results["transactions"]["offered"]
    found = [
        f"Worker {row['number']} was lost, with {count(row['in_flight'])} transactions under way when it was "
        "last heard of. What it did after that is in no figure."
        for row in workers
        if row["ended"] == "lost"
    ]
    gaps = [row for row in workers if row["losses"]]
    if gaps:
        missing = sum(row["not_offered"] for row in gaps)
        named = ", ".join(f"{row['number']} ({duration(row['gap_s'])})" for row in gaps)
        share = percent(missing / (offered + missing)) if offered + missing else "none"
        found.append(
            f"Silent workers: {named}. Until others took over their customers, about {count(round(missing))} "
            f"transactions ({share} of all) were not offered."
        )
    return found


def _of_the_load(results: Mapping[str, Any]) -> list[str]:
    transactions = results["transactions"]
    found = [
        f"{circuit['system']} did not answer for {duration(circuit['open_s'])}: "
        f"{count(circuit['refused'])} calls were held back meanwhile and have no latency."
        for circuit in results["run"].get("circuits") or ()
        if circuit["opened"]
    ]
    achieved = results["rate"]["achieved_share"]
    if achieved is not None and achieved < KEPT_UP_SHARE:
        found.append(
            f"Only {percent(achieved)} of the offered transactions were sent: the asked load was not "
            "reached. Add workers or seats, or ask for less."
        )
    if transactions["dropped"]:
        found.append(f"{count(transactions['dropped'])} arrivals could not start in time and were dropped.")
    if transactions["in_flight"] > 0:
        found.append(f"{count(transactions['in_flight'])} transactions had not ended when the run did.")
    if transactions["unknown"]:
        found.append(
            f"{count(transactions['unknown'])} transactions got no answer: they may or may not be booked."
        )
    lag = results["latency_ms"]["lag"]["p99"]
    if lag is not None and lag > LATE_MS:
        found.append(
            f"At the 99th percentile {milliseconds(lag)} passed between the intended and the actual start: "
            "the generator was late, and response times contain that. Add workers, or ask for less."
        )
    use = results.get("generator")
    if use and use["busy_samples"] > max(1.0, BUSY_SHARE * use["samples"]):
        found.append(
            f"The load generator was the bottleneck: it used more than 90{THIN}% of its processor core in "
            f"{count(use['busy_samples'])} of {count(use['samples'])} samples. "
            "Response times may be its own; spread the load over more processes or machines."
        )
    return found


def _of_the_detection(results: Mapping[str, Any]) -> list[str]:
    found = []
    detection = results["detection"]
    confusion = detection["confusion"]
    positives = confusion["tp"] + confusion["fn"]
    if detection["coverage"] is None:
        found.append("Nothing was scored by a detector, so nothing can be said about detection.")
    elif positives == 0:
        found.append("No fraud was sent to the detector, so nothing can be said about what it catches.")
    elif positives < FEW_POSITIVES:
        found.append(
            f"Only {positives} fraudulent transactions were scored: recall has a wide interval, and figures "
            f"without an interval are held back below {FEW_POSITIVES}."
        )
    if detection["missing"]:
        found.append(
            f"{count(detection['missing'])} transactions were sent to the detector and got no usable score; "
            "they count as not alerted."
        )
    return found


def _of_the_bounds(results: Mapping[str, Any], measures: Measures) -> list[str]:
    found = []
    fraud = results["fraud"]
    if len(fraud["campaigns"]) < fraud["campaigns_total"]:
        found.append(
            f"The campaign table shows the costliest {len(fraud['campaigns'])} "
            f"of {count(fraud['campaigns_total'])}."
        )
    if overflow := fraud["campaign_overflow_transactions"]:
        found.append(
            f"{count(overflow)} fraudulent transactions belong to campaigns beyond the bound of "
            f"{count(measures.settings.max_campaigns)}; campaign recall leaves them out."
        )
    if measures.calls.errors.other:
        found.append(f"{count(measures.calls.errors.other)} errors beyond the bound of texts share one line.")
    if measures.timeline.interval_s > measures.settings.interval_s:
        found.append(
            "To keep the whole run in view, a point of the timeline covers "
            f"{measures.timeline.interval_s:g} wall seconds; shorter peaks are averaged away."
        )
    if measures.books.overflow:
        found.append(f"{count(measures.books.overflow)} account movements are beyond the bound of the books.")
    return found


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
