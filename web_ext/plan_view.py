"""A run's plan as the timeline page draws it: rates, windows, campaigns, and what comes next.

Moments are simulated seconds since the start of the run.  A planned campaign and what
became of it are one row: ``first_alert_s`` stays None until something was caught.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby

from banksim.fraud.calendar import CampaignSpec
from banksim.measure.campaigns import CampaignLine
from banksim.measure.story import Story, Stretch, amounts, findings, under_way, unstopped
from banksim.run.plan import Parts
from banksim.run.run import Run
from banksim.scenario import Scenario
from banksim.schedule.clock import clock_hours, in_hours

MAX_CAMPAIGNS = 400
MAX_EVENTS = 300
DAY_S = 86_400.0
#: With this many patterns' campaigns or fewer, each start is an event of its own.
MAX_ANNOUNCED = 40


@dataclass(frozen=True, slots=True)
class Rate:
    """Transactions per wall second that the scenario asks for."""

    start_s: float
    end_s: float
    tps: float


@dataclass(frozen=True, slots=True)
class Hours:
    """A stretch of business hours."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Window:
    """An attack or a fault."""

    label: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Windows:
    """What the scenario plans."""

    predicted: list[Rate] = field(default_factory=list)
    attacks: list[Window] = field(default_factory=list)
    faults: list[Window] = field(default_factory=list)
    business_hours: list[Hours] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CampaignRow:
    """A campaign as planned or, once it has ``begun``, as it went; ``size`` is None where it is unknown."""

    campaign: str
    label: str
    typology: str
    size: int | None
    begun: bool
    start_s: float
    end_s: float
    transactions: int = 0
    alerted: int = 0
    first_alert_s: float | None = None


@dataclass(frozen=True, slots=True)
class PlanEvent:
    """Something that happens at one moment."""

    sim_s: float
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Schedule(Windows):
    """The plan of a run: its windows, its campaigns (``campaigns_total`` of them), and what comes next."""

    campaigns: list[CampaignRow] = field(default_factory=list)
    campaigns_total: int = 0
    events: list[PlanEvent] = field(default_factory=list)


def windows(run: Run | None) -> Windows:
    """What the scenario plans; empty before there is a plan."""
    parts = run.parts if run is not None else None
    if run is None or parts is None:
        return Windows()
    scenario = run.settings.scenario
    return Windows(
        predicted=[Rate(piece.start_s, piece.end_s, piece.value) for piece in parts.offered],
        attacks=[Window(window.label, window.start_s, window.end_s) for window in parts.desk.windows],
        faults=[Window(fault.label, fault.start_s, fault.end_s) for fault in scenario.faults],
        business_hours=business_hours(scenario),
    )


def story(run: Run) -> Story:
    """What is under way in a run, the money of its fraud and, once it is over, its findings."""
    parts, currency, flow = run.parts, run.settings.scenario.currency, run.settings.scenario.flow
    if parts is None:
        return Story()
    if (done := run.results) is not None:
        said = unstopped(done.detection, flow, currency)
        return Story([], amounts(done.detection, currency), said, findings(done))
    measures, sim_s = run.measures, run.moment()[1]
    figures = measures.warm.detection.figures(
        measures.settings.prevalence, measures.settings.false_positive_cost_cents
    )
    now = under_way(_stretches(run, parts), measures.timeline, sim_s, run.speed, currency)
    return Story(now, amounts(figures, currency), unstopped(figures, flow, currency))


def _stretches(run: Run, parts: Parts) -> list[Stretch]:
    """Attacks with the campaigns that belong to each, and faults."""
    lines, desk = run.measures.detection.campaigns.lines, parts.desk
    specs = [spec for spec in desk.specs if not spec.decoy and spec.campaign_id in lines]
    phases = {desk.phase_of(spec) for spec in desk.specs}
    found = []
    for window in desk.windows:
        phase = window.label if window.label in phases else None
        mine = [
            lines[spec.campaign_id]
            for spec in specs
            if desk.phase_of(spec) == phase
            and (phase or window.start_s <= lines[spec.campaign_id].first_sim_s < window.end_s)
        ]
        found.append(Stretch(window.label, window.start_s, window.end_s, mine))
    faults = run.settings.scenario.faults
    return found + [Stretch(one.label, one.start_s, one.end_s, target=one.target) for one in faults]


