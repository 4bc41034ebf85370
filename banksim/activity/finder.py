"""Who does what: a customer and an act for each arrival.

    moment ─► act (hour of the week) ─► customer: by themselves, or one who is out shopping already

Personas and kinds follow the hour of the week; customers of a persona differ in how busy they are and in
their hours (`Crowd`).

What a plan remembers of each customer: balances, the last place.

One array per quantity, one entry per customer (account): 70 bytes a customer with one account.
Every change that planned rows make can be taken back row by row, the last first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from banksim.activity.block import KIND_CODES, KINDS, PURCHASE, TRANSFER
from banksim.activity.calendar import HOURS_OF_WEEK, PAY_CLASSES, SPENDING, PayDays, Rhythm
from banksim.activity.habits import HabitColumns
from banksim.activity.journeys import Degrees, Journeys, Stay, Who
from banksim.model import CREDIT_KINDS, AccountRef, Transaction
from banksim.world import World
from banksim.world.columns import Crowd
from banksim.world.random import Bools, Draws, Floats, Ints, Shares

#: Long ago: before any moment of a run.
NEVER_S = -1e18


class ActivityScenario(Protocol):
    """What activity reads of a scenario."""

    @property
    def onboarding(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Seen:
    """What customers did last: where and when (simulated seconds), and the shop that was there (-1: none).

    ``bought_cents`` is the last purchase on the net that goes back (0: none, or the money came), ``returned``
    counts the bills refused since the bank last charged for them.
    """

    sim_s: Floats
    latitude: Degrees
    longitude: Degrees
    city: NDArray[np.int16]
    merchant: NDArray[np.int32]
    bought_cents: Ints
    returned: Ints

    @classmethod
    def nothing(cls, size: int) -> Seen:
        return cls(
            np.full(size, NEVER_S),
            np.zeros(size, np.int32),
            np.zeros(size, np.int32),
            np.zeros(size, np.int16),
            np.full(size, -1, np.int32),
            np.zeros(size, np.int64),
            np.zeros(size, np.int64),
        )

    def of(self, customers: Ints) -> Seen:
        """A copy for some customers."""
        return Seen(*(getattr(self, name)[customers] for name in SEEN_COLUMNS))

    def put(self, customers: Ints | slice, values: Seen) -> None:
        for name in SEEN_COLUMNS:
            getattr(self, name)[customers] = getattr(values, name)


SEEN_COLUMNS = tuple(field.name for field in fields(Seen))


@dataclass(slots=True)
class Eligible:
    """Who may act: which customers have an account at a simulated second (payers and payees), and
    which are this process's to act for (payers).  None: everybody.
    """

    has_account: Callable[[Ints, Floats], Bools] | None = None
    is_mine: Callable[[Ints], Bools] | None = None

    def may_pay(self, customers: Ints, sim_s: Floats) -> Bools:
        allowed = self.may_be_paid(customers, sim_s)
        return allowed if self.is_mine is None else allowed & self.is_mine(customers)

    def may_be_paid(self, customers: Ints, sim_s: Floats) -> Bools:
        if self.has_account is None:
            return np.ones(len(customers), bool)
        return self.has_account(customers, sim_s)


class RowState:
    """The state of a world's customers, by the plans so far."""

    def __init__(self, world: World, funded: int) -> None:
        """Customers from ``funded`` on start with nothing."""
        population = world.population
        self.slots = population.accounts_per_customer
        everybody = population.people.all()
        self.home_city = everybody.city
        self.home_latitude, self.home_longitude = everybody.latitude, everybody.longitude
        #: Planned balance of account customer × slots + slot, in cents.
        self.balances = np.zeros(population.size * self.slots, np.int64)
        for slot in range(self.slots):
            self.balances[slot :: self.slots] = everybody.openings_cents[slot]
        self.balances[funded * self.slots :] = 0
        self.seen = Seen.nothing(population.size)
        indices = np.arange(population.size, dtype=np.int64)
        #: How dear each customer shops, and how much of it is remote (0..1).
        self.level = population.people.price_levels(indices)
        self.habit = population.people.habits(indices)
        #: What customers like to keep on the main account, in cents: what they began with.
        self.comfort = everybody.openings_cents[0]

    def go_on(self, before: RowState, duration_s: float) -> None:
        """Start where another plan for the same customers ended, ``duration_s`` after its own start."""
        self.balances[:] = before.balances
        self.seen.put(slice(None), before.seen)
        self.seen.sim_s[:] -= duration_s

    def available(self, account: AccountRef) -> int:
        """The planned balance in cents; below zero when more was planned than there was."""
        return int(self.balances[self.position(account)])

    def position(self, account: AccountRef) -> int:
        """Where the account is among the balances."""
        return account.customer_index * self.slots + account.slot

    def book(self, transaction: Transaction, sign: int = 1) -> None:
        """Move what the transaction moves; back again with a ``sign`` of -1."""
        cents = transaction.amount_cents * sign
        is_credit = transaction.kind in CREDIT_KINDS
        self._add(transaction.account, cents if is_credit else -cents)
        if transaction.counterparty is not None and not is_credit:
            self._add(transaction.counterparty, cents)

    def _add(self, account: AccountRef, cents: int) -> None:
        self.balances[self.position(account)] += cents

    def move(self, accounts: Ints, others: Ints, cents: Ints, is_credit: Bools, sign: int = 1) -> None:
        """Move the sums of many rows; an account may come several times, ``others`` is -1 for none."""
        np.add.at(self.balances, accounts, np.where(is_credit, cents, -cents) * sign)
        paid = np.flatnonzero(others >= 0)
        np.add.at(self.balances, others[paid], cents[paid] * sign)

    def move_apart(self, accounts: Ints, others: Ints, cents: Ints, is_credit: Bools) -> None:
        """The same for rows of one level: nobody pays twice, and who pays is not paid."""
        self.balances[accounts] += np.where(is_credit, cents, -cents)
        paid = np.flatnonzero(others >= 0)
        np.add.at(self.balances, others[paid], cents[paid])

    def forget(self, customers: Ints, before: Seen) -> None:
        """Bring the last places back to ``before``, the state found by each of some rows in order."""
        unique, first = np.unique(customers, return_index=True)
        self.seen.put(unique, Seen(*(getattr(before, name)[first] for name in SEEN_COLUMNS)))


