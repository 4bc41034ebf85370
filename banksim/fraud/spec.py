"""What is decided about a campaign before it starts: a plain, picklable value.

A spec says who attacks, when, how much and how long; it never says whom, since victims
are drawn by the campaign itself from its own stream.  Two processes that plan the same
scenario with the same seed hold equal specs, so a campaign can be handed to a worker by
its id alone.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CampaignSpec:
    """One campaign.  Moments are simulated seconds since the start of the run.

    ``pattern`` is the key of the scenario's pattern it carries out, ``size`` the number of
    transactions it makes, ``exact`` whether that number was asked for by ``count`` (extra
    load) or is a part of the fraud share; ``decoy`` that it is no fraud at all.  ``follows`` is
    the id of the campaign whose end starts this one: until that has ended ``start_s`` is an
    estimate.  ``campaign_id`` and ``label`` are for people and reports; neither goes on the wire.
    """

    campaign_id: str
    typology: str
    pattern: str
    start_s: float
    deadline_s: float
    size: int
    intensity: float
    sophistication: float
    label: str
    exact: bool = False
    decoy: bool = False
    follows: str | None = None

    @property
    def rate_driven(self) -> bool:
        """Whether a change of speed plans this campaign anew, as long as it has not started.

        A follow-up never is: once its parent has begun, it stays.
        """
        return not self.exact and self.follows is None


@dataclass(frozen=True, slots=True)
class AttackWindow:
    """A span of concentrated attack, for timelines; simulated seconds since the start of the run."""

    label: str
    start_s: float
    end_s: float