def schedule(run: Run | None) -> Schedule:
    """`windows`, and the campaigns and events; empty before there is a plan."""
    parts = run.parts if run is not None else None
    if run is None or parts is None:
        return Schedule()
    shown, rows = windows(run), _campaigns(run, parts)
    return Schedule(
        shown.predicted,
        shown.attacks,
        shown.faults,
        shown.business_hours,
        campaigns=rows[:MAX_CAMPAIGNS],
        campaigns_total=len(rows),
        events=_events(run.settings.scenario, parts)[:MAX_EVENTS],
    )


def business_hours(scenario: Scenario) -> list[Hours]:
    """Stretches of business hours; neighbouring hours are one."""
    found: list[Hours] = []
    for start_s, end_s, moment in clock_hours(scenario.start_at, scenario.duration_s):
        if in_hours(moment.hour, scenario.transaction_rate.business_hours):
            if found and found[-1].end_s == start_s:
                found[-1] = Hours(found[-1].start_s, end_s)
            else:
                found.append(Hours(start_s, end_s))
    return found


def _campaigns(run: Run, parts: Parts) -> list[CampaignRow]:
    """Those that have begun first (they are facts), then the planned ones, each by start."""
    lines = dict(run.measures.detection.campaigns.lines)
    now_s = run.moment()[1]
    rows = []
    for spec in parts.desk.specs:
        line = lines.pop(spec.campaign_id, None)
        if line is not None:
            rows.append(_begun(spec.campaign_id, spec.label, spec.size, line))
        elif not spec.decoy and spec.start_s >= now_s:
            # A decoy is no campaign to catch, and what should have begun and did not never will.
            rows.append(_planned(spec))
    rows += [_begun(name, line.typology, None, line) for name, line in lines.items()]
    return sorted(rows, key=lambda row: (not row.begun, row.start_s))


def _planned(spec: CampaignSpec) -> CampaignRow:
    return CampaignRow(
        campaign=spec.campaign_id,
        label=spec.label,
        typology=spec.typology,
        size=spec.size,
        begun=False,
        start_s=spec.start_s,
        end_s=spec.deadline_s,
    )


def _begun(campaign: str, label: str, size: int | None, line: CampaignLine) -> CampaignRow:
    return CampaignRow(
        campaign=campaign,
        label=label,
        typology=line.typology,
        size=size,
        begun=True,
        start_s=line.first_sim_s,
        end_s=line.last_sim_s,
        transactions=line.transactions,
        alerted=line.alerted,
        first_alert_s=line.first_alert_sim_s,
    )


def _events(scenario: Scenario, parts: Parts) -> list[PlanEvent]:
    duration_s = scenario.duration_s
    found = []
    for open_s, close_s in ((hours.start_s, hours.end_s) for hours in business_hours(scenario)):
        found.append(PlanEvent(open_s, "business", f"Business hours begin, {_rate(parts, open_s)}"))
        if close_s < duration_s:
            found.append(PlanEvent(close_s, "business", f"Business hours end, {_rate(parts, close_s)}"))
    for window in parts.desk.windows:
        found.append(PlanEvent(window.start_s, "attack", f"{window.label} begins"))
        if window.end_s < duration_s:
            found.append(PlanEvent(window.end_s, "attack", f"{window.label} ends"))
    for fault in scenario.faults:
        found.append(PlanEvent(fault.start_s, "fault", f"Fault begins: {fault.label}"))
        if fault.end_s < duration_s:
            found.append(PlanEvent(fault.end_s, "fault", f"Fault ends: {fault.label}"))
    found += [
        PlanEvent(piece_s, "peak", f"Peak of the day, {_rate(parts, piece_s)}") for piece_s in _peaks(parts)
    ]
    announced = [spec for spec in parts.desk.specs if spec.exact or spec.follows]
    for spec in announced[:MAX_ANNOUNCED]:
        text = f"{spec.typology.replace('_', ' ')} starts: {spec.size} transactions"
        found.append(
            PlanEvent(
                spec.start_s, "campaign", text + (", if what it follows succeeded" if spec.follows else "")
            )
        )
    found.append(PlanEvent(duration_s, "end", "The scenario ends"))
    return sorted(found, key=lambda event: event.sim_s)


def _peaks(parts: Parts) -> list[float]:
    """Where each day's highest rate begins; none for a day that is flat."""
    peaks = []
    for _, pieces in groupby(parts.offered, key=lambda piece: int(piece.start_s // DAY_S)):
        day = list(pieces)
        highest = max(day, key=lambda piece: piece.value)
        if highest.value > min(piece.value for piece in day):
            peaks.append(highest.start_s)
    return peaks


def _rate(parts: Parts, sim_s: float) -> str:
    return f"{parts.offered.at(min(sim_s, parts.offered.duration_s - 1e-6)):.3g} tx/s"
