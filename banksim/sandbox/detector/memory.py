"""The detector's memory: of each customer, account, device and shop, and of the whole population.

Every table is bounded and forgets the least recently used; so is every list inside a row.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

# -- Small bounded memories over event time: recent moments, keys and amounts ---------------
#
# Event time is the request's own timestamp, which may arrive slightly out of order; nothing here
# reads a clock.  Each memory has a maximum and forgets the oldest first.


Value = TypeVar("Value")

_LOG10_E = math.log10(math.e)


class LruTable(Generic[Value]):
    """Key → state, made at first use; the least recently used goes when full, counted in ``evicted``."""

    __slots__ = ("_make", "_rows", "evicted", "maximum")

    def __init__(self, make: Callable[[], Value], maximum: int) -> None:
        self._make = make
        self._rows: OrderedDict[str, Value] = OrderedDict()
        self.maximum = maximum
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: str) -> Value:
        row = self._rows.get(key)
        if row is not None:
            self._rows.move_to_end(key)
            return row
        if len(self._rows) >= self.maximum:
            self._rows.popitem(last=False)
            self.evicted += 1
        row = self._rows[key] = self._make()
        return row


class RecentTimes:
    """Sorted moments within ``span_s`` of the newest, at most ``maximum``."""

    __slots__ = ("_maximum", "_span_s", "_times")

    def __init__(self, span_s: float, maximum: int = 64) -> None:
        self._span_s = span_s
        self._maximum = maximum
        self._times: list[float] = []

    def add(self, moment_s: float) -> None:
        times = self._times
        if not times or moment_s >= times[-1]:
            times.append(moment_s)
        else:
            insort(times, moment_s)
        if len(times) > self._maximum or times[0] < times[-1] - self._span_s:
            del times[: max(len(times) - self._maximum, bisect_left(times, times[-1] - self._span_s))]

    def count(self, moment_s: float, window_s: float) -> int:
        """How many lie in (moment − window, moment]."""
        times = self._times
        return bisect_right(times, moment_s) - bisect_right(times, moment_s - window_s)


class RecentKeys:
    """Distinct keys seen within ``span_s``, at most ``maximum`` of them."""

    __slots__ = ("_keys", "_maximum", "_span_s")

    def __init__(self, span_s: float, maximum: int = 64) -> None:
        self._span_s = span_s
        self._maximum = maximum
        self._keys: dict[str, float] = {}

    def add(self, key: str, moment_s: float) -> None:
        self._keys.pop(key, None)
        self._keys[key] = moment_s
        self._forget(moment_s)
        if len(self._keys) > self._maximum:
            del self._keys[next(iter(self._keys))]

    def _forget(self, moment_s: float) -> None:
        oldest_s = moment_s - self._span_s
        stale = []
        for key, seen_s in self._keys.items():
            if seen_s >= oldest_s:
                break
            stale.append(key)
        for key in stale:
            del self._keys[key]

    def count_with(self, key: str, moment_s: float) -> int:
        """Distinct keys at ``moment_s``, ``key`` among them."""
        self._forget(moment_s)
        return len(self._keys) + (key not in self._keys)

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def __len__(self) -> int:
        return len(self._keys)


class RecentAmounts:
    """Amounts with their moments and keys within ``span_s``, at most ``maximum``."""

    __slots__ = ("_entries", "_maximum", "_span_s")

    def __init__(self, span_s: float, maximum: int = 32) -> None:
        self._span_s = span_s
        self._maximum = maximum
        self._entries: list[tuple[float, float, str]] = []

    def add(self, moment_s: float, amount: float, key: str = "") -> None:
        entries = self._entries
        entries.append((moment_s, amount, key))
        if len(entries) > self._maximum or entries[0][0] < moment_s - self._span_s:
            oldest_s = moment_s - self._span_s
            self._entries = [entry for entry in entries if entry[0] >= oldest_s][-self._maximum :]

    def total(self, moment_s: float, window_s: float) -> tuple[float, int, float]:
        """(sum, count, newest moment or minus infinity) within (moment − window, moment]."""
        amount, count, newest_s = 0.0, 0, -math.inf
        for entry_s, entry_amount, _ in self._entries:
            if moment_s - window_s < entry_s <= moment_s:
                amount += entry_amount
                count += 1
                newest_s = max(newest_s, entry_s)
        return amount, count, newest_s

    def paid_by(self, key: str, moment_s: float, window_s: float) -> float:
        """Largest single amount that ``key`` sent within the window, 0 when none."""
        return max(
            (
                amount
                for at_s, amount, by in self._entries
                if by == key and moment_s - window_s < at_s <= moment_s
            ),
            default=0.0,
        )


class RunningNormal:
    """Mean and spread of a stream, started from a prior worth ``weight`` observations.

    A new value is clipped to ±3 standard deviations first, so that one attack does not become
    normal; beyond ``memory`` observations old ones fade.
    """

    __slots__ = ("mean", "memory", "variance", "weight")

    def __init__(self, mean: float, deviation: float, weight: float, memory: float) -> None:
        self.mean = mean
        self.variance = deviation * deviation
        self.weight = weight
        self.memory = memory

    def add(self, value: float) -> None:
        limit = 3 * math.sqrt(self.variance)
        step = min(limit, max(-limit, value - self.mean))
        self.weight = min(self.weight + 1, self.memory)
        share = 1 / self.weight
        self.mean += share * step
        self.variance += share * (step * step * (1 - share) - self.variance)


def surprise(count: int, expected: float) -> float:
    """−log10 of (a Chernoff bound on) the chance that a Poisson count reaches ``count``; 0 when not above."""
    if count <= expected:
        return 0.0
    return (count * math.log(count / expected) - (count - expected)) * _LOG10_E


def ramp(value: float, low: float, high: float) -> float:
    """0 up to ``low``, 1 from ``high``, straight between."""
    if value <= low:
        return 0.0
    if value >= high:
        return 1.0
    return (value - low) / (high - low)


HOUR_S = 3_600.0
DAY_S = 86_400.0
WEEK_S = 7 * DAY_S
TRANSFER_SPAN_S = 6 * HOUR_S

MAX_CUSTOMERS = 50_000
MAX_ACCOUNTS = 100_000
MAX_DEVICES = 100_000
MAX_MERCHANTS = 20_000
MAX_CATEGORIES = 200
MAX_DEVICES_PER_CUSTOMER = 8
MAX_PAYEES = 64

#: Median (log of dollars) and spread to start from, by kind: indicative, replaced by observations.
AMOUNT_PRIORS = {
    "purchase": (math.log(30), 1.1),
    "withdrawal": (math.log(80), 0.8),
    "deposit": (math.log(250), 1.1),
    "salary": (math.log(1_500), 0.9),
    "transfer": (math.log(90), 1.4),
    "bill_payment": (math.log(110), 0.9),
}
_PRIOR_WEIGHT = 8.0
_POPULATION_MEMORY = 5_000.0
_CUSTOMER_MEMORY = 50.0
#: Pace to start from, weighted as one hour of one customer.
_PRIOR_EVENTS_PER_HOUR = 0.5


@dataclass(slots=True, eq=False)
class CustomerMemory:
    """One customer's habits.

    ``levels``: by kind, how far (in log dollars) the customer's amounts lie from the population's.
    ``devices``: when each was first seen, and how often it was used since without suspicion.
    ``payees``: when each account was first paid.  ``place``: latitude, longitude and moment of the last
    believable presence.
    """

    count: int = 0
    first_s: float = math.inf
    day: int = -1
    times: RecentTimes = field(default_factory=lambda: RecentTimes(HOUR_S))
    transfers: RecentTimes = field(default_factory=lambda: RecentTimes(TRANSFER_SPAN_S, 32))
    levels: dict[str, RunningNormal] = field(default_factory=dict)
    devices: dict[str, tuple[float, int]] = field(default_factory=dict)
    payees: dict[str, float] = field(default_factory=dict)
    place: tuple[float, float, float] | None = None
    place_sightings: int = 0
    country: str = ""

    def level(self, kind: str) -> float:
        level = self.levels.get(kind)
        return level.mean if level is not None else 0.0

    def learn_level(self, kind: str, offset: float) -> None:
        level = self.levels.get(kind)
        if level is None:
            if len(self.levels) >= 2 * len(AMOUNT_PRIORS):
                return
            level = self.levels[kind] = RunningNormal(0.0, 0.8, 3.0, _CUSTOMER_MEMORY)
        level.add(offset)


@dataclass(slots=True, eq=False)
class AccountMemory:
    """Money through one account: seen from its owner's requests and as others' counterparty.

    ``cash_band`` holds deposits just under the reporting threshold, ``cash_in`` all deposits under it;
    ``taint`` is how suspicious the money was that came in, ``taint_s`` when.
    """

    inflows: RecentAmounts = field(default_factory=lambda: RecentAmounts(2 * DAY_S))
    outflows: RecentAmounts = field(default_factory=lambda: RecentAmounts(2 * DAY_S))
    payers: RecentKeys = field(default_factory=lambda: RecentKeys(DAY_S))
    payees: RecentKeys = field(default_factory=lambda: RecentKeys(DAY_S))
    cash_band: RecentTimes = field(default_factory=lambda: RecentTimes(WEEK_S, 32))
    cash_in: RecentAmounts = field(default_factory=lambda: RecentAmounts(2 * DAY_S))
    spent: float = 0.0
    first_out_s: float = math.inf
    taint: float = 0.0
    taint_s: float = -math.inf


@dataclass(slots=True, eq=False)
class DeviceMemory:
    customers: RecentKeys = field(default_factory=lambda: RecentKeys(HOUR_S))


@dataclass(slots=True, eq=False)
class MerchantMemory:
    """``small`` are the customers of the last ten minutes whose amount was tiny."""

    amounts: RunningNormal = field(
        default_factory=lambda: RunningNormal(AMOUNT_PRIORS["purchase"][0], 1.1, 4.0, 200.0)
    )
    small: RecentKeys = field(default_factory=lambda: RecentKeys(600.0))
    small_count: int = 0
    first_s: float = math.inf


class Pace:
    """Transactions per customer and second of event time, over about the last hour.

    The offered load may be hundreds of times real life, so "too fast" is only meaningful relative
    to this.
    """

    __slots__ = ("_active_before", "_active_today", "_day", "_events", "_seconds", "now_s")

    def __init__(self) -> None:
        self.now_s = -math.inf
        self._events = 0.0
        self._seconds = 0.0
        self._day = -1
        self._active_before = 0
        self._active_today = 0

    def tick(self, time_s: float, customer: CustomerMemory) -> None:
        day = int(time_s // DAY_S)
        if self.now_s == -math.inf:
            self._day = day
            self.now_s = time_s
        if day > self._day:
            self._active_before = self._active_today if day == self._day + 1 else 0
            self._active_today = 0
            self._day = day
        if time_s > self.now_s:
            elapsed_s = time_s - self.now_s
            fade = math.exp(-elapsed_s / HOUR_S)
            self._events *= fade
            self._seconds = self._seconds * fade + HOUR_S * (1 - fade)
            self.now_s = time_s
        self._events += 1
        if customer.day != day:
            customer.day = day
            self._active_today += 1

    def of_others(self, own_events: int) -> float:
        """Transactions per second of a customer other than the one with ``own_events`` in this hour.

        Leaving the judged customer out keeps an attack on a quiet bank from looking like its pace.
        At least one a day, so that quiet nights do not make two purchases a surprise.
        """
        others = max(0, max(self._active_before, self._active_today) - 1)
        events = max(0.0, self._events - own_events) + _PRIOR_EVENTS_PER_HOUR
        return max(1 / DAY_S, events / (others * self._seconds + HOUR_S))


class Memory:
    """All tables and the population's habits.  ``scale`` multiplies every table's maximum."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale
        self.customers = LruTable(CustomerMemory, max(1, int(MAX_CUSTOMERS * scale)))
        self.accounts = LruTable(AccountMemory, max(1, int(MAX_ACCOUNTS * scale)))
        self.devices = LruTable(DeviceMemory, max(1, int(MAX_DEVICES * scale)))
        self.merchants = LruTable(MerchantMemory, max(1, int(MAX_MERCHANTS * scale)))
        self.pace = Pace()
        self._amounts: dict[str, RunningNormal] = {}
        #: running shares and means of ordinary behaviour
        self._new_device_share = [RunningNormal(0.02, 0.2, 50.0, _POPULATION_MEMORY) for _ in range(3)]
        self.new_payee_share = RunningNormal(0.3, 0.4, 50.0, _POPULATION_MEMORY)
        self.payers_a_day = RunningNormal(1.3, 0.8, 50.0, _POPULATION_MEMORY)
        self.payees_a_day = RunningNormal(1.3, 0.8, 50.0, _POPULATION_MEMORY)
        self.deposits_2d = RunningNormal(1.1, 0.5, 50.0, _POPULATION_MEMORY)
        self.transfer_share = RunningNormal(0.15, 0.35, 50.0, _POPULATION_MEMORY)
        #: customers whose remote purchase was tiny lately, anywhere, and how many that usually are
        self.probes = RecentKeys(600.0, 256)
        self.probes_10min = RunningNormal(0.5, 0.7, 20.0, _POPULATION_MEMORY)

    def new_device_share(self, count: int) -> RunningNormal:
        """How often customers with ``count`` transactions so far show a device for the first time."""
        return self._new_device_share[0 if count < 10 else 1 if count < 30 else 2]

    def amounts(self, kind: str, category: str) -> RunningNormal:
        """The population's log amounts for a kind and category; when full, new ones share the kind's."""
        key = f"{kind}:{category}"
        found = self._amounts.get(key)
        if found is None:
            if len(self._amounts) >= MAX_CATEGORIES:
                key = f"{kind if kind in AMOUNT_PRIORS else 'purchase'}:"
                found = self._amounts.get(key)
            if found is None:
                mean, deviation = AMOUNT_PRIORS.get(kind, AMOUNT_PRIORS["purchase"])
                found = self._amounts[key] = RunningNormal(mean, deviation, _PRIOR_WEIGHT, _POPULATION_MEMORY)
        return found

    def sizes(self) -> dict[str, int]:
        tables: dict[str, LruTable[Any]] = {
            "customers": self.customers,
            "accounts": self.accounts,
            "devices": self.devices,
            "merchants": self.merchants,
        }
        evicted = sum(table.evicted for table in tables.values())
        return {**{name: len(table) for name, table in tables.items()}, "evicted": evicted}
