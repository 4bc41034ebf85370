"""The world of one run: its population, merchants and places.

Immutable and fully determined by scenario and seed; every process builds its own equal copy.
The clock of this world is UTC: hour 9 of the run's day is 9 o'clock for every customer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Protocol

from banksim.model.money import to_cents
from banksim.world.merchants import MerchantDirectory
from banksim.world.persona import Persona, load_personas
from banksim.world.places import Places, country_of_locale
from banksim.world.population import Population

HOUR_S = 3600
DAY_S = 86_400


class WorldScenario(Protocol):
    """The part of a scenario that the world reads."""

    @property
    def customers(self) -> int: ...
    @property
    def accounts_per_customer(self) -> int: ...
    @property
    def initial_balance(self) -> Decimal: ...
    @property
    def currency(self) -> str: ...
    @property
    def start_at(self) -> datetime: ...
    @property
    def locale(self) -> str: ...
    @property
    def personas(self) -> Mapping[str, object]: ...


@dataclass(frozen=True, slots=True)
class World:
    """``start_epoch_s`` is simulated second 0 in unix seconds (UTC)."""

    seed: int
    population: Population
    merchants: MerchantDirectory
    places: Places
    personas: Mapping[str, Persona]
    start_epoch_s: float
    currency: str

    @classmethod
    def from_scenario(cls, scenario: WorldScenario, seed: int) -> World:
        """The world of ``scenario`` under ``seed``.  A start time without a zone is UTC.

        Raises ScenarioError when the personas or the locale are wrong.
        """
        personas = load_personas(scenario.personas)
        places = Places(country_of_locale(scenario.locale))
        start_at = scenario.start_at
        start_at = start_at.replace(tzinfo=UTC) if start_at.tzinfo is None else start_at.astimezone(UTC)
        population = Population(
            seed,
            scenario.customers,
            personas,
            currency=scenario.currency,
            accounts_per_customer=scenario.accounts_per_customer,
            initial_balance_cents=to_cents(float(scenario.initial_balance), scenario.currency),
            locale=scenario.locale,
            places=places,
            start=start_at.date(),
        )
        return cls(
            seed=seed,
            population=population,
            merchants=MerchantDirectory(seed, places),
            places=places,
            personas=personas,
            start_epoch_s=start_at.timestamp(),
            currency=scenario.currency,
        )

    def timestamp_s(self, sim_s: float) -> float:
        """Unix seconds of a simulated moment."""
        return self.start_epoch_s + sim_s

    def hour(self, sim_s: float) -> int:
        """Clock hour 0..23 of a simulated moment."""
        return int(self.timestamp_s(sim_s) // HOUR_S) % 24

    def weekday(self, sim_s: float) -> int:
        """Weekday of a simulated moment, Monday is 0 (the epoch was a Thursday)."""
        return (int(self.timestamp_s(sim_s) // DAY_S) + 3) % 7

    def hour_of_week(self, sim_s: float) -> int:
        """Hours since Monday 00:00, 0..167."""
        # The epoch was a Thursday, three days after a Monday.
        return int(self.timestamp_s(sim_s) // HOUR_S + 72) % 168
