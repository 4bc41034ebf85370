"""What the shipped scenarios promise, counted in what they make: whole streams, over several seeds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import lru_cache
from statistics import mean

import pytest

from banksim.dataset.stream import Entry, Stream
from banksim.model import BankStatus, Kind
from banksim.run.plan import build_parts
from banksim.scenario import Scenario, load_scenario
from banksim.scenario.loader import SHIPPED_FOLDER

HOUR_S = 3600.0
SEEDS = (1, 2, 3)


@lru_cache
def shipped(name: str) -> Scenario:
    return load_scenario(SHIPPED_FOLDER / f"{name}.yaml", environ={})


@lru_cache
def streamed(name: str, seed: int) -> tuple[Stream, list[Entry]]:
    scenario = shipped(name)
    made = Stream(build_parts(scenario, seed, scenario.speed_multiplier))
    return made, list(made)


def rows(name: str, seed: int) -> list[Entry]:
    return streamed(name, seed)[1]


def fraud_share(entries: Iterable[Entry]) -> float:
    return mean(planned.truth.is_fraud for planned, _, _ in entries)


def between(entries: Iterable[Entry], start_h: float, end_h: float) -> list[Entry]:
    return [entry for entry in entries if start_h * HOUR_S <= entry[0].sim_s < end_h * HOUR_S]


def of_kind(entries: Iterable[Entry], typology: str) -> list[Entry]:
    return [entry for entry in entries if entry[0].truth.typology == typology]


def customer(entry: Entry) -> int:
    return entry[0].transaction.account.customer_index


def fewest_tps(name: str, start_h: float, end_h: float, bin_wall_s: float) -> float:
    """Transactions a wall second in the quietest stretch of ``bin_wall_s`` between two hours of the run."""
    width_s = bin_wall_s * shipped(name).speed_multiplier
    counts = Counter(int(entry[0].sim_s // width_s) for entry in rows(name, 1))
    whole = range(int(start_h * HOUR_S // width_s) + 1, int(end_h * HOUR_S // width_s))
    return min(counts[nth] for nth in whole) / bin_wall_s


@pytest.mark.parametrize("seed", SEEDS)
def test_normal_day_makes_ten_thousand_transactions_one_in_a_thousand_of_them_fraud(seed: int) -> None:
    made = rows("normal_day", seed)
    assert len(made) == pytest.approx(10_000, rel=0.05)
    assert 3 <= sum(planned.truth.is_fraud for planned, _, _ in made) <= 20  # 10 expected


@pytest.mark.parametrize("seed", SEEDS)
def test_fraud_attack_goes_from_a_thousandth_to_fifteen_percent_and_back(seed: int) -> None:
    made = rows("fraud_attack", seed)
    assert fraud_share(between(made, 1, 3)) == pytest.approx(0.15, abs=0.015)  # 2 to 4 am
    assert fraud_share(between(made, 0, 1)) < 0.02
    assert fraud_share(between(made, 3.25, 4)) < 0.02  # the last takeovers may need some minutes more


def test_fraud_attack_has_more_than_twenty_transactions_a_second_in_its_window() -> None:
    assert fewest_tps("fraud_attack", 1, 3, bin_wall_s=5) > 20


@pytest.mark.parametrize("name", ["fraud_attack", "multi_day_attack"])
@pytest.mark.parametrize("seed", SEEDS)
def test_takeovers_come_only_after_a_card_test_that_passed(name: str, seed: int) -> None:
    passed_s: dict[int, float] = {}
    takeovers = 0
    for planned, outcome, _ in rows(name, seed):
        index, truth = planned.transaction.account.customer_index, planned.truth
        if truth.typology == "card_testing" and outcome.bank.status is BankStatus.POSTED:
            passed_s.setdefault(index, planned.sim_s)
        if truth.typology == "account_takeover" and truth.role == "victim":
            takeovers += 1
            assert index in passed_s and passed_s[index] < planned.sim_s
    assert takeovers > 20


def test_peak_load_stays_above_a_hundred_transactions_a_second_from_eight_to_eleven() -> None:
    assert fewest_tps("peak_load", 8, 23, bin_wall_s=5) > 100


@pytest.mark.parametrize("seed", SEEDS)
def test_mule_network_layers_money_over_three_transfers_and_more(seed: int) -> None:
    campaigns: dict[str, list[Entry]] = defaultdict(list)
    for entry in of_kind(rows("mule_network", seed), "mule_network"):
        campaigns[entry[0].truth.campaign_id].append(entry)
    assert campaigns
    assert max(longest_chain(steps) for steps in campaigns.values()) >= 3


def longest_chain(steps: list[Entry]) -> int:
    """Transfers from first account to last, each from where the one before it went."""
    reached: dict[object, int] = {}
    for planned, _, _ in steps:
        tx = planned.transaction
        if tx.counterparty is not None:
            hops = reached.get(tx.account, 0) + 1
            reached[tx.counterparty] = max(hops, reached.get(tx.counterparty, 0))
    return max(reached.values(), default=0)


@pytest.mark.parametrize("seed", SEEDS)
def test_mule_network_structures_sums_into_deposits_under_the_threshold(seed: int) -> None:
    made = rows("mule_network", seed)
    deposits = of_kind(made, "structuring")
    sums: Counter[str] = Counter()
    for planned, _, _ in deposits:
        assert planned.transaction.kind is Kind.DEPOSIT
        assert 1_000_00 < planned.transaction.amount_cents < 10_000_00
        sums[planned.truth.campaign_id] += planned.transaction.amount_cents
    assert max(sums.values()) > 10_000_00  # what was split was above it
    assert fraud_share(made) == pytest.approx(0.03, abs=0.008)


def test_onboarding_approves_as_many_as_it_says() -> None:
    joined = [streamed("onboarding", seed)[0].joined for seed in SEEDS]
    rejected = [streamed("onboarding", seed)[0].rejected for seed in SEEDS]
    assert sum(joined) / (sum(joined) + sum(rejected)) == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize("seed", SEEDS)
def test_nobody_who_joins_uses_the_account_before_the_delay(seed: int) -> None:
    scenario = shipped("onboarding")
    plan = build_parts(scenario, seed, scenario.speed_multiplier).onboarding
    assert plan is not None and scenario.onboarding is not None
    joinings = {joining.customer_index: joining for joining in plan}
    least_h, most_h = scenario.onboarding.first_transaction_delay_hours
    first: dict[int, Entry] = {}
    for entry in rows("onboarding", seed):
        first.setdefault(customer(entry), entry)
    newcomers = {index: entry for index, entry in first.items() if index in joinings}
    assert len(newcomers) > 500
    for index, (planned, _, _) in newcomers.items():
        joining = joinings[index]
        assert joining.approved and planned == joining.first_deposit
        assert least_h * HOUR_S <= planned.sim_s - joining.sim_s <= most_h * HOUR_S


@pytest.mark.parametrize("seed", SEEDS)
def test_onboarding_has_identity_thieves_among_the_applicants(seed: int) -> None:
    made = rows("onboarding", seed)
    assert len(of_kind(made, "identity_theft")) > 10
    assert fraud_share(made) == pytest.approx(0.01, abs=0.005)


def test_the_phases_of_the_multi_day_attack_come_one_after_the_other() -> None:
    made = rows("multi_day_attack", 1)
    phases = shipped("multi_day_attack").fraud.phases
    for phase in phases:
        end_h = phase.start_hour + phase.duration_hours
        inside = Counter(planned.truth.typology for planned, _, _ in between(made, phase.start_hour, end_h))
        for pattern in phase.patterns:
            assert inside[pattern.type] >= (pattern.count or 0), (phase.name, pattern.label)
    assert fraud_share(between(made, 0, 24)) < 0.005  # a quiet Monday
    tests = of_kind(made, "card_testing")
    assert len(tests) == 450
    wednesday = 48 + 3.5
    assert all(planned.sim_s < wednesday * HOUR_S for planned, _, _ in tests)
    assert of_kind(made, "account_takeover")[0][0].sim_s >= wednesday * HOUR_S


@pytest.mark.parametrize("seed", SEEDS)
def test_the_demo_shows_two_percent_of_fraud(seed: int) -> None:
    assert fraud_share(rows("demo", seed)) == pytest.approx(0.02, abs=0.006)
