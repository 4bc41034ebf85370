from __future__ import annotations

from collections import Counter

import pytest

from banksim.activity.calendar import HOURS_OF_WEEK, Rhythm, is_salary_hour
from banksim.model import Channel, Kind
from banksim.world import World, stream
from tests.unit.world.scenarios import WorldSettings


@pytest.fixture(scope="module")
def world() -> World:
    return World.from_scenario(WorldSettings(customers=1000), 7)


@pytest.fixture(scope="module")
def rhythm(world: World) -> Rhythm:
    return Rhythm(world)


def test_personas_follow_their_hours(world: World, rhythm: Rhythm) -> None:
    rng = stream(1)
    night = Counter(rhythm.personas_at[2].pick(rng) for _ in range(3000))
    morning = Counter(rhythm.personas_at[10].pick(rng) for _ in range(3000))
    assert night["student"] > 1.5 * morning["student"]
    assert morning["retiree"] > 1.5 * night["retiree"]


@pytest.mark.parametrize("how", [9, 34, 24 * 5 + 10, 24 * 6 + 3])
def test_salaries_are_paid_in_business_hours_only(rhythm: Rhythm, how: int) -> None:
    kinds = set(rhythm.kinds_at("salaried", how).items)
    assert (Kind.SALARY in kinds) == is_salary_hour(how)


def test_a_week_of_the_table_has_the_personas_task_mix(world: World, rhythm: Rhythm) -> None:
    persona, rng = world.personas["salaried"], stream(1)
    seen: Counter[Kind] = Counter()
    for how in range(HOURS_OF_WEEK):
        draws = round(200 * persona.hourly[how % 24] * persona.weekly[how // 24])
        seen.update(rhythm.kinds_at("salaried", how).pick(rng) for _ in range(draws))
    total, weights = sum(seen.values()), sum(persona.tasks.values())
    for kind, weight in persona.tasks.items():
        assert seen[kind] / total == pytest.approx(weight / weights, abs=0.012), kind


def test_branches_and_clearing_rest(rhythm: Rhythm) -> None:
    sunday_noon, tuesday_noon, tuesday_night = 24 * 6 + 12, 24 + 12, 24 + 22
    assert Channel.BRANCH in channels(rhythm, "retiree", Kind.DEPOSIT, tuesday_noon)
    assert Channel.BRANCH not in channels(rhythm, "retiree", Kind.DEPOSIT, tuesday_night)
    assert Channel.BRANCH not in channels(rhythm, "retiree", Kind.DEPOSIT, sunday_noon)
    assert Channel.WIRE in channels(rhythm, "small_business", Kind.TRANSFER, tuesday_night)
    assert not channels(rhythm, "small_business", Kind.TRANSFER, sunday_noon) & {Channel.WIRE, Channel.ACH}


def test_a_kind_without_channels_has_none(rhythm: Rhythm) -> None:
    assert rhythm.channels_at("nobody", Kind.DEPOSIT, 0) is None


def test_an_hour_nobody_uses_still_has_somebody() -> None:
    lazy = {name: {"hourly": [0] * 12 + [1] * 12} for name in WORLD_PERSONAS}
    rhythm = Rhythm(World.from_scenario(WorldSettings(customers=100, personas=lazy), 1))
    assert rhythm.personas_at[3].pick(stream(1)) in WORLD_PERSONAS


def test_only_salaries_to_do_at_night() -> None:
    only = {
        "student": {
            "tasks": dict.fromkeys(("purchase", "withdrawal", "deposit", "transfer", "bill_payment"), 0)
        }
    }
    rhythm = Rhythm(World.from_scenario(WorldSettings(customers=100, personas=only), 1))
    assert rhythm.kinds_at("student", 3).items == (Kind.SALARY,)


WORLD_PERSONAS = ("student", "salaried", "family", "retiree", "small_business", "high_net_worth")


def channels(rhythm: Rhythm, persona: str, kind: Kind, how: int) -> set[Channel]:
    choice = rhythm.channels_at(persona, kind, how)
    assert choice is not None
    return set(choice.items)
