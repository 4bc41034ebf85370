"""`fraud`: how much of it, when, and of which kinds.

`rate` is a share of all transactions and `weight` divides it among the patterns; a
pattern with `count` makes exactly that many on top, because an attack is extra load.
Each typology in `banksim.fraud` reads its own parameters; the schema has all of them in
one `Pattern`, since a file may use any kind at any place.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from banksim.scenario.fields import (
    Amount,
    AmountList,
    AmountRange,
    Block,
    Count,
    Expected,
    HopRange,
    HourWindow,
    Label,
    Minutes,
    Number,
    Positive,
    PositiveMinutes,
    Share,
)

# -- Names of the kinds of fraud a scenario may ask for ---------------------------------------------
#
# Decoys are not among them: they are not fraud, and `fraud.decoy_rate` alone sets their number.
#
# The names are here because a scenario is checked before any fraud code is loaded.  A
# user's own file, named under `plugins:`, may add kinds; with plugins an unknown name is
# therefore checked when the plugins are loaded (`banksim.fraud.check_fraud`).


KNOWN_PATTERN_TYPES: tuple[str, ...] = (
    "card_testing",
    "account_takeover",
    "velocity_attack",
    "large_amount",
    "unusual_location",
    "online_fraud",
    "identity_theft",
    "synthetic_identity",
    "mule_network",
    "layering",
    "structuring",
    "smurfing",
    "app_scam",
    "purchase_scam",
    "impersonation_scam",
    "invoice_scam",
    "romance_scam",
    "investment_scam",
    "compromised_shop",
    "lost_or_stolen_card",
    "atm_cash_out",
    "refund_abuse",
    "merchant_bust_out",
    "fan_in",
    "fan_out",
    "cycle",
    "scatter_gather",
    "gather_scatter",
    "bipartite",
    "stack",
)

#: Other names for the same kinds, as scenario files use them.
PATTERN_ALIASES: dict[str, str] = {
    "small_probes": "card_testing",
    "money_laundering": "mule_network",
    "bust_out": "synthetic_identity",
    "push_payment_scam": "app_scam",
    "refund_fraud": "refund_abuse",
    "merchant_fraud": "merchant_bust_out",
}


def canonical_type(name: str) -> str:
    """The typology's own name: ``canonical_type("small_probes") == "card_testing"``."""
    return PATTERN_ALIASES.get(name, name)


PatternType = Annotated[
    Label, BeforeValidator(lambda value: canonical_type(value) if isinstance(value, str) else value)
]


class Pattern(Block):
    """One kind of fraud in this scenario, with its size, tempo and parameters."""

    type: PatternType = Field(description="Kind of fraud, such as `card_testing`.")
    name: Label | None = Field(
        default=None, description="Label of this pattern, for `follows` and `requires_successful`."
    )
    weight: Share = Field(
        default=1.0,
        description="Share of the fraud budget, relative to the other patterns; without effect with `count`.",
    )
    intensity: Annotated[float, Number(above=0, high=1000)] = Field(
        default=1.0, description="Factor on the tempo of a campaign and, without `count`, on its size."
    )
    count: Count | None = Field(
        default=None,
        description="Exactly this many transactions over the whole run, on top of the offered rate.",
    )
    duration_minutes: PositiveMinutes | None = Field(
        default=None, description="Longest duration of one campaign, in simulated minutes."
    )
    follows: Label | None = Field(
        default=None, description="Name or type of the pattern whose campaigns end before this one starts."
    )
    delay_minutes: Minutes = Field(
        default=0.0,
        description="Simulated minutes between the end of `follows` and the start of this pattern.",
    )
    requires_successful: Label | None = Field(
        default=None,
        description="Name or type of the pattern on whose successful targets alone this one acts.",
    )
    sophistication: Share | None = Field(
        default=None, description="As `fraud.sophistication`, for this pattern alone."
    )
    amount_range: AmountRange | None = Field(
        default=None, description="Smallest and largest amount of a transaction, in currency units."
    )
    amounts: AmountList | None = Field(
        default=None,
        description="Amounts in currency units: two in ascending order are a range, any other number of "
        "them a choice.",
    )
    target_balance_pct: Share | None = Field(
        default=None, description="Account takeover: share of the available balance that is taken."
    )
    transaction_burst: Count | None = Field(
        default=None, description="Velocity attack: transactions in one burst."
    )
    time_window_seconds: Positive | None = Field(
        default=None, description="Velocity attack: simulated seconds one burst takes."
    )
    amount_multiplier: Annotated[float, Number(above=0, high=100_000)] | None = Field(
        default=None, description="Large amount: factor on the customer's usual amounts."
    )
    suspicious_threshold: Amount | None = Field(
        default=None, description="Large amount: smallest amount, in currency units."
    )
    location_jump_km: Annotated[float, Number(above=0, high=20_040)] | None = Field(
        default=None, description="Unusual location: smallest distance from the customer's usual places."
    )
    time_window_hours: Positive | None = Field(
        default=None,
        description="Unusual location: simulated hours between the usual place and the unusual one.",
    )
    mule_accounts: Annotated[int, Number(1, 100_000)] | None = Field(
        default=None, description="Mule network, layering, smurfing: accounts the money passes through."
    )
    hops: HopRange | None = Field(
        default=None,
        description="Mule network, layering: transfers from first account to last, one number or "
        "[least, most].",
    )
    threshold: Amount | None = Field(
        default=None,
        description="Structuring, smurfing: the reporting threshold to stay under, in currency units.",
    )
    split_amounts: (
        Annotated[bool | AmountList, Expected("true, false or a list of amounts above 0")] | None
    ) = Field(
        default=None,
        description="Structuring: whether sums are split below the threshold, or the amounts they are "
        "split into.",
    )

    @property
    def label(self) -> str:
        """The pattern's label in displays: its name, else its type."""
        return self.name or self.type


