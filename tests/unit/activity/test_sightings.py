from __future__ import annotations

import pytest

from banksim.activity import actors as sightings
from banksim.activity.actors import Sighting, Sightings, reachable
from banksim.model import Merchant, Place

HERE = Place("Chicago", "US", 41.88, -87.63)
FIVE_KM_NORTH = Place("Chicago", "US", 41.925, -87.63)
SHOP = Merchant("m", "Corner Cafe", "5814", "cafe", HERE)


def test_reachable_at_city_speed() -> None:
    last = Sighting(0.0, HERE, None)
    assert not reachable(last, 200.0, FIVE_KM_NORTH)  # 5 km in 200 s would be 90 km/h
    assert reachable(last, 310.0, FIVE_KM_NORTH)
    assert reachable(last, 0.0, HERE)
    assert reachable(None, 0.0, FIVE_KM_NORTH)


def test_recent_forgets_after_half_an_hour() -> None:
    seen = Sightings()
    seen.note(1, 100.0, HERE, SHOP)
    assert seen.recent(1, 200.0) == Sighting(100.0, HERE, SHOP)
    assert seen.recent(1, 100.0 + 1801) is None
    assert seen.recent(2, 200.0) is None


def test_the_shop_is_remembered_as_long_as_the_customer_stands_in_it() -> None:
    seen = Sightings()
    seen.note(1, 100.0, HERE, SHOP)
    seen.note(1, 110.0, HERE, None)  # pays on the phone, still there
    last = seen.recent(1, 120.0)
    assert last is not None and last.merchant == SHOP
    seen.note(1, 1000.0, FIVE_KM_NORTH, None)
    last = seen.recent(1, 1010.0)
    assert last is not None and last.merchant is None


def test_only_so_many_are_remembered_and_the_longest_unseen_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sightings, "MAX_REMEMBERED", 3)
    seen = Sightings()
    for index in (1, 2, 3):
        seen.note(index, 0.0, HERE, None)
    seen.note(1, 1.0, HERE, None)
    seen.note(4, 2.0, HERE, None)
    assert len(seen) == 3
    assert seen.recent(2, 2.0) is None
    assert seen.recent(1, 2.0) is not None
