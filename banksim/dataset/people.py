"""The customers and their accounts as CSV lines, one customer at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from banksim.dataset.files import Money, Times, account_id, cell, customer_id
from banksim.run.plan import Parts
from banksim.world import Customer

#: For texts that come again: names, cities, personas.
_known_cell = lru_cache(maxsize=4096)(cell)
#: Customers made together.
_PAGE = 1000


class PeopleLines:
    """Lines of `columns.CUSTOMERS` and `columns.ACCOUNTS` for everybody in a world."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._money = Money(parts.world.currency)
        self._times = Times()

    def all(self) -> Iterator[tuple[str, str]]:
        """Per customer: the line of the customer, the lines of the accounts."""
        population, onboarding = self._parts.world.population, self._parts.onboarding
        existing = population.size if onboarding is None else onboarding.existing
        for start in range(0, existing, _PAGE):
            for customer in population.customers(start, min(start + _PAGE, existing)):
                yield self._customer(customer, "", True), self._accounts(customer)
        if onboarding is None:
            return
        for index in range(existing, population.size):
            joining = onboarding.joining(index)
            customer = onboarding.customer(index)
            joined_at = self._times.text(self._parts.world.timestamp_s(joining.sim_s))
            accounts = self._accounts(customer) if joining.approved else ""
            yield self._customer(customer, joined_at, joining.approved), accounts

    def _customer(self, customer: Customer, joined_at: str, approved: bool) -> str:
        address, home = customer.address, customer.home
        cells = (
            customer_id(customer.index),
            _known_cell(customer.first_name),
            _known_cell(customer.last_name),
            cell(customer.email),
            cell(customer.phone),
            customer.date_of_birth.isoformat(),
            cell(address.line1),
            _known_cell(address.city),
            _known_cell(address.state),
            cell(address.postal_code),
            _known_cell(address.country),
            f"{home.latitude:.4f}",
            f"{home.longitude:.4f}",
            customer.kyc_tier,
            joined_at,
            "1" if approved else "0",
            _known_cell(customer.persona),
            self._money.text(customer.income_cents),
        )
        return ",".join(cells) + "\n"

    def _accounts(self, customer: Customer) -> str:
        currency, owner = self._parts.world.currency, customer_id(customer.index)
        return "".join(
            f"{account_id(customer.index, slot)},{owner},{spec.product},{currency},"
            f"{self._money.text(spec.opening_balance_cents)}\n"
            for slot, spec in enumerate(customer.accounts)
        )
