"""The description of a step: the few plain words an honest transaction would have.

The words are those of the honest side (`activity.drafts`); a test compares the two.
"""

from __future__ import annotations

import random

from banksim.domain import Channel, Kind, Merchant

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
DEPOSIT_WORDS = {Channel.MOBILE: "Check deposit", Channel.ACH: "Incoming payment"}


def describe(
    kind: Kind, channel: Channel, merchant: Merchant | None, is_pensioner: bool, rng: random.Random
) -> str:
    """Text for the bank statement; says no more than the honest one would."""
    if merchant is not None:
        return f"Purchase at {merchant.name}"
    if kind is Kind.SALARY:
        return "Pension payment" if is_pensioner else "Salary"
    if kind is Kind.TRANSFER:
        return rng.choice(TRANSFER_WORDS)
    if kind is Kind.WITHDRAWAL:
        return "Counter withdrawal" if channel is Channel.BRANCH else "Cash withdrawal"
    return DEPOSIT_WORDS.get(channel, "Cash deposit")
