"""The population: any customer on demand, none of them stored.

``customer(index)`` is a pure function of the seed, the population's make-up and the
index, so every process of a distributed run knows the same people without exchanging
them, and a population of a million costs no memory.  Only the last few thousand are
kept, to save making them again.

Which persona an index has is an affine permutation of [0, size):

    rank  = (index × a + b) mod size           personas own consecutive ranks:
    index = (rank − b) × a⁻¹ mod size          |student|salaried      |family  |…

so the shares are exact to one customer, both directions cost one multiplication, and
with a near size × 0.618 every run of consecutive indices is mixed like the whole.

The world of one run: its population, merchants and places.

Immutable and fully determined by scenario and seed; every process builds its own equal copy.
The clock of this world is UTC: hour 9 of the run's day is 9 o'clock for every customer.
"""

from __future__ import annotations

import random
import re
import unicodedata
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import accumulate
from typing import Protocol

from faker import Faker

from banksim.model import Place, ScenarioError
from banksim.model.money import to_cents
from banksim.model.transaction import record
from banksim.world.columns import DEGREE, People, Ranks, coprime_near, kyc_tier
from banksim.world.merchants import MerchantDirectory
from banksim.world.persona import Persona, load_personas
from banksim.world.places import Places, country_of_locale, load_countries
from banksim.world.random import Draws, stream, stream_key, unit

# -- Names, streets and e-mail addresses, cheap by the million --------------------------------------
#
# Faker knows the names of a locale but takes tens of microseconds for each; so a few
# hundred of every word are drawn from it once per seed, and customers combine them with
# their own random stream.  Words drawn in proportion to their real frequency appear in
# the lists that often, so common names stay common.


WORDS_PER_LIST = 400
STREETS_PER_LIST = 300
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
#: Reserved by RFC 2606: no mail can ever reach anybody.
_MAIL_DOMAINS = ("example.com", "example.net", "example.org", "mail.example.com")


@dataclass(frozen=True, slots=True)
class NameBook:
    """Word lists of one locale under one seed."""

    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    streets: tuple[str, ...]
    # The same names in ASCII, for e-mail addresses; "" where nothing of a name is left.
    first_ascii: tuple[str, ...]
    last_ascii: tuple[str, ...]

    @classmethod
    @lru_cache(maxsize=8)
    def of(cls, locale: str, seed: int) -> NameBook:
        """Raises ScenarioError when Faker does not know the locale."""
        try:
            fake = Faker(locale)
        except (AttributeError, ValueError, ImportError) as error:
            raise ScenarioError([f"locale: '{locale}' is not a locale Faker knows"]) from error
        fake.seed_instance(stream_key(seed, "names", locale))
        first_names = _words(fake.first_name, WORDS_PER_LIST)
        last_names = _words(fake.last_name, WORDS_PER_LIST)
        return cls(
            first_names,
            last_names,
            _words(fake.street_name, STREETS_PER_LIST),
            tuple(map(ascii_letters, first_names)),
            tuple(map(ascii_letters, last_names)),
        )

    def email(self, first: int, last: int, number: int, word: int) -> str:
        """An ASCII address; ``number`` makes it unique, since names hold no digits.  ``word`` is random."""
        given, family = self.first_ascii[first], self.last_ascii[last]
        local = f"{given}.{family}" if given and family else given or family or "mail"
        return f"{local}{number}@{_MAIL_DOMAINS[word % len(_MAIL_DOMAINS)]}"


def ascii_letters(text: str) -> str:
    """Lower-case a–z of ``text`` with accents taken off; other scripts leave nothing."""
    plain = text.replace("ß", "ss").replace("ø", "o").replace("ł", "l").replace("æ", "ae")
    decomposed = unicodedata.normalize("NFKD", plain).lower()
    return "".join(letter for letter in decomposed if "a" <= letter <= "z")


def fill_shape(shape: str, word: int) -> str:
    """``shape`` with every # a digit and every ? a capital letter, both from ``word``: 64 random bits."""
    text = ""
    for run, values in _runs(shape):
        if not values:
            text += run
            continue
        word, value = divmod(word, values)
        text += f"{value:0{len(run)}d}" if run[0] == "#" else _LETTERS[value]
    return text


