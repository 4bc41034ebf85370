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

from banksim.demand import offered_rate
from banksim.domain import ExitCode, ScenarioError
from banksim.measure.thresholds import thresholds_of
from banksim.plan import build_parts, check_plan
from banksim.scenario import Scenario, load_scenario, survey_scenarios
from banksim.scenario.describe import (
    PatternSummary,
    Summary,
    describe,
    hours_text,
    length_text,
    rate_text,
)
from banksim.scenario.fraud import FraudSettings
from banksim.scenario.load import Load

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
        f"  fraud         {summary.fraud_share:.2%} of them",
        "",
        *_fraud_lines(scenario, summary),
        *_fault_lines(summary),
        *(f"  note: {note}" for note in summary.notes),
    ]


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
        # Campaigns are numbered behind their pattern's label.
        planned["decoys" if spec.decoy else spec.label.rpartition(" ")[0]].append(spec.size)
    decoys = planned.pop("decoys", [])
    rows = [
        (_title(pattern), *_sizes(planned.pop(pattern.label, [])), _how(scenario.fraud, pattern))
        for pattern in summary.patterns
    ]
    rows += [(label, *_sizes(sizes), "usual mix") for label, sizes in sorted(planned.items())]
    if decoys:
        rows.append(("decoys", *_sizes(decoys), "honest behaviour that looks like fraud"))
    if not rows:
        return []
    return [f"  {line}" for line in _aligned([FRAUD_HEADINGS, *rows], right=(1, 2))] + [
        f"  (as seed {seed} plans it; another seed draws somewhat other campaigns)"
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


def _how(fraud: FraudSettings, summary: PatternSummary) -> str:
    """In words: how much, when, and what it waits for."""
    pattern = next(one for one in fraud.all_patterns if one.label == summary.label)
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
