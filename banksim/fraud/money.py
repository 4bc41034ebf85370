"""Amounts: a victim's usual spending, the bank's limit per payment, the balance left to take.

Prices, cash and transfers are rounded by the same `Pricing` that makes genuine amounts, so
no ending gives a fraud away.  The bank caps a single payment by the payer's KYC tier, so
every amount passes through `capped`.

Balances are *estimates*: the opening balance plus the approved movements of this campaign.  The
customer's genuine transactions continue meanwhile, so a payment may still be refused for lack of
funds; a typology learns that from the outcome, as a thief does.
"""

from __future__ import annotations

import math
import random

from banksim.activity.prices import ROUND_TRANSFERS, Pricing
from banksim.model import CREDIT_KINDS, Outcome, Transaction
from banksim.model.money import to_cents, to_units
from banksim.world import Customer, World, unit_scale

#: Accounts whose movements one campaign remembers; a larger one forgets the oldest.
MAX_REMEMBERED = 10_000
#: The most one visit to a cash machine gives, in dollar-like units (judgement).
MACHINE_MOST_UNITS = 800


class Wallet:
    """Amounts in integer cents of the world's currency."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self._world = world
        self._rng = rng
        self._pricing = Pricing(world.currency)
        self._moved: dict[int, int] = {}

    def cents(self, units: float) -> int:
        """Cents of an amount a scenario gives in currency units; at least one."""
        return max(1, to_cents(units, self._world.currency))

    def scaled_cents(self, dollar_units: float) -> int:
        """Cents of an amount this package gives in dollar-like units."""
        return self.cents(dollar_units * unit_scale(self._world.currency))

    @property
    def machine_most(self) -> int:
        """The most a cash machine gives at once."""
        return self.scaled_cents(MACHINE_MOST_UNITS)

    def limit(self, customer: Customer) -> int:
        """The most one payment of ``customer`` may be."""
        return self._pricing.limit_cents(customer)

    def capped(self, customer: Customer, amount_cents: float) -> int:
        """``amount_cents`` as the bank accepts it: positive, and below the customer's limit.

        A larger amount is moved below the limit at random, so that equal amounts do not pile up there.
        """
        return self._pricing.within_limit(max(1, round(amount_cents)), customer, self._rng)

    def usual(self, customer: Customer, key: str) -> int:
        """An amount as ``customer`` might pay it; ``key`` is a category word or a kind."""
        persona = self._world.personas[customer.persona]
        return self._pricing.cents(self._pricing.drawn(persona, key, self._rng, self._level(customer)))

    def _level(self, customer: Customer) -> float:
        return self._world.population.people.price_level(customer.index)

    def median(self, customer: Customer, key: str) -> int:
        """The customer's middle amount for ``key``."""
        persona = self._world.personas[customer.persona]
        model = persona.amounts.get(key) or persona.amounts["online_retail"]
        return self.scaled_cents(model.median_units * self._level(customer))

    def price(self, amount_cents: float) -> int:
        """``amount_cents`` as a price tag."""
        units = to_units(max(1, round(amount_cents)), self._world.currency)
        return self._pricing.price(units, self._rng)

    def notes(self, amount_cents: float) -> int:
        """The nearest amount a cash machine hands out, at least one note."""
        return self._pricing.whole_notes(max(1, round(amount_cents)))

    def written(self, amount_cents: float) -> int:
        """A transfer as people write one: mostly a round sum, here the next below."""
        cents, pricing = max(1, round(amount_cents)), self._pricing
        step = pricing.step_cents(5 if cents < pricing.step_cents(100) else 10)
        return cents if cents < step or self._rng.random() >= ROUND_TRANSFERS else cents - cents % step

    def counted(self, amount_cents: float) -> int:
        """The nearest amount of cash that people pay in: whole tens."""
        return self._pricing.rounded(max(1, round(amount_cents)), 10)

    def balance(self, customer: Customer) -> int:
        """The fraudster's estimate of the main account's balance, in cents."""
        return customer.accounts[0].opening_balance_cents + self._moved.get(customer.index, 0)

    def note(self, transaction: Transaction, outcome: Outcome) -> None:
        """Record the money moved by an approved transaction."""
        if not outcome.approved:
            return
        sign = 1 if transaction.kind in CREDIT_KINDS else -1
        self._move(transaction.account.customer_index, sign * transaction.amount_cents)
        if transaction.counterparty is not None:
            self._move(transaction.counterparty.customer_index, transaction.amount_cents)

    def _move(self, index: int, cents: int) -> None:
        self._moved[index] = self._moved.pop(index, 0) + cents
        if len(self._moved) > MAX_REMEMBERED:
            self._moved.pop(next(iter(self._moved)))


def blended(fraud_cents: float, usual_cents: float, sophistication: float) -> float:
    """An amount between the fraudster's wish (at 0) and the victim's habit (at 1), on a log scale."""
    wish, habit = math.log(max(1.0, fraud_cents)), math.log(max(1.0, usual_cents))
    return math.exp(wish + sophistication * (habit - wish))


def random_parts(total_cents: int, parts: int, rng: random.Random) -> list[int]:
    """``total_cents`` cut into ``parts`` whole positive amounts that add up to it exactly.

    Each is between about a third and three times the others.
    """
    if parts <= 1 or total_cents < parts:
        return [total_cents]
    weights = [rng.uniform(0.5, 1.5) for _ in range(parts)]
    spare, total_weight = total_cents - parts, sum(weights)
    cuts = [1 + math.floor(spare * weight / total_weight) for weight in weights]
    cuts[-1] += total_cents - sum(cuts)
    return cuts