@lru_cache(maxsize=256)
def _runs(shape: str) -> tuple[tuple[str, int], ...]:
    """``shape`` cut where one kind of mark ends and another begins; how many values each part takes."""
    runs = re.findall(r"#+|\?|[^#?]+", shape)
    return tuple((run, {"#": 10 ** len(run), "?": len(_LETTERS)}.get(run[0], 0)) for run in runs)


def _words(draw: Callable[[], str], count: int) -> tuple[str, ...]:
    return tuple(draw() for _ in range(count))


# -- One member of the population, as the bank would know them --------------------------------------


@record
class Address:
    """A postal address; ``country`` has two capital letters."""

    line1: str
    city: str
    state: str
    postal_code: str
    country: str


@record
class AccountSpec:
    """An account to open: its product ("checking" or "savings") and first balance."""

    product: str
    opening_balance_cents: int


@record
class Customer:
    """A customer; a pure function of the population's seed and ``index``.

    ``email`` is ASCII and unique in the population.  ``devices`` are opaque ids, the
    main one first.  ``accounts`` are by slot: 0 is the checking account.
    ``income_cents`` is a month's.
    """

    index: int
    persona: str
    first_name: str
    last_name: str
    email: str
    phone: str
    date_of_birth: date
    address: Address
    home: Place
    devices: tuple[str, ...]
    kyc_tier: str
    income_cents: int
    accounts: tuple[AccountSpec, ...]

    @property
    def display_name(self) -> str:
        return f"{self.first_name} {self.last_name}"


CACHED_CUSTOMERS = 20_000
#: A prime above any population: index × 48271 mod it never repeats, and hides the order.
_EMAIL_MODULUS = 2_147_483_647
_EMAIL_FACTOR = 48_271
#: Customers made together when they are asked for one after the other.
_PAGE = 256


