"""What the figures of a run cannot say, in sentences.

First what went wrong or hit a bound in this run, then what is true of every run.
"""

from __future__ import annotations

from banksim.measure.figures import DetectionFigures, Fraud
from banksim.measure.formats import THIN, count, duration, milliseconds, percent
from banksim.measure.measures import Measures
from banksim.measure.results import RunInfo
from banksim.measure.scores import FEW
from banksim.measure.verdicts import Evidence, held_up_by, held_up_text

#: The generator's CPU is mentioned when it was busy (see BUSY_PERCENT) in this share of the samples.
BUSY_SHARE = 0.05

ALWAYS = (
    "Intervals take transactions as independent. Those of one campaign are not, so recall by campaign "
    "stands next to recall by transaction.",
    "Precision depends on how much fraud was sent; the adjusted one restates it at the stated prevalence.",
    "Percentiles of the whole run are exact to 0.1 %, those of one timeline point to 2 %. Ranking figures "
    "are exact for up to 4,096 different scores, and come from as many bins beyond that.",
)


SYSTEMS = {"nexum": "The bank", "bastion": "The detector"}
#: A detector that processed so many times what it was asked is asked by somebody else as well.
ASKED_TWICE = 1.5


def caveats(evidence: Evidence, fraud: Fraud, measures: Measures) -> list[str]:
    """Sentences for the end of the report."""
    run = evidence.run
    return [
        *(_of_the_run(run, evidence) if run is not None else ()),
        *(_of_the_workers(run, evidence.transactions.offered) if run is not None else ()),
        *_of_the_load(evidence),
        *_of_the_detection(evidence.detection),
        *_of_the_refusals(measures.refusals.counts.get("fraud", 0)),
        *_of_the_bounds(fraud, measures),
        *(f"The counts do not add up: {problem}." for problem in measures.tally.problems()),
        *ALWAYS,
    ]


def _of_the_refusals(by_fraud_rules: int) -> list[str]:
    if not by_fraud_rules:
        return []
    return [
        f"The bank refused {count(by_fraud_rules)} transactions by fraud rules of its own, or of a detector "
        "that it asks by itself. Such a refusal is an alert; whatever else it posted counts as let through."
    ]


def _of_the_run(run: RunInfo, evidence: Evidence) -> list[str]:
    found = []
    if evidence.over and run.end != "completed":
        found.append(f"The run was {run.end}: the figures cover what was done until then.")
    if run.mode in ("dry-run", "sandbox"):
        found.append(
            "Bank and detector were the built-in stand-ins: the figures describe them, no other system."
        )
    if made := [fault.name for fault in run.faults if fault.begun]:
        found.append(f"The stand-ins had faults on purpose, and all figures contain them: {', '.join(made)}.")
    if run.feedback is not None and run.feedback.accepted:
        found.append("The detector received labels during the run: later scores may rest on them.")
    asked, own = evidence.detection.scored + evidence.detection.missing, run.detector
    if own is not None and own.processed and asked and own.processed > ASKED_TWICE * asked:
        found.append(
            f"The detector says that it processed {count(round(own.processed))} transactions, and this run "
            f"put {count(asked)} to it: somebody else asks it too, such as a bank that has its transactions "
            "scored. Then it sees each of them twice, and rules that count see double; leave one out."
        )
    if evidence.warmed_up:
        found.append("Detection and latency leave out the warm-up; its figures are reported separately.")
    if run.transaction_log is not None and run.transaction_log.lost:
        lost = count(run.transaction_log.lost)
        found.append(f"The transaction log lacks {lost} transactions: the disk could not keep up.")
    return found


