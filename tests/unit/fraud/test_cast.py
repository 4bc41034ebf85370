from __future__ import annotations

from collections import Counter

import pytest

from banksim.fraud.people import Attacker, VictimPool
from banksim.model import Place
from banksim.world import distance_km, stream

from .helpers import world


def anybody(_):
    return True


@pytest.mark.parametrize("size", [1, 2, 3, 25, 400, 5000])
def test_victims_and_accomplices_are_different_people(size):
    cast = VictimPool(1, world(size).population)
    indices = [cast.index_of(rank) for rank in range(size)]
    assert sorted(indices) == list(range(size))
    assert 1 <= cast.victims <= size
    assert cast.victims + cast.accomplices <= size
    assert size < 3 or cast.accomplices >= 1


def test_not_everybody_is_a_victim_sooner_or_later():
    population = world(400).population
    cast, rng = VictimPool(1, population), stream(1, "t")
    seen = {cast.victim(rng, anybody, ()).index for _ in range(5000)}
    assert len(seen) == cast.victims == 120


def test_victims_are_of_every_persona():
    population = world(5000).population
    cast, rng = VictimPool(2, population), stream(1, "t")
    counts = Counter(cast.victim(rng, anybody, ()).persona for _ in range(3000))
    for persona in population.personas.values():
        assert counts[persona.name] / 3000 == pytest.approx(persona.share, abs=0.05)


def test_those_to_avoid_are_taken_only_when_nobody_else_is_left():
    population = world(25).population
    cast, rng = VictimPool(1, population), stream(1, "t")
    used: set[int] = set()
    for _ in range(5):
        index = cast.accomplice(rng, anybody, used).index
        assert index not in used
        used.add(index)
    everyone = set(range(25))
    assert cast.accomplice(rng, anybody, everyone).index in everyone


def test_an_impossible_wish_still_gives_somebody():
    cast = VictimPool(1, world(400).population)
    assert cast.victim(stream(1, "t"), lambda _: False, ()).index >= 0


def test_a_far_place_is_far_and_at_best_the_farthest_city() -> None:
    london = Place("London", "GB", 51.5074, -0.1278)
    attacker = Attacker(world(), stream(1, "t"), sophistication=0.0)
    for _ in range(100):
        assert distance_km(attacker.far_place(london, 3000), london) >= 3000
    assert attacker.far_place(london, 50_000).city == "Sydney"
