"""Refused movements, which the bank shows in an account's history beside the booked ones.

Bounded twice: the newest per account, and the accounts most recently refused.  What is pushed out
is counted in ``dropped``.  They are never written to the ledger: no money moved.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

PER_ACCOUNT = 50
ACCOUNTS = 20_000


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    transaction_id: str
    kind: str
    amount_cents: int
    currency: str
    description: str
    created_at_s: float


class FailedAttempts:
    def __init__(self, per_account: int = PER_ACCOUNT, accounts: int = ACCOUNTS) -> None:
        self._per_account = per_account
        self._max_accounts = accounts
        self._by_account: OrderedDict[str, deque[FailedAttempt]] = OrderedDict()
        self.dropped = 0

    def add(self, account_id: str, attempt: FailedAttempt) -> None:
        attempts = self._by_account.get(account_id)
        if attempts is None:
            if len(self._by_account) >= self._max_accounts:
                _, pushed_out = self._by_account.popitem(last=False)
                self.dropped += len(pushed_out)
            attempts = self._by_account[account_id] = deque(maxlen=self._per_account)
        else:
            self._by_account.move_to_end(account_id)
        if len(attempts) == self._per_account:
            self.dropped += 1
        attempts.append(attempt)

    def of(self, account_id: str) -> tuple[FailedAttempt, ...]:
        """Oldest first."""
        return tuple(self._by_account.get(account_id, ()))
