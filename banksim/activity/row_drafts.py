"""What arrivals become before anybody looks at balances: who, what, where, how much, as columns.

    moment ─► act (hour of the week) ─► customer ─► channel, shop or payee ─► amount

A draft depends on nothing that other rows do, but for one thing: who is paid a salary, since everybody is
paid once on a pay day.  `rows` settles drafts: what cannot be afforded or reached becomes something else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields

import numpy as np

from banksim.activity.block import (
    ACH,
    ATM,
    BILL,
    BRANCH,
    CHANNELS,
    DEPOSIT,
    EXPIRED_CARD,
    KINDS,
    LIMIT,
    MOBILE,
    ONLINE,
    POS,
    PURCHASE,
    SALARY,
    TRANSFER,
    WIRE,
    WITHDRAWAL,
    WORD,
    WRONG_PIN,
    card_fails,
)
from banksim.activity.calendar import HOURS_OF_WEEK, Rhythm
from banksim.activity.finder import Eligible, Failure, Finder, RowState
from banksim.activity.habits import FAMILY_SLOT, MOVES_SHARE, NOISY_BILLS, OTHER_BANK, HabitBook, HabitColumns
from banksim.activity.journeys import Degrees, Stay, Who
from banksim.activity.payments import TRANSFER_WORDS, Draft, Payments
from banksim.activity.prices import PriceColumns
from banksim.activity.salaries import Bills, Salaries
from banksim.model import Channel, Place
from banksim.world import Customer, World
from banksim.world.columns import DEGREE
from banksim.world.population import DAY_S, HOUR_S
from banksim.world.random import Bools, Draws, Floats, Ints, Shares

#: A persona whose youngest are this old lives on a pension.
PENSION_FROM_AGE = 60
_PAYEE_TRIES = 4
#: What is decided when a row is settled (`Drafts.settles`): the sum of a card's settlement, of interest, of
#: the bank's charge, of a cheque that may be a refund; or whether a purchase that goes back was made.
SURPLUS, INTEREST, CHARGE, CHEQUE, GOES_BACK = range(1, 6)
SETTLED_KINDS = 6
#: How much customers differ in what they buy in shops and on the net.
_REMOTE_SIGMA, _REMOTE_MIDDLE = 2.5, 0.3
#: Payments to nobody in particular: to people whom many pay.
_POPULAR_SHARE = 0.6
_REGULAR_PAYEE_SHARE = 0.80
_OWN_TRANSFER_SHARE = 0.12
_TO_SAVINGS_SHARE = 0.05
#: A wire is taken for larger sums (judgement).
_WIRE_FACTOR = 6.0
_REGULAR_PAY_NOISE = 0.08
_BILL_NOISE = 0.06
_MAIN_DEVICE_SHARE = 0.85
#: Payments from a device of the family, and from one that is used once: a friend's, a private window
#: (judgement: a few of a hundred log-ins come from a device that was not seen before).
_FAMILY_DEVICE_SHARE, _STRANGE_DEVICE_SHARE = 0.04, 0.006
_FIRST_MACHINE_SHARE = 0.75
#: Purchases on the net that go back; the money comes when the next cheque would (judgement).
_RETURNS = 0.012
#: Wrong PINs among payments and withdrawals in person (24 of 10,000 rows of IBM's TabFormer cards are that).
_WRONG_PIN_SHARE = 0.005
#: A card lasts three years; in the days after, its stored number fails so often (4 of 10,000 rows there).
_CARD_DAYS, _STALE_DAYS, _STALE_SHARE = 1096, 10, 0.35
#: When the PIN is tried again, and when the number of the new card is: earliest, latest in seconds.
_PIN_AGAIN_S, _CARD_AGAIN_S = (5.0, 60.0), (60.0, 1200.0)
#: Transfers of people with more than their limit that are meant to be above it (judgement).
_OVER_LIMIT_SHARE = 0.12


@dataclass(slots=True)
class Drafts:
    """Equally long columns.  The first ones are those of a `Block`.

    ``stay_…`` is where the customer stays at that moment, which is not always where they pay.
    ``net_shop`` and ``net_cents`` are what a purchase in a shop becomes when the customer cannot get there.
    ``settles`` says what is decided when the row is settled (0: nothing).  ``paid_after`` is how far the list
    of the pay day, or with a ``day`` of -1 that of the bills, was before the row (-1: neither).  ``bill`` is
    which of the household's bills it is (-1: none), ``normal`` the random number that made the amount.
    ``words`` is -1 where the merchant decides on them.
    ``fails`` is why a bank will refuse (a code of `block.DECLINES`) if the row stays what it is; -1 for one
    that tries again what failed.
    """

    row: Ints
    sim_s: Floats
    customer: Ints
    persona: Ints
    kind: Ints
    channel: Ints
    hour: Ints
    slot: Ints
    amount: Ints
    merchant: Ints
    other: Ints
    other_slot: Ints
    city: Ints
    latitude: Degrees
    longitude: Degrees
    stay_city: Ints
    stay_latitude: Degrees
    stay_longitude: Degrees
    device: Ints
    words: Ints
    normal: Floats
    net_shop: Ints
    net_cents: Ints
    settles: Ints
    bill: Ints
    paid_after: Ints
    day: Ints
    #: The payee of a payment of a user's own (-1: none).
    own_other: Ints
    fails: Ints
    #: Not columns: the rows for which no customer was found, and payments of a user's own by position.
    missing: Ints
    own: dict[int, Draft]
    #: Random numbers of all rows by which sums are made to fit, kept from the first time on.
    chances: dict[int, Floats] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.row)

    def part(self, start: int, end: int) -> Drafts:
        """A copy of the rows at positions ``start`` to ``end`` (exclusive)."""
        missing = self.missing
        if start > 0:
            missing = missing[missing >= self.row[start]]
        if end < len(self):
            missing = missing[missing < self.row[end]]
        columns = {name: getattr(self, name)[start:end].copy() for name in _COLUMNS}
        own = {at - start: draft for at, draft in self.own.items() if start <= at < end}
        return Drafts(**columns, missing=missing, own=own)


_COLUMNS = tuple(each.name for each in fields(Drafts) if each.name not in ("missing", "own", "chances"))


class DraftMaker:
    """Makes drafts for one world and one process."""

    def __init__(
        self,
        world: World,
        shard: int,
        state: RowState,
        habits: HabitColumns,
        prices: PriceColumns,
        eligible: Eligible,
        payments: Payments | None,
    ) -> None:
        self._payments, self._habit_book, self._shard = payments, HabitBook(world), shard
        self._world, self._state, self._habits, self._prices = world, state, habits, prices
        self._eligible = eligible
        self._people, self._shops = world.population.people, habits.shops
        everybody = np.arange(world.population.size)
        self._expires = (Draws(world.seed, "card expiry").units(everybody) * _CARD_DAYS).astype(np.int64)
        self._closed_days = sorted(world.closed_days)
        self._more, self._shop, self._price, self._payee = (
            Draws(world.seed, "rows", shard, name) for name in ("more", "shop", "price", "payee")
        )
        rhythm = Rhythm(world)
        self.finder = Finder(world, shard, state, habits, eligible, rhythm)
        self._set_tables(rhythm)
        personas = list(world.personas.values())
        self._limits = self._people.limits_cents
        self._salary_words = np.array(
            [WORD["Pension payment" if p.ages[0] >= PENSION_FROM_AGE else "Salary"] for p in personas]
        )
        self._noisy = np.array([name in NOISY_BILLS for name in self._shops.categories])
        self.salaries = Salaries(world, state, eligible)
        self.bills = Bills(world, state, eligible, habits)

    def _set_tables(self, rhythm: Rhythm) -> None:
        names = list(self._world.personas)
        online_only = [1.0 if channel is Channel.ONLINE else 0.0 for channel in CHANNELS]
        rows: dict[tuple[float, ...], int] = {}
        self._channel_row = np.zeros((len(names), len(KINDS), HOURS_OF_WEEK), np.int64)
        for persona, name in enumerate(names):
            for code, kind in enumerate(KINDS):
                for hour in range(HOURS_OF_WEEK):
                    choice = rhythm.channels_at(name, kind, hour)
                    shares_of = dict(choice.shares()) if choice is not None else None
                    weights = [shares_of.get(c, 0.0) for c in CHANNELS] if shares_of else online_only
                    self._channel_row[persona, code, hour] = rows.setdefault(tuple(weights), len(rows))
        self._channels = Shares(list(rows))

    # ---- who does what

    def make(self, first_row: int, sim_s: Floats) -> Drafts:
        """Drafts for arrivals at these moments, in order."""
        row = first_row + np.arange(len(sim_s), dtype=np.int64)
        timestamp_s = self._world.start_epoch_s + sim_s
        # The epoch was a Thursday, three days after a Monday.
        hour = ((timestamp_s // HOUR_S).astype(np.int64) + 72) % HOURS_OF_WEEK
        day = (timestamp_s // DAY_S).astype(np.int64)
        if self._closed_days:  # as a Sunday
            hour = np.where(np.isin(day, self._closed_days), 144 + hour % 24, hour)
        who, kind, stay, left = self.finder.find(row, sim_s, timestamp_s, hour, day)
        missing = row[left]
        if len(left):
            found = np.ones(len(row), bool)
            found[left] = False
            row, sim_s, timestamp_s = row[found], sim_s[found], timestamp_s[found]
            hour, day, kind = hour[found], day[found], kind[found]
            who, stay = who.at(found), stay.at(found)
        drawn, fails = self._card_failures(row, sim_s, hour, day, who, kind, stay)
        paid_after = self.salaries.pay(sim_s, timestamp_s, day, who, kind, stay)
        bill, listed = self.bills.pay(sim_s, timestamp_s, day, who, kind, stay)
        paid_after = np.where(listed >= 0, listed, paid_after)
        day[listed >= 0] = -1
        subscribed, lists = bill >= 0, self._habits.bill_rows(who)
        earned = subscribed & self._habits.is_interest(lists, bill)
        subscribed &= self._habits.category_of(lists, bill) == self._habits.subscription
        kind[subscribed], kind[earned] = PURCHASE, DEPOSIT
        channel = self._channel(drawn, who, kind, hour)
        channel[(subscribed & (channel == POS)) | earned] = ONLINE
        count = len(row)
        nothing = np.zeros(count, np.int64)
        drafts = Drafts(
            drawn, sim_s, who.customer, who.persona, kind, channel, hour, nothing.copy(), nothing.copy(),
            nothing - 1, nothing - 1, nothing.copy(), stay.city.copy(), stay.latitude.copy(),
            stay.longitude.copy(), *stay[:3], self._device(drawn, who.customer, sim_s), nothing - 1,
            self._price.normals(drawn, 0), nothing - 1, nothing.copy(),
            nothing.copy(), bill, paid_after,
            day, nothing - 1, fails, missing, {},
        )  # fmt: skip
        self._details(drafts, who, ~stay.is_away)
        drafts.amount = self.within_limit(drafts, slice(None), drafts.amount)
        drafts.row = row
        sends = np.flatnonzero((drafts.kind == TRANSFER) & (fails == 0))
        fails[sends[self._more.units(row[sends], 12) < _OVER_LIMIT_SHARE]] = LIMIT
        if self._payments is not None:
            self._pay_own(self._payments, drafts)
        return drafts

    def _card_failures(
        self, row: Ints, sim_s: Floats, hour: Ints, day: Ints, who: Who, kind: Ints, stay: Stay
    ) -> tuple[Ints, Ints]:
        """Have cards fail and rows try again: whose random numbers each row draws, and its ``fails``."""
        drawn, fails = row.copy(), np.zeros(len(row), np.int64)
        chance = self._more.units(row, 12)
        at = np.flatnonzero((chance < _WRONG_PIN_SHARE) | (chance > 1 - _STALE_SHARE))
        late = (day[at] - self._expires[who.customer[at]]) % _CARD_DAYS < _STALE_DAYS
        at = at[late | (chance[at] < _WRONG_PIN_SHARE)]
        reason = np.where(chance[at] < _WRONG_PIN_SHARE, WRONG_PIN, EXPIRED_CARD)
        fits = card_fails(reason, kind[at], self._channel(row[at], who.at(at), kind[at], hour[at]))
        at, reason = at[fits], reason[fits]
        fails[at] = reason
        seen = (row[at], sim_s[at], reason, self._more.units(row[at], 14), kind[at])
        places = zip(*(column[at].tolist() for column in (*who, *stay)), strict=True)
        failures = []
        for number, now_s, why, part, code in zip(*(each.tolist() for each in seen), strict=True):
            first_s, last_s = _PIN_AGAIN_S if why == WRONG_PIN else _CARD_AGAIN_S
            again_s = now_s + first_s + part * (last_s - first_s) / 2
            failures.append(Failure(number, again_s, now_s + last_s, code, next(places)))
        is_free = (kind != SALARY) & (kind != BILL)
        for position, failure in self.finder.retries.assign(row, sim_s, is_free, failures).items():
            for column, value in zip((*who, *stay), failure.place, strict=True):
                column[position] = value
            drawn[position], kind[position], fails[position] = failure.row, failure.kind, -1
        return drawn, fails

    def _channel(self, row: Ints, who: Who, kind: Ints, hour: Ints) -> Ints:
        """A channel that is open; customers differ in how much they buy in shops."""
        units = self._more.units(row, 0)
        buys = np.flatnonzero(kind == PURCHASE)
        units[buys] **= np.exp(_REMOTE_SIGMA * (self._state.habit[who.customer[buys]] - _REMOTE_MIDDLE))
        return self._channels.pick(self._channel_row[who.persona, kind, hour], units)

    def _pay_own(self, payments: Payments, drafts: Drafts) -> None:
        """Ask the user's own kinds of payment whether they take the place of a draft."""
        cities, population = self._people.map.cities, self._world.population
        usual = (drafts.kind != SALARY) & (drafts.fails == 0)
        for at in np.flatnonzero(usual & payments.may_come(drafts.row)).tolist():
            customer, sim_s = population.customer(int(drafts.customer[at])), float(drafts.sim_s[at])
            city = cities[drafts.stay_city[at]]
            north, east = int(drafts.stay_latitude[at]) / DEGREE, int(drafts.stay_longitude[at]) / DEGREE

            def payees(customer: Customer = customer, sim_s: float = sim_s) -> list[int]:
                known = np.array(self._habit_book.of(customer).payees, np.int64)
                may_be = self._eligible.may_be_paid(known, np.full(len(known), sim_s))
                return [int(index) for index in known[may_be]]

            where = Place(city.name, city.country, north, east)
            draft = payments.draft(int(drafts.row[at]), sim_s, customer, where, payees)
            if draft is not None and draft.amount_cents < self._limits[drafts.persona[at]]:
                drafts.own[at] = draft
                drafts.own_other[at] = -1 if draft.counterparty is None else draft.counterparty.customer_index

    # ---- what it is

    def _details(self, drafts: Drafts, who: Who, at_home: Bools) -> None:
        """Shop, payee, place, words and amount, kind by kind."""
        transfers = np.flatnonzero(drafts.kind == TRANSFER)
        if len(transfers):
            self._payees(drafts, transfers)  # those without a payee become bills
        makers: dict[int, Callable[[Drafts, Ints, Who, Bools], None]] = {
            PURCHASE: self._purchases,
            WITHDRAWAL: self._withdrawals,
            DEPOSIT: self._deposits,
            SALARY: self._salaries,
            TRANSFER: self._transfers,
            BILL: self._bills,
        }
        for kind, make in makers.items():
            at = np.flatnonzero(drafts.kind == kind)
            if len(at):
                make(drafts, at, who.at(at), at_home[at])

    def _purchases(self, drafts: Drafts, at: Ints, who: Who, at_home: Bools) -> None:
        shops = np.full(len(at), -1, np.int32)
        in_town = np.flatnonzero(drafts.channel[at] == POS)
        if len(in_town):
            there = at[in_town]
            own = who.at(in_town)
            hours = drafts.hour[there] % 24
            shops[in_town] = self._habits.visit(
                own, drafts.stay_city[there], at_home[in_town], hours, self._shop, drafts.row[there]
            )
        net_shops = self._habits.visit_online(who, self._shop, drafts.row[at])
        in_shop = shops >= 0
        channel = drafts.channel[at]
        drafts.channel[at] = np.where(in_shop | (channel != POS), channel, ONLINE)
        drafts.merchant[at] = np.where(in_shop, shops, net_shops)
        drafts.amount[at] = self.price(drafts, at, drafts.merchant[at])
        there, found = at[in_shop], shops[in_shop]
        drafts.city[there], drafts.latitude[there], drafts.longitude[there] = (
            column[found] for column in (self._shops.city, self._shops.latitude, self._shops.longitude)
        )
        drafts.net_shop[there] = net_shops[in_shop]
        net_cents = self.price(drafts, there, drafts.net_shop[there])
        drafts.net_cents[there] = self.within_limit(drafts, there, net_cents)
        net = at[~in_shop & (drafts.bill[at] < 0)]
        drafts.settles[net] = np.where(self._more.units(drafts.row[net], 12) < _RETURNS, GOES_BACK, 0)
        subscribed = np.flatnonzero(drafts.bill[at] >= 0)
        if len(subscribed):
            self._billed(drafts, at[subscribed], who.at(subscribed))

    def price(self, drafts: Drafts, at: Ints, merchants: Ints) -> Ints:
        """What the rows' purchases cost at some merchants."""
        category = self._shops.category[merchants].astype(np.int64)
        ends = self._price.units(drafts.row[at], 2)
        levels = self._levels(drafts, at, merchants)
        return self._prices.purchase(drafts.persona[at], category, drafts.normal[at], ends, levels)

    def _levels(self, drafts: Drafts, at: Ints, merchants: Ints) -> Floats:
        """The customer's own price level and the shop's."""
        levels: Floats = self._state.level[drafts.customer[at]] * self._shops.level[merchants]
        return levels

    def within_limit(self, drafts: Drafts, at: Ints | slice, cents: Ints) -> Ints:
        """``cents`` of the rows, or somewhere below their customers' limits."""
        limits = self._limits[drafts.persona[at]]
        if not (cents >= limits).any():
            return cents
        return self._prices.within(cents, limits, self._price.units(drafts.row[at], 3))

    def _withdrawals(self, drafts: Drafts, at: Ints, who: Who, at_home: Bools) -> None:
        at_machine = drafts.channel[at] != BRANCH
        drafts.amount[at] = self._prices.cash(
            who.persona, at_machine, drafts.normal[at], self._state.level[who.customer]
        )
        drafts.words[at] = np.where(at_machine, WORD["Cash withdrawal"], WORD["Counter withdrawal"])
        near = np.flatnonzero(at_machine & at_home)
        there, own = at[near], who.at(near)
        is_second = self._more.units(drafts.row[there], 1) >= _FIRST_MACHINE_SHARE
        latitude, longitude = drafts.stay_latitude[there], drafts.stay_longitude[there]
        drafts.latitude[there], drafts.longitude[there] = self._habits.machine(
            own, latitude, longitude, is_second
        )

    def _deposits(self, drafts: Drafts, at: Ints, who: Who, at_home: Bools) -> None:  # noqa: ARG002
        in_cash = np.isin(drafts.channel[at], (BRANCH, ATM))
        ends = self._price.units(drafts.row[at], 2)
        drafts.amount[at] = self._prices.deposit(drafts.persona[at], in_cash, drafts.normal[at], ends)
        words = np.where(in_cash, WORD["Cash deposit"], WORD["Deposit"])
        words = np.where(drafts.channel[at] == ACH, WORD["Incoming payment"], words)
        drafts.words[at] = np.where(drafts.channel[at] == MOBILE, WORD["Check deposit"], words)
        moved = at[~in_cash & self._habits.banks_elsewhere(drafts.customer[at])]
        moved = moved[self._more.units(drafts.row[moved], 11) < MOVES_SHARE]
        units = self._prices.drawn(drafts.persona[moved], self._prices.key(OTHER_BANK), drafts.normal[moved])
        drafts.amount[moved], drafts.words[moved] = self._prices.cents(units), WORD["Incoming payment"]
        if self._state.slots > 1:
            drafts.slot[at] = self._more.units(drafts.row[at], 2) < _TO_SAVINGS_SHARE
        is_cheque = (drafts.words[at] == WORD["Check deposit"]) & (drafts.slot[at] == 0)
        drafts.settles[at] = np.where(is_cheque, CHEQUE, 0)
        earned = at[drafts.bill[at] >= 0]
        drafts.settles[earned], drafts.slot[earned], drafts.words[earned] = INTEREST, 1, WORD["Interest"]

    def pay_in(self, drafts: Drafts, at: Ints) -> None:
        """Make the rows deposits, at the place where the customer stays."""
        drafts.kind[at] = DEPOSIT
        drafts.merchant[at] = drafts.other[at] = drafts.bill[at] = -1
        channels = self._channel_row[drafts.persona[at], DEPOSIT, drafts.hour[at]]
        drafts.channel[at] = self._channels.pick(channels, self._more.units(drafts.row[at], 3))
        drafts.normal[at] = self._price.normals(drafts.row[at], 20)
        nothing = drafts.row[:0]
        self._deposits(drafts, at, Who(nothing, nothing, nothing), np.zeros(0, bool))
        drafts.amount[at] = self.within_limit(drafts, at, drafts.amount[at])

    def _salaries(self, drafts: Drafts, at: Ints, who: Who, at_home: Bools) -> None:  # noqa: ARG002
        _, cents, varies = self._habits.pay(who.customer)
        cents = np.where(varies, cents * np.exp(_REGULAR_PAY_NOISE * drafts.normal[at]), cents)
        amount = self._prices.cents(cents / self._prices.one.per_unit)
        # A pay day too large for the account's tier is a second employer's: half of it.
        drafts.amount[at] = np.where(amount < self._limits[who.persona], amount, amount // 2)
        drafts.words[at] = self._salary_words[who.persona]

    def _payees(self, drafts: Drafts, at: Ints) -> None:
        """Somebody else with an account, or the own savings; a bill where nobody was found."""
        row, customer = drafts.row[at], drafts.customer[at]
        found, slot = np.full(len(at), -1, np.int64), np.zeros(len(at), np.int64)
        if own_slots := self._state.slots - 1:
            saves = self._payee.units(row, 0) < _OWN_TRANSFER_SHARE
            found[saves] = customer[saves]
            slot[saves] = 1 + self._payee.below(row[saves], 1, own_slots)
        todo = np.flatnonzero(found < 0)
        for attempt in range(_PAYEE_TRIES):
            some, owner, k = row[todo], customer[todo], 2 + 4 * attempt
            is_known = self._payee.units(some, k) < _REGULAR_PAYEE_SHARE
            rank = self._payee.below(some, k + 1, self._habits.payee_counts(owner))
            units = self._payee.units(some, k + 2)
            anybody = (units * self._people.size).astype(np.int64)
            is_popular = self._payee.units(some, k + 3) < _POPULAR_SHARE
            anybody[is_popular] = self._habits.popular(units[is_popular])
            other = np.where(is_known, self._habits.payee(owner, rank), anybody)
            fits = (other != owner) & self._eligible.may_be_paid(other, drafts.sim_s[at[todo]])
            found[todo[fits]] = other[fits]
            todo = todo[~fits]
            if not len(todo):
                break
        drafts.other[at], drafts.other_slot[at] = found, slot
        without = at[todo]
        drafts.kind[without] = BILL
        channels = self._channel_row[drafts.persona[without], BILL, drafts.hour[without]]
        drafts.channel[without] = self._channels.pick(channels, self._more.units(drafts.row[without], 0))

    def _transfers(self, drafts: Drafts, at: Ints, who: Who, at_home: Bools) -> None:  # noqa: ARG002
        factor = np.where(drafts.channel[at] == WIRE, _WIRE_FACTOR, 1.0) * self._state.level[who.customer]
        ends = self._price.units(drafts.row[at], 2)
        drafts.amount[at] = self._prices.transfer(who.persona, factor, drafts.normal[at], ends)
        words = WORD[TRANSFER_WORDS[0]] + self._more.below(drafts.row[at], 4, len(TRANSFER_WORDS))
        drafts.words[at] = np.where(drafts.other[at] == who.customer, WORD["To savings"], words)

    def _bills(self, drafts: Drafts, at: Ints, who: Who, at_home: Bools) -> None:  # noqa: ARG002
        habits = self._habits
        due = np.flatnonzero(drafts.bill[at] >= 0)
        self._billed(drafts, at[due], who.at(due))
        billed = self._shops.category[drafts.merchant[at[due]]]
        drafts.settles[at[due]] = np.where(billed == habits.charges, CHARGE, 0)
        drafts.settles[at[due[billed == habits.settlement]]] = SURPLUS
        once = np.flatnonzero(drafts.bill[at] < 0)
        rows, own = at[once], who.at(once)
        drafts.merchant[rows], category = habits.one_off(
            own, self._more.units(drafts.row[rows], 5), self._more.units(drafts.row[rows], 6)
        )
        units = self._prices.drawn(own.persona, category, drafts.normal[rows])
        drafts.amount[rows] = self._prices.cents(units * self._state.level[own.customer])

    def _billed(self, drafts: Drafts, at: Ints, who: Who) -> None:
        """The biller and the sum of each bill."""
        biller, units = self._habits.bill(who, self._habits.bill_rows(who), drafts.bill[at])
        noise = np.exp(_BILL_NOISE * drafts.normal[at])
        varies = self._noisy[self._shops.category[biller]]
        drafts.merchant[at] = biller
        drafts.amount[at] = self._prices.cents(np.where(varies, units * noise, units))

    def _device(self, row: Ints, customer: Ints, sim_s: Floats) -> Ints:
        """The number of the device: mostly the main one; sometimes the family's, or one used only once."""
        count = self._people.device_counts(customer).astype(np.int64)
        units = self._more.units(row, 9)
        part = 1 - (units - _MAIN_DEVICE_SHARE) / (1 - _MAIN_DEVICE_SHARE)
        slot = np.where(
            (count == 1) | (units < _MAIN_DEVICE_SHARE), 0, 1 + (part * (count - 1)).astype(np.int64)
        )
        other = self._more.units(row, 10)
        slot[other < _FAMILY_DEVICE_SHARE] = FAMILY_SLOT
        found = self._habits.device_numbers(customer, slot, sim_s)
        once = np.flatnonzero(other > 1 - _STRANGE_DEVICE_SHARE)
        found[once] = -1 - (row[once] + (self._shard << 40))
        return found
