"""What a system under test has to be told, and what its answers mean: the protocol of an adapter.

An adapter is pure: requests from our words, our words from answers.  What is sent at most once,
who logs in, what is counted and booked is the clients' business (`nexum.py`, `bastion.py`), the
same for every system.  Three kinds exist: the two built in, mapping files (`mapping.py`), and
classes of a user's own, named as ``path/to/file.py:Class``.

No adapter is ever handed a `Planned` or a `Truth`, so none can give a label away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from banksim.model import AccountRef, BankStatus, ScoreReply, Transaction
from banksim.targets.calls import Reply, Request
from banksim.world import Customer


class Verdict(NamedTuple):
    """What an answer means: the status, the reason where it is not posted, and what to wait for.

    ``awaits`` is the correlation id of a completion that comes later; the status is then what
    holds if it never does.
    """

    status: BankStatus
    detail: str = ""
    awaits: str = ""


@dataclass(frozen=True, slots=True)
class BalanceReply:
    """A book balance in cents, None when it could not be read; ``gone``: there is no such account."""

    cents: int | None
    error: str = ""
    gone: bool = False


class Names(Protocol):
    """What the system under test calls our customers and accounts."""

    def wire_customer_id(self, index: int) -> str: ...
    def wire_account_id(self, ref: AccountRef) -> str: ...


class Opening(Protocol):
    """The client's side of opening one customer: sends, counts and books."""

    @property
    def currency(self) -> str: ...

    def number(self, slot: int) -> str:
        """An account number that no other run uses."""

    def step(self, request: Request, expected: Sequence[int]) -> Reply:
        """Send; returns an answer with one of these statuses (none: any 2xx).  Raises OpeningFailed."""

    def fund(self, request: Request | None, account_id: str, cents: int) -> None:
        """Book the opening balance; None where the account was opened with it.  Raises OpeningFailed."""

    def failed(self, text: str) -> Exception:
        """The error to raise where an answer cannot be used."""


class Late(Protocol):
    """How a system completes later what it has accepted."""

    name: str
    deadline_s: float
    #: Seconds between two polls; 0 where the system comes to us.
    every_s: float

    def poll(self, awaited: str) -> Request: ...

    def awaited_in(self, path: str, data: Any) -> str:
        """The correlation id in a callback to ``path`` or a message; empty where there is none."""


class BankAdapter(Protocol):
    """One kind of core bank.  Raises nothing for what the bank answers."""

    name: str
    late: Late | None

    def health(self) -> Request: ...

    def open(self, customer: Customer, approved: bool, opening: Opening) -> tuple[str, list[str]] | None:
        """Open a customer with accounts and balances: its id, and account ids by slot.

        None where ``approved`` is False: the customer then exists without accounts.
        """

    def movement(
        self, tx: Transaction, names: Names, account_id: str, counterparty_id: str | None
    ) -> Request:
        """``counterparty_id`` is the receiving account of a transfer inside the bank, else None."""

    def judge(self, reply: Reply, reference: str) -> Verdict: ...

    def judge_late(self, reply: Reply) -> Verdict | None:
        """What a completion says; None where it is not one yet."""

    def balance(self, account_id: str) -> Request | None:
        """None where the bank tells no balances."""

    def read_balance(self, reply: Reply, currency: str) -> BalanceReply: ...


class DetectorAdapter(Protocol):
    """One kind of fraud detector."""

    name: str
    late: Late | None
    #: Whether it has Bastion's other routes: batches, statistics, alerts, feedback.
    is_bastion: bool

    def health(self) -> Request: ...

    def score(self, tx: Transaction, names: Names) -> Sequence[Request]:
        """The calls of one score, in order; the answer to the last one is read."""

    def read(self, reply: Reply) -> ScoreReply: ...

    def awaits(self, reply: Reply, transaction_id: str) -> str:
        """The correlation id of a verdict that comes later; empty where this answer is the verdict."""

    def read_late(self, reply: Reply) -> ScoreReply | None: ...
