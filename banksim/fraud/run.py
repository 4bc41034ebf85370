"""A campaign being carried out, one step at a time.

    first() ──► Planned ──► (sent, answered) ──► advance(outcome) ──► Planned … ──► None

Promises, whatever a typology does and whatever is answered:

* exactly `spec.size` transactions.  A typology that ends early (its victim is drained, the
  card is dead) is started again with the next victim.  Three starts in a row without a step
  end the campaign short; so does a typology that raises, which is logged and kept in `fault`.
* none at all when the campaign acts on successful targets alone and there are none.
* simulated moments never decrease, and never pass the deadline.

Nobody needs to answer quickly: moments are drawn from the campaign's stream, not from a
clock.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from banksim.domain import Outcome, Planned
from banksim.fraud.campaign import Campaign
from banksim.fraud.registry import Steps, Typology
from banksim.fraud.spec import CampaignSpec

logger = logging.getLogger(__name__)

#: Starts of a typology in a row that may yield nothing.
MAX_EMPTY_STARTS = 3


class CampaignRun:
    """Drives one typology.  ``approved`` counts steps that got through, ``restarts`` new victims."""

    def __init__(self, spec: CampaignSpec, typology: Typology, campaign: Campaign) -> None:
        self.spec = spec
        self.campaign = campaign
        self.approved = 0
        self.restarts = 0
        self.fault = ""
        self.ended_s = spec.start_s
        self._typology = typology
        self._steps: Steps | None = None
        self._last: Planned | None = None
        self._done = False

    @property
    def made(self) -> int:
        """Transactions handed out so far."""
        return self.campaign.made

    @property
    def finished(self) -> bool:
        return self._done

    def first(self) -> Planned | None:
        """The first transaction; None when there is nothing to do.  Call once."""
        if self.campaign.options.requires_successful and not self.campaign.inherited:
            return self._end()
        return self._next(None)

    def advance(self, outcome: Outcome) -> Planned | None:
        """The transaction after the one that got ``outcome``; None at the end."""
        if self._last is None or self._done:
            return self._end()
        self.approved += outcome.approved
        self.campaign.note(self._last, outcome)
        return self._next(outcome)

    def _next(self, outcome: Outcome | None) -> Planned | None:
        if self.campaign.left <= 0:
            return self._end()
        try:
            planned = self._ask(outcome)
        except Exception as error:  # a user's typology may raise anything; the run goes on without it
            self.fault = f"{type(error).__name__}: {error}"
            logger.exception("Campaign %s ends: its typology failed", self.spec.campaign_id)
            return self._end()
        if planned is None:
            return self._end()
        planned = self._in_order(planned)
        self.campaign.made += 1
        self._last = planned
        self.ended_s = planned.sim_s
        return planned

    def _ask(self, outcome: Outcome | None) -> Planned | None:
        """The typology's next step, from a new start if the last one has ended."""
        if self._steps is not None and outcome is not None:
            try:
                return _checked(self._steps.send(outcome))
            except StopIteration:
                self.restarts += 1
        for _ in range(MAX_EMPTY_STARTS):
            self._steps = self._typology.run(self.campaign)
            try:
                return _checked(next(self._steps))
            except StopIteration:
                continue
        return None

    def _in_order(self, planned: Planned) -> Planned:
        """``planned`` at a moment that keeps the promises; built-in typologies need no change."""
        earliest_s = self.spec.start_s if self._last is None else self._last.sim_s
        moment_s = max(earliest_s, min(planned.sim_s, self.spec.deadline_s))
        if moment_s == planned.sim_s:
            return planned
        timestamp_s = self.campaign.world.timestamp_s(moment_s)
        return replace(
            planned, sim_s=moment_s, transaction=replace(planned.transaction, timestamp_s=timestamp_s)
        )

    def _end(self) -> Planned | None:
        """Nothing more to do: always None, so that callers can return it."""
        self._done = True
        if self._steps is not None:
            self._steps.close()
            self._steps = None
        return None


def _checked(step: object) -> Planned:
    if not isinstance(step, Planned):
        raise TypeError(f"a typology must yield what campaign.purchase(…) and the like return, not {step!r}")
    return step
