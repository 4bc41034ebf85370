"""What is in the files of a data set: the columns, and rows as CSV lines.

A Parquet file and JSON lines are made from the CSV lines, with the types of the columns; so the forms
cannot differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar

from banksim.dataset.stream import Entry
from banksim.model import BankStatus, Merchant, Place, Truth
from banksim.model.money import minor_digits

# -- Cells of CSV files: safe in spreadsheets, and cheap by the million -----------------------------
#
# A spreadsheet runs a cell that begins with = + - @ as a formula, so texts that begin so get
# an apostrophe in front; numbers are ours and never do.


#: What a formula begins with.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
_QUOTED = frozenset(',"\n\r')
_HOUR_MS = 3_600_000
_MINUTE_SECOND = tuple(f"{second // 60:02d}:{second % 60:02d}." for second in range(3600))
_MILLISECOND = tuple(f"{ms:03d}Z" for ms in range(1000))
#: Cents as they follow the whole units.
FRACTION = tuple(f".{cents:02d}" for cents in range(100))


def cell(text: str) -> str:
    """``text`` as one cell: guarded against formulas, quoted where it must be."""
    if text.startswith(FORMULA):
        text = "'" + text
    if not _QUOTED.isdisjoint(text):
        return '"' + text.replace('"', '""') + '"'
    return text


class Money:
    """Cents as decimal text in one currency."""

    def __init__(self, currency: str) -> None:
        self._whole = minor_digits(currency) == 0

    def text(self, cents: int) -> str:
        """``Money("USD").text(1250) == "12.50"``."""
        if self._whole:
            return str(cents)
        if cents < 0:
            return "-" + self.text(-cents)
        return f"{cents // 100}{FRACTION[cents % 100]}"


class Times:
    """Unix seconds as ISO 8601 text in UTC; fast for moments that rise."""

    def __init__(self) -> None:
        self._hour = -1
        self._prefix = ""

    def text(self, timestamp_s: float) -> str:
        """``"2026-01-05T09:30:12.250Z"``; milliseconds are cut, not rounded."""
        hour, rest_ms = divmod(int(timestamp_s * 1000), _HOUR_MS)
        if hour != self._hour:
            self._hour = hour
            self._prefix = f"{datetime.fromtimestamp(hour * 3600, UTC):%Y-%m-%dT%H:}"
        return self._prefix + _MINUTE_SECOND[rest_ms // 1000] + _MILLISECOND[rest_ms % 1000]


def customer_id(index: int) -> str:
    return f"C{index:08d}"


def account_id(index: int, slot: int) -> str:
    return f"A{index:08d}{slot}"


# -- Rows as CSV lines: the one form that rows take; Parquet files are made from it -----------------
#
# Parts of a line that come again (a shop, a place, a genuine truth) are kept as ready text, in
# caches of a fixed size.


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
                outcome.bank.detail,
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
        words = (truth.typology, truth.campaign_id, truth.role, truth.stage)
        flag = "1" if truth.is_fraud else "0"
        return ",".join((cell(truth.persona), truth.label.value, flag, *map(cell, words))) + "\n"


def _keep(cache: dict[Key, str], key: Key, text: str) -> str:
    if len(cache) >= MAX_KEPT:
        cache.clear()
    cache[key] = text
    return text


# -- Every column of the three files of a data set: name, type, unit and meaning, in order ----------
#
# This is the one place that says what is in the files; the headers, the types of Parquet
# files, the tables of the data card and the docs are made from it.
#
# Types: text, money (decimal text in the file's currency), time (UTC, milliseconds), date,
# integer, real.  An empty cell means "there is none".


class Column(NamedTuple):
    """One column.  ``unit`` is empty where a value has none."""

    name: str
    type: str
    unit: str
    meaning: str


#: Columns that a detector may look at, then the truth, which it must not.
TRANSACTIONS: tuple[Column, ...] = (
    Column("transaction_id", "text", "", "opaque id, unique in the file"),
    Column("timestamp", "time", "UTC", "simulated moment; rows are in this order"),
    Column("kind", "text", "", "purchase, withdrawal, deposit, salary, transfer or bill_payment"),
    Column("channel", "text", "", "pos, atm, branch, online, web, mobile, wire or ach"),
    Column("amount", "money", "currency", "always positive; kind says which way it goes"),
    Column("currency", "text", "ISO 4217", "the same in every row"),
    Column("status", "text", "", "posted, or refused (no money moved)"),
    Column("decline_reason", "text", "", "insufficient funds, over the limit, wrong PIN or expired card"),
    Column("customer_id", "text", "", "payer; for deposit and salary the receiver"),
    Column("account_id", "text", "", "that customer's account"),
    Column("balance_before", "money", "currency", "of that account, just before this row"),
    Column("counterparty_account_id", "text", "", "receiving account of a transfer"),
    Column("merchant_id", "text", "", "shop or biller"),
    Column("merchant_name", "text", "", "its name"),
    Column("merchant_category_code", "text", "ISO 18245", "four digits"),
    Column("merchant_category", "text", "", "the same in a word"),
    Column("device_id", "text", "", "device the customer was identified with"),
    Column("city", "text", "", "where it happened"),
    Column("country", "text", "ISO 3166", "two letters"),
    Column("latitude", "real", "degrees", "of the place, four decimals"),
    Column("longitude", "real", "degrees", "of the place, four decimals"),
    Column("description", "text", "", "text on the statement"),
    Column("persona", "text", "", "truth: kind of customer"),
    Column("label", "text", "", "truth: genuine, fraud, or decoy (genuine, but looks like fraud)"),
    Column("is_fraud", "integer", "", "truth: 1 for fraud, 0 for genuine and decoy"),
    Column("typology", "text", "", "truth: kind of fraud or decoy; empty for genuine"),
    Column("campaign_id", "text", "", "truth: the attack this row is a step of"),
    Column("role", "text", "", "truth: whose account acts in the attack (victim, mule, …)"),
    Column("stage", "text", "", "truth: preparation, harm or laundering; empty when it is not fraud"),
)

#: The columns of `TRANSACTIONS` that only a simulator knows.
TRUTH_COLUMNS = ("persona", "label", "is_fraud", "typology", "campaign_id", "role", "stage")

CUSTOMERS: tuple[Column, ...] = (
    Column("customer_id", "text", "", "key"),
    Column("first_name", "text", "", "invented"),
    Column("last_name", "text", "", "invented"),
    Column("email", "text", "", "ASCII, at a reserved domain; unique"),
    Column("phone", "text", "", "in the country's form"),
    Column("date_of_birth", "date", "", ""),
    Column("address", "text", "", "street and number"),
    Column("city", "text", "", "home"),
    Column("state", "text", "", "region"),
    Column("postal_code", "text", "", ""),
    Column("country", "text", "ISO 3166", "two letters"),
    Column("latitude", "real", "degrees", "of the home"),
    Column("longitude", "real", "degrees", "of the home"),
    Column("kyc_tier", "text", "", "tier_1 to tier_3: one payment is at most 1,000, 10,000, 100,000"),
    Column("joined_at", "time", "UTC", "empty for those who were there before the first row"),
    Column("kyc_approved", "integer", "", "0 for applicants who were turned away"),
    Column("persona", "text", "", "truth: kind of customer"),
    Column("monthly_income", "money", "currency", "truth"),
)

ACCOUNTS: tuple[Column, ...] = (
    Column("account_id", "text", "", "key"),
    Column("customer_id", "text", "", "holder"),
    Column("product", "text", "", "checking or savings"),
    Column("currency", "text", "ISO 4217", ""),
    Column("opening_balance", "money", "currency", "before the first row; 0 for those who join later"),
)


def header(columns: Sequence[Column]) -> str:
    """The first line of a CSV file."""
    return ",".join(column.name for column in columns) + "\n"
