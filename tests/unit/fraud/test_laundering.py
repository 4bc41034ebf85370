"""Money that moves between accomplices: its shapes, and that none of it appears or vanishes."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from banksim.model import CREDIT_KINDS, Kind

from .helpers import BLOCKED, REFUSED, approve, desk, drive, one_pattern

SHAPES = ("fan_in", "fan_out", "cycle", "scatter_gather", "gather_scatter", "bipartite", "stack", "layering")
WHOLE_RUN = 1430  # minutes: one campaign


def one_shape(kind, size, seed=1, **options):
    """The edges (payer, payee) and steps of one campaign that is one story."""
    [steps] = one_pattern(kind, seed, count=size, duration_minutes=WHOLE_RUN, **options)
    assert len(steps) == size
    edges = [(s.transaction.account.customer_index, s.transaction.counterparty.customer_index) for s in steps]
    return edges, steps


def degrees(edges):
    distinct = set(edges)
    return Counter(payer for payer, _ in distinct), Counter(payee for _, payee in distinct)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("kind", SHAPES)
def test_mules_never_pay_more_than_came_and_keep_only_a_commission(kind, seed):
    _, steps = one_shape(kind, 8, seed)
    came, went = Counter(), Counter()
    for step in steps:
        tx = step.transaction
        assert tx.kind is Kind.TRANSFER
        if step.truth.role == "mule":
            went[tx.account.customer_index] += tx.amount_cents
            assert went[tx.account.customer_index] <= came[tx.account.customer_index]
        came[tx.counterparty.customer_index] += tx.amount_cents
    for mule, cents in went.items():
        if kind != "cycle" or cents < came[mule]:
            assert 0.9 < cents / came[mule] < 0.99
    assert bool(went) == (kind not in ("fan_in", "fan_out", "bipartite"))


def test_fan_in_has_one_payee_and_fan_out_one_payer():
    payers, payees = degrees(one_shape("fan_in", 7)[0])
    assert (len(payers), len(payees)) == (7, 1)
    payers, payees = degrees(one_shape("fan_out", 7)[0])
    assert (len(payers), len(payees)) == (1, 7)


def test_a_cycle_comes_back_to_its_start():
    edges, steps = one_shape("cycle", 6)
    assert all(here[1] == there[0] for here, there in zip(edges, edges[1:] + edges[:1], strict=True))
    assert len({payer for payer, _ in edges}) == 6
    amounts = [step.transaction.amount_cents for step in steps]
    assert amounts == sorted(amounts, reverse=True)
    assert amounts[-1] > 0.6 * amounts[0]


def test_scatter_gather_spreads_and_comes_together():
    edges, _ = one_shape("scatter_gather", 8)
    (source,) = {payer for payer, _ in edges[:4]}
    (sink,) = {payee for _, payee in edges[4:]}
    between = {payee for _, payee in edges[:4]}
    assert between == {payer for payer, _ in edges[4:]}
    assert len(between | {source, sink}) == 6


def test_gather_scatter_comes_together_and_spreads():
    edges, _ = one_shape("gather_scatter", 8)
    (centre,) = {payee for _, payee in edges[:4]}
    assert {payer for payer, _ in edges[4:]} == {centre}
    assert len({payer for payer, _ in edges[:4]} | {payee for _, payee in edges[4:]}) == 8


def test_bipartite_has_two_sides_with_several_edges_each():
    edges, _ = one_shape("bipartite", 9)
    payers, payees = degrees(edges)
    assert payers.keys().isdisjoint(payees)
    assert sorted(payers.values()) == sorted(payees.values()) == [3, 3, 3]


def test_a_stack_is_bipartite_twice():
    edges, steps = one_shape("stack", 8)
    first = {e for e, s in zip(edges, steps, strict=True) if s.truth.role == "source"}
    second = set(edges) - first
    assert {payee for _, payee in first} == {payer for payer, _ in second}
    assert {payer for payer, _ in first}.isdisjoint(payee for _, payee in second)
    assert len(first) == len(second) == 4


@pytest.mark.parametrize("hops", [2, 3, 4])
def test_layering_takes_the_hops_asked_for_in_parallel_chains(hops):
    edges, _ = one_shape("layering", 11, hops=hops)
    payers, payees = degrees(edges)
    [source] = payers.keys() - payees.keys()
    [beneficiary] = payees.keys() - payers.keys()
    follow = defaultdict(set)
    for payer, payee in edges:
        follow[payer].add(payee)
    layer = {source}
    for _ in range(hops):
        layer = set().union(*(follow[account] for account in layer))
    assert layer == {beneficiary}
    assert payers[source] == payees[beneficiary] == 11 // hops


def test_layering_keeps_to_the_accounts_it_is_given():
    edges, _ = one_shape("layering", 11, hops=3, mule_accounts=4)
    payers, payees = degrees(edges[:6])
    assert len(payers.keys() & payees.keys()) <= 4


def test_where_a_transfer_is_refused_nothing_is_passed_on():
    for kind in SHAPES:
        steps = [s for made in one_pattern(kind, count=30, answer=lambda _: REFUSED) for s in made]
        assert {s.truth.role for s in steps} == {"source"}


@pytest.mark.parametrize(("threshold", "soph"), [(None, 0.0), (None, 1.0), (4000, 0.4)])
def test_smurfs_pay_in_far_below_the_threshold_and_pass_on_to_one_collector(threshold, soph):
    line = (threshold or 10_000) * 100
    for seed in range(3):
        [steps] = one_pattern(
            "smurfing",
            seed,
            count=16,
            duration_minutes=WHOLE_RUN,
            mule_accounts=8,
            threshold=threshold,
            sophistication=soph,
        )
        deposits = [s.transaction for s in steps if s.transaction.kind in CREDIT_KINDS]
        passed_on = [s.transaction for s in steps if s.transaction.kind is Kind.TRANSFER]
        assert len(deposits) == len(passed_on) == 8
        assert max(tx.amount_cents for tx in deposits) <= 0.9 * line
        assert sum(tx.amount_cents for tx in deposits) > line
        assert len({tx.account for tx in deposits}) == 8
        assert len({tx.counterparty for tx in passed_on}) == 1
        paid_in = {tx.account: tx.amount_cents for tx in deposits}
        assert all(0.9 < tx.amount_cents / paid_in[tx.account] < 0.99 for tx in passed_on)


def blocking_once(kind):
    """An answer that blocks the first step of that kind and approves the others."""
    seen = []

    def answer(planned):
        if planned.transaction.kind is kind and not seen:
            seen.append(planned)
            return BLOCKED
        return approve(planned)

    return answer, seen


def test_a_blocked_mule_is_replaced_and_gets_the_sum():
    answer, seen = blocking_once(Kind.TRANSFER)
    pattern = {"type": "mule_network", "count": 60, "duration_minutes": WHOLE_RUN, "mule_accounts": 5}
    fraud = desk(4, fraud={"patterns": [pattern]})
    steps = drive(fraud.open(fraud.planned[0]), answer)
    nth = steps.index(seen[0])
    blocked, after = seen[0].transaction, [s.transaction for s in steps[nth + 1 :]]
    assert seen[0].truth.role == "victim"
    assert after[0].account == blocked.account
    assert after[0].counterparty not in (None, blocked.counterparty)
    assert after[0].amount_cents == pytest.approx(blocked.amount_cents, abs=1000)  # rounded anew
    assert blocked.counterparty not in {tx.account for tx in after} | {tx.counterparty for tx in after}


@pytest.mark.parametrize("kind", ["scatter_gather", "layering", "stack"])
def test_what_a_blocked_mule_holds_is_lost(kind):
    blocked = []

    def answer(planned):
        if planned.truth.role == "mule" and not blocked:
            blocked.append(planned.transaction.account)
            return BLOCKED
        return approve(planned)

    [steps] = one_pattern(kind, 2, answer=answer, count=12, duration_minutes=WHOLE_RUN)
    payers = [s.transaction.account for s in steps]
    assert payers.count(blocked[0]) == 1
    assert payers.index(blocked[0]) < len(steps)


def test_a_takeover_goes_on_with_another_mule_when_one_is_blocked():
    answer, seen = blocking_once(Kind.TRANSFER)
    [steps] = one_pattern("account_takeover", 3, answer=answer, count=12, duration_minutes=300)
    payees = [s.transaction.counterparty for s in steps]
    assert payees.count(seen[0].transaction.counterparty) == 1
