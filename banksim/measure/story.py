"""What happens in a run, in sentences: what is under way now, and what a finished run found.

    Card testing under way    41 tried, 34 caught, first alert after 1 min 15 s, USD 98 tried
    Detector slowed on purpose    3 of 41 frauds caught since it began (7.32 %), 83 % before

Pages and report show these; the verdict (verdicts.py) judges.  Times are simulated unless they say otherwise.

What the figures of a run cannot say, in sentences.

First what went wrong or hit a bound in this run, then what is true of every run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from banksim.measure.campaigns import CampaignLine
from banksim.measure.figures import DetectionFigures, Fraud
from banksim.measure.formats import THIN, count, duration, milliseconds, money, percent, words
from banksim.measure.measures import Measures
from banksim.measure.results import Results, RunInfo
from banksim.measure.scores import FEW, enough, share
from banksim.measure.timeline import Timeline
from banksim.measure.verdicts import Evidence, held_up_by, held_up_text, not_opened, uncounted

#: Sentences at most.
MAX_FINDINGS = 3


@dataclass(frozen=True, slots=True)
class Happening:
    """``kind``: attack, fault or calm; ``title`` is a few words, ``text`` the figures so far."""

    kind: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Amount:
    """Money of fraud as text; ``part`` is its share of what was at stake, 0..1, None without any."""

    key: str
    label: str
    value: str
    part: float | None


@dataclass(frozen=True, slots=True)
class Story:
    """What is under way, the money of fraud, why caught is not stopped, and in the end the findings."""

    now: list[Happening] = field(default_factory=list)
    money: list[Amount] = field(default_factory=list)
    unstopped: str = ""
    findings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A planned attack with the campaigns that belong to it, or a fault of ``target``."""

    label: str
    start_s: float
    end_s: float
    campaigns: Sequence[CampaignLine] = ()
    target: str = ""


def under_way(
    stretches: Iterable[Stretch], timeline: Timeline, sim_s: float, speed: float, currency: str
) -> list[Happening]:
    """What is going on at a simulated second, faults first; calm names what comes next."""
    here = [one for one in stretches if one.start_s <= sim_s < one.end_s]
    found = [_fault(one, timeline) for one in here if one.target]
    found += [_attack(one, currency) for one in reversed(here) if not one.target]
    if found:
        return found
    ahead = [one for one in stretches if one.start_s > sim_s]
    if not ahead:
        return [Happening("calm", "Calm", "no attack is under way, and none is planned any more")]
    first = min(ahead, key=lambda one: one.start_s)
    away_s = count((first.start_s - sim_s) / speed) if speed > 0 else "n/a"
    text = f"no attack is under way; {words(first.label)} begins in about {away_s}{THIN}s of wall time"
    return [Happening("calm", "Calm", text)]


def _attack(one: Stretch, currency: str) -> Happening:
    title = f"{_capital(words(one.label))} under way"
    tried = sum(line.transactions for line in one.campaigns)
    if not tried:
        return Happening("attack", title, "nothing tried so far")
    alerts = [line.first_alert_sim_s for line in one.campaigns if line.first_alert_sim_s is not None]
    first_s = min(line.first_sim_s for line in one.campaigns)
    first = f"first alert after {duration(max(0.0, min(alerts) - first_s))}" if alerts else "no alert yet"
    said = [f"{count(tried)} tried", f"{count(sum(line.alerted for line in one.campaigns))} caught", first]
    if worth := sum(line.tried_cents for line in one.campaigns):
        said.append(f"{money(worth, currency)} tried")
    if moved := sum(line.moved_cents for line in one.campaigns):
        said.append(f"{money(moved, currency)} moved on")
    if lost := sum(line.lost_before_cents for line in one.campaigns):
        said.append(f"{money(lost, currency)} lost before the first alert")
    return Happening("attack", title, ", ".join(said))


def _fault(one: Stretch, timeline: Timeline) -> Happening:
    title = _capital(one.label)
    if one.target != "detector":
        failed = sum(b.failed + b.unknown for b in timeline.buckets.values() if b.sim_s >= one.start_s)
        return Happening("fault", title, f"{count(failed)} transactions failed since it began")
    before, since = [0, 0], [0, 0]
    for bucket in timeline.buckets.values():
        mine = since if bucket.sim_s >= one.start_s else before
        mine[0] += bucket.fraud_alerted
        mine[1] += bucket.fraud_sent
    if not since[1]:
        return Happening("fault", title, "no fraud has ended since it began")
    text = f"{count(since[0])} of {count(since[1])} frauds caught since it began"
    if before[1]:
        text += f" ({percent(since[0] / since[1])}), {percent(before[0] / before[1])} before"
    return Happening("fault", title, text)


