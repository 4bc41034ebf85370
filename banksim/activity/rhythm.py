"""Who acts, and what they do, by hour of the week: tables made once, drawn from many times.

The chance that an arrival belongs to a persona is its number of customers × tempo ×
hourly × weekly profile at that moment.  What it does follows the persona's task weights,
bent by two facts of banking: salaries are paid in business hours of working days, and
branches, wires and the clearing house (ACH) rest outside theirs.  Salaries are weighted
up within their hours by as much as they lose outside, so a week's mix is the file's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from banksim.domain import Channel, Kind
from banksim.world import Choice, Persona, World

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
            p.name: tuple(_kinds_at(p, how, _salary_boost(p)) for how in range(HOURS_OF_WEEK))
            for p in self._present
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
