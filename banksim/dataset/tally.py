"""What a data set holds, counted while it is written: the figures of the data card.

Bounded by the registry (typologies) and the plan (campaigns).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from banksim.dataset.stream import Entry
from banksim.domain import BankStatus, Label


@dataclass(slots=True)
class TypologyCount:
    """One kind of fraud or decoy.  ``cents`` is the sum of what was posted."""

    label: Label
    rows: int = 0
    refused: int = 0
    cents: int = 0
    campaigns: set[str] = field(default_factory=set)


class Tally:
    """Counts of rows; ``last_s`` is the simulated second of the last one."""

    def __init__(self) -> None:
        self.rows = 0
        self.refused = 0
        self.first_s = 0.0
        self.last_s = 0.0
        self.kinds: Counter[str] = Counter()
        self.channels: Counter[str] = Counter()
        self.typologies: dict[str, TypologyCount] = {}

    def add(self, entries: list[Entry]) -> None:
        """Count some rows, in order of time."""
        if not entries:
            return
        if not self.rows:
            self.first_s = entries[0][0].sim_s
        self.rows += len(entries)
        self.last_s = entries[-1][0].sim_s
        transactions = [planned.transaction for planned, _, _ in entries]
        # str.lower gives plain text, which counts several times as fast as a member of an enumeration.
        self.kinds.update(map(str.lower, [tx.kind for tx in transactions]))
        self.channels.update(map(str.lower, [tx.channel for tx in transactions]))
        self._add_marked(entry for entry in entries if entry[0].truth.typology)
        self.refused += sum(outcome.bank.status is BankStatus.REFUSED for _, outcome, _ in entries)

    @property
    def fraud(self) -> int:
        """Rows with the label fraud."""
        return sum(c.rows for c in self.typologies.values() if c.label is Label.FRAUD)

    @property
    def decoys(self) -> int:
        return sum(c.rows for c in self.typologies.values() if c.label is Label.DECOY)

    def _add_marked(self, entries: Iterable[Entry]) -> None:
        for planned, outcome, _ in entries:
            truth = planned.truth
            count = self.typologies.setdefault(truth.typology, TypologyCount(truth.label))
            count.rows += 1
            count.campaigns.add(truth.campaign_id)
            if outcome.bank.status is BankStatus.REFUSED:
                count.refused += 1
            else:
                count.cents += planned.transaction.amount_cents
