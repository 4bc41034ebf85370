from __future__ import annotations

from collections import Counter, defaultdict
from math import sqrt
from typing import Any

import pytest

from banksim.dataset.stream import REFUSED, Stream
from banksim.fraud import build_registry
from banksim.model import CREDIT_KINDS, AccountRef, BankStatus, Label
from tests.unit.dataset.helpers import parts, streamed

#: Standard deviations of a count that are still chance.
SIGMAS = 4.0


def test_the_same_seed_gives_the_same_rows() -> None:
    assert streamed(3, duration_hours=12)[1] == streamed(3, duration_hours=12)[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"customers": 40, "fraud": {"rate": 0.2}},
        {"customers": 300, "fraud": {"rate": 0.05, "decoy_rate": 0.05}, "initial_balance": 300},
        {"onboarding": {"existing_share": 0.2, "kyc_approval_rate": 0.7}, "fraud": {"rate": 0.02}},
    ],
)
def test_the_size_of_blocks_changes_nothing(changes: dict[str, Any]) -> None:
    """Campaigns rob victims and mules are paid in the middle of a block; joinings open accounts in it."""
    made = [
        list(Stream(parts(3, duration_hours=24, **changes), block_rows, settled_rows))
        for block_rows, settled_rows in ((19, 3), (300, 50), (5000, 5000), (16_384, 2048))
    ]
    assert len(made[0]) > 1000
    assert made[0] == made[1] == made[2] == made[3]


def test_a_part_of_a_batch_is_its_first_entries() -> None:
    batches = list(Stream(parts(3, duration_hours=12)).batches())
    batch = max(batches, key=lambda each: len(each.dated))
    entries = list(batch.entries())
    assert len(batch) == len(entries) and batch.dated
    for count in (0, 1, len(entries) // 2, len(entries) - 1, len(entries), len(entries) + 5):
        assert list(batch.first(count).entries()) == entries[:count]


def test_another_seed_gives_other_rows() -> None:
    ours, others = (
        {p.transaction.transaction_id for p, _, _ in streamed(seed, duration_hours=12)[1]} for seed in (3, 4)
    )
    assert ours.isdisjoint(others)


def test_rows_come_in_order_of_time_and_within_the_run() -> None:
    _, rows = streamed()
    moments = [planned.sim_s for planned, _, _ in rows]
    assert len(moments) > 3000
    assert moments == sorted(moments)
    assert moments[0] >= 0 and moments[-1] <= 48 * 3600


def test_no_transaction_comes_twice() -> None:
    _, rows = streamed()
    assert len({planned.transaction.transaction_id for planned, _, _ in rows}) == len(rows)


def test_replaying_the_rows_gives_their_balances_and_nobody_is_below_zero() -> None:
    """Opening balances plus posted rows are `balance_before` of every row, and never negative."""
    made = parts(customers=60)  # few customers, so that money runs out
    stream = Stream(made)
    balance: dict[AccountRef, int] = {}

    def held(account: AccountRef) -> int:
        specs = made.world.population.customer(account.customer_index).accounts
        return balance.setdefault(account, specs[account.slot].opening_balance_cents)

    for planned, outcome, before in stream:
        tx = planned.transaction
        assert held(tx.account) == before
        if outcome.bank.status is BankStatus.REFUSED:
            assert tx.kind not in CREDIT_KINDS
            assert tx.amount_cents > before or outcome is not REFUSED
            continue
        sign = 1 if tx.kind in CREDIT_KINDS else -1
        balance[tx.account] = before + sign * tx.amount_cents
        if tx.counterparty is not None:
            balance[tx.counterparty] = held(tx.counterparty) + tx.amount_cents
        assert balance[tx.account] >= 0
    assert stream.refused > 0


def test_a_refused_step_ends_what_depends_on_it() -> None:
    """Poor victims: takeovers are refused, and the typology hears of it (it gives up after two in a row)."""
    fraud = {"rate": 0.05, "patterns": [{"type": "account_takeover", "amounts": [900000]}]}
    _, rows = streamed(fraud=fraud, initial_balance=20)
    steps = [(p.truth.campaign_id, o) for p, o, _ in rows if p.truth.label is Label.FRAUD]
    assert any(outcome is REFUSED for _, outcome in steps)


def test_every_typology_has_its_share() -> None:
    """One pattern of each kind the registry knows, at equal weights."""
    registry = build_registry()
    names = [name for name in registry.names() if registry.get(name).label is Label.FRAUD]
    _, rows = streamed(
        duration_hours=24 * 14,
        speed_multiplier=2000,
        customers=500,
        transaction_rate={"peak_tps": 33, "off_peak_tps": 33},
        fraud={"rate": 0.3, "patterns": [{"type": name} for name in names]},
    )
    truths = [planned.truth for planned, _, _ in rows if planned.truth.label is Label.FRAUD]
    found = Counter(truth.typology for truth in truths)
    assert set(found) == set(names)
    expected = 0.3 * len(rows) / len(names)
    for name in names:
        assert abs(found[name] - expected) < SIGMAS * sqrt(expected), (name, found[name], expected)


def test_a_counted_pattern_makes_exactly_that_many() -> None:
    patterns = [{"type": "card_testing", "count": 150, "duration_minutes": 60}]
    _, rows = streamed(fraud={"rate": 0.0, "patterns": patterns})
    steps = [p.sim_s for p, _, _ in rows if p.truth.typology == "card_testing"]
    assert len(steps) == 150
    assert max(steps) - min(steps) <= 3600


def test_nobody_acts_before_joining() -> None:
    stream, rows = streamed(
        onboarding={"existing_share": 0.2, "kyc_approval_rate": 0.7}, fraud={"rate": 0.02}
    )
    first: dict[int, float] = {}
    for planned, _, _ in rows:
        first.setdefault(planned.transaction.account.customer_index, planned.sim_s)
    made = parts(onboarding={"existing_share": 0.2, "kyc_approval_rate": 0.7}, fraud={"rate": 0.02})
    assert made.onboarding is not None
    later = [index for index in first if index >= made.onboarding.existing]
    assert len(later) > 30
    for index in later:
        joining = made.onboarding.joining(index)
        assert joining.approved and joining.sim_s <= first[index]
    assert stream.joined + stream.rejected == 160
    assert stream.rejected > 20


def test_followers_come_after_their_parents_with_their_loot() -> None:
    patterns = [
        {"type": "card_testing", "name": "probe", "count": 60},
        {"type": "online_fraud", "follows": "probe", "requires_successful": "probe", "count": 20},
    ]
    _, rows = streamed(fraud={"rate": 0.0, "patterns": patterns})
    steps: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for planned, _, _ in rows:
        steps[planned.truth.typology].append((planned.sim_s, planned.transaction.account.customer_index))
    probed = {customer for _, customer in steps["card_testing"]}
    assert steps["online_fraud"]
    assert {customer for _, customer in steps["online_fraud"]} <= probed
    # No follower starts before the first parent has.
    assert steps["online_fraud"][0][0] > steps["card_testing"][0][0]