class Population:
    """``size`` customers of several personas."""

    def __init__(
        self,
        seed: int,
        size: int,
        personas: Mapping[str, Persona],
        currency: str = "USD",
        accounts_per_customer: int = 1,
        initial_balance_cents: int = 500_000,
        locale: str = "en_US",
        places: Places | None = None,
        start: date = date(2026, 1, 5),
    ) -> None:
        """``initial_balance_cents`` is the mean opening balance of an account.

        ``start`` is the day ages are counted at.  Raises ValueError for an empty
        population, ScenarioError for a locale without names.
        """
        if size < 1:
            raise ValueError(f"a population needs at least one customer, got {size}")
        if not personas:
            raise ValueError("a population needs at least one persona")
        self.seed = seed
        self.size = size
        self.personas: Mapping[str, Persona] = dict(personas)
        self.currency = currency
        self.accounts_per_customer = accounts_per_customer
        self.initial_balance_cents = initial_balance_cents
        self.places = places or Places(country_of_locale(locale))
        self._start = start
        self._names = NameBook.of(locale, seed)
        self._persona_names = tuple(self.personas)
        counts = _exact_counts([p.share for p in self.personas.values()], size)
        self._counts = dict(zip(self._persona_names, counts, strict=True))
        self._edges = list(accumulate(counts, initial=0))
        self._first_rank = dict(zip(self._persona_names, self._edges, strict=False))
        rng = stream(seed, "population")
        self._factor = coprime_near(int(size * 0.6180339887) + rng.randrange(max(1, size // 100)), size)
        self._inverse = pow(self._factor, -1, size) if size > 1 else 0
        self._shift = rng.randrange(size)
        #: Per persona: its first rank, shifted as indices are, and how many have it.
        self._ranks = {name: (self._first_rank[name] - self._shift, n) for name, n in self._counts.items()}
        self._email_shift = rng.randrange(_EMAIL_MODULUS)
        mean_factor = sum(self.personas[n].balance_factor * c for n, c in self._counts.items()) / size
        ranks = Ranks(size, self._factor, self._inverse, self._shift, tuple(self._edges))
        #: What is true of many customers at once.
        self.people = People(
            seed,
            ranks,
            list(self.personas.values()),
            self.places,
            currency,
            initial_balance_cents / mean_factor,
            accounts_per_customer,
        )
        self._identities = Draws(seed, "identities")
        self._cache: OrderedDict[int, Customer] = OrderedDict()
        self._made = -1  # the last customer that was made

    def __len__(self) -> int:
        return self.size

    def persona_of(self, index: int) -> str:
        """The persona's name of the customer at ``index``; cheap.  IndexError outside the population."""
        if not 0 <= index < self.size:
            raise IndexError(f"customer {index} of {self.size}")
        rank = (index * self._factor + self._shift) % self.size
        return self._persona_names[bisect_right(self._edges, rank) - 1]

    def rank_of(self, index: int) -> tuple[str, int]:
        """The persona of the customer at ``index``, and n such that `nth_of` (persona, n) is ``index``."""
        rank = (index * self._factor + self._shift) % self.size
        position = bisect_right(self._edges, rank) - 1
        return self._persona_names[position], rank - self._edges[position]

    def count_of(self, persona: str) -> int:
        """How many customers have ``persona``."""
        return self._counts[persona]

    def nth_of(self, persona: str, n: int) -> int:
        """Index of the ``n``-th customer of ``persona``, 0 ≤ n < count; in no particular order."""
        if not 0 <= n < self._counts[persona]:
            raise IndexError(f"{persona} {n} of {self._counts[persona]}")
        return (self._first_rank[persona] + n - self._shift) * self._inverse % self.size

    def indices_of(self, persona: str) -> Sequence[int]:
        """All indices of ``persona``, computed as they are asked for."""
        return _Indices(self, persona)

    def pick(self, rng: random.Random, persona: str | None = None) -> int:
        """A random customer's index, of ``persona`` when given.  LookupError when it has none."""
        if persona is None:
            return int(rng.random() * self.size)
        first, count = self._ranks.get(persona, (0, 0))
        if not count:
            raise LookupError(f"nobody here is '{persona}'")
        return (first + int(rng.random() * count)) * self._inverse % self.size

    def customer(self, index: int) -> Customer:
        """The customer at ``index``.  IndexError outside the population."""
        found = self._cache.get(index)
        if found is not None:
            return found
        if not 0 <= index < self.size:
            raise IndexError(f"customer {index} of {self.size}")
        # Whoever asks for one after the other wants the next ones too, and many at once are cheaper.
        ahead = _PAGE if index == self._made + 1 else 1
        self._made = min(index + ahead, self.size) - 1
        for customer in self.customers(index, min(index + ahead, self.size)):
            self._cache[customer.index] = customer
        while len(self._cache) > CACHED_CUSTOMERS:
            self._cache.popitem(last=False)
        return self._cache[index]

    def customers(self, start: int, end: int) -> Iterator[Customer]:
        """The customers from ``start`` to ``end`` (exclusive), made together and not kept."""
        people, names = self.people, self._names
        some = people.some(start, end)
        products = ["savings" if slot else "checking" for slot in range(people.slots)]
        kinds, towns = list(self.personas.values()), people.map.cities
        tier_of = [kyc_tier(persona, self.currency) for persona in kinds]
        rows = zip(
            range(start, end),
            people.device_ids(start, end),
            zip(*(column.tolist() for column in some.openings_cents), strict=True),
            *(column.tolist() for column in some[:5]),
            *(self._identities.lists(start, end, k) for k in range(7)),
            strict=True,
        )
        for index, devices, openings, kind, town, north, east, income, *words in rows:
            first, last, street, age, house, phone, postal = words
            persona, city = kinds[kind], towns[town]
            country = load_countries()[city.country]
            given, family = first % len(names.first_names), last % len(names.last_names)
            street_name, number = names.streets[street % len(names.streets)], 1 + int(unit(house) ** 2 * 400)
            line1 = f"{number} {street_name}" if country.number_first else f"{street_name} {number}"
            email_number = (index * _EMAIL_FACTOR + self._email_shift) % _EMAIL_MODULUS
            yield Customer(
                index,
                persona.name,
                names.first_names[given],
                names.last_names[family],
                names.email(given, family, email_number, phone >> 60),
                fill_shape(country.phone_shape, phone),
                self._birth_date(persona, unit(age)),
                Address(line1, city.name, city.region, fill_shape(city.postal_shape, postal), city.country),
                Place(city.name, city.country, north / DEGREE, east / DEGREE),
                devices,
                tier_of[kind],
                income,
                tuple(map(AccountSpec, products, openings)),
            )

    def _birth_date(self, persona: Persona, share: float) -> date:
        youngest, oldest = persona.ages
        age_days = (youngest + share * (oldest + 1 - youngest)) * 365.25
        return self._start - timedelta(days=int(age_days) + 1)


class _Indices(Sequence[int]):
    """The indices of one persona, as a sequence that holds none of them."""

    def __init__(self, population: Population, persona: str) -> None:
        self._population = population
        self._persona = persona

    def __len__(self) -> int:
        return self._population.count_of(self._persona)

    def __getitem__(self, position: int) -> int:  # type: ignore[override]
        return self._population.nth_of(self._persona, position)


def _exact_counts(shares: Sequence[float], size: int) -> list[int]:
    """Whole numbers in proportion to ``shares`` that add up to ``size`` (largest remainders)."""
    total = sum(shares)
    wanted = [size * share / total for share in shares]
    counts = [int(value) for value in wanted]
    by_remainder = sorted(range(len(shares)), key=lambda i: counts[i] - wanted[i])
    for position in by_remainder[: size - sum(counts)]:
        counts[position] += 1
    return counts


HOUR_S = 3600
DAY_S = 86_400


class WorldScenario(Protocol):
    """The part of a scenario that the world reads."""

    @property
    def customers(self) -> int: ...
    @property
    def accounts_per_customer(self) -> int: ...
    @property
    def initial_balance(self) -> Decimal: ...
    @property
    def currency(self) -> str: ...
    @property
    def start_at(self) -> datetime: ...
    @property
    def locale(self) -> str: ...
    @property
    def personas(self) -> Mapping[str, object]: ...
    @property
    def closed_days(self) -> frozenset[int]: ...


@dataclass(frozen=True, slots=True)
class World:
    """``start_epoch_s`` is simulated second 0 in unix seconds (UTC), ``closed_days`` holidays since 1970."""

    seed: int
    population: Population
    merchants: MerchantDirectory
    places: Places
    personas: Mapping[str, Persona]
    start_epoch_s: float
    currency: str
    closed_days: frozenset[int] = frozenset()

    @classmethod
    def from_scenario(cls, scenario: WorldScenario, seed: int) -> World:
        """The world of ``scenario`` under ``seed``.  A start time without a zone is UTC.

        Raises ScenarioError when the personas or the locale are wrong.
        """
        personas = load_personas(scenario.personas)
        places = Places(country_of_locale(scenario.locale))
        start_at = scenario.start_at
        start_at = start_at.replace(tzinfo=UTC) if start_at.tzinfo is None else start_at.astimezone(UTC)
        population = Population(
            seed,
            scenario.customers,
            personas,
            currency=scenario.currency,
            accounts_per_customer=scenario.accounts_per_customer,
            initial_balance_cents=to_cents(float(scenario.initial_balance), scenario.currency),
            locale=scenario.locale,
            places=places,
            start=start_at.date(),
        )
        return cls(
            seed=seed,
            population=population,
            merchants=MerchantDirectory(seed, places),
            places=places,
            personas=personas,
            start_epoch_s=start_at.timestamp(),
            currency=scenario.currency,
            closed_days=scenario.closed_days,
        )

    def timestamp_s(self, sim_s: float) -> float:
        """Unix seconds of a simulated moment."""
        return self.start_epoch_s + sim_s

    def hour(self, sim_s: float) -> int:
        """Clock hour 0..23 of a simulated moment."""
        return int(self.timestamp_s(sim_s) // HOUR_S) % 24

    def weekday(self, sim_s: float) -> int:
        """Weekday of a simulated moment, Monday is 0 (the epoch was a Thursday)."""
        return (int(self.timestamp_s(sim_s) // DAY_S) + 3) % 7

    def hour_of_week(self, sim_s: float) -> int:
        """Hours since Monday 00:00, 0..167; a holiday is as a Sunday."""
        day, hour = divmod(int(self.timestamp_s(sim_s) // HOUR_S), 24)
        # The epoch was a Thursday, three days after a Monday.
        return (6 if day in self.closed_days else (day + 3) % 7) * 24 + hour
