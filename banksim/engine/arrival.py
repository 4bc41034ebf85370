"""One due piece of work on its way from the dispatcher to a seat."""

from __future__ import annotations

from typing import NamedTuple

from banksim.domain import Planned
from banksim.fraud import CampaignRun

#: The seat queue of fraud actors, beside one per persona.
FRAUD_SEAT = "fraud"

#: Why what was due and not sent by the end of a run counts as dropped.
ENDED_FIRST = "the run ended first"


class Arrival(NamedTuple):
    """A planned transaction and the wall moment (monotonic seconds) at which it should start.

    ``campaign`` is set when a fraud actor makes it: its next step depends on the outcome.
    """

    due_wall_s: float
    planned: Planned
    campaign: CampaignRun | None = None
