"""Customers, their KYC, and the accounts' papers (product, name, number).

What the ledger does not need to know lives here, in the same database.  The real bank enforces
neither unique emails nor unique account numbers, nor that a customer exists when an account is
opened; so neither does this.

Not kept: date of birth, address and documents, since the real bank never returns them.
"""

from __future__ import annotations

from dataclasses import dataclass

from banksim.sandbox.bank.database import Database

#: Columns a customer may change afterwards.
_CHANGEABLE = ("first_name", "last_name", "email", "phone")


@dataclass(frozen=True, slots=True)
class BankCustomer:
    customer_id: str
    first_name: str
    last_name: str
    email: str
    phone: str | None
    kyc_status: str
    kyc_tier: str
    created_at_s: float


@dataclass(frozen=True, slots=True)
class AccountPapers:
    account_id: str
    customer_id: str
    account_number: str
    product_type: str
    currency: str
    name: str
    created_at_s: float


class Registry:
    """Who is a customer here, and what accounts they hold.  Not thread-safe."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add_customer(self, customer: BankCustomer) -> None:
        self._db.rows(
            "INSERT INTO customers VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                customer.customer_id,
                customer.first_name,
                customer.last_name,
                customer.email,
                customer.phone,
                customer.kyc_status,
                customer.kyc_tier,
                customer.created_at_s,
            ),
        )

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
        self._db.rows(
            "INSERT INTO account_papers VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                papers.account_id,
                papers.customer_id,
                papers.account_number,
                papers.product_type,
                papers.currency,
                papers.name,
                papers.created_at_s,
            ),
        )

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
        """(the account exists, its owner's KYC tier or None when the owner is no customer)."""
        row = self._db.one(
            "SELECT c.kyc_tier FROM account_papers a LEFT JOIN customers c ON c.customer_id = a.customer_id"
            " WHERE a.account_id = ?",
            (account_id,),
        )
        return (False, None) if row is None else (True, row[0])