def amounts(found: DetectionFigures, currency: str) -> list[Amount]:
    """Money that fraud tried to take: at stake, stopped (alerted and not booked), lost (booked)."""
    if not found.tried_cents:
        return []
    rows = [("at_stake", "At stake", found.tried_cents), ("stopped", "Stopped", found.stopped_cents)]
    rows.append(("lost", "Lost", found.lost_cents))
    of = found.tried_cents
    return [Amount(key, label, money(cents, currency), share(cents, of)) for key, label, cents in rows]


def unstopped(found: DetectionFigures, flow: str, currency: str) -> str:
    """Why less was stopped than was caught; empty where nothing that was caught had been booked."""
    booked_cents = found.caught_cents - found.stopped_cents
    if booked_cents <= 0:
        return ""
    why = (
        "a review lets it pass, only a block stops it"
        if flow == "score_then_post"
        else "the bank books before the detector is asked"
    )
    caught, booked = money(found.caught_cents, currency), money(booked_cents, currency)
    return f"Caught is not stopped: alerts were on {caught}, and {booked} of it was booked, since {why}."


def findings(results: Results) -> list[str]:
    """At most three sentences about a finished run, the most telling first; none without enough fraud."""
    detection = results.detection
    if not enough(detection.confusion.fraud):
        return []
    found = [_during_fault(results), _by_typology(results), _by_money(results)]
    return [sentence for sentence in found if sentence][:MAX_FINDINGS]


def _during_fault(results: Results) -> str:
    """How recall changed while the detector had a fault; else how much was caught at what rate."""
    detection, rate = results.detection, results.rate.achieved_tps
    for fault in results.run.faults:
        if fault.target != "detector" or not fault.begun:
            continue
        inside, outside = [0, 0], [0, 0]
        for point in results.timeline:
            mine = inside if fault.start_s <= point.sim_s < fault.end_s else outside
            mine[0] += point.fraud_alerted
            mine[1] += point.fraud_sent
        if enough(inside[1]) and enough(outside[1]):
            return (
                f"At {count(rate)} transactions a second the detector caught "
                f"{percent(outside[0] / outside[1])} of fraud; with the fault “{fault.name}” it caught "
                f"{percent(inside[0] / inside[1])}."
            )
    return (
        f"At {count(rate)} transactions a second {percent(detection.recall)} of "
        f"{count(detection.confusion.fraud)} frauds were caught."
    )


def _by_typology(results: Results) -> str:
    rows = [(name, row) for name, row in results.fraud.by_typology.items() if enough(row.transactions)]
    rows.sort(key=lambda one: (one[1].recall or 0.0, one[0]))
    if not rows:
        return ""
    (worst, row), (best, most) = rows[0], rows[-1]
    caught = f"{count(row.alerted)} of {count(row.transactions)} caught"
    text = f"{_capital(words(worst))} slips through most: {caught}"
    if best == worst:
        return f"{text}."
    return f"{text}; {words(best)} is caught best: {count(most.alerted)} of {count(most.transactions)}."


def _by_money(results: Results) -> str:
    detection, currency = results.detection, results.run.currency
    if not detection.tried_cents:
        return ""
    return (
        f"{money(detection.lost_cents, currency)} of {money(detection.tried_cents, currency)} that fraud "
        f"tried to take was lost ({percent(share(detection.lost_cents, detection.tried_cents))}), "
        f"{money(detection.stopped_cents, currency)} was stopped."
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


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
    if (played := run.history) is not None:
        part = f"{count(played.transactions)} of the" if played.transactions < played.planned else "the"
        lost = f"; {count(played.not_taken)} of them were not taken" if played.not_taken else ""
        found.append(
            f"Before the run, bank and detector were told of {part} {count(played.planned)} transactions of "
            f"the {played.days} days before it, in {duration(played.seconds)}{lost}. They are in no figure."
            if played.transactions
            else f"The {played.days} days before the run were not played, so the detector started cold."
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
    if closed := not_opened(evidence):
        found.append(f"{closed.text()}: what they were to do failed without being sent to the bank.")
    if (off := uncounted(evidence)) < 0:
        found.append(f"The counts do not add up: {count(-off)} more transactions ended than were offered.")
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
    if evidence.run is not None and evidence.run.beside is not None and evidence.run.beside.classes:
        names = ", ".join(evidence.run.beside.classes)
        found.append(f"Users beside banksim's ran in the same processes ({names}): its CPU contains theirs.")
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
