"""Customers that workers have opened at the bank, passed on to all the others.

The bank lists nobody, so whoever opened a customer is the only one to know the ids; a payment
to that customer may start at any worker, and the customer may change hands.  The master keeps
every row for workers that join late: about 300 bytes a customer, bounded by the population.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from banksim.cluster.members import Member
from banksim.cluster.messages import Message

ROWS = 1000

#: [index, customer id, [account id, …]]
Row = list[Any]


class Openings:
    """Who is open, as far as the workers have said."""

    def __init__(self, send: Callable[[Member, Message], None]) -> None:
        self._send = send
        self._rows: dict[int, Row] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, rows: list[Row], joined: bool, others: Iterable[Member]) -> None:
        """Rows that a worker has told; the others hear of them.

        A worker that was frozen and its heir may both have opened a customer: the first one counts.
        """
        fresh = [row for row in rows if row[0] not in self._rows]
        self._rows.update((row[0], row) for row in fresh)
        for member in others:
            self._send(member, {"kind": "directory", "rows": fresh, "joined": joined})

    def tell_all(self, member: Member) -> None:
        """Everything so far, for a worker that joins."""
        rows = list(self._rows.values())
        for first in range(0, len(rows), ROWS):
            part = rows[first : first + ROWS]
            self._send(member, {"kind": "directory", "rows": part, "joined": True})
