"""Arrivals for the tests of this room."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from banksim.activity import Activity
from banksim.activity.planner import OpenCheck
from banksim.model import Planned
from banksim.world import World
from banksim.world.draws import Floats


class Ahead:
    """Moments that are known ahead, as those of `schedule.Arrivals` are."""

    def __init__(self, moments: Sequence[float]) -> None:
        self.moments = np.array(moments)
        self.taken = 0

    def upcoming(self, count: int) -> Floats:
        return self.moments[self.taken : self.taken + count]

    def plan(
        self, activity: Activity, is_open: OpenCheck | None = None, is_mine: OpenCheck | None = None
    ) -> list[Planned | None]:
        """What becomes of the arrivals that are left, one after the other."""
        found = []
        for moment in self.moments[self.taken :].tolist():
            self.taken += 1
            found.append(activity.plan(moment, is_open, is_mine))
        return found


def planned(
    world: World,
    moments: Sequence[float],
    is_open: OpenCheck | None = None,
    is_mine: OpenCheck | None = None,
    **more: object,
) -> list[Planned]:
    """The genuine transactions of a new `Activity` at these moments."""
    ahead = Ahead(moments)
    activity = Activity(world, upcoming=ahead.upcoming, **more)  # type: ignore[arg-type]
    return [found for found in ahead.plan(activity, is_open, is_mine) if found is not None]
