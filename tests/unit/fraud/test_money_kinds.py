"""What mule networks and structuring mean, read from the transactions they make."""

from __future__ import annotations

from collections import defaultdict

import pytest

from banksim.model import CREDIT_KINDS, Kind

from .helpers import REFUSED, one_pattern


def transactions(campaigns):
    return [step.transaction for steps in campaigns for step in steps]


def by_account(steps):
    found = defaultdict(list)
    for step in steps:
        found[step.transaction.account.customer_index].append(step)
    return found


def test_mules_pass_on_what_came_less_a_commission():
    seen = 0
    for seed in range(6):
        for steps in one_pattern("mule_network", seed, count=48, mule_accounts=8, hops=[3, 5]):
            into, out = defaultdict(int), defaultdict(int)
            mules = {s.transaction.account.customer_index for s in steps if s.truth.role == "mule"}
            for step in steps:
                tx = step.transaction
                if tx.kind in CREDIT_KINDS:
                    into[tx.account.customer_index] += tx.amount_cents
                    continue
                out[tx.account.customer_index] += tx.amount_cents
                if tx.counterparty is not None:
                    into[tx.counterparty.customer_index] += tx.amount_cents
                if step.truth.role == "mule":
                    # Never more than has come in by then.
                    assert out[tx.account.customer_index] <= into[tx.account.customer_index]
            total_in = sum(into[index] for index in mules)
            seen += len(mules)
            assert sum(out[index] for index in mules) <= total_in
    assert seen > 50


def test_each_hop_keeps_all_but_the_commission():
    ratios = []
    for steps in one_pattern("mule_network", count=60, hops=[4, 4]):
        arrived = {}
        for step in steps:
            tx = step.transaction
            if step.truth.role == "mule" and tx.kind is Kind.TRANSFER:
                ratios.append(tx.amount_cents / arrived[tx.account.customer_index])
            holder = tx.counterparty or tx.account
            arrived[holder.customer_index] = tx.amount_cents
    assert len(ratios) > 15
    assert min(ratios) > 0.9
    assert max(ratios) < 0.99


def test_where_a_transfer_is_refused_nothing_is_passed_on():
    campaigns = one_pattern("mule_network", count=40, answer=lambda _: REFUSED)
    roles = {s.truth.role for steps in campaigns for s in steps if s.transaction.kind is Kind.TRANSFER}
    assert roles == {"victim"}


def test_hops_and_mule_accounts_are_kept():
    [steps] = one_pattern("mule_network", count=60, duration_minutes=1400, mule_accounts=3, hops=3)
    stories = []
    for step in steps:
        from_mule = step.truth.role == "mule" and step.transaction.kind not in CREDIT_KINDS
        if not from_mule:
            stories.append([])
        stories[-1].append(step.transaction)
    for story in stories[:-1]:  # the last may be cut at the size
        passed_on = [tx for tx in story[1:] if tx.kind is Kind.TRANSFER]
        assert len(passed_on) == 2
    mules = {s.transaction.account.customer_index for s in steps if s.truth.role == "mule"}
    assert len(mules) == 3


@pytest.mark.parametrize(("threshold", "soph"), [(None, 0.0), (None, 1.0), (3000, 0.5)])
def test_structuring_stays_below_the_threshold_and_together_above_it(threshold, soph):
    line = (threshold or 10_000) * 100
    for seed in range(4):
        for steps in one_pattern("structuring", seed, count=30, threshold=threshold, sophistication=soph):
            amounts = [step.transaction.amount_cents for step in steps]
            assert all(step.transaction.kind is Kind.DEPOSIT for step in steps)
            assert max(amounts) < line
            assert sum(amounts) > line
            assert len(by_account(steps)) <= 3


def test_structuring_by_few_people_over_hours():
    [steps] = one_pattern("structuring", count=9, duration_minutes=1200)
    assert len(by_account(steps)) <= 3
    assert steps[-1].sim_s - steps[0].sim_s > 3 * 3600


def test_structuring_with_amounts_of_ones_own():
    amounts = {
        tx.amount_cents
        for tx in transactions(one_pattern("structuring", split_amounts=[4000.0, 9900.0, 12_000.0]))
    }
    assert amounts == {400_000, 990_000}


def test_structuring_undivided_is_above_the_threshold():
    amounts = [
        tx.amount_cents
        for tx in transactions(one_pattern("structuring", threshold=2000, split_amounts=False))
    ]
    assert min(amounts) > 200_000
