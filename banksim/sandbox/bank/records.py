"""Customers, their KYC, and the accounts' papers (product, name, number).

The data that the ledger does not need lives here, in the same database.  The real bank enforces
neither unique emails nor unique account numbers, nor that a customer exists when an account is
opened; so neither does this.

Not kept: date of birth, address and documents, since the real bank never returns them.
"""

from __future__ import annotations

from typing import NamedTuple

from banksim.sandbox.bank.database import Database

#: Columns a customer may change afterwards.
_CHANGEABLE = ("first_name", "last_name", "email", "phone")


class BankCustomer(NamedTuple):
    """A row of ``customers``."""

    customer_id: str
    first_name: str
    last_name: str
    email: str
    phone: str | None
    kyc_status: str
    kyc_tier: str
    created_at_s: float


class AccountPapers(NamedTuple):
    """A row of ``account_papers``."""

    account_id: str
    customer_id: str
    account_number: str
    product_type: str
    currency: str
    name: str
    created_at_s: float


class Registry:
    """The bank's customers and the papers of their accounts.  Not thread-safe."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add_customer(self, customer: BankCustomer) -> None:
        self._db.rows("INSERT INTO customers VALUES (?, ?, ?, ?, ?, ?, ?, ?)", customer)

    def customer(self, customer_id: str) -> BankCustomer | None:
        row = self._db.one("SELECT * FROM customers WHERE customer_id = ?", (customer_id,))
        return BankCustomer(*row) if row else None

    def change_customer(self, customer_id: str, changes: dict[str, str]) -> None:
        for column in _CHANGEABLE:
            if column in changes:
                self._db.rows(
                    f"UPDATE customers SET {column} = ? WHERE customer_id = ?", (changes[column], customer_id)
                )

    def set_kyc(self, customer_id: str, status: str, tier: str) -> None:
        self._db.rows(
            "UPDATE customers SET kyc_status = ?, kyc_tier = ? WHERE customer_id = ?",
            (status, tier, customer_id),
        )

    def add_account(self, papers: AccountPapers) -> None:
        self._db.rows("INSERT INTO account_papers VALUES (?, ?, ?, ?, ?, ?, ?)", papers)

    def account(self, account_id: str) -> AccountPapers | None:
        row = self._db.one("SELECT * FROM account_papers WHERE account_id = ?", (account_id,))
        return AccountPapers(*row) if row else None

    def accounts_of(self, customer_id: str) -> list[AccountPapers]:
        rows = self._db.rows(
            "SELECT * FROM account_papers WHERE customer_id = ? ORDER BY created_at_s, account_id",
            (customer_id,),
        )
        return [AccountPapers(*row) for row in rows]

    def owner_tier(self, account_id: str) -> tuple[bool, str | None]:
        """(the account exists, its owner's KYC tier, None when the owner is not a customer)."""
        row = self._db.one(
            "SELECT c.kyc_tier FROM account_papers a LEFT JOIN customers c ON c.customer_id = a.customer_id"
            " WHERE a.account_id = ?",
            (account_id,),
        )
        return (False, None) if row is None else (True, row[0])
