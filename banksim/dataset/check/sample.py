"""The rows a self-check looks at, as columns of numbers: about 60 bytes a row.

Only the first `MAX_ROWS` rows are kept; ``left_out`` counts the others.
"""

from __future__ import annotations

from array import array

from banksim.dataset.stream import Entry
from banksim.model import Channel, Kind, Label

MAX_ROWS = 2_000_000
KINDS = tuple(Kind)
CHANNELS = tuple(Channel)
_KIND_CODE = {kind: code for code, kind in enumerate(KINDS)}
_CHANNEL_CODE = {channel: code for code, channel in enumerate(CHANNELS)}
GENUINE, FRAUD, DECOY = 0, 1, 2
_LABEL_CODE = {Label.GENUINE: GENUINE, Label.FRAUD: FRAUD, Label.DECOY: DECOY}


class Sample:
    """Columns of equal length.  ``time_s`` is unix seconds; names and campaigns are numbered as they come."""

    def __init__(self) -> None:
        self.time_s = array("d")
        self.amount_cents = array("q")
        self.balance_cents = array("q")
        self.customer = array("q")
        self.id_number = array("q")
        self.name = array("q")
        self.kind = array("b")
        self.channel = array("b")
        self.label = array("b")
        self.campaign = array("q")
        self.left_out = 0
        self._names: dict[str, int] = {}
        self._campaigns: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.time_s)

    def add(self, entries: list[Entry]) -> None:
        room = MAX_ROWS - len(self)
        self.left_out += max(0, len(entries) - room)
        names, campaigns = self._names, self._campaigns
        for planned, _, before in entries[:room]:
            tx, truth = planned.transaction, planned.truth
            self.time_s.append(tx.timestamp_s)
            self.amount_cents.append(tx.amount_cents)
            self.balance_cents.append(before)
            self.customer.append(tx.account.customer_index)
            self.id_number.append(int(tx.transaction_id[:8], 16))
            # Descriptions of purchases hold the shop's name; there are as many as there are shops.
            self.name.append(names.setdefault(tx.description, len(names)))
            self.kind.append(_KIND_CODE[tx.kind])
            self.channel.append(_CHANNEL_CODE[tx.channel])
            self.label.append(_LABEL_CODE[truth.label])
            self.campaign.append(campaigns.setdefault(truth.campaign_id, len(campaigns)))
