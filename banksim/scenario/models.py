"""The scenario: one YAML file, everything a run needs.

Attribute names are the file's keys.  A loaded scenario is never changed; what the
command line or the environment overrides is merged in before the check.  What the
blocks must mean together is checked in `consistency`.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, PrivateAttr, ValidationInfo, WithJsonSchema, model_validator

from banksim.scenario.connections import Connections
from banksim.scenario.consistency import inconsistencies
from banksim.scenario.dashboard import Dashboard, Metrics
from banksim.scenario.detector import DetectorUse
from banksim.scenario.faults import Fault
from banksim.scenario.fields import Balance, Block, Expected, Label, Number
from banksim.scenario.fraud import FraudSettings
from banksim.scenario.invariant import Invariant
from banksim.scenario.load import Load
from banksim.scenario.onboarding import Onboarding
from banksim.scenario.pattern_types import KNOWN_PATTERN_TYPES
from banksim.scenario.rates import TransactionRate

SECONDS_PER_HOUR = 3600.0
SHORT_HASH_LENGTH = 12

#: A Monday, so that clock hours and weekdays mean what a scenario says.
DEFAULT_START = datetime(2026, 1, 5)

#: Key of the validation context under which a loader says that it checks consistency itself.
CHECKED_BY_LOADER = "checked_by_loader"


def _without_zone(moment: datetime) -> datetime:
    """Simulated time has no zone; UTC is taken as written, any other zone refused."""
    offset = moment.utcoffset()
    if offset:
        raise ValueError("a time zone")
    return moment.replace(tzinfo=None)


StartMoment = Annotated[
    datetime,
    AfterValidator(_without_zone),
    WithJsonSchema({"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?Z?)?$"}),
    Expected("a date and time without time zone, such as 2026-01-05 00:00:00"),
]
Locale = Annotated[str, Field(pattern=r"^[a-z]{2,3}_[A-Z]{2}$"), Expected("a locale such as en_US")]


class Scenario(Block):
    """Everything a run needs, checked."""

    _source_path: Path | None = PrivateAttr(default=None)

    name: Label = Field(description="Title in the dashboard, the logs and the report.")
    description: str = Field(default="", description="What this scenario simulates.")
    duration_hours: Annotated[float, Number(above=0, high=8784)] = Field(
        description="Length of the run in simulated hours; it takes this × 3600 ÷ speed wall-clock seconds."
    )
    speed_multiplier: Annotated[float, Number(0.1, 10_000)] = Field(
        default=100.0, description="Simulated seconds per wall-clock second."
    )
    customers: Annotated[int, Number(1, 10_000_000)] = Field(
        default=500, description="Number of customers of the bank."
    )
    accounts_per_customer: Annotated[int, Number(1, 5)] = Field(
        default=1, description="Bank accounts of each customer."
    )
    initial_balance: Balance = Field(
        default=Decimal("5000.00"), description="Typical opening balance of an account, in currency units."
    )
    currency: Literal["USD", "EUR", "GBP", "JPY", "CAD", "CHF"] = Field(
        default="USD", description="Currency of every account and amount."
    )
    seed: Annotated[int, Number(0, 2**63 - 1)] | None = Field(
        default=None, description="Seed of every random decision; none: a new one for each run, reported."
    )
    start_at: StartMoment = Field(
        default=DEFAULT_START, description="Simulated moment at which the run starts."
    )
    locale: Locale = Field(default="en_US", description="Where names and addresses come from.")
    flow: Literal["post_then_score", "score_then_post"] = Field(
        default="post_then_score",
        description="Order of the calls: book, then score; or score, then book what is not blocked.",
    )
    arrivals: Literal["poisson", "even"] = Field(
        default="poisson", description="Whether transactions arrive at random or evenly spaced."
    )
    max_users: Annotated[int, Number(1, 100_000)] = Field(
        default=200, description="Most transactions that are under way at once."
    )
    warm_up_hours: Annotated[float, Number(0, 8784)] = Field(
        default=0.0, description="Simulated hours at the start that count in no result."
    )
    plugins: tuple[str, ...] = Field(
        default=(),
        description="Python files that add kinds of fraud and payments; paths relative to the scenario file.",
    )
    transaction_rate: TransactionRate = Field(description="Transactions per second over day, week and year.")
    fraud: FraudSettings = Field(
        default_factory=FraudSettings, description="How much fraud, when and of which kinds."
    )
    connections: Connections = Field(
        default_factory=Connections, description="Where the systems under test are."
    )
    dashboard: Dashboard = Field(default_factory=Dashboard, description="The web pages.")
    metrics: Metrics = Field(default_factory=Metrics, description="The collector of measurements.")
    load: Load | None = Field(
        default=None, description="A search for the highest rate; none: the rate of `transaction_rate`."
    )
    onboarding: Onboarding | None = Field(
        default=None, description="How customers join during the run; none: all were there before it."
    )
    detector: DetectorUse = Field(default_factory=DetectorUse, description="How the fraud detector is used.")
    invariant: Invariant = Field(
        default_factory=Invariant, description="Balances read back while the run goes on."
    )
    faults: tuple[Fault, ...] = Field(
        default=(),
        description="Outages to rehearse, made in the stand-ins; with --sandbox or --dry-run only.",
    )
    thresholds: tuple[str, ...] = Field(
        default=(),
        description="Conditions a run must meet, such as `recall >= 90%`; one that fails fails the run.",
    )
    personas: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Changes to the kinds of customers, by name."
    )

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> Self:
        """Refuse a scenario built in code whose blocks contradict each other."""
        context = info.context or {}
        if not context.get(CHECKED_BY_LOADER):
            problems = inconsistencies(self.model_dump(), context.get("pattern_types", KNOWN_PATTERN_TYPES))
            if problems:
                raise ValueError("; ".join(f"{problem.where}: {problem.text}" for problem in problems))
        return self

    @property
    def duration_s(self) -> float:
        """Length of the run in simulated seconds."""
        return self.duration_hours * SECONDS_PER_HOUR

    def wall_length_s(self, speed: float | None = None) -> float:
        """Length of the run in wall-clock seconds, at ``speed`` (default: the scenario's own)."""
        return self.duration_s / (speed or self.speed_multiplier)

    @property
    def source_path(self) -> Path | None:
        """The file it was read from; None when it was built in code."""
        return self._source_path

    @property
    def hash(self) -> str:
        """SHA-256 (64 hex digits) of the content: equal scenarios have equal hashes, whatever the file."""
        content = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()

    @property
    def short_hash(self) -> str:
        """The first 12 hex digits of `hash`, for displays."""
        return self.hash[:SHORT_HASH_LENGTH]

    def with_source(self, path: Path | None) -> Self:
        """The same scenario, remembering the file it came from."""
        copy = self.model_copy()
        copy._source_path = path
        return copy
