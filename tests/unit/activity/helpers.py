"""Arrivals for the tests of this room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from banksim.activity import Activity
from banksim.activity.payments import Payment
from banksim.activity.planner import OpenCheck
from banksim.model import Planned
from banksim.world import World
from banksim.world.random import Floats


class Ahead:
    """Moments that are known ahead, as those of `schedule.Arrivals` are."""

    def __init__(self, moments: Sequence[float]) -> None:
        self.moments = np.array(moments)
        self.taken = 0

    def peek(self) -> float | None:
        return float(self.moments[self.taken]) if self.taken < len(self.moments) else None

    def upcoming(self, count: int) -> Floats:
        return self.moments[self.taken : self.taken + count]

    def advance(self, count: int) -> None:
        self.taken += count


def activity_at(
    world: World,
    moments: Sequence[float],
    scenario: Any = None,
    shard: int = 0,
    payments: Sequence[Payment] = (),
) -> Activity:
    """An `Activity` with arrivals at these moments."""
    return Activity(world, scenario, shard, payments, Ahead(moments))


def taken(
    activity: Activity,
    most: int = 10**9,
    is_open: OpenCheck | None = None,
    is_mine: OpenCheck | None = None,
) -> list[Planned | None]:
    """What becomes of the next arrivals, one after the other; None where there was no customer."""
    found: list[Planned | None] = []
    while len(found) < most and activity.peek() is not None:
        block, start, end, missing = activity.take(0.0, 1, is_open, is_mine)
        found += [block.planned(position) for position in range(start, end)] + [None] * missing
    return found


def planned(
    world: World,
    moments: Sequence[float],
    is_open: OpenCheck | None = None,
    is_mine: OpenCheck | None = None,
    **more: Any,
) -> list[Planned]:
    """The genuine transactions at these moments."""
    found = taken(activity_at(world, moments, **more), is_open=is_open, is_mine=is_mine)
    return [one for one in found if one is not None]
