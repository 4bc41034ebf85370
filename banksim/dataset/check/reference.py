"""How hard each kind of fraud is: a fixed strong detector, by kind and sophistication, over seeds.

    python -m banksim.dataset.check.reference --seeds 3

For each sophistication it makes sets with all kinds of fraud at equal weight, learns on the set of one seed
(see `separation.reference`) and measures on that of the next: average precision against all genuine rows, and
recall at false positive rates of 1 % and 0.1 %.  Rows that only prepare are left out, as are the first weeks,
in which nobody is known yet.  The mean over the seeds is judged by `BANDS`; exit code 99 when it leaves one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from banksim.dataset.check.sample import FRAUD, STAGES, Sample
from banksim.dataset.check.separation import average_precision, recall_at, reference, reference_scores
from banksim.dataset.stream import Stream
from banksim.model import FraudStage
from banksim.run.plan import build_parts
from banksim.scenario import KNOWN_PATTERN_TYPES, load_scenario
from banksim.world.random import Floats

LEVELS = (0.0, 0.3, 0.6, 0.9)
FRAUD_RATE = 0.03
BURN_IN_S = 14 * 86_400
#: Rows of a kind below which nothing is said of it.
LEAST_ROWS = 10
ALL = "all kinds"
#: No kind may be easier than this at the default sophistication, nor harder than so many times its share of
#: the rows for the most careful.
EASIEST, DEFAULT_LEVEL = 0.95, 0.3
LEAST_LIFT, CAREFUL_LEVEL = 4.0, 0.9
#: Lowest and highest average precision of a kind at each of `LEVELS`: what was measured over seeds, less 40 %
#: and more by 25 %.
BANDS: Mapping[str, tuple[tuple[float, float], ...]] = {
    "card_testing": ((0.55, 1), (0.4, 1), (0.3, 0.85), (0.15, 0.45)),
    "account_takeover": ((0.4, 1), (0.2, 0.8), (0.1, 0.45), (0.05, 0.3)),
    "velocity_attack": ((0.35, 1), (0.07, 0.65), (0.08, 0.35), (0, 0.15)),
    "large_amount": ((0.45, 1), (0.25, 0.75), (0.07, 0.3), (0, 0.05)),
    "unusual_location": ((0.42, 0.75), (0.25, 0.6), (0.25, 0.6), (0.1, 0.4)),
    "online_fraud": ((0.5, 1), (0.3, 0.8), (0.15, 0.45), (0, 0.08)),
    "identity_theft": ((0.3, 0.9), (0.2, 0.8), (0.1, 0.55), (0.1, 0.4)),
    "synthetic_identity": ((0.03, 0.15), (0, 0.15), (0.02, 0.25), (0.02, 0.3)),
    "mule_network": ((0.3, 1), (0.25, 0.8), (0.2, 0.65), (0.25, 0.7)),
    "layering": ((0.3, 0.95), (0.3, 0.9), (0.2, 0.85), (0.2, 0.8)),
    "structuring": ((0.3, 0.95), (0.2, 0.8), (0.15, 0.75), (0.06, 0.4)),
    "smurfing": ((0.25, 0.75), (0.25, 0.65), (0.2, 0.65), (0.2, 0.6)),
    "app_scam": ((0.1, 0.45), (0.06, 0.25), (0.06, 0.15), (0.03, 0.2)),
    "purchase_scam": ((0.02, 0.08), (0.01, 0.06), (0.01, 0.06), (0.01, 0.08)),
    "impersonation_scam": ((0.15, 0.65), (0.2, 0.7), (0.2, 0.65), (0.2, 0.6)),
    "invoice_scam": ((0.15, 0.5), (0.1, 0.35), (0.06, 0.35), (0.06, 0.25)),
    "romance_scam": ((0.01, 0.1), (0.01, 0.08), (0.01, 0.06), (0.01, 0.1)),
    "investment_scam": ((0.3, 0.85), (0.3, 1), (0.15, 0.85), (0.15, 0.8)),
    "compromised_shop": ((0.5, 1), (0.35, 0.9), (0.15, 0.5), (0, 0.05)),
    "lost_or_stolen_card": ((0.01, 0.15), (0, 0.1), (0.01, 0.06), (0, 0.05)),
    "atm_cash_out": ((0.3, 1), (0.35, 0.95), (0.15, 0.85), (0.1, 0.7)),
    "refund_abuse": ((0, 0.05), (0, 0.04), (0, 0.02), (0, 0.02)),
    "merchant_bust_out": ((0.03, 0.4), (0.01, 0.25), (0.02, 0.07), (0, 0.06)),
    "fan_in": ((0.35, 1), (0.25, 0.95), (0.3, 0.95), (0.2, 0.85)),
    "fan_out": ((0.15, 0.9), (0.1, 0.8), (0.25, 0.8), (0.1, 0.75)),
    "cycle": ((0.35, 1), (0.3, 0.95), (0.2, 0.85), (0.15, 0.8)),
    "scatter_gather": ((0.3, 1), (0.25, 0.95), (0.3, 0.9), (0.2, 0.85)),
    "gather_scatter": ((0.4, 1), (0.35, 1), (0.25, 0.9), (0.25, 0.8)),
    "bipartite": ((0.4, 1), (0.35, 0.9), (0.3, 0.9), (0.25, 0.85)),
    "stack": ((0.35, 1), (0.25, 0.95), (0.3, 0.95), (0.2, 0.9)),
    ALL: ((0.7, 1), (0.65, 0.95), (0.6, 0.95), (0.5, 0.9)),
}


@dataclass(frozen=True, slots=True)
class Hardness:
    """What the detector reached on one kind in one set; ``base`` is the kind's share of the rows."""

    precision: float
    recall_1: float
    recall_01: float
    base: float