def _of_the_workers(run: RunInfo, offered: int) -> list[str]:
    found = [
        f"Worker {row.number} was lost, with {count(row.in_flight)} transactions in flight at its last "
        "report. What it did after that is in no figure."
        for row in run.workers
        if row.ended == "lost"
    ]
    if gaps := [row for row in run.workers if row.losses]:
        missing = sum(row.not_offered for row in gaps)
        named = ", ".join(f"{row.number} ({duration(row.gap_s)})" for row in gaps)
        part = percent(missing / (offered + missing)) if offered + missing else "none"
        found.append(
            f"Silent workers: {named}. Until others took over their customers, about {count(round(missing))} "
            f"transactions ({part} of all) were not offered."
        )
    return found


def _of_the_load(evidence: Evidence) -> list[str]:
    counts, goals = evidence.transactions, evidence.goals
    found = [
        f"{SYSTEMS.get(system, system)} got slower with what it had done while its limit was searched for: "
        "the rate that held is what it holds when as young as this, not what it holds later."
        for system, trend in evidence.growth.items()
        if trend.grows and evidence.run is not None and evidence.run.capacity is not None
    ]
    found += [
        f"{circuit.system} did not answer for {duration(circuit.open_s)}: {count(circuit.refused)} calls "
        "were held back meanwhile and have no latency."
        for circuit in (evidence.run.circuits if evidence.run is not None else ())
        if circuit.opened
    ]
    achieved = evidence.rate.achieved_share
    if achieved is not None and achieved < goals.sent:
        found.append(
            f"Only {percent(achieved)} of the offered transactions were sent: the asked load was not "
            "reached. Add workers or users, or ask for less."
        )
    if counts.dropped:
        found.append(f"{count(counts.dropped)} arrivals could not start in time and were dropped.")
    if counts.in_flight > 0:
        found.append(f"{count(counts.in_flight)} transactions had not ended when the run did.")
    if counts.unknown:
        found.append(f"{count(counts.unknown)} transactions got no answer: they may or may not be booked.")
    lag_ms = evidence.p99("lag")
    if lag_ms is not None and lag_ms >= goals.lag_p99_ms:
        waited_for = held_up_by(evidence)
        why = (
            f"response times contain that. {held_up_text(evidence, waited_for)}, so more workers would not "
            "help. Raise max_users to see what an open queue would do."
            if waited_for
            else "the generator was late, and response times contain that. Add workers, or ask for less."
        )
        lay = f"At the 99th percentile {milliseconds(lag_ms)} lay between the intended and the actual start"
        found.append(f"{lay}: {why}")
    use = evidence.generator
    if use is not None and use.busy_samples > max(1.0, BUSY_SHARE * use.samples):
        found.append(
            f"The load generator was the bottleneck: it used more than 90{THIN}% of its processor core in "
            f"{count(use.busy_samples)} of {count(use.samples)} samples. "
            "Response times may be its own; spread the load over more processes or machines."
        )
    return found


def _of_the_detection(found: DetectionFigures) -> list[str]:
    frauds = found.confusion.fraud
    if not found.judged:
        return ["No transaction was put to a detector, so nothing can be said about detection."]
    if not found.scored and not found.by_bank:
        return [
            f"Nothing was scored: the detector gave no usable answer to any of {count(found.missing)} "
            "transactions, so nothing can be said about detection."
        ]
    sentences = []
    if not frauds:
        sentences.append("No fraud was put to the detector, so nothing can be said about what it catches.")
    elif frauds < FEW:
        sentences.append(
            f"Only {frauds} fraudulent transactions were put to the detector: recall has a wide interval, "
            f"and figures without an interval are held back below {FEW}."
        )
    if found.missing:
        sentences.append(
            f"{count(found.missing)} transactions were put to the detector and got no usable score; "
            "they count as not alerted."
        )
    return sentences


def _of_the_bounds(fraud: Fraud, measures: Measures) -> list[str]:
    found = []
    if len(fraud.campaigns) < fraud.campaigns_total:
        found.append(
            f"The campaign table shows the costliest {len(fraud.campaigns)} "
            f"of {count(fraud.campaigns_total)}."
        )
    if overflow := fraud.campaign_overflow_transactions:
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
