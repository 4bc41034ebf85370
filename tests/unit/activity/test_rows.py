"""The planner of rows: the same rows however they are cut, and nothing left of what is taken back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banksim.activity.block import (
    ATM,
    COLUMNS,
    EXPIRED_CARD,
    FUNDS,
    KINDS,
    LIMIT,
    POS,
    PURCHASE,
    SALARY,
    TRANSFER,
    WITHDRAWAL,
    WRONG_PIN,
    Block,
)
from banksim.activity.finder import SEEN_COLUMNS, levels
from banksim.activity.rows import RowPlanner
from banksim.model import CREDIT_KINDS, AccountRef, Channel, Kind, Transaction
from banksim.world import World
from banksim.world.random import Floats
from tests.unit.world.scenarios import OnboardingSettings, WorldSettings

DAY_S = 86_400
WORLD = World.from_scenario(WorldSettings(customers=60, accounts_per_customer=2), 7)


def moments(count: int, days: float, seed: int = 1) -> Floats:
    """Arrivals on a Monday and the days after, from nine o'clock on."""
    return np.sort(np.random.default_rng(seed).uniform(0, days * DAY_S, count)) + 9 * 3600


def columns(blocks: list[Block]) -> dict[str, list[object]]:
    return {name: np.concatenate([getattr(b, name) for b in blocks]).tolist() for name in COLUMNS}


def state_of(planner: RowPlanner) -> list[object]:
    seen = planner.state.seen
    paid = {key: value for key, value in planner._drafts.salaries.paid.items() if value}
    return [
        planner.state.balances.tolist(),
        *(getattr(seen, name).tolist() for name in SEEN_COLUMNS),
        paid,
        planner.unplanned,
    ]


def plan_in_cuts(planner: RowPlanner, sim_s: Floats, cuts: list[int]) -> list[Block]:
    edges = sorted({0, *(cut % (len(sim_s) + 1) for cut in cuts), len(sim_s)})
    return [planner.plan(a, sim_s[a:b]) for a, b in itertools.pairwise(edges)]


@pytest.mark.parametrize("days", [0.02, 6.0, 90.0])
@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(0, 700), max_size=8))
def test_rows_do_not_depend_on_the_size_of_blocks(days: float, cuts: list[int]) -> None:
    sim_s = moments(700, days)
    whole, cut = RowPlanner(WORLD), RowPlanner(WORLD)
    assert columns([whole.plan(0, sim_s)]) == columns(plan_in_cuts(cut, sim_s, cuts))
    assert state_of(whole) == state_of(cut)


@pytest.mark.parametrize("days", [0.02, 6.0])
@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(0, 600), max_size=5), from_row=st.integers(0, 600), size=st.integers(1, 300))
def test_what_is_taken_back_leaves_no_trace(days: float, cuts: list[int], from_row: int, size: int) -> None:
    """Plan, take back, plan other moments, take those back as well, and plan the first again."""
    sim_s = moments(600, days)
    once, often = RowPlanner(WORLD), RowPlanner(WORLD)
    expected = columns([once.plan(0, sim_s)])
    blocks = plan_in_cuts(often, sim_s, cuts)
    for block in reversed(blocks):
        often.take_back(block, from_row)
    other = often.plan(
        from_row, np.sort(sim_s[from_row - 1 if from_row else 0] + moments(size, days, seed=2))
    )
    often.take_back(other, from_row)
    kept = [block.part(0, int(np.searchsorted(block.row, from_row))) for block in blocks]
    again = often.plan(from_row, sim_s[from_row:])
    assert columns([*kept, again]) == expected
    assert state_of(often) == state_of(once)


def test_drafts_settled_again_give_the_same() -> None:
    sim_s = moments(500, 0.05)
    once, twice = RowPlanner(WORLD), RowPlanner(WORLD)
    drafts = twice.draft(0, sim_s)
    first, second = twice.settle(drafts, 0, 200), twice.settle(drafts, 200, len(drafts))
    twice.unsettle(second, 0)
    twice.unsettle(first, 120)
    again = twice.settle(drafts, 120, len(drafts))
    assert columns([first.part(0, 120), again]) == columns([once.plan(0, sim_s)])
    assert state_of(once) == state_of(twice)


