"""A block: planned genuine transactions as columns, one row per transaction.

    Legend   what the codes stand for (one per run)
    Block    equally long columns: codes and numbers

Rows are in the order of their moments.  ``row`` names a transaction for life: its id and all its random
draws follow from it.  `Block.planned` makes the objects of the model for whoever
needs one row: the log, the feed, the full path of a client.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from banksim.activity.payments import TRANSFER_WORDS
from banksim.model import (
    AccountRef,
    Channel,
    Decline,
    Kind,
    Label,
    Merchant,
    Place,
    Planned,
    Transaction,
    Truth,
)
from banksim.world.merchants import Shops
from banksim.world.random import Bools, Draws, Floats, Ints, uuid_text, uuid_texts

#: What the codes of ``Block.kind`` and ``Block.channel`` stand for.
KINDS: tuple[Kind, ...] = tuple(Kind)
CHANNELS: tuple[Channel, ...] = tuple(Channel)
KIND_CODES: dict[Kind, int] = {kind: code for code, kind in enumerate(KINDS)}
CHANNEL_CODES: dict[Channel, int] = {channel: code for code, channel in enumerate(CHANNELS)}
PURCHASE, WITHDRAWAL, DEPOSIT, SALARY, TRANSFER, BILL = (KIND_CODES[kind] for kind in KINDS)
POS, ONLINE, MOBILE, WIRE, ACH, ATM, BRANCH = (
    CHANNEL_CODES[channel]
    for channel in (
        Channel.POS,
        Channel.ONLINE,
        Channel.MOBILE,
        Channel.WIRE,
        Channel.ACH,
        Channel.ATM,
        Channel.BRANCH,
    )
)
#: What the codes of ``Block.decline`` stand for; from `WRONG_PIN` on the card is at fault.
DECLINES: tuple[Decline, ...] = tuple(Decline)
FUNDS, LIMIT, WRONG_PIN, EXPIRED_CARD = range(1, 5)
CARD_CHECKS = tuple(word if code >= WRONG_PIN else Decline.NONE for code, word in enumerate(DECLINES))
BILL_WORDS = {
    "rent": "Rent",
    "utilities": "Utilities",
    "telecom": "Phone and internet",
    "tax": "Tax",
    "bank_charges": "Account fee",
}
WORDS = (
    "Cash withdrawal",
    "Counter withdrawal",
    "Cash deposit",
    "Check deposit",
    "Incoming payment",
    "Deposit",
    "Salary",
    "Pension payment",
    "Interest",
    "Refund",
    "To savings",
    "From savings",
    *TRANSFER_WORDS,
)
WORD = {text: code for code, text in enumerate(WORDS)}


@dataclass(frozen=True, slots=True)
class Legend:
    """What the codes of a run's blocks stand for.

    ``personas``, ``merchants``, ``cities`` (name, country) and ``descriptions`` are looked up by
    code.  ``descriptions`` may grow at its end while a run goes on; what is there stays.
    ``ids`` and ``devices`` draw the transactions' and the devices' ids.
    """

    currency: str
    start_epoch_s: float
    personas: tuple[str, ...]
    merchants: Sequence[Merchant]
    cities: tuple[tuple[str, str], ...]
    descriptions: Sequence[str]
    truths: tuple[Truth, ...]
    ids: Draws
    devices: Draws
    #: A number for each device from its customer and its number among the customer's.
    device_keys: Callable[[Any, Any], Any]

    def transaction_id(self, row: int) -> str:
        return uuid_text(self.ids.word(row, 0), self.ids.word(row, 1))

    def transaction_ids(self, rows: Ints) -> NDArray[np.uint8]:
        """n rows of 36 ASCII characters."""
        return uuid_texts(self.ids.words(rows, 0), self.ids.words(rows, 1))

    def device_id(self, customer: int, number: int) -> str:
        """The id of a customer's device; 0 is the main one when the run starts."""
        key = self.device_keys(customer, number)
        return uuid_text(self.devices.word(key, 0), self.devices.word(key, 1))

    def device_ids(self, customers: Ints, numbers: Ints) -> NDArray[np.uint8]:
        """n rows of 36 ASCII characters."""
        keys = self.device_keys(customers, numbers)
        return uuid_texts(self.devices.words(keys, 0), self.devices.words(keys, 1))


