"""Client of the core bank: opens customers and posts transactions.

What it promises: a movement is sent at most once; what became of it is never guessed (an
answer that did not come is *unknown*); the books record every movement that was, or may
have been, made; a call is repeated after a login only; a rate limiter is logged loudly and
once.  It remembers nothing itself but the ids in its directory.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from itertools import accumulate
from typing import Any, NoReturn, Protocol

from banksim.model import AccountRef, BankReply, BanksimError, BankStatus, Transaction
from banksim.targets import nexum_wire as wire
from banksim.targets.adapters import BalanceReply, BankAdapter, Completions, Late, Names, Opening, Verdict
from banksim.targets.auth import Login, SignedIn
from banksim.targets.calls import (
    HEALTH,
    Begun,
    Health,
    Observer,
    Reply,
    Request,
    Transport,
    as_health,
    call_of,
    failure_text,
    ignore_call,
)
from banksim.targets.nexum_wire import movement_of
from banksim.world import Customer
from banksim.world.population import AccountSpec
from banksim.world.random import zipf_weights

# -- Which of the population the bank knows, and under which ids ------------------------------------
#
# The bank lists neither customers nor accounts, so what it answered when they were opened is
# the only way back to them: this directory is the one place that remembers.  It grows with
# the population (about 350 bytes each) and never beyond it.
#
# A customer that the bank does not know (no bank in the run, or not opened yet) still needs names
# on the detector's wire: stable opaque ids, a pure function of the seed.


#: How the shares of the accounts that merchants are paid into fall: 1/k.
HOT_EXPONENT = 1.0


class AccountDirectory:
    """Customer index → the bank's customer id and account ids by slot."""

    def __init__(self, seed: int = 0, hot_accounts: int = 0, merchant_slot: int = 1) -> None:
        """The first ``hot_accounts`` customers own merchants, paid into an account at ``merchant_slot``."""
        self._seed = seed
        self.hot_accounts = hot_accounts
        self.merchant_slot = merchant_slot
        # The upper ends of the accounts' shares.
        self._ends = list(accumulate(zipf_weights(hot_accounts, HOT_EXPONENT)))
        self._owners: dict[str, int] = {}  # as bounded as the merchants
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

    def owner_of(self, merchant_id: str) -> int:
        """The customer into whose account this merchant is paid: a share of the merchants by 1/k."""
        owner = self._owners.get(merchant_id)
        if owner is None:
            drawn = int.from_bytes(blake2b(merchant_id.encode(), digest_size=8).digest(), "big") / 2**64
            owner = bisect_right(self._ends[:-1], drawn * self._ends[-1])
            self._owners[merchant_id] = owner
        return owner

    def two_legged(self, tx: Transaction) -> Transaction:
        """With the account that its merchant is paid into as the counterparty, where it has one."""
        if not self.hot_accounts or tx.merchant is None or tx.counterparty is not None:
            return tx
        owner = self.owner_of(tx.merchant.merchant_id)
        return replace(tx, counterparty=AccountRef(owner, self.merchant_slot))

    def with_merchant_account(self, customer: Customer) -> Customer:
        """With an account for what its merchants are paid, where it owns some."""
        if customer.index >= self.hot_accounts:
            return customer
        return replace(customer, accounts=(*customer.accounts, AccountSpec("checking", 0)))

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


