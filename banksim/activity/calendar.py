"""Who acts, and what they do, by hour of the week: tables made once, drawn from many times.

The chance that an arrival belongs to a persona is its number of customers × tempo ×
hourly × weekly profile at that moment.  What it does follows the persona's task weights,
bent by two facts of banking: salaries are paid in business hours of working days, and
branches, wires and the clearing house (ACH) rest outside theirs.  Salaries are weighted
up within their hours by as much as they lose outside, so a week's mix is the file's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate

import numpy as np

from banksim.model import Channel, Kind
from banksim.world import Choice, Persona, Population, World
from banksim.world.random import Ints

# -- When whom is paid, and how free the money sits afterwards --------------------------------------
#
# A customer belongs to one of a few pay classes: weekly or every two weeks on a fixed working
# day, twice a month, or once near the month's end.  A pay day on a weekend or holiday moves
# to the working day before, so intervals between salaries are whole weeks or months, as on real statements.
#
# Within a persona the classes own consecutive ranks, as personas do in the population:
#
#     |weekly Mon|weekly Tue|…|two weeks …|twice a month …|monthly …|      ranks of one persona
#
# so "whose pay day is it today" and "is it this customer's" are arithmetic and cost no memory.
#
# Spending is highest in the week after pay day (X, CaixaBank): `SPENDING` is how willing a
# customer is to spend so many days after it.


#: How many are paid how often (X, BLS 2019): every 7 days, 14 days, twice a month, once a month.
PAY_SHARES = {7: 33.8, 14: 42.2, 15: 18.6, 30: 5.4}
#: Last days of the month on which those paid once a month are paid (judgement).
_MONTHLY_DAYS = (25, 26, 27, 28, 29, 30, 31)
#: First of the two pay days of those paid twice a month; the other is 15 days later (judgement).
_TWICE_DAYS = (1, 5, 7, 10, 15)
#: Willingness to spend by days since pay day: in the first, the second and later weeks (judgement).
SPENDING = (1.0,) * 7 + (0.86,) * 7 + (0.78,) * 40
_MOST_DAYS = 40
_EPOCH = date(1970, 1, 1)
#: Days whose tables are kept.
_MAX_DAYS_KEPT = 64

#: A pay class: days between two pay days (as in `PAY_SHARES`), and which of them.
PayClass = tuple[int, int]
PAY_CLASSES: tuple[PayClass, ...] = (
    *((7, weekday) for weekday in range(5)),
    *((14, day) for day in (0, 1, 2, 3, 4, 7, 8, 9, 10, 11)),
    *((15, day) for day in _TWICE_DAYS),
    *((30, day) for day in _MONTHLY_DAYS),
)


class PayDays:
    """The pay calendar of a population.  Days are counted from 1 January 1970."""

    def __init__(self, population: Population, closed_days: Collection[int] = ()) -> None:
        """On ``closed_days`` nobody is paid, but on the working day before."""
        self._population, self._closed_days = population, closed_days
        self._ends = {name: _ends(population.count_of(name)) for name in population.personas}
        self._days: dict[int, tuple[int, ...]] = {}

    def period_days(self, index: int) -> int:
        """7, 14, 15 (twice a month) or 30 (once)."""
        return PAY_CLASSES[self.class_of(index)][0]

    def class_of(self, index: int) -> int:
        """The customer's pay class, as a position in what `since` returns."""
        persona, rank = self._population.rank_of(index)
        return bisect_right(self._ends[persona], rank)

    def ends(self, persona: str) -> Sequence[int]:
        """Where each pay class ends among the ranks of ``persona``."""
        return self._ends[persona]

    def since(self, day: int) -> tuple[int, ...]:
        """Days since the last pay day of each class on ``day``; 0 on a pay day itself."""
        found = self._days.get(day)
        if found is None:
            if len(self._days) >= _MAX_DAYS_KEPT:
                self._days.clear()
            found = self._days[day] = tuple(_days_since(pay, day, self._closed_days) for pay in PAY_CLASSES)
        return found

    def paid_on(self, persona: str, day: int, start: int = 0, count: int | None = None) -> Ints:
        """Indices of everybody of ``persona`` whose pay day is ``day``, rarer pay days first.

        With ``start`` and ``count`` those at these positions of the list.
        """
        ends, since = self._ends[persona], self.since(day)
        end = None if count is None else start + count
        ranks: list[Ints] = []
        position = 0
        for pay_class in reversed(range(len(PAY_CLASSES))):
            if since[pay_class] == 0 and (end is None or position < end):
                first, last = ends[pay_class - 1] if pay_class else 0, ends[pay_class]
                skipped = max(0, start - position)
                most = last - first if end is None else min(last - first, end - position)
                ranks.append(np.arange(first + skipped, first + max(skipped, most), dtype=np.int64))
                position += last - first
        listed = np.concatenate([*ranks, np.zeros(0, np.int64)])
        return self._population.people.ranks.nth(list(self._population.personas).index(persona), listed)


