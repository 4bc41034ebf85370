"""Client of the core bank: opens customers and posts transactions.

What it promises: a movement is sent at most once; what became of it is never guessed (an
answer that did not come is *unknown*); whoever keeps books hears of every movement that
was, or may have been, made.  It remembers nothing itself but the ids in its directory.

Cards, loans and histories, which are no part of the load, are `NexumClient.banking`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from banksim.domain import BankReply, BanksimError, BankStatus, Transaction
from banksim.systems import nexum_wire as wire
from banksim.systems.bank_line import BankLine, Books, Legs
from banksim.systems.calls import Observer, ignore_call
from banksim.systems.directory import AccountDirectory
from banksim.systems.health import Health, as_health, check_health
from banksim.systems.login import Login
from banksim.systems.nexum_banking import NexumBanking
from banksim.systems.nexum_wire import BalanceReply
from banksim.systems.transport import Transport
from banksim.systems.wording import failure_text

if TYPE_CHECKING:
    from banksim.world import Customer

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

    @property
    def banking(self) -> NexumBanking:
        """Cards, loans and histories at the same bank."""
        return NexumBanking(self._line, self._currency)

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
