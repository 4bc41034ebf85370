"""What reading balances back during a run came to: counts, and the accounts that did not agree.

An account is a violation once, when it was outside of what its movements allow twice in a
row.  One that agreed at the second look was read late by the bank, which is counted and no
loss.
"""

from __future__ import annotations

from typing import Any

#: Violations that are kept; all are counted.
MAX_ROWS = 100


class BalanceChecks:
    """Of one run in one process."""

    def __init__(self) -> None:
        self.rounds = 0
        self.readings = 0
        self.unread = 0
        self.late = 0
        self.violations = 0
        self.rows: list[dict[str, Any]] = []
        self.total: dict[str, int] | None = None

    def violation(self, row: dict[str, Any]) -> None:
        self.violations += 1
        if len(self.rows) < MAX_ROWS:
            self.rows.append(row)

    def figures(self) -> dict[str, Any] | None:
        """None when no balance was read; else {rounds, readings, unread, late, violations, total, rows}.

        ``total`` compares the sum over the accounts of the last round: {accounts, expected_low_cents,
        expected_high_cents, actual_cents}.  A row is {account, expected_low_cents, expected_high_cents,
        actual_cents, difference_cents, fault, sim_s, wall_s}.
        """
        if not self.readings and not self.unread:
            return None
        return {
            "rounds": self.rounds,
            "readings": self.readings,
            "unread": self.unread,
            "late": self.late,
            "violations": self.violations,
            "total": self.total,
            "rows": self.rows,
        }
