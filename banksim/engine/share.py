"""What part of a run's load one process makes: the whole of it, or a worker's share.

customers   who acts from here
campaigns   which are carried out here
part        of the genuine arrivals that are offered from here, 0..1
"""

from __future__ import annotations

from typing import Protocol


class Share(Protocol):
    """One process's part of a run; it may change while the run goes on."""

    @property
    def shard(self) -> int:
        """Tells the random streams of processes apart; 0 for a process alone."""
        ...

    @property
    def part(self) -> float:
        """Part of the genuine arrivals, 0..1."""
        ...

    @property
    def is_whole(self) -> bool:
        """Whether everything is this process's, so that nobody needs to be asked for."""
        ...

    def has_customer(self, index: int) -> bool:
        """Whether the customer acts from here now."""
        ...

    def has_campaign(self, campaign_id: str, start_s: float) -> bool:
        """Whether a campaign that starts at this simulated second is carried out here."""
        ...


class Whole:
    """A process alone."""

    shard = 0
    part = 1.0
    is_whole = True

    def has_customer(self, index: int) -> bool:  # noqa: ARG002 - everybody
        return True

    def has_campaign(self, campaign_id: str, start_s: float) -> bool:  # noqa: ARG002 - all of them
        return True


WHOLE: Share = Whole()
