"""What happens in a run, in sentences: what is under way now, and what a finished run found.

    Card testing under way    41 tried, 34 caught, first alert after 1 min 15 s, USD 98 tried
    Detector slowed on purpose    3 of 41 frauds caught since it began (7.32 %), 83 % before

Pages and report show these; the verdict (verdicts.py) judges.  Times are simulated unless they say otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from banksim.measure.campaigns import CampaignLine
from banksim.measure.figures import DetectionFigures
from banksim.measure.formats import THIN, count, duration, money, percent, words
from banksim.measure.results import Results
from banksim.measure.scores import enough, share
from banksim.measure.timeline import Timeline

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
    """What is under way, the money of fraud, and, once a run is over, its findings."""

    now: list[Happening] = field(default_factory=list)
    money: list[Amount] = field(default_factory=list)
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