class NexumClient(SignedIn):
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
        adapter: BankAdapter | None = None,
    ) -> None:
        """``account_prefix`` starts every account number: the bank does not keep them unique by itself."""
        super().__init__(transport, login)
        self._observer = observer
        self._books = books
        self.directory = directory
        self.currency = currency
        self.account_prefix = account_prefix
        self.adapter: BankAdapter = adapter or NexumAdapter()
        self.completions: Completions | None = None

    def move(self, request: Request, legs: Legs, judge: Callable[[Reply], Verdict]) -> BankReply:
        """Post one movement, once.  Never raises for what the bank does."""
        if self._books is not None:
            self._books.begins(legs)
        try:
            verdict, reply = self._move_once(request, legs, judge)
        finally:
            if self._books is not None:
                self._books.ends(legs)
        return BankReply(verdict.status, verdict.detail, reply.latency_ms, reply.limit)

    def _move_once(
        self, request: Request, legs: Legs, judge: Callable[[Reply], Verdict]
    ) -> tuple[Verdict, Reply]:
        try:
            reply = self.send(request)
            verdict = judge(reply)
            good = bool(verdict.awaits) or verdict.status in (BankStatus.POSTED, BankStatus.REFUSED)
            self.report(request, reply, None if good else verdict.detail)
            if verdict.awaits and self.completions is not None:
                found, reply = self.completions.wait(verdict.awaits, reply, self.adapter.judge_late)
                verdict = found or Verdict(BankStatus.UNKNOWN, reply.error or verdict.detail)
        except BaseException:
            # The greenlet was killed while it waited: the bank may have booked it.
            self.book(legs, certain=False)
            raise
        if verdict.status in (BankStatus.POSTED, BankStatus.UNKNOWN):
            self.book(legs, certain=verdict.status is BankStatus.POSTED)
        return verdict, reply

    def report(self, request: Request, reply: Reply, error: str | None) -> None:
        """Notify the observer of a call that ended; ``error`` is why it failed."""
        if reply.limit is None:  # else there was no call
            self._observer(call_of("nexum", request, reply, error))

    def book(self, legs: Legs, certain: bool = True) -> None:
        """What was, or may have been, booked."""
        if self._books is None:
            return
        if not certain:
            self._books.not_answered(legs)
            return
        for account_id, amount_cents in legs:
            self._books.on_movement(account_id, amount_cents, certain)

    # Opening

    def open_customer(self, customer: Customer, kyc_approved: bool = True) -> bool:
        """Create, verify and fund a customer with all its accounts.

        True when it is open (also when it was before), False when its KYC was to be
        rejected: then it exists at the bank, without accounts.  Raises OpeningFailed when
        a step fails; what the earlier steps made stays at the bank, unused.
        """
        if self.directory.is_open(customer.index):
            return True
        customer = self.directory.with_merchant_account(customer)
        found = self.adapter.open(customer, kyc_approved, CustomerOpening(self, customer))
        if found is None:
            return False
        self.directory.add(customer.index, *found)
        return True

    # Posting

    def post(self, tx: Transaction, begun: Begun | None = None) -> BankReply:
        """Send one movement, once.  Never raises for what the bank does.

        ``begun`` is its first attempt when that was made elsewhere.
        """
        account_id = self.directory.account_id(tx.account)
        if account_id is None:
            return _not_open(tx.account.customer_index)
        if tx.card_check and not getattr(self.adapter, "checks_cards", False):
            return BankReply(BankStatus.REFUSED, tx.card_check)
        tx = self.directory.two_legged(tx)
        movement, counterparty_id = movement_of(tx), None
        if movement == "transfer" and tx.counterparty is not None:
            counterparty_id = self.directory.account_id(tx.counterparty)
            if counterparty_id is None:
                return _not_open(tx.counterparty.customer_index)
            legs = [(account_id, -tx.amount_cents), (counterparty_id, tx.amount_cents)]
        else:
            legs = [(account_id, tx.amount_cents if movement == "deposit" else -tx.amount_cents)]
        request = self.adapter.movement(tx, self.directory, account_id, counterparty_id)
        if begun is not None:
            request = request._replace(begun=begun)
        reference = tx.transaction_id
        return self.move(request, legs, lambda reply: self.adapter.judge(reply, reference))

    # Asking

    def balance_cents(self, account_id: str) -> int | None:
        """The account's book balance now, None when the bank does not say."""
        return self.read_balance(account_id).cents

    def read_balance(self, account_id: str, *, told: bool = True) -> BalanceReply:
        """The account's book balance.  ``told`` False keeps it out of the figures: it is no load."""
        request = self.adapter.balance(account_id)
        if request is None:
            return BalanceReply(None, f"{self.adapter.name} tells no balances (its mapping has none)")
        reply = self.send(request)
        balance = self.adapter.read_balance(reply, self.currency)
        if told:
            self.report(request, reply, balance.error or None)
        return balance

    def health(self) -> Health:
        """One health check.  The observer is not notified: it is no part of the load."""
        return as_health(NAME, self.transport.send(self.adapter.health()))

    def close(self) -> None:
        super().close()
        if self.completions is not None:
            self.completions.close()


