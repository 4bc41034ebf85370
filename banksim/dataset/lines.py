"""Rows as CSV lines: the one form that rows take; Parquet files are made from it.

Parts of a line that come again (a shop, a place, a genuine truth) are kept as ready text, in
caches of a fixed size.
"""

from __future__ import annotations

from typing import TypeVar

from banksim.dataset.csv_text import FRACTION, Money, Times, cell
from banksim.dataset.stream import Entry
from banksim.domain import BankStatus, Merchant, Place, Truth
from banksim.domain.money import minor_digits

Key = TypeVar("Key")

#: Texts kept per cache; a full cache starts anew.
MAX_KEPT = 50_000
_NO_MERCHANT = ",,,"
_POSTED = BankStatus.POSTED


class TransactionLines:
    """Turns entries, in order of time, into lines of `columns.TRANSACTIONS`."""

    def __init__(self, currency: str) -> None:
        self._currency = currency
        self._money = Money(currency)
        self._cents = minor_digits(currency) == 2
        self._times = Times()
        self._merchants: dict[str, str] = {}
        # By identity, which is quicker than by value; an entry holds its place, so no other takes its id.
        self._places: dict[int, tuple[Place, str]] = {}
        self._texts: dict[str, str] = {}
        self._genuine: dict[str, str] = {}

    def line(self, entry: Entry) -> str:
        """The entry as a line with its newline."""
        planned, outcome, before = entry
        tx, truth = planned.transaction, planned.truth
        account, other, merchant = tx.account, tx.counterparty, tx.merchant
        index, slot, amount = account.customer_index, account.slot, tx.amount_cents
        if self._cents:
            money = f"{amount // 100}{FRACTION[amount % 100]}"
            had = f"{before // 100}{FRACTION[before % 100]}" if before >= 0 else self._money.text(before)
        else:
            money, had = str(amount), str(before)
        status = "posted" if outcome.bank.status is _POSTED else "refused"
        payee = "" if other is None else f"A{other.customer_index:08d}{other.slot}"
        shop = _NO_MERCHANT if merchant is None else self._merchant(merchant)
        kept = self._places.get(id(tx.place))
        place = kept[1] if kept is not None else self._place(tx.place)
        text = self._texts.get(tx.description) or self._text(tx.description)
        truth_text = self._truth(truth) if truth.typology else self._genuine_truth(truth)
        who = f"C{index:08d},A{index:08d}{slot}"
        moment = self._times.text(tx.timestamp_s)
        # A kind and a channel are text themselves, so a join is quicker than asking for their values.
        return ",".join(
            (
                tx.transaction_id,
                moment,
                tx.kind,
                tx.channel,
                money,
                self._currency,
                status,
                who,
                had,
                payee,
                shop,
                tx.device_id,
                place,
                text,
                truth_text,
            )
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
        if len(self._places) >= MAX_KEPT:
            self._places.clear()
        self._places[id(place)] = (place, text)
        return text

    def _text(self, text: str) -> str:
        return _keep(self._texts, text, cell(text))

    def _genuine_truth(self, truth: Truth) -> str:
        kept = self._genuine.get(truth.persona)
        return kept if kept is not None else _keep(self._genuine, truth.persona, self._truth(truth))

    def _truth(self, truth: Truth) -> str:
        words = (truth.typology, truth.campaign_id, truth.role)
        flag = "1" if truth.is_fraud else "0"
        return ",".join((cell(truth.persona), truth.label.value, flag, *map(cell, words))) + "\n"


def _keep(cache: dict[Key, str], key: Key, text: str) -> str:
    if len(cache) >= MAX_KEPT:
        cache.clear()
    cache[key] = text
    return text
