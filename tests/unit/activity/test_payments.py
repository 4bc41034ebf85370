"""Payments of a user's own: whose, when, how many, and what becomes of those that cannot be."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from banksim.activity import Chance, Draft, payment
from banksim.activity.payments import Payment, check_payments
from banksim.activity.rows import RowPlanner
from banksim.model import Channel, Kind, Planned, ScenarioError
from banksim.world import World, stream
from tests.unit.activity.helpers import planned
from tests.unit.world.scenarios import WorldSettings

DAY_S = 86_400


def kind_of(function: object) -> Payment:
    found: Payment = vars(function)["__banksim_payment__"]
    return found


@payment("gym", share=0.1, personas=("student", "salaried"), hours=(6, 22), months={7: 0.5})
def gym(chance: Chance) -> Draft | None:
    return chance.purchase("entertainment", chance.about(39, 0.2), channel="online", words="Gym")


@payment("parking", share=0.2)
def parking(chance: Chance) -> Draft | None:
    return chance.bill("utilities", chance.between(5, 9), words="Parking")


@payment("yacht", share=1.0)
def yacht(chance: Chance) -> Draft | None:
    return chance.transfer(chance.price(900_000))


@pytest.fixture(scope="module")
def world() -> World:
    return World.from_scenario(WorldSettings(customers=400), 7)


def plans(world: World, *payments: object, count: int = 4000) -> list[Planned]:
    rng = stream(1, "moments")
    moments = sorted(rng.uniform(0, 7 * DAY_S) for _ in range(count))
    return planned(world, moments, payments=[kind_of(function) for function in payments])


def test_a_payment_takes_its_share_of_those_who_make_it(world: World) -> None:
    made = plans(world, gym)
    mine = [p for p in made if p.transaction.description == "Gym"]
    assert {p.truth.persona for p in mine} == {"student", "salaried"}
    assert {p.transaction.kind for p in mine} == {Kind.PURCHASE}
    assert {p.transaction.channel for p in mine} == {Channel.ONLINE}
    hours = {datetime.fromtimestamp(p.transaction.timestamp_s, UTC).hour for p in mine}
    assert hours <= set(range(6, 22))
    asked = [
        p
        for p in made
        if p.truth.persona in ("student", "salaried")
        and 6 <= datetime.fromtimestamp(p.transaction.timestamp_s, UTC).hour < 22
    ]
    assert 0.06 < len(mine) / len(asked) < 0.13  # 10 % of all but pay days


def test_amounts_and_shops_are_as_asked_for(world: World) -> None:
    mine = [p.transaction for p in plans(world, parking) if p.transaction.description == "Parking"]
    assert len(mine) > 400
    assert all(500 <= tx.amount_cents <= 900 and tx.kind is Kind.BILL_PAYMENT for tx in mine)
    payees: dict[int, set[str]] = {}
    for tx in mine:
        assert tx.merchant is not None
        payees.setdefault(tx.account.customer_index, set()).add(tx.merchant.merchant_id)
    assert all(len(billers) == 1 for billers in payees.values())  # a customer has one provider


def test_what_nobody_can_pay_leaves_the_arrival_to_the_usual(world: World) -> None:
    made = plans(world, yacht, count=500)
    assert len(made) == 500
    assert max(p.transaction.amount_cents for p in made) < 900_000_00


def test_without_payments_nothing_changes(world: World) -> None:
    assert plans(world, count=300) == plans(world, count=300)


def test_the_same_seed_makes_the_same_payments(world: World) -> None:
    assert plans(world, gym, parking, count=300) == plans(world, gym, parking, count=300)


def test_payments_do_not_depend_on_the_size_of_blocks(world: World) -> None:
    @payment("lunch", share=0.5)
    def lunch(chance: Chance) -> Draft | None:
        drawn = chance.rng.random()
        if drawn < 0.3:
            return chance.transfer(chance.between(1, 2000), words=f"Lunch {drawn:.3f}")
        return chance.purchase("restaurant", chance.about(14, 0.5), words="Lunch")

    sim_s = np.linspace(12 * 3600, 13 * 3600, 600)
    whole, cut = (RowPlanner(world, payments=[kind_of(lunch)]) for _ in range(2))
    one = whole.plan(0, sim_s)
    parts = [cut.plan(first, sim_s[first : first + 70]) for first in range(0, 600, 70)]
    rows = [one.planned(position).transaction for position in range(600)]
    assert rows == [part.planned(position).transaction for part in parts for position in range(len(part))]
    mine = [tx for tx in rows if tx.description.startswith("Lunch")]
    assert len(mine) > 150 and {tx.kind for tx in mine} == {Kind.PURCHASE, Kind.TRANSFER}
    assert all(tx.merchant is not None and tx.place == tx.merchant.place for tx in mine if tx.merchant)
    cut.take_back(parts[-1], 0)
    assert cut.plan(560, sim_s[560:]).amount_cents.tolist() == one.amount_cents[560:].tolist()


def test_months_and_hours_past_midnight() -> None:
    late = Payment("late", parking, 0.2, frozenset(), (22, 4), {12: 2.0})
    assert late.chance_at("student", datetime(2026, 1, 5, 23)) == 0.2
    assert late.chance_at("student", datetime(2026, 12, 5, 3)) == 0.4
    assert late.chance_at("student", datetime(2026, 1, 5, 4)) == 0.0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"share": 0}, "share: expected"),
        ({"share": 0.1, "hours": (5, 5)}, "hours: expected"),
        ({"share": 0.1, "months": {13: 1.0}}, "months: expected"),
    ],
)
def test_what_cannot_be_is_said_where_it_is_written(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        payment("wrong", **wrong)  # type: ignore[arg-type]


def test_a_scenario_must_have_the_personas_and_room_for_all_shares() -> None:
    with pytest.raises(ScenarioError, match="payment gym: no persona salaried; known: student"):
        check_payments([kind_of(gym)], ["student"])
    with pytest.raises(ScenarioError, match="add up to 1 at most"):
        check_payments([kind_of(yacht), kind_of(parking)], ["student"])


def test_one_that_raises_is_told_once_and_left_out(world: World, caplog: pytest.LogCaptureFixture) -> None:
    @payment("odd", share=1.0)
    def odd(chance: Chance) -> Draft | None:
        return chance.purchase("gymnastics", 100)

    assert len(plans(world, odd, count=20)) == 20
    assert len(caplog.records) == 1
    assert "Payment odd failed" in caplog.text
    assert "no category 'gymnastics'; known: grocery" in caplog.text
