from __future__ import annotations

from typing import Any

import pytest

from banksim.model import Channel, Kind, ScenarioError
from banksim.world import TIER_LIMIT_UNITS, load_personas
from banksim.world.persona import load_categories


def problems(overrides: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(ScenarioError) as caught:
        load_personas(overrides)
    return caught.value.problems


def test_the_banks_personas() -> None:
    personas = load_personas()
    assert set(personas) == {"student", "salaried", "family", "retiree", "small_business", "high_net_worth"}
    assert sum(p.share for p in personas.values()) == pytest.approx(1.0)
    for persona in personas.values():
        assert sum(persona.hourly) / 24 == pytest.approx(1.0)
        assert sum(persona.weekly) / 7 == pytest.approx(1.0)
        assert set(persona.merchants) | set(persona.online_merchants) | set(persona.bills) <= set(
            load_categories()
        )


def test_usual_amounts_fit_the_tier() -> None:
    for persona in load_personas().values():
        for key, amount in persona.amounts.items():
            assert amount.median_units * 2 < TIER_LIMIT_UNITS[persona.kyc_tier], (persona.name, key)


def test_purchases_cost_about_what_card_payments_cost() -> None:
    # US debit cards: a mean of 46.7 a payment (Fed Reg II 2023).
    from math import exp

    salaried = load_personas()["salaried"]
    means = {k: a.median_units * exp(a.sigma**2 / 2) for k, a in salaried.amounts.items()}
    total = sum(salaried.merchants.values())
    mean = sum(weight / total * means[category] for category, weight in salaried.merchants.items())
    assert mean == pytest.approx(46.7, rel=0.25)


def test_an_override_changes_one_thing_and_keeps_the_rest() -> None:
    before, after = (
        load_personas()["student"],
        load_personas({"student": {"tasks": {"transfer": 0.5}}})["student"],
    )
    assert after.tasks[Kind.TRANSFER] == 0.5
    assert after.tasks[Kind.PURCHASE] == before.tasks[Kind.PURCHASE]
    assert after.channels == before.channels


def test_a_new_persona_is_based_on_another() -> None:
    personas = load_personas(
        {
            "gig_worker": {
                "based_on": "salaried",
                "share": 1.0,
                "spending": 2.0,
                "amounts": {"cafe": {"median": 1.0}},
            }
        }
    )
    gig, base = personas["gig_worker"], personas["salaried"]
    assert gig.share == pytest.approx(0.5)  # 1 of a new total of 2
    assert sum(p.share for p in personas.values()) == pytest.approx(1.0)
    assert gig.amounts["grocery"].median_units == pytest.approx(2 * base.amounts["grocery"].median_units)
    assert gig.amounts["cafe"].median_units == 1.0  # written out: taken as written
    assert gig.amounts["rent"] == base.amounts["rent"]  # not spending


def test_a_share_of_zero_leaves_a_persona_out() -> None:
    assert "retiree" not in load_personas({"retiree": {"share": 0}})


def test_channels_can_be_changed() -> None:
    personas = load_personas({"student": {"channels": {"purchase": {"pos": 0, "mobile": 1, "online": 0}}}})
    weights = personas["student"].channels[Kind.PURCHASE]
    assert weights[Channel.POS] == 0


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"student": {"share": -1}}, "personas.student.share: expected greater than or equal to 0, got -1"),
        ({"student": {"share": float("nan")}}, "personas.student.share:"),
        ({"student": {"tasks": {"shopping": 1}}}, "personas.student.tasks.shopping: expected 'purchase'"),
        ({"student": {"hourly": [1, 2]}}, "personas.student.hourly: expected at least 24 items"),
        ({"student": {"hourly": [0] * 24}}, "personas.student.hourly: at least one value must be above 0"),
        ({"student": {"salery": 1}}, "personas.student.salery: not a key of a persona, got 1"),
        ({"student": {"merchants": {"casino": 1}}}, "personas.student.merchants: unknown: casino"),
        ({"student": {"spending": 0}}, "personas.student.spending: expected a number above 0, got 0"),
        ({"student": {"ages": [40, 20]}}, "personas.student: ages: expected youngest first"),
        ({"student": {"channels": {"purchase": 3}}}, "personas.student.channels.purchase: expected"),
        ({"student": 3}, "personas.student: expected a mapping, got int"),
        ({"nobody": {"share": 0.1}}, "personas.nobody: 'nobody' is not a persona"),
        ({"nobody": {"based_on": ["student"]}}, "personas.nobody: "),
    ],
)
def test_what_is_wrong_is_said(overrides: dict[str, Any], expected: str) -> None:
    found = problems(overrides)
    assert any(problem.startswith(expected) for problem in found), found


def test_all_mistakes_are_told_at_once() -> None:
    found = problems({"student": {"share": -1, "income": "much"}, "family": {"kyc_tier": "gold"}})
    assert len(found) == 3


def test_a_mistake_does_not_break_what_is_based_on_it() -> None:
    found = problems({"a": {"based_on": "student", "amounts": 5}, "b": {"based_on": "a", "spending": 2}})
    assert found[0].startswith("personas.a.amounts: expected")


def test_nobody_left() -> None:
    none = {name: {"share": 0} for name in load_personas()}
    assert problems(none) == ("personas: expected at least one share above 0",)


def test_a_task_needs_a_channel() -> None:
    assert problems({"student": {"channels": {"salary": {"ach": 0}}}}) == (
        "personas.student: tasks.salary: has weight but no channel",
    )
