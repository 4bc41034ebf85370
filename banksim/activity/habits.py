"""What a customer keeps coming back to: shops, payees, bills, cash machines, pay days.

Habits are a pure function of (seed, index) like the customer: for many customers at once (`HabitColumns`),
or as objects for one (`HabitBook`), made by the same functions.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from banksim.activity.calendar import PAY_CLASSES, PayDays
from banksim.activity.journeys import Degrees, Who, one
from banksim.model import Merchant, Place
from banksim.model.money import to_units
from banksim.world import Choice, Customer, Persona, World, unit_scale
from banksim.world.columns import DEGREE, MAX_DEVICES, coprime_near
from banksim.world.merchants import NET
from banksim.world.population import DAY_S
from banksim.world.random import Bools, Draws, Floats, Ints, Shares, stream, uuid_text, zipf_weights

REGULAR_SHARE = 0.70
REGULAR_ONLINE_SHARE = 0.50
#: Most regular shops in town, on the net, and people who are often paid.
MAX_SHOPS, MAX_ONLINE, MAX_PAYEES = 8, 4, 6
_MIN_SHOPS, _MIN_ONLINE, _MIN_PAYEES = 3, 2, 2
#: Bills whose sum is another one each month; all others repeat their price.
NOISY_BILLS = frozenset({"utilities"})
SUBSCRIPTION = "subscription"
#: What is left over at the end of the month goes there: the sum is decided when the bill is paid.
SETTLEMENT = "card_issuer"
#: What the bank itself books each month: a fee for the account and interest on savings, where there are some.
CHARGES = "bank_charges"
OTHER_BANK = "other_bank"
#: Bills that come once, by weight (judgement).
ONE_OFF = {"services": 6.0, "education": 1.0, "tax": 0.5, OTHER_BANK: 2.0, "crypto_exchange": 0.5}
CACHED_HABITS = 20_000
_HOME_OWNERS = 0.35
#: How many have an account at another bank too, and how many of their odd bills and of their payments from
#: outside are money that they move between the two (judgement).
_BANKS_ELSEWHERE, MOVES_SHARE = 0.35, 0.5
#: How few people most others pay; set to the in-degrees of AMLSim's 1K network (see docs/realism.md).
HUB_POWER = 2.8
#: The device of the household, and for how many days each slot keeps its id (judgement).
FAMILY_SLOT = 3
DEVICE_DAYS = (900, 45, 60, 400)
_DEVICE_DAYS = np.array(DEVICE_DAYS, np.int64)
IntOrInts = TypeVar("IntOrInts", int, Ints)
_MONTH_DAYS = 30.4
_VARYING_PAY = 0.35
_SHOP_TRIES = 4
#: Room in the stream for the bills of one customer.
_BILLS = 64


class HabitColumns:
    """The habits of a world's customers."""

    def __init__(self, world: World) -> None:
        personas = list(world.personas.values())
        self._people = people = world.population.people
        self.shops = shops = world.merchants.columns(people.map)
        self._scale = unit_scale(world.currency)
        self._shop, self._net, self._payee, self._bill, self._machine, self._pay = (
            Draws(world.seed, "habits", name)
            for name in ("shops", "net", "payees", "bills", "machines", "pay")
        )
        names = shops.categories
        self._shop_mix = Shares([[p.merchants.get(name, 0.0) for name in names] for p in personas])
        self._net_mix = Shares([[p.online_merchants.get(name, 0.0) for name in names] for p in personas])
        self._open_mix = Shares(
            [
                [p.merchants.get(name, 0.0) * shops.is_open[code, hour] for code, name in enumerate(names)]
                for p in personas
                for hour in range(24)
            ]
        )
        sells = np.array([[name in p.merchants for name in names] for p in personas])
        self._any_open = (sells.astype(np.int64) @ shops.is_open.astype(np.int64)) > 0
        self._favourites = Shares([[1.0], *(zipf_weights(n) for n in range(1, MAX_SHOPS + 1))])
        self._set_bills(personas, has_savings=world.population.accounts_per_customer > 1)
        days = PayDays(world.population)
        self._pay_edges = np.array(
            [
                first + end
                for first, p in zip(people.ranks.edges, personas, strict=False)
                for end in days.ends(p.name)
            ]
        )
        self._pay_period = np.array([period for period, _ in PAY_CLASSES])
        # An order of everybody by which households, friends and popular payees are found.
        self._start_day = int(world.start_epoch_s // DAY_S)
        size, rng = people.size, stream(world.seed, "circles")
        self._circle_factor = coprime_near(1 + int(size * rng.random()), size)
        self._circle_shift = int(size * rng.random())
        self._circle_inverse = pow(self._circle_factor, -1, size) if size > 1 else 0

    def _set_bills(self, personas: Sequence[Persona], has_savings: bool) -> None:
        """Tables of the bills of a household by persona × 2, plus 1 for those who own their home."""
        turns = [_bill_turns(p, owns, has_savings) for p in personas for owns in (False, True)]
        codes = self.shops.category_codes
        self._bill_category = np.full((len(turns), max(map(len, turns))), -1, np.int64)
        self._bill_model = np.zeros((*self._bill_category.shape, 2))
        for row, names in enumerate(turns):
            models = [personas[row // 2].amounts[name] for name in names]
            self._bill_category[row, : len(names)] = [codes[name] for name in names]
            self._bill_model[row, : len(names)] = models
        #: Bills a month of a household, by persona.
        self.bill_counts = np.array([len(names) for names in turns[::2]], np.int64)
        self._rent = codes.get("rent", -1)
        self.subscription, self.settlement, self.charges = (
            codes[name] for name in (SUBSCRIPTION, SETTLEMENT, CHARGES)
        )
        self._has_savings, self._other_bank = has_savings, codes[OTHER_BANK]
        names = [name for name in ONE_OFF if name in codes]
        self._one_off = np.array([codes[name] for name in names])
        self._one_off_mix = Shares([[ONE_OFF[name] for name in names]])

    # ---- shops

    def shop_counts(self, customers: Ints) -> Ints:
        """How many regular shops each has."""
        return _MIN_SHOPS + self._shop.below(customers * MAX_SHOPS, 2, MAX_SHOPS - _MIN_SHOPS + 1)

    def shop(self, who: Who, ranks: Ints) -> NDArray[np.int32]:
        """The regular shop of that rank, 0 is the favourite."""
        rows = who.customer * MAX_SHOPS + ranks
        categories = self._shop_mix.pick(who.persona, self._shop.units(rows, 0))
        return self.shops.pick(who.city, categories, self._shop.units(rows, 1))

    def online_counts(self, customers: Ints) -> Ints:
        return _MIN_ONLINE + self._net.below(customers * MAX_ONLINE, 2, MAX_ONLINE - _MIN_ONLINE + 1)

    def online_shop(self, who: Who, ranks: Ints) -> NDArray[np.int32]:
        """The regular shop on the net of that rank."""
        rows = who.customer * MAX_ONLINE + ranks
        categories = self._net_mix.pick(who.persona, self._net.units(rows, 0))
        return self.shops.pick(np.full_like(ranks, NET), categories, self._net.units(rows, 1))

    def visit(
        self, who: Who, where: Ints, at_home: Bools, hours: Ints, draws: Draws, rows: Ints
    ) -> NDArray[np.int32]:
        """An open shop for each row in the city ``where``, often a regular one; -1 where all are closed.

        Uses the numbers 0 to 6 of ``draws``.
        """
        found = np.full(len(rows), -1, np.int32)
        todo = np.flatnonzero(at_home & (draws.units(rows, 0) < REGULAR_SHARE))
        for attempt in range(_SHOP_TRIES):
            if not len(todo):
                break
            own = who.at(todo)
            ranks = self._favourites.pick(
                self.shop_counts(own.customer), draws.units(rows[todo], 1 + attempt)
            )
            shops = self.shop(own, ranks)
            is_open = self.shops.is_open[self.shops.category[shops], hours[todo]]
            found[todo[is_open]] = shops[is_open]
            todo = todo[~is_open]
        todo = np.flatnonzero((found < 0) & self._any_open[who.persona, hours])
        mix = who.persona[todo] * 24 + hours[todo]
        categories = self._open_mix.pick(mix, draws.units(rows[todo], 5))
        found[todo] = self.shops.pick(where[todo], categories, draws.units(rows[todo], 6))
        return found

    def visit_online(self, who: Who, draws: Draws, rows: Ints) -> NDArray[np.int32]:
        """A shop on the net for each row.  Uses the numbers 7 to 10 of ``draws``."""
        is_regular = draws.units(rows, 7) < REGULAR_ONLINE_SHARE
        ranks = self._favourites.pick(self.online_counts(who.customer), draws.units(rows, 8))
        regular = self.online_shop(who, ranks)
        categories = self._net_mix.pick(who.persona, draws.units(rows, 9))
        other = self.shops.pick(np.full(len(rows), NET), categories, draws.units(rows, 10))
        shops: NDArray[np.int32] = np.where(is_regular, regular, other)
        return shops

    # ---- people who are paid, bills, cash

    def payee_counts(self, customers: Ints) -> Ints:
        return _MIN_PAYEES + self._payee.below(customers * MAX_PAYEES, 1, MAX_PAYEES - _MIN_PAYEES + 1)

    def payee(self, customers: Ints, ranks: Ints) -> Ints:
        """Somebody the customer often pays; the customer's own index where there is nobody.

        Ranks 0, 2 and 3 are the household: four people who also pay each other.  Rank 5 is a friend, who pays
        back.  Ranks 1 and 4 are people whom many pay: a landlord, a club, a seller.
        """
        place = self._circle_place(customers)
        mate = np.choose(ranks, (1, 0, 2, 3, 0, 4))
        friend = place ^ mate
        friend = np.where(friend < self._people.size, friend, place)
        known: Ints = (friend - self._circle_shift) * self._circle_inverse % self._people.size
        hub = self.popular(self._payee.units(customers * MAX_PAYEES + ranks, 0))
        payees: Ints = np.where((ranks == 1) | (ranks == 4), hub, known)
        return payees

    def popular(self, units: Floats) -> Ints:
        """Somebody whom many pay, for numbers in [0, 1): few are paid by most."""
        places = (self._people.size * units**HUB_POWER).astype(np.int64)
        people: Ints = (places - self._circle_shift) * self._circle_inverse % self._people.size
        return people

    def _circle_place(self, customers: Ints) -> Ints:
        places: Ints = (customers * self._circle_factor + self._circle_shift) % self._people.size
        return places

    def households(self, customers: Ints) -> Ints:
        """A number per household of four."""
        return self._circle_place(customers) >> 2

    # ---- devices
    #
    # Numbers of a customer's devices: slot + 4 × generation.  A new phone comes every few years, a browser is
    # cleared after weeks, and then has another id.  Slot 3 is the household's.

    def device_numbers(self, customers: Ints, slots: Ints, sim_s: Floats) -> Ints:
        """Which of their devices the customers use at a moment, if they use these slots."""
        owner = np.where(slots == FAMILY_SLOT, self.households(customers), customers)
        period = _DEVICE_DAYS[slots]
        shift = self._start_day + (owner * 4 + slots) * 7919
        generation = ((sim_s // DAY_S).astype(np.int64) + shift % period) // period
        numbers: Ints = slots + MAX_DEVICES * generation
        return numbers

    def device_keys(self, customers: IntOrInts, numbers: IntOrInts) -> IntOrInts:
        """A number for each device of anybody; those used once have numbers below 0."""
        slot, generation = numbers & 3, numbers >> 2
        family = slot == FAMILY_SLOT
        place = (customers * self._circle_factor + self._circle_shift) % self._people.size >> 2
        key = customers + (place - customers) * family
        key = key * MAX_DEVICES + slot + (generation << 42)
        once = numbers < 0
        found: IntOrInts = key * (1 - once) + ((1 << 62) - numbers) * once
        return found

    def device_id(self, customer: int, slot: int, sim_s: float) -> str:
        """The id of a customer's device at a moment."""
        # As `device_numbers`, which takes a hundred times as long for one.
        place = (customer * self._circle_factor + self._circle_shift) % self._people.size >> 2
        owner, period = place if slot == FAMILY_SLOT else customer, DEVICE_DAYS[slot]
        shift = (self._start_day + (owner * 4 + slot) * 7919) % period
        key = self.device_keys(customer, slot + MAX_DEVICES * ((int(sim_s // DAY_S) + shift) // period))
        return uuid_text(self._people.devices.word(key, 0), self._people.devices.word(key, 1))

    def bill_rows(self, who: Who) -> Ints:
        """The household's row in the tables of bills."""
        owns_home = self._pay.units(who.customer, 3) < _HOME_OWNERS
        rows: Ints = who.persona * 2 + owns_home
        return rows

    def category_of(self, rows: Ints, bills: Ints) -> Ints:
        """The category of a household's bill."""
        categories: Ints = self._bill_category[rows, bills]
        return categories

    def is_interest(self, rows: Ints, bills: Ints) -> Bools:
        """Whether a household's bill is none, but interest on the savings: the last of the list."""
        last: Bools = bills == self.bill_counts[rows // 2] - 1
        return last & self._has_savings

    def one_off(self, who: Who, units: Floats, more: Floats) -> tuple[NDArray[np.int32], Ints]:
        """A biller that comes once, and its category."""
        category = self._one_off[self._one_off_mix.pick(np.zeros_like(who.city), units)]
        moves = self.banks_elsewhere(who.customer) & (more < MOVES_SHARE)
        category = np.where(moves, self._other_bank, category)
        # One's own bank elsewhere is always the same; the others are anybody's.
        own = self._bill.units(who.customer * _BILLS + _BILLS - 1, 2)
        return self.shops.pick(who.city, category, np.where(moves, own, more)), category

    def banks_elsewhere(self, customers: Ints) -> Bools:
        """Who has an account at another bank too."""
        found: Bools = self._pay.units(customers, 4) < _BANKS_ELSEWHERE
        return found

    def bill(self, who: Who, rows: Ints, bills: Ints) -> tuple[NDArray[np.int32], Floats]:
        """The biller and the usual amount in units of each household's bill."""
        category, keys = self._bill_category[rows, bills], who.customer * _BILLS + bills * 2
        where = np.where(self.shops.only_online[category], NET, who.city)
        biller = self.shops.pick(where, category, self._bill.units(keys, 2))
        median, sigma = self._bill_model[rows, bills].T
        # A subscription has one price for everybody, which is the shop's.
        subscribed = category == self.subscription
        priced = np.where(subscribed, _BILLS * self._people.size + biller.astype(np.int64), keys)
        units = median * np.exp(sigma * self._bill.normals(priced, 0)) * self._scale
        if self._scale == 1:
            round_rent = np.maximum(10.0, np.rint(units / 10)) * 10
        else:
            round_rent = np.rint(units / 1000) * 1000
        units = np.where(category == self._rent, round_rent, units)
        if self._scale == 1:
            units = np.where(subscribed, np.floor(units) + 0.99, units)
        return biller, units

    def bill_count(self, row: int) -> int:
        """How many bills a household of that row has."""
        return int(self.bill_counts[row // 2])

    def machine(
        self, who: Who, latitude: Degrees, longitude: Degrees, is_second: Bools
    ) -> tuple[Degrees, Degrees]:
        """The customer's first or second cash machine, near the home given."""
        degrees = latitude / DEGREE, longitude / DEGREE
        keys = who.customer * 2 + is_second
        spread_km = np.where(is_second, 2.5, 1.0)
        return self._people.map.around(*degrees, who.city, self._machine, keys, 0, spread_km)

    # ---- pay

    def pay_classes(self, customers: Ints) -> Ints:
        """The pay class, as a position in `pay_days.PAY_CLASSES`."""
        ranks = self._people.ranks.ranks(customers)
        found = np.searchsorted(self._pay_edges, ranks, side="right")
        classes: Ints = found % len(self._pay_period)
        return classes

    def pay(self, customers: Ints) -> tuple[Ints, Floats, Bools]:
        """Days between two pay days, one pay day's cents, and whether they vary."""
        days = self._pay_period[self.pay_classes(customers)]
        cents = self._people.incomes_cents(customers) * days / _MONTH_DAYS
        return days, cents, self._pay.units(customers, 0) < _VARYING_PAY


def _bill_turns(persona: Persona, owns_home: bool, has_savings: bool) -> list[str]:
    """The categories of a household's bills, equally many for those who rent and those who own."""
    names = [SUBSCRIPTION if owns_home and name == "rent" else name for name in persona.bills]
    return [*names, SUBSCRIPTION, SETTLEMENT, CHARGES, *([CHARGES] if has_savings else [])]


# -- One customer -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bill:
    """A bill that comes again: who is paid, how much (units), and whether the amount varies."""

    biller: Merchant
    amount_units: float
    varies: bool


@dataclass(frozen=True, slots=True)
class Habits:
    """One customer's, favourites first.  ``payees`` are indices; ``pay_units`` is one pay day's."""

    shops: tuple[Merchant, ...]
    online_shops: tuple[Merchant, ...]
    bills: tuple[Bill, ...]
    payees: tuple[int, ...]
    cash_machines: tuple[Place, ...]
    pay_period_days: int
    pay_units: float
    pay_varies: bool

    def regular_shop(self, rng: random.Random) -> Merchant:
        """One of the regular shops, the first of them most often."""
        return self.shops[_RANKS[len(self.shops)].pick(rng)]

    def regular_online_shop(self, rng: random.Random) -> Merchant:
        return self.online_shops[_RANKS[len(self.online_shops)].pick(rng)]


#: Ranks of a list of favourites by its length: the second sees half of what the first sees.
_RANKS = {n: Choice(range(n), zipf_weights(n)) for n in range(1, MAX_SHOPS + 1)}


class HabitBook:
    """The habits of everybody in a world, kept for the most recent `CACHED_HABITS` customers."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._cache: OrderedDict[int, Habits] = OrderedDict()

    @cached_property
    def columns(self) -> HabitColumns:
        return HabitColumns(self._world)

    def of(self, customer: Customer) -> Habits:
        """The customer's habits."""
        found = self._cache.get(customer.index)
        if found is None:
            found = self._cache[customer.index] = self._make(customer)
            if len(self._cache) > CACHED_HABITS:
                self._cache.popitem(last=False)
        return found

    def _make(self, customer: Customer) -> Habits:
        columns, currency = self.columns, self._world.currency
        merchants, categories = columns.shops.merchants, columns.shops.categories
        who, latitude, longitude = one(self._world.population.people, customer.index)
        own = who.customer
        ranks = np.arange(int(columns.shop_counts(own)[0]))
        online = np.arange(int(columns.online_counts(own)[0]))
        payees = columns.payee(own.repeat(MAX_PAYEES), np.arange(MAX_PAYEES))
        bills = np.arange(columns.bill_count(int(columns.bill_rows(who)[0])))
        households = columns.bill_rows(who).repeat(len(bills))
        billers, units = columns.bill(who.repeat(len(bills)), households, bills)
        second = np.array([False, True])
        machines = columns.machine(who.repeat(2), latitude.repeat(2), longitude.repeat(2), second)
        days, pay_cents, varies = columns.pay(own)
        home = customer.home
        return Habits(
            shops=tuple(merchants[code] for code in columns.shop(who.repeat(len(ranks)), ranks)),
            online_shops=tuple(
                merchants[code] for code in columns.online_shop(who.repeat(len(online)), online)
            ),
            bills=tuple(
                Bill(merchants[code], float(amount), categories[columns.shops.category[code]] in NOISY_BILLS)
                for code, amount in zip(billers, units, strict=True)
            ),
            payees=tuple(sorted({*payees[: int(columns.payee_counts(own)[0])].tolist()} - {customer.index})),
            cash_machines=tuple(
                Place(home.city, home.country, north / DEGREE, east / DEGREE)
                for north, east in zip(*(column.tolist() for column in machines), strict=True)
            ),
            pay_period_days=int(days[0]),
            pay_units=to_units(1, currency) * float(pay_cents[0]),
            pay_varies=bool(varies[0]),
        )
