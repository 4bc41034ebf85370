"""Rows as CSV lines: the one form that rows take; Parquet files are made from it.

Parts of a line that come again (a shop, a place, a genuine truth) are kept as ready text, in
caches of a fixed size.
"""

from __future__ import annotations

from typing import TypeVar

from banksim.dataset.csv_text import Money, Times, cell
from banksim.dataset.stream import Entry
from banksim.domain import BankStatus, Merchant, Place, Truth

Key = TypeVar("Key")

#: Texts kept per cache; a full cache starts anew.
MAX_KEPT = 50_000
_NO_MERCHANT = ",,,"


class TransactionLines:
    """Turns entries, in order of time, into lines of `columns.TRANSACTIONS`."""

    def __init__(self, currency: str) -> None:
        self._currency = currency
        self._money = Money(currency)
        self._times = Times()
        self._merchants: dict[str, str] = {}
        self._places: dict[Place, str] = {}
        self._texts: dict[str, str] = {}
        self._genuine: dict[str, str] = {}

    def line(self, entry: Entry) -> str:
        """The entry as a line with its newline."""
        planned, outcome, before = entry
        tx, truth = planned.transaction, planned.truth
        account, other, merchant = tx.account, tx.counterparty, tx.merchant
        money = self._money.text
        status = "posted" if outcome.bank.status is BankStatus.POSTED else "refused"
        payee = "" if other is None else f"A{other.customer_index:08d}{other.slot}"
        shop = _NO_MERCHANT if merchant is None else self._merchant(merchant)
        place = self._places.get(tx.place) or self._place(tx.place)
        text = self._texts.get(tx.description) or self._text(tx.description)
        truth_text = self._truth(truth) if truth.typology else self._genuine_truth(truth)
        return (
            f"{tx.transaction_id},{self._times.text(tx.timestamp_s)},{tx.kind.value},{tx.channel.value},"
            f"{money(tx.amount_cents)},{self._currency},{status},"
            f"C{account.customer_index:08d},A{account.customer_index:08d}{account.slot},{money(before)},"
            f"{payee},{shop},{tx.device_id},{place},{text},{truth_text}\n"
        )

    def _merchant(self, merchant: Merchant) -> str:
        kept = self._merchants.get(merchant.merchant_id)
        if kept is not None:
            return kept
        code, category = cell(merchant.category_code), cell(merchant.category)
        text = f"{cell(merchant.merchant_id)},{cell(merchant.name)},{code},{category}"
        return _keep(self._merchants, merchant.merchant_id, text)

    def _place(self, place: Place) -> str:
        text = f"{cell(place.city)},{cell(place.country)},{place.latitude:.4f},{place.longitude:.4f}"
        return _keep(self._places, place, text)

    def _text(self, text: str) -> str:
        return _keep(self._texts, text, cell(text))

    def _genuine_truth(self, truth: Truth) -> str:
        kept = self._genuine.get(truth.persona)
        return kept if kept is not None else _keep(self._genuine, truth.persona, self._truth(truth))

    def _truth(self, truth: Truth) -> str:
        words = (truth.typology, truth.campaign_id, truth.role)
        flag = "1" if truth.is_fraud else "0"
        return ",".join((cell(truth.persona), truth.label.value, flag, *map(cell, words)))


def _keep(cache: dict[Key, str], key: Key, text: str) -> str:
    if len(cache) >= MAX_KEPT:
        cache.clear()
    cache[key] = text
    return text
