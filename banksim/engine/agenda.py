"""The agenda: everything that must happen at a known simulated moment, in order.

Genuine arrivals come from a stream and are not kept here; this holds what has a date of
its own: campaigns that start, their next steps, customers that join.  It is a heap with
a sequence number, so equal moments keep the order in which they were entered.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from banksim.activity.onboarding import Joining
from banksim.domain import Planned
from banksim.fraud import CampaignRun, CampaignSpec


@dataclass(frozen=True, slots=True)
class CampaignStart:
    spec: CampaignSpec


@dataclass(frozen=True, slots=True)
class CampaignStep:
    """The next transaction of a campaign.  ``ready_wall_s``: when the answer before it came."""

    run: CampaignRun
    planned: Planned
    ready_wall_s: float


@dataclass(frozen=True, slots=True)
class CustomerJoins:
    joining: Joining


@dataclass(frozen=True, slots=True)
class FirstDeposit:
    """What a customer who joined during the run does first; ``begin`` makes them one who acts."""

    planned: Planned
    begin: Callable[[], None]


Entry = CampaignStart | CampaignStep | CustomerJoins | FirstDeposit


@dataclass(order=True, slots=True)
class _Dated:
    sim_s: float
    sequence: int
    entry: Entry = field(compare=False)


class Agenda:
    """A heap of dated entries.  Bounded by the plan: one entry per campaign and joining customer."""

    def __init__(self) -> None:
        self._heap: list[_Dated] = []
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, sim_s: float, entry: Entry) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, _Dated(sim_s, self._sequence, entry))

    def add_campaigns(self, specs: Iterable[CampaignSpec]) -> None:
        for spec in specs:
            self.add(spec.start_s, CampaignStart(spec))

    def peek(self) -> float | None:
        """The first entry's moment in simulated seconds; None when there is none."""
        return self._heap[0].sim_s if self._heap else None

    def pop(self) -> tuple[float, Entry]:
        """Remove and return the first entry with its moment.  Raises IndexError when empty."""
        dated = heapq.heappop(self._heap)
        return dated.sim_s, dated.entry

    def drop(self, condition: Callable[[Entry], bool]) -> int:
        """Remove the entries for which ``condition`` holds; returns how many those were."""
        kept = [dated for dated in self._heap if not condition(dated.entry)]
        dropped = len(self._heap) - len(kept)
        heapq.heapify(kept)
        self._heap = kept
        return dropped
