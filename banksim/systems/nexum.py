"""Client of the core bank: opens customers and posts transactions.

What it promises: a movement is sent at most once; what became of it is never guessed (an
answer that did not come is *unknown*); whoever keeps books hears of every movement that
was, or may have been, made.  It remembers nothing itself but the ids in its directory.

Not handled: loans, credit lines, statements.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from banksim.domain import BankReply, BanksimError, BankStatus, Transaction
from banksim.systems import nexum_wire as wire
from banksim.systems.calls import Call, Observer, ignore_call
from banksim.systems.directory import AccountDirectory
from banksim.systems.health import Health, as_health, check_health
from banksim.systems.login import LOGIN_PATH, Login
from banksim.systems.nexum_wire import BalanceReply
from banksim.systems.transport import Reply, Transport
from banksim.systems.wording import failure_text

if TYPE_CHECKING:
    from banksim.world import Customer

NAME = "Nexum"
_log = logging.getLogger(__name__)


class Books(Protocol):
    """Hears of every movement on an account, for reconciliation at the end."""

    def on_movement(self, account_id: str, amount_cents: int, certain: bool) -> None:
        """Signed cents, positive into the account; not certain when the answer never came."""


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
        self._transport = transport
        self._directory = directory
        self._currency = currency
        self._observer = observer
        self._books = books
        self._login = login or Login()
        self._account_prefix = account_prefix
        self._told_of_limit = False

    @property
    def address(self) -> str:
        return self._transport.address

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
        reply = self._call(method, path, name, body, repeatable=repeatable)
        if reply.status == wanted and not reply.error:
            self._tell(method, name, reply, None)
            return reply.data
        reason = failure_text(reply)
        self._tell(method, name, reply, reason)
        raise OpeningFailed(f"{method} {name} at {self.address} failed: {reason}")

    def _id_from(self, data: Any, key: str, name: str) -> str:
        value = data.get(key) if isinstance(data, Mapping) else None
        # The id goes into paths, so it must be one plain segment of them.
        if (
            not isinstance(value, str)
            or not value.isascii()
            or not value.replace("-", "").replace("_", "").isalnum()
        ):
            _refuse_answer(name, key, value)
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

    def _move(self, movement: wire.Movement, body: dict[str, Any], legs: list[tuple[str, int]]) -> BankReply:
        """``legs``: account id and signed cents of each side, for the books."""
        path = f"/transactions/{movement}"
        try:
            reply = self._call("POST", path, path, body)
        except BaseException:
            # The greenlet was killed while it waited: the bank may have booked it.
            self._book(legs, certain=False)
            raise
        verdict = wire.judge_movement(reply)
        if verdict.status in (BankStatus.POSTED, BankStatus.UNKNOWN):
            self._book(legs, certain=verdict.status is BankStatus.POSTED)
        answered = verdict.status in (BankStatus.POSTED, BankStatus.REFUSED)
        self._tell("POST", path, reply, None if answered else verdict.detail)
        return BankReply(verdict.status, verdict.detail, reply.latency_ms)

    def _book(self, legs: list[tuple[str, int]], certain: bool) -> None:
        if self._books is not None:
            for account_id, amount_cents in legs:
                self._books.on_movement(account_id, amount_cents, certain)

    # Asking

    def balance_cents(self, account_id: str) -> int | None:
        """The account's book balance now, None when the bank does not say."""
        return self.read_balance(account_id).cents

    def read_balance(self, account_id: str, *, told: bool = True) -> BalanceReply:
        """The account's book balance.  ``told`` False keeps it out of the figures: it is no load."""
        name = "/accounts/{id}"
        reply = self._call("GET", f"/accounts/{account_id}", name, None)
        balance = wire.read_balance(reply, self._currency)
        if told:
            self._tell("GET", name, reply, balance.error or None)
        return balance

    def health(self) -> Health:
        """One health check.  It is not told to the observer: it is no part of the load."""
        return as_health(NAME, check_health(self._transport))

    def close(self) -> None:
        self._transport.close()

    # Calling

    def _call(
        self, method: str, path: str, name: str, body: dict[str, Any] | None, repeatable: bool = False
    ) -> Reply:
        """One call, and once more after a login when the bank refuses to know us.

        A 401 is given before anything is done, so this repeats no movement.
        """
        generation = self._login.generation
        reply = self._transport.call(method, path, name, body, repeatable=repeatable)
        if reply.status == 401:
            if self._login.renew(self._transport, generation, self._tell_login):
                self._tell(method, name, reply, failure_text(reply))
                reply = self._transport.call(method, path, name, body, repeatable=repeatable)
        elif reply.status == 429 and not self._told_of_limit:
            self._told_of_limit = True
            _log.error(
                "The bank at %s limits requests (HTTP 429). It is not prepared for load: "
                "every figure of this run is the limiter's, not the bank's. Switch the limiter off.",
                self.address,
            )
        return reply

    def _tell_login(self, reply: Reply) -> None:
        self._tell("POST", LOGIN_PATH, reply, None if reply.status == 200 else failure_text(reply))

    def _tell(self, method: str, name: str, reply: Reply, error: str | None) -> None:
        self._observer(
            Call(
                system="nexum",
                method=method,
                name=name,
                latency_ms=reply.latency_ms,
                status=reply.status or None,
                request_bytes=reply.request_bytes,
                response_bytes=reply.response_bytes,
                error=error,
                sent=reply.attempts > 0,
            )
        )


def _not_open(index: int) -> BankReply:
    return BankReply(BankStatus.FAILED, f"customer {index} has no such account open at the bank")


def _refuse_answer(name: str, key: str, value: Any) -> NoReturn:
    raise OpeningFailed(f"The bank answered POST {name} without a usable {key!r}: {str(value)[:80]!r}")
