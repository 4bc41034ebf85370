"""`banksim scenarios` and `banksim validate`: what can be run, and what a run of it would do.

    name          simulated  takes       customers  TPS             fraud   what it is
    fraud_attack  4 h        2 min 24 s  500        22, at most 40  13.65%  Card testing at 2 am, …

A scenario's fraud is planned for one seed, the scenario's own or 1, with the code that plans
a run: campaigns come whole, so another seed makes somewhat other numbers.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from banksim.fraud.calendar import Calendar, clock_windows
from banksim.fraud.patterns import resolve_patterns
from banksim.measure.thresholds.judge import thresholds_of
from banksim.model import ExitCode, ScenarioError
from banksim.report.console import length_text
from banksim.run.plan import build_parts, check_plan, past_of
from banksim.scenario import Scenario, load_scenario, survey_scenarios
from banksim.scenario.fraud import FraudSettings, Pattern
from banksim.scenario.models import SECONDS_PER_HOUR, Load
from banksim.scenario.targets import Fault
from banksim.schedule.clock import PiecewiseRate, offered_rate

# -- What a scenario will do, before it is run: length, load and fraud in numbers -------------------
#
# Expectations, not promises: arrivals are random and campaigns come whole.  The offered
# rate is handed in, since it is made a floor above this one:
#
#     transactions = ∫ λ(t) / speed dt                 λ per wall second, t simulated
#     fraud        = ∫ λ(t) / speed × share(t) dt + every `count`


#: More than this many transactions a customer and simulated day deserve a word.
BUSY_PER_DAY = 60.0
HOURS_PER_DAY = 24


@dataclass(frozen=True, slots=True)
class PatternSummary:
    """One pattern: ``share`` of the fraud budget of its block (None with a count), or ``count``."""

    label: str
    type: str
    phase: str | None
    share: float | None
    count: int | None


@dataclass(frozen=True, slots=True)
class Summary:
    """A scenario in numbers.  Lengths in seconds, rates per wall-clock second."""

    name: str
    description: str
    source: str
    short_hash: str
    customers: int
    speed: float
    sim_length_s: float
    wall_length_s: float
    expected_transactions: float
    mean_tps: float
    peak_tps: float
    peak_at: datetime
    expected_fraud: float
    patterns: tuple[PatternSummary, ...]
    notes: tuple[str, ...]
    faults: tuple[str, ...] = ()

    @property
    def fraud_share(self) -> float:
        """Expected share of fraud in all transactions of the run, 0..1."""
        return self.expected_fraud / self.expected_transactions if self.expected_transactions else 0.0


def describe(scenario: Scenario, offered: PiecewiseRate, speed: float | None = None) -> Summary:
    """Sum up ``scenario`` at ``speed`` (default: its own).

    ``offered`` is λ in transactions per wall second over the simulated seconds of the run.
    """
    speed = speed or scenario.speed_multiplier
    counted = sum(pattern.count or 0 for pattern in scenario.fraud.all_patterns)
    transactions = offered.total() / speed + counted
    calendar = Calendar.of(scenario.fraud, scenario.start_at, scenario.duration_s)
    shares = _shares(scenario, calendar)
    fraud = sum(share * offered.integral(a, b) for a, b, share in shares) / speed + counted
    busiest = max(offered, key=lambda piece: piece.value)
    wall_length_s = scenario.wall_length_s(speed)
    return Summary(
        name=scenario.name,
        description=scenario.description,
        source=str(scenario.source_path or "-"),
        short_hash=scenario.short_hash,
        customers=scenario.customers,
        speed=speed,
        sim_length_s=scenario.duration_s,
        wall_length_s=wall_length_s,
        expected_transactions=transactions,
        mean_tps=transactions / wall_length_s,
        peak_tps=busiest.value,
        peak_at=scenario.start_at + timedelta(seconds=busiest.start_s),
        expected_fraud=fraud,
        patterns=tuple(_pattern_summaries(scenario.fraud)),
        notes=tuple(_notes(scenario, calendar, transactions)),
        faults=tuple(_fault_text(scenario, fault) for fault in scenario.faults),
    )


def _shares(scenario: Scenario, calendar: Calendar) -> Iterator[tuple[float, float, float]]:
    """(start, end, share of λ that is fraud) over the run; counted patterns have no part in it."""
    fraud = scenario.fraud
    acting: list[str | None] = [phase.name for phase in fraud.phases if _shares_rate(phase.patterns)]
    if _shares_rate(fraud.patterns) or not fraud.all_patterns:
        acting.append(None)
    for start_s, end_s in calendar.spans():
        levels = (calendar.level_at(start_s, phase, fraud) for phase in acting)
        yield start_s, end_s, max(levels, default=0.0)


def _shares_rate(patterns: tuple[Pattern, ...]) -> bool:
    """Whether any of ``patterns`` takes a part of `fraud.rate`."""
    return any(pattern.count is None and pattern.weight > 0 for pattern in patterns)


def _pattern_summaries(fraud: FraudSettings) -> Iterator[PatternSummary]:
    groups = [(None, fraud.patterns), *((phase.name, phase.patterns) for phase in fraud.phases)]
    for phase, patterns in groups:
        total = sum(pattern.weight for pattern in patterns if pattern.count is None)
        for pattern in patterns:
            share = None if pattern.count is not None or not total else pattern.weight / total
            yield PatternSummary(pattern.label, pattern.type, phase, share, pattern.count)


def _notes(scenario: Scenario, calendar: Calendar, transactions: float) -> Iterator[str]:
    """What is legal and probably not meant."""
    if scenario.fraud.attack_window and not calendar.attacks:
        yield "fraud.attack_window never comes in this run; fraud.baseline_rate holds throughout"
    if not scenario.fraud.all_patterns and scenario.fraud.rate > 0:
        yield "fraud.patterns names no kind of fraud; a usual mix makes fraud.rate"
    rate = scenario.transaction_rate
    business = clock_windows(rate.business_hours, scenario.start_at, scenario.duration_s)
    if rate.peak_tps > rate.off_peak_tps and not business:
        yield (
            "transaction_rate.peak_tps is never reached: business_hours ({}:00 to {}:00) never come "
            "in this run, which begins at {:%H:%M}".format(*rate.business_hours, scenario.start_at)
        )
    if rate.weekday_multipliers and rate.weekend_multiplier != 1.0:
        yield "transaction_rate.weekend_multiplier has no effect together with weekday_multipliers"
    for pattern in scenario.fraud.all_patterns:
        if pattern.delay_minutes and not (pattern.follows or pattern.requires_successful):
            yield f"delay_minutes of {pattern.label} has no effect without follows"
    days = scenario.duration_s / (HOURS_PER_DAY * SECONDS_PER_HOUR)
    per_day = transactions / scenario.customers / days
    if per_day > BUSY_PER_DAY and transactions > scenario.customers:
        yield (
            f"about {per_day:,.0f} transactions a customer and simulated day: "
            "accounts may run dry; more customers or a higher speed make it plausible"
        )


def _fault_text(scenario: Scenario, fault: Fault) -> str:
    start, end = (scenario.start_at + timedelta(seconds=s) for s in (fault.start_s, fault.end_s))
    share = f", {fault.share:.0%} of the calls" if fault.share is not None else ""
    name = f"{fault.name}: " if fault.name else ""
    return f"{name}{fault.target} {fault.kind} from {start:%a %H:%M} to {end:%a %H:%M}{share}"


def rate_text(tps: float) -> str:
    """A rate as text: "169", "12.4"."""
    return f"{tps:,.0f}" if tps >= 100 else f"{tps:.3g}"


def hours_text(length_s: float) -> str:
    """Simulated time as text: "24 h", "0.5 h"."""
    return f"{length_s / SECONDS_PER_HOUR:g} h"


#: The plan is shown for this seed when the scenario names none.
SHOWN_SEED = 1
HEADINGS = ("name", "simulated", "takes", "customers", "TPS", "fraud", "what it is")
FRAUD_HEADINGS = ("kind of fraud", "transactions", "campaigns", "how")


def add_validate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="a scenario's name or YAML file")


def run_list() -> int:
    """Print the table of scenarios; those that do not load go to stderr, and make it 2."""
    good, broken = survey_scenarios()
    for line in scenario_table(good, shutil.get_terminal_size().columns if sys.stdout.isatty() else None):
        print(line)
    for entry in broken:
        print(f"{entry.name}: {entry.error}", file=sys.stderr)
    return int(ExitCode.USAGE if broken else ExitCode.COMPLETED)


def scenario_table(scenarios: Iterable[tuple[str, Scenario]], width: int | None = None) -> Iterator[str]:
    """The table, line by line; cut to ``width``, None for not at all."""
    rows = [(name, *_cells(scenario)) for name, scenario in scenarios]
    for line in _aligned([HEADINGS, *rows]):
        yield line if width is None or len(line) <= width else f"{line[: width - 1]}…"


def _cells(scenario: Scenario) -> tuple[str, ...]:
    summary = describe(scenario, offered_rate(scenario))
    rates = f"{rate_text(summary.mean_tps)}, at most {rate_text(summary.peak_tps)}"
    takes = length_text(summary.wall_length_s)
    if scenario.load is not None:
        rates, takes = f"{rate_text(scenario.load.start_tps)} and up", f"at most {takes}"
    return (
        hours_text(summary.sim_length_s),
        takes,
        f"{summary.customers:,}",
        rates,
        f"{summary.fraud_share:.2%}",
        summary.description,
    )


def run_validate(files: Sequence[str]) -> int:
    """Check each file, and print what its run would do; every mistake is a line on stderr, and makes it 2."""
    code = ExitCode.COMPLETED
    for name in files:
        try:
            scenario = load_scenario(name, environ=os.environ)
            check_plan(scenario)
            thresholds_of(scenario, source=name)
        except ScenarioError as error:
            print(error, file=sys.stderr)
            code = ExitCode.USAGE
            continue
        print("\n".join(outlook(scenario)))
    return int(code)


def outlook(scenario: Scenario) -> list[str]:
    """What a run of the scenario would do, in lines."""
    summary = describe(scenario, offered_rate(scenario))
    at_most = "at most " if scenario.load is not None else ""
    return [
        summary.name,
        f"  {summary.description}",
        f"  file          {summary.source} ({summary.short_hash})",
        f"  length        {hours_text(summary.sim_length_s)} at {summary.speed:g}x = {at_most}"
        f"{length_text(summary.wall_length_s)}",
        f"  customers     {summary.customers:,}",
        *_load_lines(summary, scenario.load),
        *_history_lines(scenario),
        f"  fraud         {summary.fraud_share:.2%} of them",
        "",
        *_fraud_lines(scenario, summary),
        *_fault_lines(summary),
        *(f"  note: {note}" for note in summary.notes),
    ]


def _history_lines(scenario: Scenario) -> list[str]:
    if not scenario.history_days:
        return []
    past = past_of(scenario)
    count = offered_rate(past).total() / past.speed_multiplier
    days = f"{scenario.history_days} days" if scenario.history_days > 1 else "the day"
    return [f"  history       {days} before it are played first, about {count:,.0f} transactions"]


def _load_lines(summary: Summary, search: Load | None) -> list[str]:
    if search is not None:
        growth = f"+{search.step:g}" if search.step is not None else f"×{search.factor:g}"
        return [
            f"  rate          from {rate_text(search.start_tps)} TPS, {growth} every "
            f"{search.hold_seconds:g} s, until one fails: {', '.join(search.until)}",
            f"  transactions  about {round(summary.expected_transactions):,} if the first rate stayed",
        ]
    return [
        f"  rate          {rate_text(summary.mean_tps)} TPS on average, "
        f"most {rate_text(summary.peak_tps)} TPS from {summary.peak_at:%a %H:%M}",
        f"  transactions  about {round(summary.expected_transactions):,}, "
        f"about {round(summary.expected_fraud):,} of them fraud",
    ]


def _fraud_lines(scenario: Scenario, summary: Summary) -> list[str]:
    """The table of what is planned: patterns in the order of the file, then the mix, then decoys."""
    seed = SHOWN_SEED if scenario.seed is None else scenario.seed
    desk = build_parts(scenario, seed, scenario.speed_multiplier).desk
    planned: dict[str, list[int]] = defaultdict(list)
    for spec in desk.specs:
        planned["decoys" if spec.decoy else spec.pattern].append(spec.size)
    decoys = planned.pop("decoys", [])
    resolved = {id(one.options): one for one in resolve_patterns(scenario.fraud, desk.registry)}
    rows, small = [], []
    for own, pattern in zip(scenario.fraud.all_patterns, summary.patterns, strict=True):
        one = resolved[id(own)]
        sizes = planned.pop(one.key, [])
        rows.append((_title(pattern), *_sizes(sizes), _how(scenario.fraud, pattern, own)))
        if own.count is None and one.parent is None and own.weight and sum(sizes) < one.mean_size / 2:
            small.append(
                f"  note: {_title(pattern)} gets {sum(sizes)} transactions, and one campaign usually has "
                f"{one.mean_size:.0f}: a longer run, a higher rate or a count shows it whole"
            )
    rows += [(label, *_sizes(sizes), "usual mix") for label, sizes in sorted(planned.items())]
    if decoys:
        rows.append(("decoys", *_sizes(decoys), "genuine behaviour that looks like fraud"))
    if not rows:
        return []
    return [f"  {line}" for line in _aligned([FRAUD_HEADINGS, *rows], right=(1, 2))] + [
        f"  (as seed {seed} plans it; another seed draws somewhat other campaigns)",
        *small,
    ]


def _fault_lines(summary: Summary) -> list[str]:
    if not summary.faults:
        return []
    return [
        "",
        "  faults, made in the stand-ins (--sandbox or --dry-run only)",
        *(f"  {one}" for one in summary.faults),
    ]


def _sizes(sizes: list[int]) -> tuple[str, str]:
    return f"{sum(sizes):,}", f"{len(sizes):,}"


def _title(pattern: PatternSummary) -> str:
    return pattern.type if pattern.label == pattern.type else f"{pattern.label} ({pattern.type})"


def _how(fraud: FraudSettings, summary: PatternSummary, pattern: Pattern) -> str:
    """How much, when, and what it waits for, as text."""
    words = [
        f"{summary.count:,} on top of the rate" if summary.count else f"{summary.share or 0:.0%} of the rate"
    ]
    if summary.phase:
        words.append(f"phase {summary.phase}")
    elif fraud.attack_window is not None and summary.count is None:
        words.append("from {}:00 to {}:00".format(*fraud.attack_window))
    if pattern.requires_successful:
        words.append(f"where {pattern.requires_successful} succeeded")
    elif pattern.follows:
        words.append(f"after {pattern.follows}")
    return ", ".join(words)


def _aligned(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> Iterator[str]:
    """Columns as wide as their widest cell; those in ``right`` end flush."""
    widths = [max(len(row[nth]) for row in rows) for nth in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.rjust(width) if nth in right else cell.ljust(width)
            for nth, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
