"""Does the bank's money agree with what it acknowledged?

`ExpectedBalances` keeps, per account of the bank, the opening balance, the sum of acknowledged
movements and the sum of movements whose answer never came.  An account balances when

    opening + certain - unknown out  ≤  actual  ≤  opening + certain + unknown in

and, as long as the unanswered movements are few enough to be tried, only when *some* of them, each booked
whole or not at all, come to just that: an amount between the bounds that no choice of them reaches is a
difference, and so is a transfer that one account has and the other has not.  Nothing is guessed: a choice
counts once the balances leave no other.  The sum over all accounts is not loosened by transfers between them.
Everything is integer cents and adds up, also over workers: a transfer may credit an account that another
worker opened.

What a difference probably is follows from the amounts that were acknowledged on the account:

    too little by x   a debit of x was acknowledged → booked twice;  a credit of x → lost
    too much by x     a credit of x → booked twice;                  a debit of x → lost
    half of a transfer that was never answered → half booked
    anything else     unexplained (several faults at once, or money from nowhere)

Not handled: fees and interest that a bank books by itself show up as differences.
Bounds: ``max_accounts``; movements on further accounts are counted, and those accounts not judged.
``max_amounts`` distinct amounts are remembered for naming differences, never for judging them: 8 bytes
each, used up within the first minutes of a busy run.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import numpy as np

from banksim.measure.figures import BalanceRow, BalanceTotal, Invariant
from banksim.measure.scores import Ints

# -- What reading balances back during a run came to: counts, and the accounts that did not agree ---
#
# An account is a violation once, when it was outside of what its movements allow twice in a
# row.  One that agreed at the second look was read late by the bank, which is counted and no
# loss.


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
        self.rows: list[BalanceRow] = []
        self.total: BalanceTotal | None = None

    def violation(self, row: BalanceRow) -> None:
        self.violations += 1
        if len(self.rows) < MAX_ROWS:
            self.rows.append(row)

    def figures(self) -> Invariant | None:
        """None when no balance was read.  ``total`` is of the accounts of the last round."""
        if not self.readings and not self.unread:
            return None
        return Invariant(
            rounds=self.rounds,
            readings=self.readings,
            unread=self.unread,
            late=self.late,
            violations=self.violations,
            total=self.total,
            rows=self.rows,
        )


#: Sides of one movement: account ids and signed cents.
Movement = tuple[tuple[str, int], ...]
#: Unanswered movements that are kept whole; further ones are tolerated within their amounts.
MOST_UNANSWERED = 20_000

#: Sums per account, by its place.
_SUMS = ("certain", "unknown_in", "unknown_out")


class Fault(StrEnum):
    """What a difference on one account probably is."""

    DOUBLED = "doubled"
    LOST = "lost"
    GONE = "account gone"
    HALF = "half booked"
    UNEXPLAINED = "unexplained"


class _Amounts:
    """Which signed amounts were acknowledged on which account: a sorted array, and what is not yet in it."""

    __slots__ = ("_known", "_max_amounts", "_new")

    def __init__(self, max_amounts: int) -> None:
        self._max_amounts = max_amounts
        self._known = np.zeros(0, np.int64)
        self._new = array("q")

    def add(self, place: int, signed_cents: int) -> None:
        if len(self._known) < self._max_amounts and abs(signed_cents) < _MOST_CENTS:
            self._new.append(place * _PER_ACCOUNT + _MOST_CENTS + signed_cents)
            if len(self._new) >= _NEW_AMOUNTS:
                self._sort_in()

    def add_many(self, places: Ints, signed_cents: Ints) -> None:
        if len(self._known) < self._max_amounts:
            small = np.abs(signed_cents) < _MOST_CENTS
            keys = places[small] * _PER_ACCOUNT + _MOST_CENTS + signed_cents[small]
            self._new.frombytes(keys.tobytes())
            if len(self._new) >= _NEW_AMOUNTS:
                self._sort_in()

    def holds(self, place: int, signed_cents: int) -> bool:
        self._sort_in()
        key = place * _PER_ACCOUNT + _MOST_CENTS + signed_cents
        at = int(np.searchsorted(self._known, key))
        return abs(signed_cents) < _MOST_CENTS and at < len(self._known) and int(self._known[at]) == key

    def by_account(self) -> dict[int, list[int]]:
        """Amounts by an account's place, the lowest first."""
        self._sort_in()
        places, cents = np.divmod(self._known, _PER_ACCOUNT)
        found: dict[int, list[int]] = {}
        for place, signed_cents in zip(places.tolist(), (cents - _MOST_CENTS).tolist(), strict=True):
            found.setdefault(place, []).append(signed_cents)
        return found

    def _sort_in(self) -> None:
        if not self._new:
            return
        keys = np.unique(np.frombuffer(self._new, np.int64))
        at = np.searchsorted(self._known, keys)
        unknown = np.take(self._known, at, mode="clip") != keys if len(self._known) else at == 0
        unknown[np.cumsum(unknown) > self._max_amounts - len(self._known)] = False
        self._known = np.insert(self._known, at[unknown], keys[unknown])
        self._new = array("q")


#: One number holds an account's place and an amount; those of 44 billion units of money are left out.
_MOST_CENTS = 1 << 42
_PER_ACCOUNT = 2 * _MOST_CENTS
#: So many amounts are sorted in at once.
_NEW_AMOUNTS = 8_192


