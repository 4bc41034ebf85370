"""The text of a transaction on the bank statement, in the few plain words people use.

Genuine transactions and campaigns take their words from here, so the text never gives a fraud away.
"""

from __future__ import annotations

from banksim.model import Channel
from banksim.world import Persona

#: What people write on a transfer to somebody else.
TRANSFER_WORDS = (
    "Transfer",
    "Thanks",
    "Dinner",
    "My share",
    "Birthday",
    "Groceries",
    "Trip",
    "Tickets",
    "Loan",
)
_DEPOSIT_WORDS = {
    Channel.MOBILE: "Check deposit",
    Channel.ACH: "Incoming payment",
    Channel.BRANCH: "Cash deposit",
    Channel.ATM: "Cash deposit",
}
#: A persona whose youngest members are this old lives on a pension.
_PENSION_FROM_AGE = 60


def purchase_words(merchant_name: str) -> str:
    return f"Purchase at {merchant_name}"


def deposit_words(channel: Channel) -> str:
    return _DEPOSIT_WORDS.get(channel, "Deposit")


def pay_words(persona: Persona) -> str:
    return "Pension payment" if persona.ages[0] >= _PENSION_FROM_AGE else "Salary"


def withdrawal_words(channel: Channel) -> str:
    return "Counter withdrawal" if channel is Channel.BRANCH else "Cash withdrawal"