def _ends(count: int) -> list[int]:
    """Where each pay class ends among ``count`` ranks: shares of `PAY_SHARES`, evenly within a period."""
    total = sum(PAY_SHARES.values())
    same = Counter(period for period, _ in PAY_CLASSES)
    shares = accumulate(PAY_SHARES[period] / same[period] / total for period, _ in PAY_CLASSES)
    return [round(count * share) for share in shares]


def _days_since(pay: PayClass, day: int, closed_days: Collection[int]) -> int:
    for back in range(_MOST_DAYS):
        if _is_pay_day(pay, day - back, closed_days):
            return back
    return _MOST_DAYS


def _is_pay_day(pay: PayClass, day: int, closed_days: Collection[int]) -> bool:
    period, which = pay
    if period <= 14 and not closed_days:
        return (day + 3) % period == which  # day 0 was a Thursday
    if _is_closed(day, closed_days):
        return False
    # Also what falls on the weekend or the holidays after it.
    after = day + 1
    while _is_closed(after, closed_days):
        after += 1
    if period <= 14:
        return any((covered + 3) % period == which for covered in range(day, after))
    return any(_falls_on(period, which, _EPOCH + timedelta(days=covered)) for covered in range(day, after))


def _is_closed(day: int, closed_days: Collection[int]) -> bool:
    return (day + 3) % 7 > 4 or day in closed_days


def _falls_on(period: int, which: int, moment: date) -> bool:
    is_last = (moment + timedelta(days=1)).month != moment.month
    if period == 15:
        return moment.day in (which, which + 15) or (is_last and which + 15 > moment.day)
    return moment.day == which or (is_last and which > moment.day)


