"""Client of the core bank: opens customers and posts transactions.

What it promises: a movement is sent at most once; what became of it is never guessed (an
answer that did not come is *unknown*); whoever keeps books hears of every movement that
was, or may have been, made.  It remembers nothing itself but the ids in its directory.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Protocol

from banksim.model import AccountRef, BankReply, BanksimError, BankStatus, Transaction
from banksim.targets import nexum_wire as wire
from banksim.targets.auth import LOGIN_PATH, Login
from banksim.targets.calls import (
    Health,
    Observer,
    Reply,
    Transport,
    as_health,
    call_of,
    check_health,
    failure_text,
    ignore_call,
)
from banksim.targets.nexum_wire import BalanceReply, Verdict

if TYPE_CHECKING:
    from banksim.world import Customer

# -- Which of the population the bank knows, and under which ids ------------------------------------
#
# The bank lists neither customers nor accounts, so what it answered when they were opened is
# the only way back to them: this directory is the one place that remembers.  It grows with
# the population (about 350 bytes each) and never beyond it.
#
# Somebody the bank does not know (no bank in the run, or not opened yet) still needs names
# on the detector's wire: stable opaque ids, a pure function of the seed.


class AccountDirectory:
    """Customer index → the bank's customer id and account ids by slot."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._opened: dict[int, tuple[str, ...]] = {}  # customer id, then account ids by slot
        self._account_count = 0

    def add(self, index: int, customer_id: str, account_ids: Sequence[str]) -> None:
        """Remember an opened customer.  Raises ValueError when the index is already open."""
        if index in self._opened:
            raise ValueError(f"customer {index} is already open")
        self._opened[index] = (customer_id, *account_ids)
        self._account_count += len(account_ids)

    def row(self, index: int) -> tuple[str, list[str]] | None:
        """(customer id, account ids by slot) of an open customer: what `add` takes elsewhere."""
        entry = self._opened.get(index)
        return (entry[0], list(entry[1:])) if entry else None

    def is_open(self, index: int) -> bool:
        return index in self._opened

    def customer_id(self, index: int) -> str | None:
        """The bank's id of a customer, None when not open."""
        entry = self._opened.get(index)
        return entry[0] if entry else None

    def account_id(self, ref: AccountRef) -> str | None:
        """The bank's id of an account, None when the customer is not open or has no such slot."""
        entry = self._opened.get(ref.customer_index)
        if entry is None or not 0 <= ref.slot < len(entry) - 1:
            return None
        return entry[ref.slot + 1]

    def wire_customer_id(self, index: int) -> str:
        """The bank's id, or an opaque one that never changes."""
        entry = self._opened.get(index)
        return entry[0] if entry else self._opaque("customer", index)

    def wire_account_id(self, ref: AccountRef) -> str:
        """The bank's id, or an opaque one that never changes."""
        return self.account_id(ref) or self._opaque("account", ref.customer_index, ref.slot)

    def accounts(self) -> Iterator[tuple[AccountRef, str]]:
        """Every open account with the bank's id, in order of opening."""
        for index, (_, *account_ids) in self._opened.items():
            for slot, account_id in enumerate(account_ids):
                yield AccountRef(index, slot), account_id

    @property
    def customer_count(self) -> int:
        return len(self._opened)

    @property
    def account_count(self) -> int:
        return self._account_count

    def _opaque(self, *names: str | int) -> str:
        digits = blake2b(repr((self._seed, *names)).encode(), digest_size=16).hexdigest()
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


# -- One line to the bank: calls that are told to the observer, movements that are told to the books ---
#
# Here live the promises that every route of the bank shares: a movement is sent at most once,
# a call is repeated after a login only (a 401 is given before anything is done), a limiter is
# named loudly and once.


_log = logging.getLogger(__name__)

#: Account id and signed cents of each side of a movement.
Legs = Sequence[tuple[str, int]]


class Books(Protocol):
    """Hears of every movement on an account, for reconciliation at the end."""

    def begins(self, legs: Legs) -> None:
        """A movement is about to be sent."""

    def ends(self, legs: Legs) -> None:
        """It ended, after `on_movement` where something was or may have been booked."""

    def on_movement(self, account_id: str, amount_cents: int, certain: bool) -> None:
        """Signed cents, positive into the account; not certain when the answer never came."""


