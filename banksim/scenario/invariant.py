"""`invariant`: balances read back while a run goes on."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from banksim.scenario.fields import Block, Number


class Invariant(Block):
    """The running check that accounts hold what the bank acknowledged."""

    enabled: bool = Field(default=True, description="Whether balances are read while the run goes on.")
    every_seconds: Annotated[float, Number(0.2, 3600)] = Field(
        default=5.0, description="Wall-clock seconds between two rounds of reading."
    )
    accounts: Annotated[int, Number(1, 1000)] = Field(
        default=10,
        description="Accounts read in a round at a live bank, one after the other, those that moved last "
        "first; a stand-in tells a thousand at once and ignores this.",
    )