@pytest.mark.parametrize(("customers", "days"), [(60, 0.02), (300, 7.0)])
def test_balances_before_are_those_of_a_ledger(customers: int, days: float) -> None:
    world = World.from_scenario(WorldSettings(customers=customers, accounts_per_customer=2), 7)
    planner = RowPlanner(world)
    held = {
        AccountRef(i, slot): spec.opening_balance_cents
        for i in range(customers)
        for slot, spec in enumerate(world.population.customer(i).accounts)
    }
    refused = 0
    for block in plan_in_cuts(planner, moments(4000, days), [500, 1700]):
        for position in range(len(block)):
            tx = block.planned(position).transaction
            assert block.balance_before_cents[position] == held[tx.account]
            is_credit = tx.kind in CREDIT_KINDS
            short = not is_credit and tx.amount_cents > held[tx.account]
            assert block.decline[position] in (FUNDS if short else 0, LIMIT, WRONG_PIN, EXPIRED_CARD)
            if block.refused[position]:
                refused += 1
                continue
            held[tx.account] += tx.amount_cents if is_credit else -tx.amount_cents
            if tx.counterparty is not None:
                held[tx.counterparty] += tx.amount_cents
    assert all(planner.state.available(account) == cents for account, cents in held.items())
    assert min(held.values()) >= 0 and 0 < refused < 320


@pytest.fixture(scope="module")
def two_weeks() -> Block:
    world = World.from_scenario(WorldSettings(customers=2000), 7)
    return RowPlanner(world).plan(0, moments(60_000, 14))


def next_of(block: Block, position: int) -> int:
    """The customer's next row; -1 for none."""
    later = np.flatnonzero(block.customer[position + 1 :] == block.customer[position])
    return position + 1 + int(later[0]) if len(later) else -1


@pytest.mark.parametrize(
    ("reason", "share", "within_s"),
    [(WRONG_PIN, (0.0015, 0.004), 60), (EXPIRED_CARD, (0.0002, 0.0008), 1200)],
)
def test_cards_fail_at_published_rates_and_most_are_tried_again(
    two_weeks: Block, reason: int, share: tuple[float, float], within_s: float
) -> None:
    block = two_weeks
    failed = np.flatnonzero(block.decline == reason)
    assert share[0] < len(failed) / len(block) < share[1]
    assert np.isin(block.kind[failed], (PURCHASE, WITHDRAWAL)).all()
    in_person = np.isin(block.channel[failed], (POS, ATM))
    assert in_person.all() if reason == WRONG_PIN else not in_person.any()
    again = same = 0
    for position in failed.tolist():
        later = next_of(block, position)
        if later >= 0 and block.sim_s[later] - block.sim_s[position] <= within_s:
            again += 1
            columns = (block.kind, block.merchant, block.amount_cents, block.device)
            same += all(column[later] == column[position] for column in columns)
    assert again > 0.7 * len(failed)
    assert same > 0.7 * again


def test_an_expired_card_is_replaced(two_weeks: Block) -> None:
    failed = np.flatnonzero(two_weeks.decline == EXPIRED_CARD)
    first = {int(two_weeks.customer[at]): float(two_weeks.sim_s[at]) for at in failed[::-1]}
    last = {int(two_weeks.customer[at]): float(two_weeks.sim_s[at]) for at in failed}
    assert len(first) > 10
    assert all(last[customer] - first[customer] < 10 * DAY_S for customer in first)


