"""Client of the core bank: opens customers and posts transactions.

What it promises: a movement is sent at most once; what became of it is never guessed (an
answer that did not come is *unknown*); the books record every movement that was, or may
have been, made; a call is repeated after a login only; a rate limiter is logged loudly and
once.  It remembers nothing itself but the ids in its directory.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import Any, Protocol

from banksim.model import AccountRef, BankReply, BanksimError, BankStatus, Transaction
from banksim.targets import nexum_wire as wire
from banksim.targets.auth import Login
from banksim.targets.calls import (
    Begun,
    Health,
    Observer,
    Reply,
    Request,
    Transport,
    as_health,
    call_of,
    check_health,
    failure_text,
    ignore_call,
)
from banksim.targets.nexum_wire import BalanceReply, Verdict
from banksim.world import Customer

# -- Which of the population the bank knows, and under which ids ------------------------------------
#
# The bank lists neither customers nor accounts, so what it answered when they were opened is
# the only way back to them: this directory is the one place that remembers.  It grows with
# the population (about 350 bytes each) and never beyond it.
#
# A customer that the bank does not know (no bank in the run, or not opened yet) still needs names
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


# -- The client -------------------------------------------------------------------------------------


_log = logging.getLogger(__name__)

#: Account id and signed cents of each side of a movement.
Legs = Sequence[tuple[str, int]]


class Books(Protocol):
    """Records every movement on an account, for the reconciliation at the end."""

    def begins(self, legs: Legs) -> None:
        """A movement is about to be sent."""

    def ends(self, legs: Legs) -> None:
        """It ended, after `on_movement` where something was or may have been booked."""

    def on_movement(self, account_id: str, amount_cents: int, certain: bool) -> None:
        """Signed cents, positive into the account; not certain when the answer never came."""

    def not_answered(self, legs: Legs) -> None:
        """The answer to a movement never came: the bank may have booked it, both sides or neither."""


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
        self.transport = transport
        self._observer = observer
        self._books = books
        self._login = login or Login()
        self._limit_logged = False
        self.directory = directory
        self.currency = currency
        self._account_prefix = account_prefix

    @property
    def address(self) -> str:
        return self.transport.address

    # The promises that every route of the bank shares

    def send(self, request: Request) -> Reply:
        """Send one request, and once more after a login when the bank answers 401: it did nothing then."""
        login = self._login
        if login.ends_soon:
            self.log_in()
        generation = login.generation
        reply = self.transport.send(request)
        if reply.status == 401:
            if request.begun is not None and generation:  # it may have been made under an older token
                self.report(request, reply, failure_text(reply))
                return self.send(request._replace(begun=None))
            if login.renew(self.transport, generation, self._report_login):
                self.report(request, reply, failure_text(reply))
                reply = self.transport.send(request._replace(begun=None))
        elif reply.status == 429 and not self._limit_logged:
            self._limit_logged = True
            _log.error(
                "The bank at %s limits requests (HTTP 429). It is not prepared for load: "
                "every figure of this run is the limiter's, not the bank's. Switch the limiter off.",
                self.address,
            )
        return reply

    @property
    def login_ends_soon(self) -> bool:
        """True for one caller when the token is about to end: that one is to call `log_in`."""
        return self._login.ends_soon

    def log_in(self) -> None:
        """Get a new token, while other calls go on under the old one."""
        self._login.renew(self.transport, self._login.generation, self._report_login)

    def move(self, request: Request, legs: Legs, judge: Callable[[Reply], Verdict]) -> BankReply:
        """Post one movement, once.  Never raises for what the bank does."""
        if self._books is not None:
            self._books.begins(legs)
        try:
            verdict, reply = self._move_once(request, legs, judge)
        finally:
            if self._books is not None:
                self._books.ends(legs)
        answered = verdict.status in (BankStatus.POSTED, BankStatus.REFUSED)
        self.report(request, reply, None if answered else verdict.detail)
        return BankReply(verdict.status, verdict.detail, reply.latency_ms, reply.limit)

    def _move_once(
        self, request: Request, legs: Legs, judge: Callable[[Reply], Verdict]
    ) -> tuple[Verdict, Reply]:
        try:
            reply = self.send(request)
        except BaseException:
            # The greenlet was killed while it waited: the bank may have booked it.
            self._book(legs, certain=False)
            raise
        verdict = judge(reply)
        if verdict.status in (BankStatus.POSTED, BankStatus.UNKNOWN):
            self._book(legs, certain=verdict.status is BankStatus.POSTED)
        return verdict, reply

    def report(self, request: Request, reply: Reply, error: str | None) -> None:
        """Notify the observer of a call that ended; ``error`` is why it failed."""
        if reply.limit is None:  # else there was no call
            self._observer(call_of("nexum", request, reply, error))

    def _book(self, legs: Legs, certain: bool) -> None:
        if self._books is None:
            return
        if not certain:
            self._books.not_answered(legs)
            return
        for account_id, amount_cents in legs:
            self._books.on_movement(account_id, amount_cents, certain)

    def _report_login(self, request: Request, reply: Reply) -> None:
        self.report(request, reply, None if reply.status == 200 else failure_text(reply))

    # Opening

    def open_customer(self, customer: Customer, kyc_approved: bool = True) -> bool:
        """Create, verify and fund a customer with all its accounts.

        True when it is open (also when it was before), False when its KYC was to be
        rejected: then it exists at the bank, without accounts.  Raises OpeningFailed when
        a step fails; what the earlier steps made stays at the bank, unused.
        """
        if self.directory.is_open(customer.index):
            return True
        data = self._step(Request("POST", "/customers", "/customers", wire.customer_body(customer)), 201)
        customer_id = self._id_from(data, "customer_id", "/customers")
        kyc = wire.kyc_body(customer, kyc_approved)
        path = f"/customers/{customer_id}/kyc"
        self._step(Request("PUT", path, "/customers/{id}/kyc", kyc, repeatable=True), 200)
        if not kyc_approved:
            return False
        account_ids = [
            self._open_account(customer, customer_id, slot) for slot in range(len(customer.accounts))
        ]
        self.directory.add(customer.index, customer_id, account_ids)
        return True

    def _open_account(self, customer: Customer, customer_id: str, slot: int) -> str:
        spec = customer.accounts[slot]
        number = f"{self._account_prefix}-{customer.index:07d}-{slot}"
        body = wire.account_body(customer_id, spec.product, self.currency, number)
        data = self._step(Request("POST", "/accounts", "/accounts", body), 201)
        account_id = self._id_from(data, "account_id", "/accounts")
        if spec.opening_balance_cents > 0:
            deposit = wire.opening_deposit_body(account_id, spec.opening_balance_cents, self.currency, number)
            reply = self._move("deposit", deposit, [(account_id, spec.opening_balance_cents)])
            if reply.status is not BankStatus.POSTED:
                raise OpeningFailed(f"The bank did not take an opening deposit: {reply.detail}")
        return account_id

    def _step(self, request: Request, wanted: int) -> Any:
        reply = self.send(request)
        if reply.status == wanted and not reply.error:
            self.report(request, reply, None)
            return reply.data
        reason = failure_text(reply)
        if 200 <= reply.status < 300 and not reply.error:
            reason = f"HTTP {reply.status} where Nexum answers {wanted} ({str(reply.data)[:80]!r})"
        self.report(request, reply, reason)
        raise OpeningFailed(f"{request.method} {request.name} at {self.address} failed: {reason}")

    def _id_from(self, data: Any, key: str, name: str) -> str:
        value = wire.usable_id(data, key)
        if value is None:
            raise OpeningFailed(f"The bank answered POST {name} without a usable {key!r}: {str(data)[:80]!r}")
        return value

    # Posting

    def post(self, tx: Transaction, begun: Begun | None = None) -> BankReply:
        """Send one movement, once.  Never raises for what the bank does.

        ``begun`` is its first attempt when that was made elsewhere.
        """
        account_id = self.directory.account_id(tx.account)
        if account_id is None:
            return _not_open(tx.account.customer_index)
        movement = wire.movement_of(tx)
        if movement != "transfer" or tx.counterparty is None:
            sign = 1 if movement == "deposit" else -1
            body = wire.movement_body(tx, account_id, None)
            return self._move(movement, body, [(account_id, sign * tx.amount_cents)], begun)
        counterparty_id = self.directory.account_id(tx.counterparty)
        if counterparty_id is None:
            return _not_open(tx.counterparty.customer_index)
        legs = [(account_id, -tx.amount_cents), (counterparty_id, tx.amount_cents)]
        return self._move(movement, wire.movement_body(tx, account_id, counterparty_id), legs, begun)

    def _move(
        self, movement: wire.Movement, body: dict[str, Any], legs: Legs, begun: Begun | None = None
    ) -> BankReply:
        path = f"/transactions/{movement}"
        return self.move(Request("POST", path, path, body, begun=begun), legs, wire.judge_movement)

    # Asking

    def balance_cents(self, account_id: str) -> int | None:
        """The account's book balance now, None when the bank does not say."""
        return self.read_balance(account_id).cents

    def read_balance(self, account_id: str, *, told: bool = True) -> BalanceReply:
        """The account's book balance.  ``told`` False keeps it out of the figures: it is no load."""
        request = Request("GET", f"/accounts/{account_id}", "/accounts/{id}")
        reply = self.send(request)
        balance = wire.read_balance(reply, self.currency)
        if told:
            self.report(request, reply, balance.error or None)
        return balance

    def health(self) -> Health:
        """One health check.  The observer is not notified: it is no part of the load."""
        return as_health(NAME, check_health(self.transport))

    def close(self) -> None:
        self.transport.close()


def _not_open(index: int) -> BankReply:
    return BankReply(BankStatus.FAILED, f"customer {index} has no such account open at the bank")
