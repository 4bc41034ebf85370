"""Where each customer was last seen, so that nobody is in two places at once.

Within a city people move at `CITY_SPEED_KMH`.  When arrivals come faster than that (a
stress test may give a customer several a second) the customer stays where they are:
the same shop again, or the phone in their hand.  Between cities the journeys leave
enough time by themselves.
"""

from __future__ import annotations

from typing import NamedTuple

from banksim.domain import Merchant, Place
from banksim.world import distance_km

CITY_SPEED_KMH = 60.0
#: After this long everything in a city is within reach (its parts are under 30 km apart).
_ANYWHERE_AFTER_S = 30 * 60
MAX_REMEMBERED = 100_000


class Sighting(NamedTuple):
    """The last place of a customer, when (simulated seconds), and the shop that was there."""

    sim_s: float
    place: Place
    merchant: Merchant | None


class Sightings:
    """The last sighting of the most recent `MAX_REMEMBERED` customers."""

    def __init__(self) -> None:
        self._last: dict[int, Sighting] = {}

    def recent(self, index: int, sim_s: float) -> Sighting | None:
        """The last sighting, when it still limits where the customer can be."""
        last = self._last.get(index)
        return last if last is not None and abs(sim_s - last.sim_s) < _ANYWHERE_AFTER_S else None

    def note(self, index: int, sim_s: float, place: Place, merchant: Merchant | None) -> None:
        """The customer was at ``place``, in the shop ``merchant`` when it was in one."""
        last = self._last.pop(index, None)
        if merchant is None and last is not None and (last.place is place or last.place == place):
            merchant = last.merchant
        elif last is None and len(self._last) >= MAX_REMEMBERED:
            del self._last[next(iter(self._last))]  # the longest unseen: popped entries go to the end
        self._last[index] = Sighting(sim_s, place, merchant)

    def __len__(self) -> int:
        return len(self._last)


def reachable(last: Sighting | None, sim_s: float, place: Place) -> bool:
    """Whether the customer can have come from ``last`` to ``place`` by then."""
    if last is None or last.place is place or last.place == place:  # comparing fields takes a while
        return True
    return distance_km(last.place, place) <= abs(sim_s - last.sim_s) / 3600 * CITY_SPEED_KMH