class CustomerOpening:
    """What an adapter does to the bank while it opens one customer: sent, counted and booked here."""

    def __init__(self, client: NexumClient, customer: Customer) -> None:
        self._client = client
        self._index = customer.index

    @property
    def currency(self) -> str:
        return self._client.currency

    def number(self, slot: int) -> str:
        return f"{self._client.account_prefix}-{self._index:07d}-{slot}"

    def step(self, request: Request, expected: Sequence[int]) -> Reply:
        client = self._client
        reply = client.send(request)
        good = reply.status in expected if expected else 200 <= reply.status < 300
        if good and not reply.error:
            client.report(request, reply, None)
            return reply
        reason = failure_text(reply)
        if 200 <= reply.status < 300 and not reply.error:
            wanted = " or ".join(map(str, expected))
            name = client.adapter.name
            reason = f"HTTP {reply.status} where {name} answers {wanted} ({str(reply.data)[:80]!r})"
        client.report(request, reply, reason)
        return self._fail(f"{request.method} {request.name} at {client.address} failed: {reason}")

    def fund(self, request: Request | None, account_id: str, cents: int) -> None:
        client = self._client
        if request is None:
            client.book([(account_id, cents)])
            return
        judge = partial(client.adapter.judge, reference=self.number(0))
        reply = client.move(request, [(account_id, cents)], judge)
        if reply.status is not BankStatus.POSTED:
            self._fail(f"The bank did not take an opening deposit: {reply.detail}")

    def failed(self, text: str) -> Exception:
        return OpeningFailed(text)

    def _fail(self, text: str) -> NoReturn:
        raise OpeningFailed(text)


class NexumAdapter:
    """Nexum's contract, as `nexum_wire` knows it."""

    name = NAME
    late: Late | None = None

    def health(self) -> Request:
        return HEALTH

    def open(self, customer: Customer, approved: bool, opening: Opening) -> tuple[str, list[str]] | None:
        made = opening.step(Request("POST", "/customers", "/customers", wire.customer_body(customer)), (201,))
        customer_id = self._id_from(opening, made.data, "customer_id", "/customers")
        path = f"/customers/{customer_id}/kyc"
        kyc = wire.kyc_body(customer, approved)
        opening.step(Request("PUT", path, "/customers/{id}/kyc", kyc, repeatable=True), (200,))
        if not approved:
            return None
        account_ids = []
        for slot, spec in enumerate(customer.accounts):
            number, currency = opening.number(slot), opening.currency
            body = wire.account_body(customer_id, spec.product, currency, number)
            made = opening.step(Request("POST", "/accounts", "/accounts", body), (201,))
            account_id = self._id_from(opening, made.data, "account_id", "/accounts")
            account_ids.append(account_id)
            if spec.opening_balance_cents > 0:
                cents = spec.opening_balance_cents
                deposit = wire.opening_deposit_body(account_id, cents, currency, number)
                opening.fund(_movement("deposit", deposit), account_id, cents)
        return customer_id, account_ids

    @staticmethod
    def _id_from(opening: Opening, data: Any, key: str, name: str) -> str:
        value = wire.usable_id(data, key)
        if value is None:
            raise opening.failed(
                f"The bank answered POST {name} without a usable {key!r}: {str(data)[:80]!r}"
            )
        return value

    def movement(
        self,
        tx: Transaction,
        names: Names,  # noqa: ARG002
        account_id: str,
        counterparty_id: str | None,
    ) -> Request:
        return _movement(movement_of(tx), wire.movement_body(tx, account_id, counterparty_id))

    def judge(self, reply: Reply, reference: str) -> Verdict:  # noqa: ARG002
        return wire.judge_movement(reply)

    def judge_late(self, reply: Reply) -> Verdict | None:  # noqa: ARG002  it is never late
        return None

    def balance(self, account_id: str) -> Request | None:
        return Request("GET", f"/accounts/{account_id}", "/accounts/{id}")

    def read_balance(self, reply: Reply, currency: str) -> BalanceReply:
        return wire.read_balance(reply, currency)


def _movement(movement: wire.Movement, body: dict[str, Any]) -> Request:
    path = f"/transactions/{movement}"
    return Request("POST", path, path, body)


def _not_open(index: int) -> BankReply:
    return BankReply(BankStatus.FAILED, f"customer {index} has no such account open at the bank")
