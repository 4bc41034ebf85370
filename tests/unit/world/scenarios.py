"""The part of a scenario that world and activity read, without the loader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any


@dataclass(frozen=True)
class OnboardingSettings:
    kyc_approval_rate: float = 0.9
    first_transaction_delay_hours: tuple[float, float] = (1.0, 6.0)
    initial_deposit_range: tuple[float, float] = (100.0, 900.0)
    existing_share: float = 0.2


@dataclass(frozen=True)
class WorldSettings:
    customers: int = 200
    accounts_per_customer: int = 1
    initial_balance: Decimal = Decimal(5000)
    currency: str = "USD"
    start_at: datetime = datetime(2026, 1, 5)  # a Monday
    locale: str = "en_US"
    personas: Mapping[str, Any] = field(default_factory=dict)
    onboarding: OnboardingSettings | None = None
    closed_days: frozenset[int] = frozenset()