class BankLine:
    """Shared by everything that talks to one bank; many greenlets at once."""

    def __init__(self, transport: Transport, observer: Observer, books: Books | None, login: Login) -> None:
        self.transport = transport
        self._observer = observer
        self._books = books
        self._login = login
        self._told_of_limit = False

    def call(
        self,
        method: str,
        path: str,
        name: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        repeatable: bool = False,
    ) -> Reply:
        """One call, and once more after a login when the bank refuses to know us."""
        generation = self._login.generation
        reply = self.transport.call(method, path, name, body, query, repeatable=repeatable)
        if reply.status == 401:
            if self._login.renew(self.transport, generation, self._tell_login):
                self.tell(method, name, reply, failure_text(reply))
                reply = self.transport.call(method, path, name, body, query, repeatable=repeatable)
        elif reply.status == 429 and not self._told_of_limit:
            self._told_of_limit = True
            _log.error(
                "The bank at %s limits requests (HTTP 429). It is not prepared for load: "
                "every figure of this run is the limiter's, not the bank's. Switch the limiter off.",
                self.transport.address,
            )
        return reply

    def move(
        self,
        path: str,
        name: str,
        body: Mapping[str, Any] | None,
        legs: Legs,
        judge: Callable[[Reply], Verdict],
        query: Mapping[str, str] | None = None,
    ) -> BankReply:
        """Post one movement, once.  Never raises for what the bank does."""
        if self._books is not None:
            self._books.begins(legs)
        try:
            verdict, reply = self._sent(path, name, body, legs, judge, query)
        finally:
            if self._books is not None:
                self._books.ends(legs)
        answered = verdict.status in (BankStatus.POSTED, BankStatus.REFUSED)
        self.tell("POST", name, reply, None if answered else verdict.detail)
        return BankReply(verdict.status, verdict.detail, reply.latency_ms)

    def _sent(
        self,
        path: str,
        name: str,
        body: Mapping[str, Any] | None,
        legs: Legs,
        judge: Callable[[Reply], Verdict],
        query: Mapping[str, str] | None,
    ) -> tuple[Verdict, Reply]:
        try:
            reply = self.call("POST", path, name, body, query=query)
        except BaseException:
            # The greenlet was killed while it waited: the bank may have booked it.
            self._book(legs, certain=False)
            raise
        verdict = judge(reply)
        if verdict.status in (BankStatus.POSTED, BankStatus.UNKNOWN):
            self._book(legs, certain=verdict.status is BankStatus.POSTED)
        return verdict, reply

    def tell(self, method: str, name: str, reply: Reply, error: str | None) -> None:
        """Tell the observer of a call that ended."""
        self._observer(call_of("nexum", method, name, reply, error))

    def _book(self, legs: Legs, certain: bool) -> None:
        if self._books is not None:
            for account_id, amount_cents in legs:
                self._books.on_movement(account_id, amount_cents, certain)

    def _tell_login(self, reply: Reply) -> None:
        self.tell("POST", LOGIN_PATH, reply, None if reply.status == 200 else failure_text(reply))


NAME = "Nexum"


class OpeningFailed(BanksimError):
    """A customer could not be opened: the step that failed, and what the bank said."""


