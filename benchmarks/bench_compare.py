"""How often `banksim compare` is wrong: regressions of one system, drops of recall that it finds, and coverage.

The campaigns are those that the scenario really plans, seed by seed; which of their transactions raise
an alert is drawn for each run, with an intraclass correlation (ICC) within campaigns: 0 is a detector that
decides each transaction by itself, 1 one that decides for whole campaigns.

    python benchmarks/bench_compare.py [--scenario fraud_attack] [--runs 20] [--repeats 3] [--recall 0.75]
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations

from banksim.measure import Measures
from banksim.measure.figures import Confusion
from banksim.measure.results import Results, RunInfo, ScenarioInfo
from banksim.measure.scores import wilson
from banksim.measure.summary import Asked, build_results
from banksim.report.compare import clustered, compare_runs
from banksim.run.plan import build_parts
from banksim.scenario import load_scenario
from banksim.scenario.models import Goals

ICCS = (0.0, 0.25, 0.5, 1.0)
#: Points of recall that the second run's detector is worse.
DROPS = (0.02, 0.03, 0.05)
#: Simulated runs for the coverage of an interval.
COVERAGE_RUNS = 2_000

Plan = Sequence[tuple[str, int]]
Counts = list[tuple[str, int, int]]


@dataclass(frozen=True, slots=True)
class Detector:
    """Catches ``recall`` of fraud on average; ``icc`` says how alike transactions of one campaign are."""

    recall: float
    icc: float

    def counts(self, plan: Plan, rng: random.Random) -> Counts:
        return [(name, size, self._caught(size, rng)) for name, size in plan]

    def _caught(self, size: int, rng: random.Random) -> int:
        if self.icc >= 1.0:
            return size if rng.random() < self.recall else 0
        chance = self.recall
        if self.icc > 0.0:
            spread = 1.0 / self.icc - 1.0
            chance = rng.betavariate(self.recall * spread, (1.0 - self.recall) * spread)
        return sum(rng.random() < chance for _ in range(size))


def thinned(counts: Counts, part: float, rng: random.Random) -> Counts:
    """The same run by a detector that misses a ``part`` of what it caught."""
    return [(name, size, sum(rng.random() >= part for _ in range(hits))) for name, size, hits in counts]


def plans(scenario_name: str, seeds: int) -> list[Plan]:
    """(campaign, transactions) of each seed's plan, decoys left out."""
    scenario = load_scenario(scenario_name)
    found = []
    for seed in range(1, seeds + 1):
        desk = build_parts(scenario, seed, scenario.speed_multiplier).desk
        found.append([(spec.campaign_id, spec.size) for spec in desk.specs if not spec.decoy])
    return found


def empty(scenario_name: str) -> Results:
    start = "2026-01-05T00:00:00"
    scenario = ScenarioInfo(name=scenario_name, title="", hash="0", file="", start_at=start)
    run = RunInfo(
        run_id="r",
        scenario=scenario,
        mode="dry_run",
        currency="USD",
        wall_s=1,
        simulated_s=1,
        end="completed",
    )
    return build_results(run, Measures(), Asked(Goals()))


def results(base: Results, counts: Counts, seed: int) -> Results:
    """A run with these campaigns; everything else is the same in all of them."""
    frauds, hits = (sum(row[place] for row in counts) for place in (1, 2))
    confusion = Confusion(tp=hits, fp=100, tn=9_900, fn=frauds - hits)
    low, high = wilson(hits, frauds) or (None, None)
    detection = replace(
        base.detection,
        recall=hits / frauds,
        recall_low=low,
        recall_high=high,
        confusion=confusion,
        scored=frauds + 10_000,
        coverage=1.0,
    )
    fraud = replace(base.fraud, transactions=frauds, campaign_counts=counts)
    return replace(base, run=replace(base.run, seed=seed), detection=detection, fraud=fraud)


def regressed(a: Results, b: Results) -> bool:
    return bool(compare_runs(a, b).regressions)


def share(hits: int, trials: int) -> str:
    low, high = wilson(hits, trials) or (math.nan, math.nan)
    return f"{hits / trials:6.1%} ({low:.1%}-{high:.1%})"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scenario", default="fraud_attack")
    parser.add_argument("--runs", type=int, default=20, help="seeds; all ordered pairs are compared")
    parser.add_argument("--repeats", type=int, default=3, help="sets of such runs")
    parser.add_argument("--recall", type=float, default=0.75)
    options = parser.parse_args()
    rng, base = random.Random(1), empty(options.scenario)
    made = plans(options.scenario, options.runs)
    sizes = [sum(size for _, size in plan) for plan in made]
    print(f"{options.scenario}: {min(sizes)} to {max(sizes)} frauds in {min(map(len, made))} to", end=" ")
    print(f"{max(map(len, made))} campaigns, {options.runs} seeds, recall {options.recall:.0%}")

    print("\nOne system, different seeds: regressions")
    for icc in ICCS:
        hits = trials = 0
        for _ in range(options.repeats):
            detector = Detector(options.recall, icc)
            runs = [results(base, detector.counts(plan, rng), seed) for seed, plan in enumerate(made)]
            pairs = list(permutations(runs, 2))
            hits += sum(regressed(a, b) for a, b in pairs)
            trials += len(pairs)
        print(f"  ICC {icc:4.2f}  {share(hits, trials)} of {trials:,} ordered pairs")

    print("\nRecall lower by so many points: found")
    for kind in ("same seed, paired by campaign", "different seeds"):
        for icc in (0.0, 0.5):
            detector, row = Detector(options.recall, icc), []
            for drop in DROPS:
                hits, trials = 0, 200
                for number in range(trials):
                    plan = made[number % len(made)]
                    counts = detector.counts(plan, rng)
                    paired = kind.startswith("same")
                    other = counts if paired else detector.counts(made[(number + 1) % len(made)], rng)
                    worse = thinned(other, drop / options.recall, rng)
                    hits += regressed(results(base, counts, 1), results(base, worse, 1 if paired else 2))
                row.append(f"{drop * 100:.0f} points {hits / trials:4.0%}")
            print(f"  {kind:<31} ICC {icc:4.2f}  {'   '.join(row)}")

    print("\nThe recall interval covers the true recall (95 % is the aim; Wilson's for comparison)")
    for icc in ICCS:
        detector = Detector(options.recall, icc)
        ours = plain = 0
        for number in range(COVERAGE_RUNS):
            one = results(base, detector.counts(made[number % len(made)], rng), 1)
            found, low, high = clustered(one), one.detection.recall_low, one.detection.recall_high
            if found is not None and found.low is not None and found.high is not None:
                ours += found.low <= options.recall <= found.high
            if low is not None and high is not None:
                plain += low <= options.recall <= high
        print(f"  ICC {icc:4.2f}  {ours / COVERAGE_RUNS:6.1%}   Wilson {plain / COVERAGE_RUNS:6.1%}")


if __name__ == "__main__":
    main()
