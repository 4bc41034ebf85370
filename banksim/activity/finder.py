"""Who does what: a customer and an act for each arrival.

    moment ─► act (hour of the week) ─► customer: by themselves, or one who is out shopping already

Personas and kinds follow the hour of the week; customers of a persona differ in how busy they are and in
their hours (`Crowd`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from banksim.activity.block import KIND_CODES, KINDS, PURCHASE, TRANSFER
from banksim.activity.calendar import HOURS_OF_WEEK, PAY_CLASSES, SPENDING, PayDays, Rhythm
from banksim.activity.habits import HabitColumns
from banksim.activity.journeys import Journeys, Stay, Who
from banksim.activity.row_state import Eligible, RowState
from banksim.world import World
from banksim.world.columns import Crowd
from banksim.world.draws import Bools, Draws, Floats, Ints, Shares

#: Customers looked at for one arrival before giving up.
MAX_DRAWS = 64
#: Payments of people who are out already, or at it: how many of each kind, how long after the first one at
#: most, and how long on average.  Set so that gaps are as bursty as people's are (see docs/realism.md).
OUTING_SHARES = {PURCHASE: 0.5, TRANSFER: 0.3}
OUTING_S, OUTING_GAP_S = 2 * 3600.0, 25 * 60.0
_OUTING_SHARES = np.array([OUTING_SHARES.get(code, 0.0) for code in range(len(KINDS))])


@dataclass(slots=True)
class Search:
    """Rows that look for customers: what is known of them, and what is found."""

    row: Ints
    sim_s: Floats
    timestamp_s: Floats
    hour: Ints
    day: Ints
    who: Who
    kind: Ints
    stay: Stay


class Trail:
    """The latest purchases with which an outing began, in order: their rows, moments and customers.

    Bound: the last `KEPT` at least; who follows looks back over `LOOK_BACK` of them.
    """

    KEPT, LOOK_BACK = 32_768, 8192
    _COLUMNS = ("_row", "_sim_s", "_customer", "_persona")

    def __init__(self) -> None:
        self._row, self._customer, self._persona = (np.zeros(2 * self.KEPT, np.int64) for _ in range(3))
        self._sim_s = np.zeros(2 * self.KEPT)
        self._end = 0

    def add(self, *columns: Ints | Floats) -> None:
        """Append rows, moments, customers (-1: nobody was found) and personas."""
        count = len(columns[0])
        if self._end + count > len(self._row):
            kept, size = min(self._end, self.KEPT), max(len(self._row), 2 * (self.KEPT + count))
            for name in self._COLUMNS:
                old = getattr(self, name)
                new = np.zeros(size, old.dtype)
                new[:kept] = old[self._end - kept : self._end]
                setattr(self, name, new)
            self._end = kept
        span = slice(self._end, self._end + count)
        for name, values in zip(self._COLUMNS, columns, strict=True):
            getattr(self, name)[span] = values
        self._end += count

    def leaders(self, moment_s: Floats, gap_s: Floats, longest_s: float) -> Ints:
        """For each moment the latest beginning at least ``gap_s`` before it; -1: none of late."""
        times_s = self._sim_s[: self._end]
        before, now = (np.searchsorted(times_s, each, side="right") for each in (moment_s - gap_s, moment_s))
        found: Ints = before - 1
        late = (found < 0) | (now - before > self.LOOK_BACK)
        late |= moment_s - self._sim_s[np.maximum(found, 0)] > longest_s
        return np.where(late, -1, found)

    def people(self, positions: Ints) -> tuple[Ints, Ints]:
        """Customers and personas of beginnings."""
        return self._customer[positions], self._persona[positions]

    def forget(self, from_row: int) -> None:
        self._end = int(np.searchsorted(self._row[: self._end], from_row))


class Finder:
    """Finds who acts, for one world and one process."""

    def __init__(
        self,
        world: World,
        shard: int,
        state: RowState,
        habits: HabitColumns,
        eligible: Eligible,
        rhythm: Rhythm,
    ) -> None:
        self._state, self._habits, self._eligible = state, habits, eligible
        self._act, self._who, self._willing, self._outing = (
            Draws(world.seed, "rows", shard, name) for name in ("act", "who", "willing", "outing")
        )
        ranks = world.population.people.ranks
        self._crowd = Crowd(world.seed, ranks, [p.hourly for p in world.personas.values()])
        self._pay_days = PayDays(world.population)
        self._journeys = Journeys(world)
        self._trails = {code: Trail() for code in OUTING_SHARES}
        codes = {name: code for code, name in enumerate(world.personas)}
        acts = [rhythm.acts_at[hour].shares() for hour in range(HOURS_OF_WEEK)]
        self._acts = Shares([[share for _, share in shares] for shares in acts])
        most = max(map(len, acts))
        self._act_persona = np.zeros((HOURS_OF_WEEK, most), np.int64)
        self._act_kind = np.zeros((HOURS_OF_WEEK, most), np.int64)
        for hour, shares in enumerate(acts):
            self._act_persona[hour, : len(shares)] = [codes[act.persona.name] for act, _ in shares]
            self._act_kind[hour, : len(shares)] = [KIND_CODES[act.kind] for act, _ in shares]

    def forget(self, from_row: int) -> None:
        """Forget the rows from ``from_row`` on."""
        for trail in self._trails.values():
            trail.forget(from_row)

    def find(
        self, row: Ints, sim_s: Floats, timestamp_s: Floats, hour: Ints, day: Ints
    ) -> tuple[Who, Ints, Stay, Ints]:
        """Who does what where: people by themselves, then those who are out shopping already.

        Returns also the positions for which nobody was found in `MAX_DRAWS` draws.
        """
        count = len(row)
        customer, persona, kind, city = (np.zeros(count, np.int64) for _ in range(4))
        stay = Stay(
            np.zeros(count, np.int64),
            np.zeros(count, np.int32),
            np.zeros(count, np.int32),
            np.zeros(count, bool),
            np.zeros(count, bool),
        )
        search = Search(row, sim_s, timestamp_s, hour, day, Who(customer, persona, city), kind, stay)
        self._draw_acts(search, np.arange(count), 0)
        wishes = self._outing.units(row, 0) < _OUTING_SHARES[kind]
        follow = {code: np.flatnonzero(wishes & (kind == code)) for code in OUTING_SHARES}
        missing = [self._search(search, np.flatnonzero(~wishes), 0)]
        customer[missing[0]] = -1
        for code, trail in self._trails.items():
            first = np.flatnonzero(~wishes & (kind == code))
            trail.add(row[first], sim_s[first], customer[first], persona[first])
            later = follow[code]
            gap_s = -OUTING_GAP_S * np.log1p(-self._outing.units(row[later], 1))
            leader = trail.leaders(sim_s[later], gap_s, OUTING_S)
            missing.append(self._search(search, later[leader < 0], 0))
            later, leader = later[leader >= 0], leader[leader >= 0]
            missing.append(self._join(search, later, *trail.people(leader)))
        return search.who, kind, stay, np.sort(np.concatenate(missing))

    def _draw_acts(self, search: Search, at: Ints, draw: int) -> None:
        hours = search.hour[at]
        act = self._acts.pick(hours, self._act.units(search.row[at], draw))
        search.who.persona[at] = self._act_persona[hours, act]
        search.kind[at] = self._act_kind[hours, act]

    def _join(self, search: Search, at: Ints, who: Ints, persona: Ints) -> Ints:
        """Give rows to customers who are out already, or to others where those cannot act."""
        fits = who >= 0
        known = np.flatnonzero(fits)
        some = at[known]
        fits[known], here, own = self._can_act(search, some, Who(who[known], persona[known], who[known]))
        done, kept = some[fits[known]], fits[known]
        search.who.customer[done], search.who.persona[done] = own.customer[kept], own.persona[kept]
        search.who.city[done] = own.city[kept]
        search.stay.put(done, here.at(kept))
        return self._search(search, at[~fits], 1)

    def _can_act(self, search: Search, at: Ints, who: Who) -> tuple[Bools, Stay, Who]:
        """Which of the customers may act for the rows and are not on the way, and where they stay."""
        state, drawn = self._state, who.customer
        own = Who(drawn, who.persona, state.home_city[drawn].astype(np.int64))
        here = self._journeys.stay(
            own, state.home_latitude[drawn], state.home_longitude[drawn], search.timestamp_s[at]
        )
        return self._eligible.may_pay(drawn, search.sim_s[at]) & ~here.on_the_way, here, own

    def _search(self, search: Search, todo: Ints, first_draw: int) -> Ints:
        """Rejection sampling: who is left are the customers that can act, in their own proportions.

        The acts of draw 0 are drawn already.  Returns the rows for which nobody was found.
        """
        if not len(todo):
            return todo
        row, hour, kind, persona = search.row, search.hour, search.kind, search.who.persona
        days, day_of = np.unique(search.day[todo], return_inverse=True)
        since = [self._pay_days.since(int(each)) for each in days]
        spending = np.asarray(SPENDING)[np.array(since, np.int64).reshape(-1, len(PAY_CLASSES))]
        again = np.zeros(len(todo), bool)
        for draw in range(first_draw, MAX_DRAWS):
            self._draw_acts(search, todo[again], draw)
            drawn = self._crowd.pick(persona[todo], hour[todo] % 24, self._who.units(row[todo], draw))
            willing = spending[day_of, self._habits.pay_classes(drawn)]
            # Somebody else of this persona, whose money is fresher.
            spends = (kind[todo] != PURCHASE) | (self._willing.units(row[todo], draw) < willing)
            can_act, here, own = self._can_act(search, todo, Who(drawn, persona[todo], drawn))
            fits = can_act & spends
            done = todo[fits]
            search.who.customer[done], search.who.city[done] = own.customer[fits], own.city[fits]
            search.stay.put(done, here.at(fits))
            again = (~can_act | spends)[~fits]
            todo, day_of = todo[~fits], day_of[~fits]
            if not len(todo):
                break
        return todo
