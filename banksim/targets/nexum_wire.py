"""Nexum's bodies and answers: pure functions between our words and the bank's.

The bank knows three movements, six channels and one success: status 200 with the state
"completed".  Every refusal is a 400 whose text alone distinguishes a business
answer from an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from banksim.model import CREDIT_KINDS, BankStatus, Channel, Transaction
from banksim.model.money import from_wire, to_wire
from banksim.targets.adapters import BalanceReply, Verdict
from banksim.targets.calls import Reply, detail_of, failure_text
from banksim.world import Customer

Movement = Literal["deposit", "withdraw", "transfer"]

#: Our channels in the six words the bank accepts.
CHANNEL_WORDS: dict[Channel, str] = {
    Channel.POS: "online",
    Channel.WEB: "online",
    Channel.ONLINE: "online",
    Channel.MOBILE: "mobile",
    Channel.ATM: "atm",
    Channel.BRANCH: "branch",
    Channel.WIRE: "api",
    Channel.ACH: "api",
}

#: The bank's channel for its own bookings: exempt from limits, never scored.
SYSTEM_CHANNEL = "system"

#: A 400 that starts so is the bank's decision, not a mistake of ours.
BUSINESS_REFUSALS = ("Insufficient funds", "Blocked by")

#: States in a 200 that say that nothing was booked; any other unknown state says nothing at all.
_NOT_BOOKED_STATES = frozenset({"failed", "declined", "rejected", "reversed"})

#: A gateway that answers in the bank's place does not know what the bank did.
_GATEWAY_STATUSES = frozenset({502, 504})


_POSTED = Verdict(BankStatus.POSTED)


def read_balance(reply: Reply, currency: str) -> BalanceReply:
    """Out of ``GET /accounts/{id}``; a balance in another currency than ``currency`` counts as unread."""
    if reply.status == 404 and detail_of(reply.data).startswith("Account not found"):
        return BalanceReply(None, failure_text(reply), gone=True)
    if reply.status != 200 or reply.error:
        return BalanceReply(None, failure_text(reply))
    try:
        money = reply.data["book_balance"]
        if money["currency"] != currency:
            return BalanceReply(None, f"the account is in {money['currency']}, not {currency}")
        return BalanceReply(from_wire(money["amount"], currency))
    except (KeyError, TypeError):
        return BalanceReply(None, "the answer holds no book_balance")
    except ValueError as error:
        return BalanceReply(None, f"book_balance is {error}")


def movement_of(tx: Transaction) -> Movement:
    """Money in is a deposit, between two accounts a transfer; everything else leaves the bank."""
    if tx.kind in CREDIT_KINDS:
        return "deposit"
    return "withdraw" if tx.counterparty is None else "transfer"


def money(amount_cents: int, currency: str) -> dict[str, str]:
    return {"amount": to_wire(amount_cents, currency), "currency": currency}


def movement_body(tx: Transaction, account_id: str, counterparty_id: str | None) -> dict[str, Any]:
    """Body of a posting.  ``counterparty_id`` is the receiving account of a transfer, else None."""
    body: dict[str, Any] = {
        "amount": money(tx.amount_cents, tx.currency),
        "description": tx.description or tx.kind._value_,
        "channel": CHANNEL_WORDS[tx.channel],
        "reference": tx.transaction_id,
    }
    if counterparty_id is None:
        body["account_id"] = account_id
    else:
        body["from_account_id"] = account_id
        body["to_account_id"] = counterparty_id
    return body


def customer_body(customer: Customer) -> dict[str, Any]:
    return {
        "first_name": customer.first_name,
        "last_name": customer.last_name,
        "email": customer.email,
        "phone": customer.phone,
        "date_of_birth": customer.date_of_birth.isoformat(),
        "address": {
            "line1": customer.address.line1,
            "city": customer.address.city,
            "state": customer.address.state,
            "postal_code": customer.address.postal_code,
            "country": customer.address.country,
        },
    }


def kyc_body(customer: Customer, approved: bool) -> dict[str, Any]:
    """The tier goes together with "verified": on its own the bank drops it silently."""
    return {"status": "verified", "tier": customer.kyc_tier} if approved else {"status": "rejected"}


def account_body(customer_id: str, product: str, currency: str, account_number: str) -> dict[str, Any]:
    return {
        "customer_id": customer_id,
        "product_type": product,
        "currency": currency,
        "name": f"{product.capitalize()} account",
        "account_number": account_number,
    }


def opening_deposit_body(
    account_id: str, amount_cents: int, currency: str, account_number: str
) -> dict[str, Any]:
    """The balance a customer starts with, brought over from before the run.

    It goes by the bank's own channel: a starting balance is above many tiers' limit, often
    round, and would otherwise be refused, raise alerts, or be scored as if it were conduct.
    """
    return {
        "account_id": account_id,
        "amount": money(amount_cents, currency),
        "description": "Opening balance",
        "channel": SYSTEM_CHANNEL,
        "reference": f"opening-{account_number}",
    }


def judge_movement(reply: Reply) -> Verdict:
    """What became of a movement, as far as the answer says."""
    if reply.status == 0:
        return Verdict(BankStatus.UNKNOWN if reply.sent else BankStatus.FAILED, failure_text(reply))
    if 200 <= reply.status < 300:
        return _judge_success(reply)
    detail = detail_of(reply.data)
    if reply.status == 400 and detail.startswith(BUSINESS_REFUSALS):
        return Verdict(BankStatus.REFUSED, detail)
    if reply.status == 429:
        return Verdict(BankStatus.FAILED, "HTTP 429: the bank limits requests per minute; switch that off")
    status = BankStatus.UNKNOWN if reply.status in _GATEWAY_STATUSES else BankStatus.FAILED
    return Verdict(status, failure_text(reply))


def judge_banking(reply: Reply, id_key: str) -> Verdict:
    """The same for a loan's movements, whose success is a 200 with an id and no state."""
    if reply.status != 200:
        return judge_movement(reply)
    if usable_id(reply.data, id_key) is not None:
        return Verdict(BankStatus.POSTED)
    return Verdict(BankStatus.UNKNOWN, f"HTTP 200 without {id_key!r}: {reply.error or 'nothing usable'}")


def usable_id(data: Any, key: str) -> str | None:
    """An id out of an answer; it goes into paths, so it must be one plain segment of them."""
    value = data.get(key) if isinstance(data, Mapping) else None
    if isinstance(value, str) and value.isascii() and value.replace("-", "").replace("_", "").isalnum():
        return value
    return None


def is_completed(status: int, data: Any) -> bool:
    """The one answer that says that a movement was booked."""
    return status == 200 and isinstance(data, dict) and data.get("state") == "completed"


def _judge_success(reply: Reply) -> Verdict:
    if is_completed(reply.status, reply.data):
        return _POSTED
    state = reply.data.get("state") if isinstance(reply.data, dict) else None
    if isinstance(state, str):
        status = BankStatus.FAILED if state in _NOT_BOOKED_STATES else BankStatus.UNKNOWN
        return Verdict(status, f"HTTP {reply.status} with the state {state[:40]!r}, expected 200 'completed'")
    reason = reply.error or "no state in the answer"
    return Verdict(
        BankStatus.UNKNOWN, f"HTTP {reply.status}, expected 200 with the state 'completed': {reason}"
    )
