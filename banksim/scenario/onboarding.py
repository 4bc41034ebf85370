"""`onboarding`: customers who join while the run goes on."""

from __future__ import annotations

from pydantic import Field

from banksim.scenario.fields import AmountRange, Block, DelayRange, Share


class Onboarding(Block):
    """How new customers arrive.  Without this block every customer was there before the run."""

    kyc_approval_rate: Share = Field(
        default=0.9, description="Share of applicants whose identity check succeeds."
    )
    first_transaction_delay_hours: DelayRange = Field(
        default=(1.0, 24.0),
        description="Simulated hours from joining to the first transaction, one number or [least, most].",
    )
    initial_deposit_range: AmountRange = Field(
        default=(100.0, 5000.0), description="Smallest and largest first deposit, in currency units."
    )
    existing_share: Share = Field(
        default=0.2, description="Share of `customers` that were there before the run."
    )