HOURS_OF_WEEK = 168
_WORKING_DAYS = range(5)
#: Clock hours, closing exclusive (judgement).
_SALARY_HOURS = range(7, 18)
_BRANCH_HOURS = range(9, 17)
_WEEKDAY_CHANNELS = frozenset({Channel.WIRE, Channel.ACH})


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody of ``persona`` does at some hour, and the channels that are open for it then."""

    persona: Persona
    kind: Kind
    channels: Choice[Channel] | None


class Rhythm:
    """Draw tables for one world's personas."""

    def __init__(self, world: World) -> None:
        self._world = world
        population = world.population
        self._present = [p for p in world.personas.values() if population.count_of(p.name)]
        #: Personas by hour of the week.
        self.personas_at: tuple[Choice[str], ...] = tuple(map(self._personas_at, range(HOURS_OF_WEEK)))
        self._kinds: dict[str, tuple[Choice[Kind], ...]] = {
            p.name: tuple(_kinds_at(p, how, boost) for how in range(HOURS_OF_WEEK))
            for p, boost in zip(self._present, map(_salary_boost, self._present), strict=True)
        }
        self._channels: dict[tuple[str, Kind, bool, bool], Choice[Channel]] = {
            (p.name, kind, branch, working): _channels(weights, branch, working)
            for p in self._present
            for kind, weights in p.channels.items()
            if sum(weights.values()) > 0
            for branch in (False, True)
            for working in (False, True)
        }

        kept: dict[tuple[object, ...], Act] = {}
        #: Persona and kind together, by hour of the week: one draw instead of two.
        self.acts_at: tuple[Choice[Act], ...] = tuple(
            self._acts_at(how, kept) for how in range(HOURS_OF_WEEK)
        )

    def act(self, persona: str, kind: Kind, hour_of_week: int) -> Act:
        """``kind`` done by ``persona`` at that hour."""
        return Act(self._world.personas[persona], kind, self.channels_at(persona, kind, hour_of_week))

    def kinds_at(self, persona: str, hour_of_week: int) -> Choice[Kind]:
        """What ``persona`` does at that hour."""
        return self._kinds[persona][hour_of_week]

    def channels_at(self, persona: str, kind: Kind, hour_of_week: int) -> Choice[Channel] | None:
        """Where it does ``kind`` at that hour; None when the persona has no channel for it."""
        day, hour = divmod(hour_of_week, 24)
        working = day in _WORKING_DAYS
        return self._channels.get((persona, kind, working and hour in _BRANCH_HOURS, working))

    def _acts_at(self, hour_of_week: int, kept: dict[tuple[object, ...], Act]) -> Choice[Act]:
        """The product of `personas_at` and `kinds_at`.  Equal acts of different hours are one object."""
        acts: list[Act] = []
        weights: list[float] = []
        for persona, persona_share in self.personas_at[hour_of_week].shares():
            for kind, kind_share in self._kinds[persona][hour_of_week].shares():
                act = self.act(persona, kind, hour_of_week)
                acts.append(kept.setdefault((persona, kind, id(act.channels)), act))
                weights.append(persona_share * kind_share)
        return Choice(acts, weights)

    def _personas_at(self, hour_of_week: int) -> Choice[str]:
        day, hour = divmod(hour_of_week, 24)
        count_of = self._world.population.count_of
        weights = [count_of(p.name) * p.tempo * p.hourly[hour] * p.weekly[day] for p in self._present]
        if not sum(weights) > 0:  # an hour nobody is said to use, and yet an arrival is due
            weights = [count_of(p.name) * p.tempo for p in self._present]
        return Choice([p.name for p in self._present], weights)


def is_salary_hour(hour_of_week: int) -> bool:
    """Whether employers pay at that hour."""
    day, hour = divmod(hour_of_week, 24)
    return day in _WORKING_DAYS and hour in _SALARY_HOURS


def _salary_boost(persona: Persona) -> float:
    profile = [persona.weekly[how // 24] * persona.hourly[how % 24] for how in range(HOURS_OF_WEEK)]
    inside = sum(weight for how, weight in enumerate(profile) if is_salary_hour(how))
    return sum(profile) / inside if inside > 0 else 1.0


def _kinds_at(persona: Persona, hour_of_week: int, salary_boost: float) -> Choice[Kind]:
    salary_factor = salary_boost if is_salary_hour(hour_of_week) else 0.0
    weights = {
        kind: weight * (salary_factor if kind is Kind.SALARY else 1.0)
        for kind, weight in persona.tasks.items()
    }
    return Choice.of(weights if sum(weights.values()) > 0 else persona.tasks)


def _channels(weights: Mapping[Channel, float], branch_open: bool, working_day: bool) -> Choice[Channel]:
    usable = {
        channel: weight
        for channel, weight in weights.items()
        if (channel is not Channel.BRANCH or branch_open)
        and (channel not in _WEEKDAY_CHANNELS or working_day)
    }
    return Choice.of(usable if sum(usable.values()) > 0 else weights)
