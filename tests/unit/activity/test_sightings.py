"""Where customers were last, and where they can be by now."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from banksim.activity.finder import Seen
from banksim.activity.rows import ANYWHERE_AFTER_S, LastSeen, RowPlanner
from banksim.model import Channel, Kind
from banksim.world import World
from banksim.world.columns import DEGREE
from tests.unit.world.scenarios import WorldSettings

HERE = (41.88, -87.63)
FIVE_KM_NORTH = (41.925, -87.63)


def is_reachable(since_s: float, place: tuple[float, float]) -> bool:
    seen = Seen.nothing(1)
    seen.latitude[0], seen.longitude[0] = (round(degrees * DEGREE) for degrees in HERE)
    last = LastSeen(seen, np.array([since_s]), np.array([since_s < ANYWHERE_AFTER_S]))
    north, east = (np.array([round(degrees * DEGREE)], np.int32) for degrees in place)
    return not last.out_of_reach(np.array([0]), north, east)[0]


def test_reachable_at_city_speed() -> None:
    assert not is_reachable(200.0, FIVE_KM_NORTH)  # 5 km in 200 s would be 90 km/h
    assert is_reachable(310.0, FIVE_KM_NORTH)
    assert is_reachable(0.0, HERE)


def test_after_half_an_hour_everything_is_within_reach() -> None:
    assert not is_reachable(1799.0, (42.9, -87.63))
    assert is_reachable(1801.0, (42.9, -87.63))


@pytest.fixture(scope="module")
def rush() -> list[tuple[int, object, Channel, Kind, object]]:
    """A single customer with an arrival a second from noon on."""
    block = RowPlanner(World.from_scenario(WorldSettings(customers=1), 7)).plan(0, 43_200 + np.arange(600.0))
    rows = [block.planned(position).transaction for position in range(len(block))]
    return [(n, tx.place, tx.channel, tx.kind, tx.merchant) for n, tx in enumerate(rows)]


def test_in_a_rush_the_shop_is_the_same_as_long_as_the_customer_stands_in_it(
    rush: list[tuple[int, object, Channel, Kind, object]],
) -> None:
    shops = [(place, shop) for _, place, channel, kind, shop in rush if channel is Channel.POS]
    assert len(shops) > 50
    assert len({shop for _, shop in shops}) == len({place for place, _ in shops}) < 20
    stays = sum(here == there for (_, here, *_), (_, there, *_) in pairwise(rush))
    assert stays > 0.9 * len(rush)
