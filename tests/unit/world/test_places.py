from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banksim.model import Place
from banksim.world import Places, distance_km, near
from banksim.world.places import CITY_RADIUS_KM, country_of_locale, load_cities, load_countries
from banksim.world.random import stream

LONDON = Place("London", "GB", 51.5074, -0.1278)
PARIS = Place("Paris", "FR", 48.8566, 2.3522)
points = st.builds(Place, st.just("x"), st.just("XX"), st.floats(-89, 89), st.floats(-180, 180))


def test_a_known_distance() -> None:
    assert distance_km(LONDON, PARIS) == pytest.approx(344, abs=3)


@given(points, points, points)
def test_distance_is_a_metric(a: Place, b: Place, c: Place) -> None:
    assert distance_km(a, a) == 0
    assert distance_km(a, b) == pytest.approx(distance_km(b, a))
    # The formula loses digits where two places are almost opposite each other on the globe.
    assert distance_km(a, c) <= distance_km(a, b) + distance_km(b, c) + 0.5
    assert distance_km(a, b) <= 20_016


@given(st.integers(0, 10_000))
def test_near_stays_in_the_city(number: int) -> None:
    assert distance_km(LONDON, near(LONDON, stream(number), 6.0)) <= CITY_RADIUS_KM + 0.05


def test_the_cities() -> None:
    cities = load_cities()
    assert 40 <= len(cities) <= 70
    assert len({(c.name, c.country) for c in cities}) == len(cities)
    assert {c.country for c in cities} == set(load_countries())
    for city in cities:
        assert -90 < city.place.latitude < 90 and -180 <= city.place.longitude <= 180
        assert len(city.country) == 2 and city.country.isupper()


@pytest.mark.parametrize(
    ("locale", "country"), [("en_US", "US"), ("de_CH", "CH"), ("pt-BR", "BR"), ("en", "US"), ("", "US")]
)
def test_country_of_locale(locale: str, country: str) -> None:
    assert country_of_locale(locale) == country


def test_homes_are_in_the_home_country() -> None:
    places, rng = Places("DE"), stream(1)
    assert {places.home_city(rng).country for _ in range(50)} == {"DE"}


def test_a_country_without_cities_is_replaced() -> None:
    assert Places("ZZ").home_country == "US"


def test_destination_is_another_city() -> None:
    places, rng = Places("IE"), stream(1)
    dublin = places.home_city(rng).place
    assert places.destination(rng, dublin, abroad=False) is None  # Dublin is all there is
    abroad = places.destination(rng, dublin, abroad=True)
    assert abroad is not None and abroad.country != "IE"


def test_an_unknown_place_belongs_to_the_nearest_city() -> None:
    assert Places("US").city_of(Place("Croydon", "GB", 51.37, -0.10)).name == "London"


def test_no_cities_at_all() -> None:
    with pytest.raises(ValueError):
        Places("US", cities=())
