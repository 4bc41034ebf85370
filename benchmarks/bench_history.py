"""What the victims of an attack have done before it: transactions of `history_days`, and of the run itself.

    python benchmarks/bench_history.py [--scenario fraud_attack] [--seeds 5]

A victim is a customer from whose account a step of a campaign takes money; counted is what they did
themselves before the first of these steps.
"""

from __future__ import annotations

import argparse
from collections import Counter
from statistics import median

from banksim.dataset.stream import Stream
from banksim.run.plan import build_parts, build_past
from banksim.scenario import load_scenario


def earlier(scenario_name: str, seed: int) -> tuple[int, list[int], list[int]]:
    """Transactions played before; those of each victim before the run, and before the attack in all."""
    scenario = load_scenario(scenario_name, {"seed": seed}, environ={})
    speed, past = scenario.speed_multiplier, Counter[int]()
    if scenario.history_days:
        past.update(
            one.transaction.account.customer_index for one, _, _ in Stream(build_past(scenario, seed, speed))
        )
    in_run, met = Counter[int](), dict[int, int]()
    for one, _, _ in Stream(build_parts(scenario, seed, speed)):
        customer = one.transaction.account.customer_index
        if one.truth.is_fraud:
            met.setdefault(customer, in_run[customer])
        else:
            in_run[customer] += 1
    return past.total(), [past[who] for who in met], [past[who] + count for who, count in met.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description="How much of a past the victims of a scenario have.")
    parser.add_argument("--scenario", default="fraud_attack")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="seeds 1 to N (default: 5)")
    options = parser.parse_args()
    print("seed  played before  victims  earlier transactions, median: before the run  before the attack")
    for seed in range(1, options.seeds + 1):
        played, before, in_all = earlier(options.scenario, seed)
        print(f"{seed:4}  {played:13,}  {len(before):7,}  {median(before):45g}  {median(in_all):17g}")


if __name__ == "__main__":
    main()