class Phase(Block):
    """A named window of the run with patterns of its own."""

    name: Label = Field(description="Name of the phase.")
    start_hour: Annotated[float, Number(0, 8784)] = Field(
        description="Simulated hours from the start of the run to the start of the phase."
    )
    duration_hours: Annotated[float, Number(above=0, high=8784)] = Field(
        description="Length of the phase in simulated hours."
    )
    patterns: tuple[Pattern, ...] = Field(
        default=(), description="Patterns that act inside this window only."
    )


class FraudSettings(Block):
    """The fraud of a run."""

    rate: Annotated[float, Number(low=0, below=1)] = Field(
        default=0.001,
        description="Expected share of fraud in all transactions: inside `attack_window` if one is given, "
        "else over the whole run.",
    )
    baseline_rate: Annotated[float, Number(low=0, below=1)] | None = Field(
        default=None,
        description="Share of fraud outside `attack_window`, at most `rate`; 0.001 (or `rate`, if smaller) "
        "when not given.",
    )
    attack_window: HourWindow | None = Field(
        default=None, description="Clock hours [start, end) of concentrated attack; may run past midnight."
    )
    counts: Literal["planned", "poisson"] = Field(
        default="planned",
        description="How many campaigns `rate` makes: `planned` as many as it asks for in every run, "
        "`poisson` varying from seed to seed as in life, with that mean.",
    )
    decoy_rate: Annotated[float, Number(low=0, below=1)] = Field(
        default=0.002,
        description="Share of all transactions that are decoys: genuine behaviour that looks like fraud and "
        "counts as genuine. Part of the offered rate, as `rate` is; they get at most what fraud leaves.",
    )
    patterns: tuple[Pattern, ...] = Field(
        default=(), description="Kinds of fraud that share the rate, or come with a count of their own."
    )
    phases: tuple[Phase, ...] = Field(
        default=(), description="Windows counted from the start of the run, each with patterns of its own."
    )
    sophistication: Share = Field(
        default=0.3,
        description="How closely fraudsters imitate their victims in amounts, timing and counterparties: "
        "0 not at all, 1 as well as they can.",
    )

    @property
    def outside_rate(self) -> float:
        """The share outside `attack_window`: `baseline_rate`, or its default."""
        return min(0.001, self.rate) if self.baseline_rate is None else self.baseline_rate

    @property
    def all_patterns(self) -> tuple[Pattern, ...]:
        """Every pattern in file order: the scenario's own, then those of the phases."""
        return (*self.patterns, *(pattern for phase in self.phases for pattern in phase.patterns))

    def find_pattern(self, label: str, asking: Pattern | None = None) -> Pattern | None:
        """The pattern that `follows` or `requires_successful` means by ``label``; None if there is none.

        A name goes before a type, an earlier pattern before a later one, and the asking
        pattern is never meant.
        """
        others = [pattern for pattern in self.all_patterns if pattern is not asking]
        by_name = (pattern for pattern in others if pattern.name == label)
        by_type = (pattern for pattern in others if pattern.type == canonical_type(label))
        return next(by_name, None) or next(by_type, None)
