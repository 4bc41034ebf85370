"""Who is paid a salary: everybody once on each of their pay days, one after the other."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from banksim.activity.block import DEPOSIT, SALARY
from banksim.activity.calendar import PayDays
from banksim.activity.journeys import Journeys, Stay, Who
from banksim.activity.row_state import Eligible, RowState
from banksim.world import World
from banksim.world.draws import Floats, Ints
from banksim.world.world import DAY_S

#: Pay days whose next person is remembered.
_MAX_PAY_DAYS = 4096
#: People of a pay day looked at together.
_PAY_PAGE = 64
_PAGES_KEPT = 512


class Salaries:
    """The lists of all pay days.

    ``paid`` says how far the list of each pay day (persona, day) is: the one thing that hangs on other rows.
    """

    def __init__(self, world: World, state: RowState, eligible: Eligible) -> None:
        self._names = tuple(world.personas)
        self._state, self._eligible = state, eligible
        self._pay_days = PayDays(world.population)
        self._journeys = Journeys(world)
        self.paid: dict[tuple[int, int], int] = {}
        self._pages = lru_cache(maxsize=_PAGES_KEPT)(self._make_page)

    def pay(self, sim_s: Floats, timestamp_s: Floats, day: Ints, who: Who, kind: Ints, stay: Stay) -> Ints:
        """Give every salary to the next person whose pay day it is; a deposit where everybody was paid."""
        paid_after = np.full(len(kind), -1, np.int64)
        salaries = np.flatnonzero(kind == SALARY)
        columns = (who.persona[salaries], day[salaries], sim_s[salaries])
        found: list[tuple[int, int]] = []
        for persona, on_day, moment_s in zip(*(column.tolist() for column in columns), strict=True):
            key = persona, on_day
            before = self.paid.get(key, 0)
            customer, after = self._next_paid(key, before, moment_s)
            found.append((customer, before))
            if customer >= 0:
                self.paid[key] = after
        customers, before_each = np.array(found, np.int64).reshape(-1, 2).T
        is_paid = customers >= 0
        kind[salaries[~is_paid]] = DEPOSIT
        who.customer[salaries[is_paid]] = customers[is_paid]
        paid_after[salaries[is_paid]] = before_each[is_paid]
        if len(self.paid) > _MAX_PAY_DAYS:
            self.paid = dict(list(self.paid.items())[-_MAX_PAY_DAYS // 2 :])
        paid = salaries[is_paid]
        if len(paid):
            drawn = who.customer[paid]
            who.city[paid] = self._state.home_city[drawn]
            own = who.at(paid)
            latitude, longitude = self._state.home_latitude[drawn], self._state.home_longitude[drawn]
            stay.put(paid, self._journeys.stay(own, latitude, longitude, timestamp_s[paid]))
        return paid_after

    def _next_paid(self, key: tuple[int, int], position: int, sim_s: float) -> tuple[int, int]:
        """Who of a pay day's list comes at or after ``position``, and the position after; -1 for nobody.

        Left out are those who travel on that day, and those who may not act.
        """
        persona, day = key
        while True:
            page = self._pages(persona, day, position // _PAY_PAGE)
            for offset in range(position % _PAY_PAGE, len(page)):
                customer = page[offset]
                position += 1
                if customer >= 0 and self._eligible.may_pay(np.array([customer]), np.array([sim_s]))[0]:
                    return customer, position
            if len(page) < _PAY_PAGE:
                return -1, position

    def _make_page(self, persona: int, day: int, page: int) -> list[int]:
        """The customers at `_PAY_PAGE` positions of a pay day's list; -1 for those who travel then."""
        customers = self._pay_days.paid_on(self._names[persona], day, page * _PAY_PAGE, _PAY_PAGE)
        state = self._state
        who = Who(customers, np.full(len(customers), persona), state.home_city[customers].astype(np.int64))
        from_s = np.full(len(customers), float(day * DAY_S))
        trip = self._journeys.trips(
            who, state.home_latitude[customers], state.home_longitude[customers], from_s
        )
        until_s = from_s + DAY_S
        goes = (trip.leaves_s < until_s) & (trip.arrives_s > from_s)
        returns = (trip.returns_s < until_s) & (trip.home_s > from_s)
        listed: list[int] = np.where(goes | returns, -1, customers).tolist()
        return listed
