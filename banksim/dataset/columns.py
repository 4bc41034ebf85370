"""Every column of the three files of a data set: name, type, unit and meaning, in order.

This is the one place that says what is in the files; the headers, the types of Parquet
files, the tables of the data card and the docs are made from it.

Types: text, money (decimal text in the file's currency), time (UTC, milliseconds), date,
integer, real.  An empty cell means "there is none".
"""

from __future__ import annotations

from typing import NamedTuple


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
    Column("status", "text", "", "posted, or refused for lack of funds (no money moved)"),
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
    Column("label", "text", "", "truth: genuine, fraud, or decoy (honest, but looks like fraud)"),
    Column("is_fraud", "integer", "", "truth: 1 for fraud, 0 for genuine and decoy"),
    Column("typology", "text", "", "truth: kind of fraud or decoy; empty for genuine"),
    Column("campaign_id", "text", "", "truth: the attack this row is a step of"),
    Column("role", "text", "", "truth: whose account acts in the attack (victim, mule, …)"),
)

#: The columns of `TRANSACTIONS` that only a simulator knows.
TRUTH_COLUMNS = ("persona", "label", "is_fraud", "typology", "campaign_id", "role")

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


def header(columns: tuple[Column, ...]) -> str:
    """The first line of a CSV file."""
    return ",".join(column.name for column in columns) + "\n"