class NexumClient:
    """One bank.  All calls may come from many greenlets at once."""

    def __init__(
        self,
        transport: Transport,
        directory: AccountDirectory,
        *,
        currency: str = "USD",
        observer: Observer = ignore_call,
        books: Books | None = None,
        login: Login | None = None,
        account_prefix: str = "BANKSIM",
    ) -> None:
        """``account_prefix`` starts every account number: the bank does not keep them unique by itself."""
        self._line = BankLine(transport, observer, books, login or Login())
        self._directory = directory
        self._currency = currency
        self._account_prefix = account_prefix

    @property
    def address(self) -> str:
        return self._line.transport.address

    @property
    def directory(self) -> AccountDirectory:
        return self._directory

    # Opening

    def open_customer(self, customer: Customer, kyc_approved: bool = True) -> bool:
        """Create, verify and fund a customer with all its accounts.

        True when it is open (also when it was before), False when its KYC was to be
        rejected: then it exists at the bank, without accounts.  Raises OpeningFailed when
        a step fails; what the earlier steps made stays at the bank, unused.
        """
        if self._directory.is_open(customer.index):
            return True
        data = self._step("POST", "/customers", "/customers", wire.customer_body(customer), 201)
        customer_id = self._id_from(data, "customer_id", "/customers")
        kyc = wire.kyc_body(customer, kyc_approved)
        self._step("PUT", f"/customers/{customer_id}/kyc", "/customers/{id}/kyc", kyc, 200, repeatable=True)
        if not kyc_approved:
            return False
        account_ids = [
            self._open_account(customer, customer_id, slot) for slot in range(len(customer.accounts))
        ]
        self._directory.add(customer.index, customer_id, account_ids)
        return True

    def _open_account(self, customer: Customer, customer_id: str, slot: int) -> str:
        spec = customer.accounts[slot]
        number = f"{self._account_prefix}-{customer.index:07d}-{slot}"
        body = wire.account_body(customer_id, spec.product, self._currency, number)
        account_id = self._id_from(
            self._step("POST", "/accounts", "/accounts", body, 201), "account_id", "/accounts"
        )
        if spec.opening_balance_cents > 0:
            deposit = wire.opening_deposit_body(
                account_id, spec.opening_balance_cents, self._currency, number
            )
            reply = self._move("deposit", deposit, [(account_id, spec.opening_balance_cents)])
            if reply.status is not BankStatus.POSTED:
                raise OpeningFailed(f"The bank did not take an opening deposit: {reply.detail}")
        return account_id

    def _step(
        self, method: str, path: str, name: str, body: dict[str, Any], wanted: int, repeatable: bool = False
    ) -> Any:
        reply = self._line.call(method, path, name, body, repeatable=repeatable)
        if reply.status == wanted and not reply.error:
            self._line.tell(method, name, reply, None)
            return reply.data
        reason = failure_text(reply)
        if 200 <= reply.status < 300 and not reply.error:
            reason = f"HTTP {reply.status} where Nexum answers {wanted} ({str(reply.data)[:80]!r})"
        self._line.tell(method, name, reply, reason)
        raise OpeningFailed(f"{method} {name} at {self.address} failed: {reason}")

    def _id_from(self, data: Any, key: str, name: str) -> str:
        value = wire.usable_id(data, key)
        if value is None:
            raise OpeningFailed(f"The bank answered POST {name} without a usable {key!r}: {str(data)[:80]!r}")
        return value

    # Posting

    def post(self, tx: Transaction) -> BankReply:
        """Send one movement, once.  Never raises for what the bank does."""
        account_id = self._directory.account_id(tx.account)
        if account_id is None:
            return _not_open(tx.account.customer_index)
        movement = wire.movement_of(tx)
        if movement != "transfer" or tx.counterparty is None:
            sign = 1 if movement == "deposit" else -1
            body = wire.movement_body(tx, account_id, None)
            return self._move(movement, body, [(account_id, sign * tx.amount_cents)])
        counterparty_id = self._directory.account_id(tx.counterparty)
        if counterparty_id is None:
            return _not_open(tx.counterparty.customer_index)
        legs = [(account_id, -tx.amount_cents), (counterparty_id, tx.amount_cents)]
        return self._move(movement, wire.movement_body(tx, account_id, counterparty_id), legs)

    def _move(self, movement: wire.Movement, body: dict[str, Any], legs: Legs) -> BankReply:
        path = f"/transactions/{movement}"
        return self._line.move(path, path, body, legs, wire.judge_movement)

    # Asking

    def balance_cents(self, account_id: str) -> int | None:
        """The account's book balance now, None when the bank does not say."""
        return self.read_balance(account_id).cents

    def read_balance(self, account_id: str, *, told: bool = True) -> BalanceReply:
        """The account's book balance.  ``told`` False keeps it out of the figures: it is no load."""
        name = "/accounts/{id}"
        reply = self._line.call("GET", f"/accounts/{account_id}", name, None)
        balance = wire.read_balance(reply, self._currency)
        if told:
            self._line.tell("GET", name, reply, balance.error or None)
        return balance

    def health(self) -> Health:
        """One health check.  It is not told to the observer: it is no part of the load."""
        return as_health(NAME, check_health(self._line.transport))

    def close(self) -> None:
        self._line.transport.close()


def _not_open(index: int) -> BankReply:
    return BankReply(BankStatus.FAILED, f"customer {index} has no such account open at the bank")
