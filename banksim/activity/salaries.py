"""Who is paid a salary, and whose bills are due: everybody once on their day, one after the other."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

import numpy as np

from banksim.activity.block import BILL, DEPOSIT, SALARY
from banksim.activity.calendar import PayDays
from banksim.activity.finder import Eligible, RowState
from banksim.activity.habits import HabitColumns
from banksim.activity.journeys import Journeys, Stay, Who
from banksim.world import World
from banksim.world.columns import coprime_near
from banksim.world.population import DAY_S
from banksim.world.random import Floats, Ints, stream

#: Pay days whose next person is remembered.
_MAX_PAY_DAYS = 4096
#: People of a pay day looked at together.
_PAY_PAGE = 64
_PAGES_KEPT = 512
#: Bills are due on the first 28 days of a month, most on the 1st and some on the 15th (judgement).
DUE_DAYS = 28
_FIRST_WEIGHT, _MIDDLE_WEIGHT = 5.0, 2.5
#: A bill that found nobody to pay it for so many days is paid elsewhere.
LATE_DAYS = 5


class Salaries:
    """The lists of all pay days.

    ``paid`` says how far the list of each pay day (persona, day) is: the one thing that hangs on other rows.
    """

    def __init__(self, world: World, state: RowState, eligible: Eligible) -> None:
        self._names = tuple(world.personas)
        self._state, self._eligible = state, eligible
        self._pay_days = PayDays(world.population, world.closed_days)
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


class Bills:
    """The bills of all months, persona by persona: a household's are due on one day, one after the other.

    Bill number p of a persona is that of month p ÷ (households × bills); within a month households come in an
    order of their own.  ``next`` says how far each persona's list is: the one thing that hangs on other rows.
    """

    def __init__(self, world: World, state: RowState, eligible: Eligible, habits: HabitColumns) -> None:
        self._state, self._eligible = state, eligible
        self._ranks = world.population.people.ranks
        self._journeys = Journeys(world)
        self._first = np.asarray(self._ranks.edges[:-1], np.int64)
        self._people = np.diff(np.asarray(self._ranks.edges, np.int64))
        self._bills = habits.bill_counts
        rng = stream(world.seed, "bill days")
        self._factor = np.array([coprime_near(1 + int(n * rng.random()), int(n)) for n in self._people])
        self._shift = np.array([int(n * rng.random()) for n in self._people])
        weights = np.ones(DUE_DAYS)
        weights[0], weights[14] = _FIRST_WEIGHT, _MIDDLE_WEIGHT
        self._share = np.concatenate([[0.0], np.cumsum(weights) / weights.sum()])
        self.next: dict[int, int] = {}
        self._due = lru_cache(maxsize=4096)(self._make_due)

    def pay(
        self, sim_s: Floats, timestamp_s: Floats, day: Ints, who: Who, kind: Ints, stay: Stay
    ) -> tuple[Ints, Ints]:
        """Give every bill payment to the next household whose bill is due.

        Returns which of its bills it is (-1: no bill, or none that is due), and how far the list was before.
        """
        bill, before = np.full(len(kind), -1, np.int64), np.full(len(kind), -1, np.int64)
        at = np.flatnonzero(kind == BILL)
        if not len(at):
            return bill, before
        groups, of, counts = np.unique(
            day[at] * len(self._bills) + who.persona[at], return_inverse=True, return_counts=True
        )
        order = np.argsort(of, kind="stable")
        edges = np.concatenate([[0], np.cumsum(counts)]).tolist()
        taken = np.full(len(at), -1, np.int64)
        for group, start, end in zip(groups.tolist(), edges, edges[1:], strict=False):
            on_day, persona = divmod(group, len(self._bills))
            rows, at_first = order[start:end], self.next.get(persona, 0)
            found = self._take(persona, on_day, at_first, end - start)
            earlier = np.concatenate([[at_first], found + 1])
            before[at[rows]] = earlier[np.minimum(np.arange(len(rows)), len(found))]
            taken[rows[: len(found)]] = found
            if len(found):
                self.next[persona] = int(found[-1]) + 1
        paid = np.flatnonzero(taken >= 0)
        customer, number = self._household(who.persona[at[paid]], taken[paid])
        rows = at[paid]
        city = self._state.home_city[customer].astype(np.int64)
        own = Who(customer, who.persona[rows], city)
        latitude, longitude = self._state.home_latitude[customer], self._state.home_longitude[customer]
        here = self._journeys.stay(own, latitude, longitude, timestamp_s[rows])
        fits = self._eligible.may_pay(customer, sim_s[rows]) & ~here.on_the_way
        rows = rows[fits]
        who.customer[rows], who.city[rows], bill[rows] = customer[fits], city[fits], number[fits]
        stay.put(rows, here.at(fits))
        return bill, before

    def _take(self, persona: int, day: int, first: int, most: int) -> Ints:
        """The next bills that are due on a day, at most so many: those of this process."""
        first, end = max(first, self._due(persona, day - LATE_DAYS)), self._due(persona, day)
        if self._eligible.is_mine is None:
            return np.arange(first, min(end, first + most), dtype=np.int64)
        found: list[Ints] = [np.zeros(0, np.int64)]
        while first < end and most > 0:
            some = np.arange(first, min(end, first + 8 * most), dtype=np.int64)
            mine = self._eligible.is_mine(self._household(np.full(len(some), persona), some)[0])
            found.append(some[mine][:most])
            most, first = most - len(found[-1]), int(some[-1]) + 1
        return np.concatenate(found)

    def _make_due(self, persona: int, day: int) -> int:
        """How many bills of a persona are due by the end of a day, from January 1970 on."""
        moment = date(1970, 1, 1).fromordinal(date(1970, 1, 1).toordinal() + day)
        month = (moment.year - 1970) * 12 + moment.month - 1
        people, bills = int(self._people[persona]), int(self._bills[persona])
        households = int(np.ceil(people * self._share[min(moment.day, DUE_DAYS)]))
        return (month * people + households) * bills

    def _household(self, persona: Ints, position: Ints) -> tuple[Ints, Ints]:
        """The customer of each bill of a persona's list, and which of the household's bills it is."""
        nth, number = np.divmod(position, self._bills[persona])
        people = self._people[persona]
        rank = self._first[persona] + (nth % people * self._factor[persona] + self._shift[persona]) % people
        customer = (rank - self._ranks.shift) * self._ranks.inverse % self._ranks.size
        return customer, number