def levels(payers: Ints, *payees: Ints) -> Ints:
    """The level of each row: above all earlier rows that touch one of its customers.

    ``payees`` are columns of whom a row may pay (-1: nobody).  Rows of one level have different payers, none
    of whom is paid in it, so they can be settled together, level by level, with the result of settling row
    by row.  Several may pay one customer: sums add up in any order.
    """
    count = len(payers)
    rows = np.arange(count)
    columns = [payers, *payees]
    touched = [rows]
    for number, column in enumerate(payees, 1):
        is_new = column >= 0
        for before in columns[:number]:
            is_new &= column != before
        touched.append(np.flatnonzero(is_new))
    customer = np.concatenate([column[at] for column, at in zip(columns, touched, strict=True)])
    row, which = np.concatenate(touched), np.repeat(range(len(columns)), list(map(len, touched)))
    order = np.argsort(customer * count + row)
    customer, row, which = customer[order], row[order], which[order]
    # Touches of one customer in order, in stretches: a payment and what is received after it.
    pays = which == 0
    again = np.zeros(len(row), bool)
    again[1:] = customer[1:] == customer[:-1]
    begins = pays | ~again
    stretch = np.cumsum(begins) - 1
    opening = np.flatnonzero(begins)[stretch]
    after_payment, pays_again = ~pays & pays[opening], np.flatnonzero(pays & again)
    # Per column of customers, the touch of each row; the last of ``least`` stands for none.
    touch = np.full((len(columns), count), len(row))
    touch[which, row] = np.arange(len(row))
    found, least = np.zeros(count, np.int64), np.zeros(len(row) + 1, np.int64)
    while True:
        level = found[row]
        highest = np.maximum.accumulate(level + stretch * (count + 1)) - stretch * (count + 1)
        least[:-1] = np.where(after_payment, level[opening] + 1, 0)
        least[pays_again] = highest[pays_again - 1] + 1
        higher: Ints = least[touch].max(axis=0)
        if np.array_equal(higher, found):
            return higher
        found = higher


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


@dataclass(slots=True)
class Failure:
    """A payment by card that fails at ``row``, and when it is tried again; ``taken``: the row that does.

    ``place`` is the columns of its `Who` and its `Stay`.
    """

    row: int
    due_s: float
    latest_s: float
    kind: int
    place: tuple[int, ...]
    taken: int = -1


class Retries:
    """The failures of late, in order: each is tried again by the first arrival in its time that is free.

    Bound: `KEPT`, beyond those that may still be undone or tried again.
    """

    KEPT, UNDONE_ROWS = 4096, 2048

    def __init__(self) -> None:
        self._failures: list[Failure] = []

    def assign(self, row: Ints, sim_s: Floats, is_free: Bools, failures: list[Failure]) -> dict[int, Failure]:
        """Which of the arrivals, by position, try which failure again.  An arrival that does fails not."""
        if not len(row):
            return {}
        settled, from_s = int(row[0]) - self.UNDONE_ROWS, float(sim_s[0])
        kept = [
            each
            for each in self._failures[-self.KEPT :]
            if max(each.row, each.taken) >= settled or (each.taken < 0 and each.latest_s >= from_s)
        ]
        found: dict[int, Failure] = {}
        taken: set[int] = set()
        last_s = float(sim_s[-1])
        self._failures = []
        for each in (*kept, *failures):
            if each.row in taken:
                continue
            self._failures.append(each)
            if each.taken >= 0 or each.due_s > last_s or each.latest_s < from_s:
                continue
            at = int(np.searchsorted(sim_s, each.due_s))
            while at < len(row) and (not is_free[at] or at in found):
                at += 1
            if at < len(row) and sim_s[at] <= each.latest_s:
                each.taken, found[at] = int(row[at]), each
                taken.add(each.taken)
        return found

    def forget(self, from_row: int) -> None:
        self._failures = [each for each in self._failures if each.row < from_row]
        for each in self._failures:
            if each.taken >= from_row:
                each.taken = -1


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
        self._pay_days = PayDays(world.population, world.closed_days)
        self._journeys = Journeys(world)
        self._trails = {code: Trail() for code in OUTING_SHARES}
        self.retries = Retries()
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
        self.retries.forget(from_row)

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


def funded(world: World, scenario: ActivityScenario | None) -> int:
    """How many customers have money when the run starts: all of them, unless some join later."""
    onboarding = scenario.onboarding if scenario is not None else None
    size = world.population.size
    return size if onboarding is None else round(size * onboarding.existing_share)
