"""The verdict on a run: four words and one overall, with their sentences.

    Load       did banksim do what was asked?     sent, dropped, start lag, its own resources
    Bank       errors, and the time of its calls  (time in our own queue is Load's, not the bank's)
    Money      balances against what the bank acknowledged
    Detector   coverage first, then thresholds on detection, then the time of its calls

Page, report, terminal, junit.xml and results.json show these and judge nothing themselves.
The limits are the scenario's `goals` (scenario/models.py has their defaults and reasons); where a word
fails instead of warning is decided here, as a multiple of the goal.

A word rests on at least ``FEW`` events, else it says "too few to judge".  Below that only what
even the near end of its 95 % interval condemns is a failure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from banksim.measure.counts import NotOpened
from banksim.measure.figures import (
    DetectionFigures,
    GeneratorUse,
    Invariant,
    Percentiles,
    Rate,
    Reconciliation,
    ResponseParts,
    Transactions,
)
from banksim.measure.formats import THIN, count, figure, interval, milliseconds, money, pace, percent, rate
from banksim.measure.results import Kind, Planned, Results, RunInfo, ThresholdRow, Verdict, Word
from banksim.measure.scores import enough, wilson
from banksim.measure.trends import GrowthFigures
from banksim.model import ExitCode
from banksim.scenario.models import Goals

#: A word fails, and does not only warn, when this many times the tolerated share is missing or wrong ...
MISSING_FAILS = 5.0
ERRORS_FAIL = 10.0
#: ... at this many times the tolerated start lag, and at this many times the bank's goal.
LAG_FAILS = 10.0
SLOW_FAILS = 2.0
#: The generator ran out of CPU when it was busy in this share of its samples, and transactions started late.
BUSY_FAILS = 0.5
#: Drop reasons and errors that begin like this name a limit of the generator's own machine.
OWN_LIMIT = "this machine is out of"

#: Metrics of thresholds that judge detection, and so the word Detector.
DETECTION_METRICS = frozenset(
    (
        *("recall", "campaign_recall", "precision", "precision_adjusted", "value_detection_rate"),
        *("fpr", "fp_per_10000", "alert_rate", "coverage", "fraud_transactions"),
        *("f1", "mcc", "average_precision", "roc_auc"),
    )
)

#: The word of a detector whose figures fail a threshold.
MISSES = "misses its threshold"
PAST_THE_LIMIT = "A capacity search goes past the limit on purpose."


def too_few(events: int, of: int) -> str:
    return f"too few to judge ({count(events)} of {count(of)})"


@dataclass(slots=True)
class Evidence:
    """What the words rest on.  ``run`` is None while the run goes on, and then the money is not compared."""

    goals: Goals
    planned: Planned | None
    transactions: Transactions
    rate: Rate
    detection: DetectionFigures
    latency_ms: dict[str, Percentiles]
    response_parts: dict[str, ResponseParts]
    currency: str = "USD"
    generator: GeneratorUse | None = None
    invariant: Invariant | None = None
    warmed_up: bool = False
    thresholds: list[ThresholdRow] = field(default_factory=list)
    reconciliation: Reconciliation | None = None
    run: RunInfo | None = None
    partial: bool = False
    growth: dict[str, GrowthFigures] = field(default_factory=dict)
    #: Most transactions that can be in flight at once.
    seats: int | None = None

    @property
    def over(self) -> bool:
        return self.run is not None and not self.partial

    def p99(self, name: str) -> float | None:
        found = self.latency_ms.get(name)
        return found.p99 if found is not None else None


def judge(evidence: Evidence) -> Verdict:
    """The four words and the overall one."""
    words = [_load(evidence), _bank(evidence), _money(evidence), _detector(evidence)]
    if not evidence.over:
        return Verdict("RUNNING", "none", "The run goes on: the words are those so far.", words)
    return _overall(evidence, words)


def exit_code(end: str | None, results: Results | None) -> ExitCode:
    """What a run that came to this end closes the process with.

    ``results`` is None when it ended before simulated time began: then nothing was measured.
    """
    if end == "interrupted":
        return ExitCode.INTERRUPTED
    if results is None or end == "failed":
        return ExitCode.ERROR
    verdict = results.verdict
    money_fails = any(word.subject == "Money" and word.kind == "fail" for word in verdict.words)
    if end == "aborted" or money_fails or any(not row.passed for row in results.thresholds):
        return ExitCode.THRESHOLD_FAILED
    counts = results.transactions
    nothing_worked = counts.ended > 0 and not counts.completed
    return ExitCode.ERROR if verdict.overall == NOT_JUDGED or nothing_worked else ExitCode.COMPLETED


NOT_JUDGED = "NOT JUDGED"
ENDED_EARLY = ("stopped", "interrupted", "aborted")


def _overall(evidence: Evidence, words: list[Word]) -> Verdict:
    end = evidence.run.end if evidence.run is not None else ""
    early = f"{end} at {percent_done(evidence)} of the simulated time" if end in ENDED_EARLY else ""
    failed = [row for row in evidence.thresholds if not row.passed]
    reasons = []
    if failed:
        first = f"{failed[0].expression}, {_measured(failed[0])}"
        reasons.append(f"{len(failed)} of {len(evidence.thresholds)} thresholds failed ({first})")
    failing = (word for word in words if word.kind == "fail" and word.word != MISSES)
    reasons += [f"{word.subject}: {word.word}" for word in failing]
    if end == "failed":
        return Verdict("FAILED", "fail", _sentence("the run failed", *reasons), words)
    if not evidence.transactions.ended:
        return Verdict(NOT_JUDGED, "warn", _sentence("no transaction ended", early, *reasons), words)
    if reasons or end == "aborted":
        return Verdict("FAILED", "fail", _sentence(*reasons, early), words)
    if early:
        return Verdict(f"STOPPED at {percent_done(evidence)}", "warn", _sentence(early), words)
    number = len(evidence.thresholds)
    met = "no threshold was set" if not number else f"{'all ' * (number > 1)}{number} thresholds met"
    met = "1 threshold met" if number == 1 else met
    doubts = [f"{word.subject}: {word.word}" for word in words if word.kind == "warn"]
    return Verdict("PASSED", "pass", _sentence(met, *doubts), words)


def _sentence(*parts: str) -> str:
    text = "; ".join(part for part in parts if part)
    return text[:1].upper() + text[1:] + "."


def _measured(row: ThresholdRow) -> str:
    return f"measured {row.measured}" if row.value is not None else row.reason


def percent_done(evidence: Evidence) -> str:
    """How much of the simulated time had passed at the end."""
    run, planned = evidence.run, evidence.planned
    if run is None or planned is None or not planned.duration_s:
        return percent(None)
    return percent(min(1.0, run.simulated_s / planned.duration_s))


def _kind(good: bool, bad: bool) -> Kind:
    return "fail" if bad else "pass" if good else "warn"


def surely_above(bad: int, of: int, limit: float) -> bool:
    """Whether a share is above ``limit``: by itself from ``FEW`` events on, by its interval below."""
    ends = wilson(bad, of)
    if ends is None:
        return False
    return bad / of > limit if enough(of) else ends[0] > limit


# -- Load -------------------------------------------------------------------------------------------


def sent_kind(evidence: Evidence) -> Kind:
    """Sent of what was due; while the run goes on, what waits may still be."""
    counts, tolerated = evidence.transactions, 1.0 - evidence.goals.sent
    if not counts.offered:
        return "none"
    missing = counts.offered - counts.sent if evidence.over else counts.dropped
    bad = surely_above(missing, counts.offered, MISSING_FAILS * tolerated)
    if not enough(counts.offered) and not bad:
        return "none"
    return _kind(missing / counts.offered <= tolerated, bad)


#: The generator has time when it uses at most this much of a core; seats are taken from this share on.
IDLE_PERCENT = 50.0
SEATS_TAKEN = 0.6


def dropped_kind(evidence: Evidence) -> Kind:
    counts = evidence.transactions
    if not enough(counts.offered):
        return "none"
    return _kind(counts.dropped <= evidence.goals.dropped * counts.offered, bad=False)


def lag_kind(evidence: Evidence) -> Kind:
    lag_ms, goal_ms = evidence.p99("lag"), evidence.goals.lag_p99_ms
    if lag_ms is None:
        return "none"
    return _kind(lag_ms < goal_ms, lag_ms >= LAG_FAILS * goal_ms)


def own_limit(evidence: Evidence) -> str:
    """Which resource of its own the generator ran out of; empty when of none."""
    for reason in evidence.transactions.drop_reasons:
        if reason.startswith(OWN_LIMIT):
            return reason.removeprefix(OWN_LIMIT).strip()
    use = evidence.generator
    late = lag_kind(evidence) in ("warn", "fail")
    return "CPU" if use and late and use.busy_samples > max(1.0, BUSY_FAILS * use.samples) else ""


def uncounted(evidence: Evidence) -> int:
    """Sent transactions whose end was never counted, once the run is over, beside those of lost workers."""
    if not evidence.over:
        return 0
    lost = sum(row.in_flight for row in evidence.run.workers) if evidence.run is not None else 0
    counts = evidence.transactions
    return counts.in_flight - lost or min(0, counts.sent - counts.ended)


def held_up_by(evidence: Evidence) -> str:
    """The system that all users were waiting for while the generator was idle; "" when there is none.

    Little's law: rate times mean service time is the mean number in flight.
    """
    use, service = evidence.generator, evidence.latency_ms.get("service")
    if lag_kind(evidence) not in ("warn", "fail") or own_limit(evidence) or not evidence.seats:
        return ""
    if use is None or use.cpu_percent_mean > IDLE_PERCENT or service is None or not service.mean:
        return ""
    in_flight = (evidence.rate.achieved_tps or 0.0) * service.mean / 1000.0
    if in_flight < SEATS_TAKEN * evidence.seats:
        return ""
    means = {
        name: evidence.latency_ms[system].mean or 0.0
        for system, name in (("nexum", "bank"), ("bastion", "detector"))
        if system in evidence.latency_ms
    }
    return max(means, key=lambda name: means[name]) if means else ""


def held_up_text(evidence: Evidence, system: str) -> str:
    """Who waited for whom, and what the generator did meanwhile; ends without a full stop."""
    use = evidence.generator
    used = f"{use.cpu_percent_mean:.0f}{THIN}%" if use is not None else "little"
    calls = evidence.latency_ms["nexum" if system == "bank" else "bastion"]
    return (
        f"All {count(evidence.seats or 0)} users were waiting for the {system}, whose calls took "
        f"{milliseconds(calls.mean)} on average, while the generator used {used} of a processor core: "
        f"the {system} was the limit"
    )


def _load(evidence: Evidence) -> Word:
    counts, rates = evidence.transactions, evidence.rate
    if not counts.offered:
        return Word("Load", "none", "not judged", "No transaction was due, so no load was tested.")
    text = (
        f"{count(counts.sent)} of {count(counts.offered)} due transactions were sent "
        f"({percent(rates.achieved_share)}), {rate(rates.achieved_tps)} on average and "
        f"{rate(rates.peak_tps)} at the peak; start lag p99 {milliseconds(evidence.p99('lag'))}"
    )
    exhausted, beside = own_limit(evidence), evidence.run.beside if evidence.run is not None else None
    kinds = (sent_kind(evidence), dropped_kind(evidence), lag_kind(evidence))
    # A search goes past the limit: its steps tell whose that was.
    if exhausted and not (exhausted == "CPU" and _searched(evidence)):
        return Word("Load", "fail", f"out of {exhausted}", f"{text}. The generator ran out of {exhausted}.")
    if off := uncounted(evidence):
        text += f"; {count(abs(off))} {'were sent and never' if off > 0 else 'too many were'} counted"
        return Word("Load", "fail", "miscounted", f"{text}. The figures of this run do not add up.")
    if beside is not None and beside.failures:
        return Word(
            "Load", "warn" if beside.tolerated else "fail", "users failed", f"{text}; {beside.text()}."
        )
    if _searched(evidence):
        return _capacity(evidence, text)
    if not enough(counts.offered) and "fail" not in kinds:
        few = too_few(counts.offered, evidence.planned.transactions if evidence.planned else counts.offered)
        return Word("Load", "warn" if evidence.over else "none", few, f"{text}.")
    if waited_for := held_up_by(evidence):
        return Word(
            "Load", "warn", f"held up by the {waited_for}", f"{text}. {held_up_text(evidence, waited_for)}."
        )
    if "fail" in kinds:
        return Word("Load", "fail", "fell behind" if kinds[0] == "fail" else "late", f"{text}.")
    silent = [row for row in evidence.run.workers if row.losses] if evidence.run is not None else []
    if silent:
        missing = sum(row.not_offered for row in silent)
        text += f"; {len(silent)} workers fell silent, and about {count(missing)} more were asked for"
        return Word("Load", "warn", "workers lost", f"{text}.")
    if "warn" in kinds:
        dropped = f"; {count(counts.dropped)} were dropped" if counts.dropped else ""
        return Word("Load", "warn", "late" if kinds[2] == "warn" else "slipping", f"{text}{dropped}.")
    return Word("Load", "pass", "kept up", f"{text}.")


def _capacity(evidence: Evidence, text: str) -> Word:
    """A capacity search loads its target past the limit on purpose, so its word is whether it found one."""
    found = evidence.run.capacity if evidence.run is not None else None
    if found is None or found.found_tps is None:
        return Word("Load", "fail", "nothing held", f"Not even the lowest rate that was tried held; {text}.")
    held = f"Limit: {rate(found.found_tps)} held"
    failed = next((step for step in found.steps if step.tps == found.failed_tps), None)
    if failed is None:
        return Word("Load", "warn", "no limit met", f"{held}, the highest rate that was tried; {text}.")
    word: Kind = "pass" if found.finished else "warn"
    limit = f"limit {rate(found.found_tps)}"
    return Word("Load", word, limit, f"{held}, {rate(failed.tps)} did not: {failed.reason}. {text}.")


# -- Bank -------------------------------------------------------------------------------------------


def errors_kind(evidence: Evidence) -> Kind:
    """Failed and unanswered transactions of those that ended."""
    counts, tolerated = evidence.transactions, evidence.goals.errors
    bad = surely_above(counts.failed + counts.unknown, counts.ended, ERRORS_FAIL * tolerated)
    if not enough(counts.ended) and not bad:
        return "none"
    return _kind((counts.error_share or 0.0) <= tolerated, bad)


def not_opened(evidence: Evidence) -> NotOpened | None:
    run = evidence.run
    return NotOpened.of(run.not_opened, run.onboarding) if run is not None else None


def bank_time_kind(evidence: Evidence) -> Kind:
    p99_ms, goal_ms = evidence.p99("nexum"), evidence.goals.bank_p99_ms
    if p99_ms is None:
        return "none"
    return _kind(p99_ms <= goal_ms, p99_ms > SLOW_FAILS * goal_ms)


def _bank(evidence: Evidence) -> Word:
    counts = evidence.transactions
    calls = evidence.latency_ms.get("nexum")
    if calls is None or not counts.ended:
        return Word("Bank", "none", "not judged", "The bank was not called, so nothing is said about it.")
    text = f"{percent(counts.error_share)} of the transactions failed or went unanswered"
    text = text if counts.error_share else "No transaction failed"
    text += f"; 99 % of the calls took at most {milliseconds(calls.p99)}"
    closed = not_opened(evidence)
    text += f"; {closed.text()}" if closed else ""
    trend = evidence.growth.get("nexum")
    grows = trend is not None and trend.grows
    if trend is not None and grows:
        text += f". {trend.text(calls.p99, evidence.goals.bank_p99_ms)}"
    if _searched(evidence):
        return Word("Bank", "none", "not judged", f"{text}. {PAST_THE_LIMIT}")
    if held_up_by(evidence) == "bank":
        return Word("Bank", "fail", "is the limit", f"{text}. {held_up_text(evidence, 'bank')}.")
    errors, time = errors_kind(evidence), bank_time_kind(evidence)
    if not enough(counts.ended) and errors != "fail":
        few = too_few(counts.ended, counts.offered)
        return Word("Bank", "warn" if evidence.over else "none", few, f"{text}.")
    bad = closed and surely_above(closed.failed, closed.customers, ERRORS_FAIL * evidence.goals.errors)
    if bad or "fail" in (errors, time):
        name = "customers missing" if bad else "errors" if errors == "fail" else "too slow"
        return Word("Bank", "fail", name, f"{text}.")
    if closed or grows or "warn" in (errors, time):
        name = "slow" if time == "warn" else "customers missing" if closed else "gets slower"
        return Word("Bank", "warn", "some errors" if errors == "warn" else name, f"{text}.")
    return Word("Bank", "pass", "holds", f"{text}.")


def _searched(evidence: Evidence) -> bool:
    return evidence.run is not None and evidence.run.capacity is not None


# -- Money ------------------------------------------------------------------------------------------


def _money(evidence: Evidence) -> Word:
    worst: Kind = "fail" if evidence.goals.money == "fail" else "warn"
    live, found = evidence.invariant, evidence.reconciliation
    if live is not None and live.violations and (found is None or not found.differing):
        text = f"During the run {count(live.violations)} accounts did not hold what the bank acknowledged."
        return Word("Money", worst, "does not agree", text)
    if not evidence.over:
        if live is None or not live.readings:
            return Word("Money", "none", "not judged", "No balance has been read so far.")
        return Word(
            "Money", "pass", "agrees so far", f"All {count(live.readings)} balances read so far agree."
        )
    if found is None or (found.balanced is None and found.verdict != "partly checked"):
        reason = (found.reason if found is not None else "") or "balances were not compared"
        return Word("Money", "none", "not judged", _sentence(reason))
    if found.differing:
        text = (
            f"{count(found.differing)} of {count(found.accounts)} accounts differ from what the bank "
            f"acknowledged, by {money(found.difference_cents, evidence.currency)} in sum"
            f"{_misplaced(found, evidence.currency)} "
            f"({', '.join(f'{fault}: {count(sums.accounts)}' for fault, sums in found.by_fault.items())})."
        )
        return Word("Money", worst, "does not agree", text)
    text = f"All {count(found.accounts)} accounts hold what the bank acknowledged"
    if found.unread or found.overflow:
        missing = found.reason or f"{count(found.unread)} accounts were not read"
        return Word("Money", "warn", "not all read", f"{text}; {missing}.")
    if found.tolerated:
        explained = f"{count(found.tolerated)} of them only within movements that were never answered"
        return Word("Money", "warn", "agrees within unknowns", f"{text}, {explained}.")
    return Word("Money", "pass", "agrees", f"{text}.")


def _misplaced(found: Reconciliation, currency: str) -> str:
    """What the sum hides, where differences cancel out."""
    hidden = found.gross_cents > abs(found.difference_cents)
    return f", {money(found.gross_cents, currency)} in the wrong place" if hidden else ""


# -- Detector ---------------------------------------------------------------------------------------


def coverage_kind(evidence: Evidence) -> Kind:
    """Usable scores of the transactions that ended."""
    found, tolerated = evidence.detection, 1.0 - evidence.goals.coverage
    ended = found.asked + found.unasked
    if found.coverage is None:
        return "none"
    bad = surely_above(ended - found.scored, ended, MISSING_FAILS * tolerated)
    if not enough(ended) and not bad:
        return "none"
    return _kind(1.0 - found.coverage <= tolerated + 1e-12, bad)


def detector_time_kind(evidence: Evidence) -> Kind:
    p99_ms = evidence.p99("bastion")
    if p99_ms is None:
        return "none"
    return _kind(p99_ms <= evidence.goals.detector_p99_ms, bad=False)


def caught(found: DetectionFigures) -> str:
    """Recall with what it rests on: "65 % of 43 frauds caught (9 campaigns; 95 %: 50–78 %)"."""
    frauds = found.confusion.fraud
    if not found.scored and not found.by_bank:
        return "recall n/a: nothing was scored"
    if not frauds:
        return "recall n/a: no fraud was put to the detector"
    ends, of = interval(found.recall_low, found.recall_high), f"{percent(found.recall)} of {count(frauds)}"
    return f"{of} frauds caught ({count(found.campaigns)} campaigns; 95 %: {ends})"


def _detector(evidence: Evidence) -> Word:
    found, run = evidence.detection, evidence.run
    if not found.judged:
        return Word("Detector", "none", "not judged", "No transaction was put to a detector.")
    if not found.scored and not found.by_bank:
        text = f"Nothing was scored: none of {count(found.asked)} answers was usable, so detection is n/a."
        kind = coverage_kind(evidence)
        return Word("Detector", kind, "nothing scored", text)
    failed = [row for row in evidence.thresholds if row.metric in DETECTION_METRICS and not row.passed]
    text = f"{percent(found.coverage)} scored" if found.asked else "Asked by the bank alone"
    text += f"; {caught(found)}"
    if found.false_positives_per_10000 is not None:
        text += f", {figure(found.false_positives_per_10000)} false positives per {count(10_000)} genuine"
    p99_ms = evidence.p99("bastion")
    text += f"; 99 % of the calls took at most {milliseconds(p99_ms)}" if p99_ms is not None else ""
    if run is not None and (unusual := pace(evidence.transactions.offered, run.customers, run.simulated_s)):
        text += f"; {unusual}"
    if _searched(evidence):
        return Word("Detector", "none", "not judged", f"{text}. {PAST_THE_LIMIT}")
    coverage = coverage_kind(evidence)
    if coverage == "fail":
        return Word("Detector", "fail", "large gaps", f"{text}.")
    if failed and evidence.over:
        return Word("Detector", "fail", MISSES, f"{text}. {_failed_rows(failed)}")
    frauds = found.confusion.fraud
    if not enough(frauds):
        few = too_few(frauds, found.judged)
        return Word("Detector", "warn" if evidence.over else "none", few, f"{text}.")
    if failed:
        return Word("Detector", "fail", MISSES, f"{text}. {_failed_rows(failed)}")
    if coverage == "warn":
        return Word("Detector", "warn", "gaps", f"{text}.")
    if detector_time_kind(evidence) == "warn":
        return Word("Detector", "warn", "slow", f"{text}.")
    return Word("Detector", "pass", f"{percent(found.recall)} caught", f"{text}.")


def _failed_rows(rows: Sequence[ThresholdRow]) -> str:
    return _sentence("threshold " + "; ".join(f"{row.expression}, {_measured(row)}" for row in rows))