class ExpectedBalances:
    """Expected balances by the bank's account id, in integer cents."""

    __slots__ = (*_SUMS, "_amounts", "_max_accounts", "_places", "opening", "overflow", "unanswered")

    def __init__(self, max_accounts: int = 1_000_000, max_amounts: int = 300_000) -> None:
        self._max_accounts = max_accounts
        self._amounts = _Amounts(max_amounts)
        self._places: dict[str, int] = {}
        #: Opening balances; only accounts that were opened are judged.
        self.opening: dict[str, int] = {}
        self.certain, self.unknown_in, self.unknown_out = array("q"), array("q"), array("q")
        self.overflow = 0
        #: Movements whose answer never came, whole: (account id, signed cents) of their sides.
        self.unanswered: list[Movement] = []

    def open(self, account_id: str, balance_cents: int) -> None:
        """An account was opened with this balance."""
        if len(self.opening) >= self._max_accounts and account_id not in self.opening:
            self.overflow += 1
            return
        self.opening[account_id] = self.opening.get(account_id, 0) + balance_cents

    def credited(self, account_id: str, amount_cents: int, certain: bool) -> None:
        """Money came in; ``certain`` when the bank acknowledged it, False when no answer came."""
        self._add(self.certain if certain else self.unknown_in, account_id, amount_cents, certain)

    def debited(self, account_id: str, amount_cents: int, certain: bool) -> None:
        """Money went out, with the same meaning of ``certain``."""
        if certain:
            self._add(self.certain, account_id, -amount_cents, True)
        else:
            self._add(self.unknown_out, account_id, amount_cents, False)

    def not_answered(self, movement: Movement) -> None:
        """A movement was sent and its answer never came."""
        for account_id, cents in movement:
            part = self.unknown_in if cents >= 0 else self.unknown_out
            self._add(part, account_id, abs(cents), False)
        self._keep(movement)

    def _keep(self, movement: Movement) -> None:
        if len(self.unanswered) < MOST_UNANSWERED:
            self.unanswered.append(movement)

    def place_of(self, account_id: str) -> int | None:
        """The number that `acknowledged` knows an account by; None when there is no room for it."""
        place = self._places.get(account_id)
        if place is None and len(self._places) < self._max_accounts:
            place = self._places[account_id] = len(self._places)
            for part in (self.certain, self.unknown_in, self.unknown_out):
                part.append(0)
        return place

    def acknowledged(self, places: Ints, signed_cents: Ints) -> None:
        """The bank acknowledged movements; accounts by `place_of`, both of shape (n,)."""
        np.add.at(np.frombuffer(self.certain, np.int64), places, signed_cents)
        self._amounts.add_many(places, signed_cents)

    def _add(self, part: array[int], account_id: str, cents: int, acknowledged: bool) -> None:
        place = self.place_of(account_id)
        if place is None:
            self.overflow += 1
            return
        part[place] += cents
        if acknowledged:
            self._amounts.add(place, cents)

    def fault_of(self, account_id: str, difference_cents: int) -> Fault:
        """What a difference probably is, by the amounts acknowledged on the account."""
        place = self._places.get(account_id)
        if place is None:
            return Fault.UNEXPLAINED
        if self._amounts.holds(place, difference_cents):
            return Fault.DOUBLED
        return Fault.LOST if self._amounts.holds(place, -difference_cents) else Fault.UNEXPLAINED

    def range_of(self, account_id: str) -> tuple[int, int]:
        """Lowest and highest balance that agrees with what is known."""
        sure, place = self.opening.get(account_id, 0), self._places.get(account_id)
        if place is None:
            return sure, sure
        sure += self.certain[place]
        return sure - self.unknown_out[place], sure + self.unknown_in[place]

    def sure_of(self, account_id: str) -> int:
        """What the account holds by what was acknowledged alone."""
        place = self._places.get(account_id)
        return self.opening.get(account_id, 0) + (self.certain[place] if place is not None else 0)

    def is_doubtful(self, account_id: str) -> bool:
        """Whether a movement of the account was never answered."""
        low, high = self.range_of(account_id)
        return low != high

    def merge_state(self, state: Mapping[str, Any]) -> None:
        for account_id, cents in state["opening"].items():
            self.open(account_id, cents)
        for name in _SUMS:
            for account_id, cents in state[name].items():
                self._add(getattr(self, name), account_id, cents, False)
        self.overflow += state["overflow"]
        for movement in state.get("unanswered", ()):
            self._keep(tuple((str(account_id), int(cents)) for account_id, cents in movement))
        for account_id, amounts in state.get("amounts", {}).items():
            place = self.place_of(account_id)
            if place is not None:
                self._amounts.add_many(np.full(len(amounts), place), np.array(amounts, np.int64))

    def to_state(self) -> dict[str, Any]:
        names = list(self._places)
        sums = {name: dict(zip(names, getattr(self, name), strict=True)) for name in _SUMS}
        return {
            "opening": dict(self.opening),
            **{name: {k: cents for k, cents in part.items() if cents} for name, part in sums.items()},
            "overflow": self.overflow,
            "unanswered": [[list(leg) for leg in movement] for movement in self.unanswered],
            "amounts": {names[place]: amounts for place, amounts in self._amounts.by_account().items()},
        }
