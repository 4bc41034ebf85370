from __future__ import annotations

import re
from collections import Counter

import pytest

from banksim.model import Place
from banksim.world import MerchantDirectory, Places, distance_km
from banksim.world.persona import load_categories
from banksim.world.places import CITY_RADIUS_KM
from banksim.world.random import stream

CHICAGO = Place("Chicago", "US", 41.88, -87.63)


@pytest.fixture(scope="module")
def directory() -> MerchantDirectory:
    return MerchantDirectory(7, Places("US"))


def test_a_shop_is_near_and_of_its_category(directory: MerchantDirectory) -> None:
    rng = stream(1)
    for category in directory.categories:
        merchant = directory.pick(rng, CHICAGO, category)
        assert merchant.category == category
        assert merchant.category_code == load_categories()[category].code
        assert merchant.place.city == "Chicago"
        assert distance_km(merchant.place, CHICAGO) < CITY_RADIUS_KM + 1


def test_well_known_category_codes() -> None:
    codes = {name: category.code for name, category in load_categories().items()}
    assert (codes["grocery"], codes["fuel"], codes["restaurant"]) == ("5411", "5541", "5812")
    assert all(re.fullmatch(r"[0-9]{4}", code) for code in codes.values())


def test_few_shops_see_most_customers(directory: MerchantDirectory) -> None:
    rng = stream(1)
    seen = Counter(directory.pick(rng, CHICAGO, "grocery").merchant_id for _ in range(3000))
    shops = directory.in_city(CHICAGO, "grocery")
    assert len(shops) > 10
    assert seen.most_common(1)[0][0] == shops[0].merchant_id
    assert seen.most_common(1)[0][1] > 3000 / len(shops) * 3


def test_the_same_seed_makes_the_same_shops_in_any_order() -> None:
    one, other = MerchantDirectory(7, Places("US")), MerchantDirectory(7, Places("US"))
    other.pick(stream(9), Place("Berlin", "DE", 52.5, 13.4))
    assert one.in_city(CHICAGO, "cafe") == other.in_city(CHICAGO, "cafe")
    assert MerchantDirectory(8, Places("US")).in_city(CHICAGO, "cafe") != one.in_city(CHICAGO, "cafe")


def test_online_shops(directory: MerchantDirectory) -> None:
    rng = stream(1)
    assert directory.pick(rng, CHICAGO, "airline", online=True).category == "airline"
    # Petrol is not sold online: anything that is will do.
    assert directory.pick(rng, CHICAGO, "fuel", online=True).category in directory.online_categories
    assert directory.pick(rng, CHICAGO, online=True).category in directory.online_categories


def test_without_a_category_a_bill_is_never_picked(directory: MerchantDirectory) -> None:
    rng = stream(1)
    seen = {directory.pick(rng, CHICAGO).category for _ in range(500)}
    assert len(seen) > 10 and seen.isdisjoint(directory.bill_categories)


def test_billers(directory: MerchantDirectory) -> None:
    assert directory.pick(stream(1), CHICAGO, "rent").category == "rent"


def test_an_unknown_category(directory: MerchantDirectory) -> None:
    with pytest.raises(KeyError, match="casino"):
        directory.pick(stream(1), CHICAGO, "casino")


def test_the_whole_directory_is_bounded_and_its_ids_are_opaque(directory: MerchantDirectory) -> None:
    everyone = list(directory.all())
    assert 3000 < len(everyone) < 25_000
    assert len({m.merchant_id for m in everyone}) == len(everyone)
    assert all(re.fullmatch(r"[0-9a-f-]{36}", m.merchant_id) for m in everyone)
    assert not [m.name for m in everyone if re.search(r"fraud|fake|scam|test|mule|victim", m.name, re.I)]


def test_names_differ_within_a_city_and_category(directory: MerchantDirectory) -> None:
    for category in directory.categories:
        names = [m.name for m in directory.in_city(CHICAGO, category)]
        assert len(set(names)) == len(names)
