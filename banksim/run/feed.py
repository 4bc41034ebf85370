"""The feed: a bounded sample of what just happened, to watch on a page.

Every alert and every fraud is kept as long as there is room; genuine transactions fill what is
left.  Room comes evenly over each second, so that the sample of a busy bank flows and does not
come in gusts.  The counts say how many were seen and how many of them are shown, so a sample never
looks like the whole.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Protocol

import numpy as np

from banksim.measure.block import ResultBlock
from banksim.measure.results import FeedItem
from banksim.model import At, Ended, Label, Outcome, Planned, money
from banksim.run.sink import Ignore
from banksim.world import World

#: Items added per wall second: more than anyone can read, few enough to send to every browser.
ITEMS_PER_SECOND = 40
#: Of those, kept free for alerts and fraud.
RESERVED_PER_SECOND = 15
#: Room that was not used is kept for so long: a burst after a quiet moment is shown whole.
SAVED_S = 1.0
#: A page that shows the feed reads it much more often.
FOLLOWED_S = 0.08


class Room:
    """Places that come free ``per_second``, one after the other."""

    def __init__(self, per_second: float) -> None:
        self._every_s = 1.0 / per_second if per_second > 0 else float("inf")
        self._used_until_s = 0.0

    def take(self, now_s: float) -> bool:
        """Take a place if there is one."""
        if self._used_until_s > now_s + SAVED_S - self._every_s:
            return False
        self._used_until_s = max(self._used_until_s, now_s) + self._every_s
        return True


@dataclass(frozen=True, slots=True)
class ShownOf:
    """How many transactions were seen, and how many of those are in the sample."""

    sampled: int
    seen: int


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Items in the order of their numbers, oldest first, and the number to ask from next."""

    next: int
    shown_of: ShownOf
    items: list[FeedItem]


class FeedView(Protocol):
    """A feed as its readers see it: items numbered from 0, so that they can ask for what is new."""

    def since(self, sequence: int) -> FeedPage:
        """Items numbered ``sequence`` or later."""
        ...

    def items(self) -> list[FeedItem]:
        """All that are kept, oldest first."""
        ...


class EmptyFeed:
    """The feed of a run that has not begun."""

    seen = 0

    def since(self, sequence: int) -> FeedPage:
        return FeedPage(sequence, ShownOf(0, 0), [])

    def items(self) -> list[FeedItem]:
        return []


class Feed(Ignore):
    """The last ``max_items`` sampled transactions of this process."""

    def __init__(self, world: World, max_items: int = 500, per_second: int = ITEMS_PER_SECOND) -> None:
        """``per_second``: items taken per wall second; processes that share a run share these too."""
        self._world = world
        reserved = per_second * RESERVED_PER_SECOND // ITEMS_PER_SECOND
        self._room, self._reserved = Room(per_second - reserved), Room(reserved)
        self._items: deque[FeedItem] = deque(maxlen=max_items)
        self._sequence = 0
        self._read_s = -FOLLOWED_S
        self.seen = 0

    @property
    def followed(self) -> bool:
        """Whether somebody read it a moment ago."""
        return time.monotonic() - self._read_s < FOLLOWED_S

    def ended(self, at: At, results: Sequence[Ended]) -> None:
        if isinstance(results, ResultBlock):
            self._offer_some(results, at.wall_s)
            return
        for planned, outcome in results:
            self._offer(planned, outcome, at.wall_s)

    def _offer_some(self, block: ResultBlock, wall_s: float) -> None:
        """The same for many genuine ones at once: an object is made only of what is taken."""
        self.seen += len(block)
        alerts, place = set(np.flatnonzero(block.alert).tolist()), 0
        while place < len(block) and self._room.take(wall_s):
            self._add(*block[place])
            alerts.discard(place)
            place += 1
        for place in sorted(alerts):
            if not self._reserved.take(wall_s):
                return
            self._add(*block[place])

    def _offer(self, planned: Planned, outcome: Outcome, wall_s: float) -> None:
        """Consider one finished transaction for the feed; cheap when it is not taken."""
        self.seen += 1
        if not self._room.take(wall_s):
            notable = planned.truth.is_fraud or outcome.alert
            if not (notable and self._reserved.take(wall_s)):
                return
        self._add(planned, outcome)

    def _add(self, planned: Planned, outcome: Outcome) -> None:
        self._items.append(self._item(planned, outcome))
        self._sequence += 1

    def since(self, sequence: int) -> FeedPage:
        self._read_s = time.monotonic()
        first = max(0, len(self._items) - max(0, self._sequence - sequence))
        return FeedPage(
            self._sequence, ShownOf(self._sequence, self.seen), list(islice(self._items, first, None))
        )

    def items(self) -> list[FeedItem]:
        return list(self._items)

    def _item(self, planned: Planned, outcome: Outcome) -> FeedItem:
        tx, truth, score = planned.transaction, planned.truth, outcome.detector
        customer = self._world.population.customer(tx.account.customer_index)
        moment = datetime.fromtimestamp(tx.timestamp_s, UTC)
        return FeedItem(
            seq=self._sequence,
            transaction_id=tx.transaction_id,
            sim_time=moment.isoformat(timespec="seconds"),
            customer=customer.display_name,
            kind=str(tx.kind),
            amount=money.to_wire(tx.amount_cents, tx.currency),
            currency=tx.currency,
            merchant=tx.merchant.name if tx.merchant else tx.description,
            channel=str(tx.channel),
            score=score.score,
            decision=str(score.decision),
            reasons=list(score.reasons[:5]),
            truth=str(truth.label),
            typology=truth.typology if truth.label is not Label.GENUINE else "",
            bank=str(outcome.bank.status),
            response_ms=round(outcome.response_ms, 1),
            ended_at_ms=round(time.time() * 1000.0),
            campaign=truth.campaign_id,
            account=tx.account.customer_index,
            bank_detail=outcome.bank.detail,
            bank_ms=round(outcome.bank.latency_ms, 2),
            detector_ms=round(score.latency_ms, 2),
            detector_error=score.error,
        )
