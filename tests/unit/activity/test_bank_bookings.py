"""What the bank itself books: fees, charges for returned bills, interest; and money back from shops."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from banksim.activity.block import BILL, DEPOSIT, MOBILE, POS, PURCHASE, WORD, Block
from banksim.activity.habits import HabitColumns
from banksim.activity.rows import MONTHLY_INTEREST, MOST_RETURNED, RETURNED_UNITS, RowPlanner
from banksim.world import World
from tests.unit.activity.test_rows import DAY_S, columns, moments, state_of
from tests.unit.world.scenarios import WorldSettings

DAYS = 120
SETTINGS = WorldSettings(customers=60, accounts_per_customer=2, initial_balance=900)


@pytest.fixture(scope="module")
def year_part() -> tuple[World, Block]:
    world = World.from_scenario(SETTINGS, 7)
    return world, RowPlanner(world).plan(0, moments(60 * 2 * DAYS, DAYS))


def billed_by(block: Block, category: str) -> np.ndarray:
    codes = [code for code, m in enumerate(block.legend.merchants) if m.category == category]
    return np.isin(block.merchant, codes) & (block.kind == BILL)


def test_an_account_costs_the_same_each_month_and_more_by_each_bill_that_was_returned(
    year_part: tuple[World, Block],
) -> None:
    _, block = year_part
    is_charge, returned = billed_by(block, "bank_charges"), defaultdict(int)
    is_settlement = billed_by(block, "card_issuer")
    sums: dict[int, set[int]] = defaultdict(set)
    surcharged = 0
    for at in range(len(block)):
        customer = int(block.customer[at])
        if is_charge[at]:
            charged = min(returned[customer], MOST_RETURNED) * round(100 * RETURNED_UNITS)
            sums[customer].add(int(block.amount_cents[at]) - charged)
            surcharged += returned[customer] > 0
            returned[customer] *= bool(block.refused[at])
        elif block.kind[at] == BILL and block.refused[at] and not is_settlement[at]:
            returned[customer] += 1
    assert len(sums) > 50 and surcharged > 10
    assert all(len(basic) == 1 and 1_00 < min(basic) < 25_00 for basic in sums.values())


def test_fees_come_once_a_month(year_part: tuple[World, Block]) -> None:
    _, block = year_part
    days: dict[int, list[float]] = defaultdict(list)
    for at in np.flatnonzero(billed_by(block, "bank_charges")):
        days[int(block.customer[at])].append(float(block.sim_s[at]) / DAY_S)
    gaps = np.concatenate([np.diff(each) for each in days.values()])
    assert 28 <= np.median(gaps) <= 32


def test_interest_is_a_part_of_the_savings_and_goes_there(year_part: tuple[World, Block]) -> None:
    _, block = year_part
    earned = block.description == WORD["Interest"]
    assert earned.sum() > 100
    assert set(block.kind[earned].tolist()) == {DEPOSIT} and set(block.account_slot[earned].tolist()) == {1}
    expected = np.maximum(1, np.floor(MONTHLY_INTEREST * block.balance_before_cents[earned]))
    assert (block.amount_cents[earned] == expected).all()


def test_without_savings_there_is_no_interest() -> None:
    world = World.from_scenario(WorldSettings(customers=40), 7)
    block = RowPlanner(world).plan(0, moments(6000, 60))
    assert not (block.description == WORD["Interest"]).any() and billed_by(block, "bank_charges").any()


def test_money_back_is_what_was_paid_for_a_purchase_on_the_net_and_comes_once(
    year_part: tuple[World, Block],
) -> None:
    _, block = year_part
    is_net = (block.kind == PURCHASE) & (block.channel != POS) & ~block.refused
    bought: dict[int, list[int]] = defaultdict(list)
    refunds = 0
    for at in range(len(block)):
        customer, cents = int(block.customer[at]), int(block.amount_cents[at])
        if block.description[at] == WORD["Refund"]:
            assert (block.kind[at], block.channel[at]) == (DEPOSIT, MOBILE)
            bought[customer].remove(cents)
            refunds += 1
        elif is_net[at]:
            bought[customer].append(cents)
    assert 10 < refunds < 0.05 * is_net.sum()


def test_some_have_an_account_at_another_bank_to_and_from_which_they_move_money(
    year_part: tuple[World, Block],
) -> None:
    world, block = year_part
    elsewhere = HabitColumns(world).banks_elsewhere(np.arange(60))
    assert 0.15 < elsewhere.mean() < 0.55
    is_out = billed_by(block, "other_bank")
    assert is_out[elsewhere[block.customer]].mean() > 2 * is_out[~elsewhere[block.customer]].mean()
    came = (block.description == WORD["Incoming payment"]) & (block.channel == MOBILE)
    assert came.sum() > 10 and elsewhere[block.customer[came]].all()


def test_charges_and_refunds_are_taken_back_with_their_rows() -> None:
    world, sim_s = World.from_scenario(SETTINGS, 7), moments(4000, 60)
    straight, back = RowPlanner(world), RowPlanner(world)
    whole = straight.plan(0, sim_s)
    first = back.plan(0, sim_s)
    back.take_back(first, 1500)
    again = back.plan(1500, sim_s[1500:])
    kept = first.part(0, int(np.searchsorted(first.row, 1500)))
    assert columns([whole]) == columns([kept, again]) and state_of(straight) == state_of(back)
