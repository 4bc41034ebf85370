"""One member of the population, as the bank would know them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from banksim.domain import Place


@dataclass(frozen=True, slots=True)
class Address:
    """A postal address; ``country`` has two capital letters."""

    line1: str
    city: str
    state: str
    postal_code: str
    country: str


@dataclass(frozen=True, slots=True)
class AccountSpec:
    """An account to open: its product ("checking" or "savings") and first balance."""

    product: str
    opening_balance_cents: int


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer; a pure function of the population's seed and ``index``.

    ``email`` is ASCII and unique in the population.  ``devices`` are opaque ids, the
    main one first.  ``accounts`` are by slot: 0 is the checking account.
    ``income_cents`` is a month's.
    """

    index: int
    persona: str
    first_name: str
    last_name: str
    email: str
    phone: str
    date_of_birth: date
    address: Address
    home: Place
    devices: tuple[str, ...]
    kyc_tier: str
    income_cents: int
    accounts: tuple[AccountSpec, ...]

    @property
    def display_name(self) -> str:
        return f"{self.first_name} {self.last_name}"