def made(
    seed: int, sophistication: float, kinds: Sequence[str] = KNOWN_PATTERN_TYPES, weeks: int = 13
) -> Sample:
    """A calibrated set with these kinds at equal weight."""
    patterns = [{"type": kind, "weight": 1.0} for kind in kinds]
    changes = {
        "duration_hours": weeks * 168,
        "fraud.rate": FRAUD_RATE,
        "fraud.sophistication": sophistication,
        "fraud.patterns": patterns,
    }
    scenario = load_scenario("calibrated", changes, environ={})
    sample = Sample()
    for batch in Stream(build_parts(scenario, seed, scenario.speed_multiplier)).batches():
        sample.add(list(batch.entries()))
    return sample


def measured_all(train: Sample, tests: Sequence[Sample]) -> list[dict[str, Hardness]]:
    """By kind, and for all together, on each of the sets."""
    model = reference(train)
    return [_measured(reference_scores(model, test), test) for test in tests]


def _measured(scores: Floats, test: Sample) -> dict[str, Hardness]:
    late = test.time_s > test.time_s.min() + BURN_IN_S
    genuine = late & (test["label"] != FRAUD)
    counts = late & (test["label"] == FRAUD) & (test["stage"] != STAGES.index(FraudStage.PREPARATION))
    found: dict[str, Hardness] = {}
    for kind, code in [(ALL, -1), *test.codes["typology"].items()]:
        rows = counts if code < 0 else counts & (test["typology"] == code)
        if code >= 0 and not rows.any():  # nothing but probes
            rows = late & (test["label"] == FRAUD) & (test["typology"] == code)
        if rows.sum() < LEAST_ROWS:
            continue
        seen = genuine | rows
        is_fraud, scored = rows[seen], scores[seen]
        found[kind] = Hardness(
            average_precision(is_fraud, scored),
            recall_at(is_fraud, scored, 0.01),
            recall_at(is_fraud, scored, 0.001),
            float(is_fraud.mean()),
        )
    return found


def over_seeds(first: int, seeds: int, sophistication: float) -> list[dict[str, Hardness]]:
    """The figures of each pair of seeds in a ring."""
    sets = [made(first + nth, sophistication) for nth in range(seeds)]
    return [measured_all(sets[nth - 1], sets[nth : nth + 1])[0] for nth in range(seeds)]


@dataclass(frozen=True, slots=True)
class Judged:
    """One kind at one level over seeds, and the band it should be in."""

    found: Sequence[Hardness]
    low: float
    high: float

    @property
    def precision(self) -> float:
        return self._mean("precision")

    @property
    def holds(self) -> bool:
        return self.low <= self.precision <= self.high

    def cells(self) -> list[str]:
        """Mean and range of the average precision with its band, then both recalls."""
        values = [one.precision for one in self.found]
        text = f"{self.precision:.2g} ({min(values):.2g}–{max(values):.2g})"
        band = f"{self.low:.2g}–{self.high:.2g}"
        recalls = f"{self._mean('recall_1'):.2f}, {self._mean('recall_01'):.2f}"
        return [f"{text}, {band}" if self.holds else f"**{text}, {band}**", recalls]

    def _mean(self, name: str) -> float:
        return float(np.mean([getattr(one, name) for one in self.found]))


def judged(kind: str, level: float, runs: Sequence[Mapping[str, Hardness]]) -> Judged | None:
    """None where no run has enough rows of the kind."""
    found = [run[kind] for run in runs if kind in run]
    if not found:
        return None
    low, high = BANDS[kind][LEVELS.index(level)]
    if level == CAREFUL_LEVEL:
        low = max(low, LEAST_LIFT * float(np.mean([one.base for one in found])))
    return Judged(found, low, min(high, EASIEST) if level == DEFAULT_LEVEL else high)


def table(by_level: Mapping[float, Sequence[Mapping[str, Hardness]]]) -> tuple[str, int]:
    """Markdown, and how many kinds leave their band at a level."""
    head = " | ".join(f"AP at {level:g}, band | recall 1 %, 0.1 %" for level in by_level)
    lines = [f"| kind | {head} |", "|---|" + "---|" * (2 * len(by_level))]
    missed = 0
    for kind in (*KNOWN_PATTERN_TYPES, ALL):
        cells = []
        for level, runs in by_level.items():
            found = judged(kind, level, runs)
            cells += ["–", "–"] if found is None else found.cells()
            missed += found is not None and not found.holds
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines), missed


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="How hard each kind of fraud is for a strong detector.")
    parser.add_argument(
        "--seeds", type=int, default=3, help="sets per sophistication (default: 3, at least 2)"
    )
    parser.add_argument("--seed", type=int, default=7, help="the first seed (default: 7)")
    options = parser.parse_args(arguments)
    by_level = {level: over_seeds(options.seed, max(2, options.seeds), level) for level in LEVELS}
    text, missed = table(by_level)
    print(text)
    print(
        f"\n{missed} averages leave their band." if missed else "\nEvery kind is in its band at every level."
    )
    return 99 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
