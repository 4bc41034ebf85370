"""What the figures of a run cannot say, in sentences.

First what went wrong or ran into a bound in this run, then what is true of every run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from banksim.measure import Measures
from banksim.report.formats import THIN, count, duration, milliseconds, percent

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
    "come from 512 score bins.",
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
