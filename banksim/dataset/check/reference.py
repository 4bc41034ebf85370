"""How hard each kind of fraud is: a fixed strong detector, by kind and sophistication, over seeds.

    python -m banksim.dataset.check.reference --seeds 3

For each sophistication it makes sets with all kinds of fraud at equal weight, learns on the set of one seed
(see `separation.reference`) and measures on that of the next: average precision against all genuine rows, and
recall at false positive rates of 1 % and 0.1 %.  Rows that only prepare are left out, as are the first weeks,
in which nobody is known yet.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from banksim.dataset.check.sample import FRAUD, STAGES, Sample
from banksim.dataset.check.separation import reference, reference_scores
from banksim.dataset.check.trees import average_precision, recall_at
from banksim.dataset.stream import Stream
from banksim.model import FraudStage
from banksim.run.plan import build_parts
from banksim.scenario import KNOWN_PATTERN_TYPES, load_scenario

LEVELS = (0.0, 0.3, 0.6, 0.9)
FRAUD_RATE = 0.03
BURN_IN_S = 14 * 86_400
#: Rows of a kind below which nothing is said of it.
LEAST_ROWS = 10
ALL = "all kinds"


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


def measured(train: Sample, test: Sample) -> dict[str, Hardness]:
    """By kind, and for all together."""
    scores = reference_scores(reference(train), test)
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
    return [measured(sets[nth - 1], sets[nth]) for nth in range(seeds)]


def table(by_level: Mapping[float, Sequence[Mapping[str, Hardness]]]) -> str:
    """Markdown: mean AP with the range over seeds, then both recalls."""
    head = " | ".join(f"AP at {level:g} | recall 1 %, 0.1 %" for level in by_level)
    lines = [f"| kind | {head} |", "|---|" + "---|" * (2 * len(by_level))]
    for kind in (*KNOWN_PATTERN_TYPES, ALL):
        cells = []
        for runs in by_level.values():
            found = [run[kind] for run in runs if kind in run]
            if not found:
                cells += ["–", "–"]
                continue
            precision = [one.precision for one in found]
            recalls = (
                float(np.mean([getattr(one, name) for one in found])) for name in ("recall_1", "recall_01")
            )
            cells.append(f"{np.mean(precision):.2f} ({min(precision):.2f}–{max(precision):.2f})")
            cells.append(", ".join(f"{recall:.2f}" for recall in recalls))
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="How hard each kind of fraud is for a strong detector.")
    parser.add_argument(
        "--seeds", type=int, default=3, help="sets per sophistication (default: 3, at least 2)"
    )
    parser.add_argument("--seed", type=int, default=7, help="the first seed (default: 7)")
    options = parser.parse_args(arguments)
    by_level = {level: over_seeds(options.seed, max(2, options.seeds), level) for level in LEVELS}
    print(table(by_level))
    return 0


if __name__ == "__main__":
    sys.exit(main())