def test_only_who_has_more_than_the_limit_tries_to_send_it(two_weeks: Block) -> None:
    over = two_weeks.decline == LIMIT
    limits = np.array([100_000, 1_000_000, 10_000_000])
    assert 0.0001 < over.mean() < 0.003
    assert (two_weeks.kind[over] == TRANSFER).all()
    assert (two_weeks.balance_before_cents[over] >= two_weeks.amount_cents[over]).all()
    assert np.isin(two_weeks.amount_cents[over] // limits[:, None], 1).any(axis=0).all()


def test_what_tries_again_is_nothing_else_than_a_row_of_its_own(two_weeks: Block) -> None:
    assert len(set(two_weeks.row.tolist())) == len(two_weeks)
    position = int(np.flatnonzero(two_weeks.decline >= WRONG_PIN)[0])
    assert two_weeks.planned(position).transaction.card_check
    assert two_weeks.refused[position]


def test_a_block_is_whole() -> None:
    block = RowPlanner(WORLD).plan(5, moments(300, 3))
    assert len(block) == 300 and block.row.tolist() == list(range(5, 305))
    assert {len(getattr(block, name)) for name in COLUMNS} == {300}
    ids = [bytes(text).decode() for text in block.legend.transaction_ids(block.row)]
    devices = [bytes(text).decode() for text in block.legend.device_ids(block.customer, block.device)]
    part = block.part(100, 110)
    for position in range(10):
        planned = part.planned(position)
        tx = planned.transaction
        assert planned == block.planned(100 + position)
        assert (tx.transaction_id, tx.device_id) == (ids[100 + position], devices[100 + position])
    with pytest.raises(ValueError):
        RowPlanner(WORLD).take_back(part, 100)


def test_shards_draw_from_streams_of_their_own() -> None:
    sim_s = moments(200, 1)
    one, other = RowPlanner(WORLD).plan(0, sim_s), RowPlanner(WORLD, shard=1).plan(0, sim_s)
    assert (one.customer != other.customer).any()
    assert one.legend.transaction_id(0) != other.legend.transaction_id(0)


def test_only_who_has_an_account_by_then_pays_or_is_paid() -> None:
    planner, sim_s = RowPlanner(WORLD), moments(2000, 2)
    open_from_s = np.where(np.arange(60) % 4 == 0, 0.0, 9 * 3600 + DAY_S)
    planner.eligible.has_account = lambda customers, sim_s: open_from_s[customers] <= sim_s
    block = planner.plan(0, sim_s)
    early = block.sim_s < 9 * 3600 + DAY_S
    assert (block.customer[early] % 4 == 0).all() and (block.customer[~early] % 4 != 0).any()
    paid = block.counterparty[early]
    assert (paid[paid >= 0] % 4 == 0).all() and planner.unplanned == 0


def test_a_process_acts_for_its_own_customers_and_pays_anybody() -> None:
    planner = RowPlanner(WORLD)
    planner.eligible.is_mine = lambda customers: customers < 30
    block = planner.plan(0, moments(2000, 2))
    assert (block.customer < 30).all() and (block.counterparty >= 30).any()


def test_arrivals_for_which_nobody_can_act_have_no_row() -> None:
    planner = RowPlanner(WORLD)
    planner.eligible.is_mine = lambda customers: customers < 0
    block = planner.plan(0, moments(50, 1))
    assert len(block) == 0 and planner.unplanned == 50
    planner.take_back(block, 20)
    assert planner.unplanned == 20


def test_who_joins_later_starts_with_nothing_and_can_spend_what_is_booked() -> None:
    scenario = WorldSettings(customers=50, onboarding=OnboardingSettings(existing_share=0.4))
    world = World.from_scenario(scenario, 7)
    planner, account = RowPlanner(world, scenario), AccountRef(49)
    assert planner.state.available(AccountRef(19)) > 0 == planner.state.available(account)
    home = world.population.customer(49).home
    deposit = Transaction("id", Kind.DEPOSIT, account, 5000, "USD", Channel.ACH, 0.0, home, "d", "First")
    planner.state.book(deposit)
    assert planner.state.available(account) == 5000
    planner.state.book(deposit, -1)
    assert planner.state.available(account) == 0


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(-1, 6)), max_size=40),
)
def test_who_pays_in_a_level_is_touched_once_and_the_order_is_kept(rows: list[tuple[int, int]]) -> None:
    payers, payees = (np.array([row[k] for row in rows], np.int64) for k in (0, 1))
    found = levels(payers, payees).tolist()
    for later, (payer, payee) in enumerate(rows):
        for earlier, (payer_before, payee_before) in enumerate(rows[:later]):
            if payer in (payer_before, payee_before) or payee == payer_before:
                assert found[earlier] < found[later]


def test_salaries_come_once_a_pay_day() -> None:
    world = World.from_scenario(WorldSettings(customers=300), 7)
    block = RowPlanner(world).plan(0, moments(20_000, 3))
    salaries = block.kind == SALARY
    days = (block.sim_s[salaries] // DAY_S).astype(int)
    paid = list(zip(block.customer[salaries].tolist(), days.tolist(), strict=True))
    assert len(paid) == len(set(paid)) > 50


def test_purchases_name_their_shop() -> None:
    block = RowPlanner(WORLD).plan(0, moments(500, 3))
    for position in np.flatnonzero(block.kind == PURCHASE)[:50].tolist():
        tx = block.planned(position).transaction
        assert KINDS[block.kind[position]] is Kind.PURCHASE and tx.merchant is not None
        assert tx.description == f"Purchase at {tx.merchant.name}"
        assert (tx.place == tx.merchant.place) or tx.channel is not Channel.POS