@dataclass(frozen=True, slots=True)
class Block:
    """Planned genuine transactions; all columns are of the same length.

    ``sim_s`` is seconds since the run's start.  ``customer`` and ``account_slot`` name the payer's
    account (the payee's for credit kinds), ``counterparty`` and ``counterparty_slot`` the other
    one of a transfer (-1: none).  ``merchant`` is -1 where there is none.  ``latitude`` and
    ``longitude`` are degrees with four decimals.  ``balance_before_cents`` is what the account should
    hold just before; ``decline`` says why a bank would refuse (`DECLINES`; 0: it would not): then nothing
    moves.
    """

    legend: Legend
    row: Ints
    sim_s: Floats
    customer: Ints
    account_slot: NDArray[np.int8]
    persona: NDArray[np.int8]
    kind: NDArray[np.int8]
    channel: NDArray[np.int8]
    amount_cents: Ints
    merchant: NDArray[np.int32]
    counterparty: Ints
    counterparty_slot: NDArray[np.int8]
    city: NDArray[np.int16]
    latitude: Floats
    longitude: Floats
    device: Ints
    description: NDArray[np.int32]
    balance_before_cents: Ints
    decline: NDArray[np.int8]
    #: Not a column: what the planner needs to take rows back; a part has none.
    undo: object = None

    def __len__(self) -> int:
        return len(self.row)

    @property
    def refused(self) -> Bools:
        declined: Bools = self.decline > 0
        return declined

    def part(self, start: int, end: int) -> Block:
        """The rows at positions ``start`` to ``end`` (exclusive), without copying them."""
        columns = {name: getattr(self, name)[start:end] for name in COLUMNS}
        return Block(self.legend, **columns)

    def at(self, positions: Ints) -> Block:
        """The rows at some positions."""
        return Block(self.legend, **{name: getattr(self, name)[positions] for name in COLUMNS})

    def planned(self, position: int) -> Planned:
        """The row at ``position`` as the objects of the model."""
        legend = self.legend
        sim_s = float(self.sim_s[position])
        customer, merchant = int(self.customer[position]), int(self.merchant[position])
        other = int(self.counterparty[position])
        city, country = legend.cities[self.city[position]]
        place = Place(city, country, float(self.latitude[position]), float(self.longitude[position]))
        transaction = Transaction(
            transaction_id=legend.transaction_id(int(self.row[position])),
            kind=KINDS[self.kind[position]],
            account=AccountRef(customer, int(self.account_slot[position])),
            amount_cents=int(self.amount_cents[position]),
            currency=legend.currency,
            channel=CHANNELS[self.channel[position]],
            timestamp_s=legend.start_epoch_s + sim_s,
            place=place,
            device_id=legend.device_id(customer, int(self.device[position])),
            description=legend.descriptions[self.description[position]],
            counterparty=None if other < 0 else AccountRef(other, int(self.counterparty_slot[position])),
            merchant=None if merchant < 0 else legend.merchants[merchant],
            card_check=CARD_CHECKS[self.decline[position]],
        )
        return Planned(transaction, legend.truths[self.persona[position]], sim_s)


#: The names of the columns of a block, in order.
COLUMNS: tuple[str, ...] = tuple(
    field.name for field in fields(Block) if field.name not in ("legend", "undo")
)


def genuine_truths(personas: Sequence[str]) -> tuple[Truth, ...]:
    """The truth of a genuine transaction, per persona."""
    return tuple(Truth(Label.GENUINE, persona) for persona in personas)


def descriptions(shops: Shops) -> list[str]:
    """All texts: fixed ones, then per merchant those of a purchase, then per merchant those of a bill."""
    purchases = [f"Purchase at {merchant.name}" for merchant in shops.merchants]
    bills = [f"{BILL_WORDS.get(m.category, m.category.capitalize())} {m.name}" for m in shops.merchants]
    return [*WORDS, *purchases, *bills]


def is_credit_kind(kind: Ints) -> Bools:
    credit: Bools = (kind == DEPOSIT) | (kind == SALARY)
    return credit


def card_fails(reason: Ints, kind: Ints, channel: Ints) -> Bools:
    """Whether a card can be at fault for that reason: a PIN in person, a date where its number is typed."""
    in_person, buys = (channel == POS) | (channel == ATM), kind == PURCHASE
    wrong_pin = in_person & (buys | (kind == WITHDRAWAL)) & (reason == WRONG_PIN)
    fails: Bools = wrong_pin | (~in_person & buys & (reason == EXPIRED_CARD))
    return fails
