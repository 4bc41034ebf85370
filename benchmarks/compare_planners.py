"""The distributions of the planner of rows beside those of the first version's planner, as a table.

    python -m benchmarks.compare_planners        exit 1 where they differ by more than chance

The reference, `first_planner.json`, holds the means and standard errors of the first version's planner (one
object per transaction), measured with `figures` over the same situations before it was taken out.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot, sqrt
from pathlib import Path
from statistics import mean, median, stdev

import numpy as np

from banksim.activity.rows import RowPlanner
from banksim.model import Kind, Planned
from banksim.world import World
from banksim.world.random import Floats
from tests.unit.world.scenarios import WorldSettings

REFERENCE = Path(__file__).with_name("first_planner.json")
DAY_S = 86_400
SEEDS = range(1, 9)
ROWS, BLOCK = 50_000, 2048
#: Standard errors that count as chance (142 comparisons), and differences too small to matter.
ERRORS, NEGLIGIBLE = 5.0, 0.0015

BILLS = "bills and subscriptions come on their day at their price"
OTHERS = "people pay other banks, card issuers, tradesmen and exchanges too"
TASTES = "people have shops, hours and a price level of their own, and go on outings"
#: What was changed on purpose after the rows had replaced the first planner, by figure or its first words.
ON_PURPOSE = {
    **dict.fromkeys(("kind bill_payment", "median bill_payment", "kind purchase", "channel ach"), BILLS),
    **{
        f"category {word}": BILLS
        for word in ("insurance", "rent", "subscription", "telecom", "utilities", "tax", "education")
    },
    **{f"category {word}": OTHERS for word in ("other_bank", "card_issuer", "crypto_exchange", "services")},
    **dict.fromkeys(("category", "channel", "different shops", "price ends", "median purchase"), TASTES),
    **dict.fromkeys(("median transfer", "median withdrawal", "kind withdrawal"), TASTES),
    "different devices": "devices are replaced and shared, browsers cleared",
    "from or to savings": "payments have other sizes and days, so savings are drawn on less often",
}

#: Mean and standard error of a figure.
Figure = tuple[float, float]


@dataclass(frozen=True)
class Situation:
    """Some customers over some days, with arrivals evenly at random."""

    name: str
    customers: int
    slots: int
    days: float


SITUATIONS = (Situation("a month", 1000, 2, 28.0), Situation("a rush", 500, 1, 0.15))


def moments(situation: Situation, seed: int) -> Floats:
    """Arrivals evenly at random, in a rush from noon on."""
    start_s = DAY_S / 2 if situation.days < 1 else 0.0
    return start_s + np.sort(np.random.default_rng(seed).uniform(0, situation.days * DAY_S, ROWS))


def world_of(situation: Situation, seed: int) -> World:
    scenario = WorldSettings(customers=situation.customers, accounts_per_customer=situation.slots)
    return World.from_scenario(scenario, seed)


def figures(planned: Sequence[Planned]) -> dict[str, float]:
    """Shares (of all, or of their kind) and medians in units, by name."""
    rows = [item.transaction for item in planned]
    count = len(rows)
    words = {
        "kind": [str(tx.kind) for tx in rows],
        "channel": [str(tx.channel) for tx in rows],
        "category": [tx.merchant.category for tx in rows if tx.merchant is not None],
        "persona": [item.truth.persona for item in planned],
    }
    found = {
        f"{name} {word}": number / count
        for name, each in words.items()
        for word, number in Counter(each).items()
    }
    buys = [tx.amount_cents for tx in rows if tx.kind is Kind.PURCHASE]
    owns = [
        tx.counterparty is not None and tx.counterparty.customer_index == tx.account.customer_index
        for tx in rows
    ]
    found["price ends in .99"] = sum(cents % 100 == 99 for cents in buys) / len(buys)
    found["from or to savings"] = sum(owns) / count
    found["abroad"] = sum(tx.place.country != "US" for tx in rows) / count
    found["different devices"] = len({tx.device_id for tx in rows}) / count
    found["different shops"] = (
        len({tx.merchant.merchant_id for tx in rows if tx.merchant is not None}) / count
    )
    for kind in Kind:
        cents = [tx.amount_cents for tx in rows if tx.kind is kind]
        if len(cents) > 200:
            found[f"median {kind}"] = median(cents) / 100
    return found


def summary(each: Sequence[dict[str, float]]) -> dict[str, Figure]:
    """Mean and standard error of every figure over several seeds."""
    names = sorted({name for found in each for name in found})
    values = {name: [found.get(name, 0.0) for found in each] for name in names}
    return {name: (mean(some), stdev(some) / sqrt(len(some))) for name, some in values.items()}


def planned_by_rows(situation: Situation, seed: int) -> list[Planned]:
    planner, sim_s = RowPlanner(world_of(situation, seed)), moments(situation, seed)
    blocks = [planner.plan(first, sim_s[first : first + BLOCK]) for first in range(0, ROWS, BLOCK)]
    return [block.planned(position) for block in blocks for position in range(len(block))]


def purpose(name: str) -> str:
    """Why a figure is another one than the first planner's, empty when it should be the same."""
    return next((why for words, why in ON_PURPOSE.items() if name.startswith(words)), "")


def main() -> int:
    reference: dict[str, dict[str, Figure]] = json.loads(REFERENCE.read_text())
    counts = dict.fromkeys(("alike", "on purpose", "MISSED"), 0)
    for situation in SITUATIONS:
        now = summary([figures(planned_by_rows(situation, seed)) for seed in SEEDS])
        first = reference[situation.name]
        print(f"\n{situation.name:32} {'first':>11} {'rows':>11} {'change':>8} {'errors':>7}")
        for name in sorted({*first, *now}):
            (before, error), (after, own_error) = first.get(name, (0.0, 0.0)), now.get(name, (0.0, 0.0))
            errors = (after - before) / max(hypot(error, own_error), 1e-9)
            differs = abs(errors) > ERRORS and abs(after - before) > NEGLIGIBLE
            verdict = "alike" if not differs else "on purpose" if purpose(name) else "MISSED"
            counts[verdict] += 1
            change = (after / before - 1) if before else 0.0
            note = {"alike": "", "on purpose": f"  {purpose(name)}", "MISSED": "  MISSED"}[verdict]
            print(f"{name:32} {before:11.4f} {after:11.4f} {change:+8.2%} {errors:+7.1f}{note}")
    print("\n" + ", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    return 1 if counts["MISSED"] else 0


if __name__ == "__main__":
    sys.exit(main())
