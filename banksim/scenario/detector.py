"""`detector`: how the fraud detector is used."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from banksim.scenario.fields import Block, Number


class DetectorUse(Block):
    """One score a call by default, and nothing that tells the detector what was fraud."""

    batch_size: Annotated[int, Number(1, 1000)] = Field(
        default=1, description="Transactions scored in one call; 1: each by itself."
    )
    batch_wait_ms: Annotated[float, Number(0, 10_000)] = Field(
        default=20.0,
        description="Longest wall-clock milliseconds a transaction waits for its batch to fill.",
    )
    feedback: bool = Field(
        default=False,
        description="Whether the detector is told afterwards what was fraud. This reveals labels to the "
        "system under test, late, as a bank's investigators would.",
    )
    feedback_delay_hours: Annotated[float, Number(0, 8784)] = Field(
        default=168.0, description="Median of the simulated hours from a transaction to its feedback."
    )
    feedback_sigma: Annotated[float, Number(0, 5)] = Field(
        default=1.0, description="Spread of that delay: sigma of its log-normal distribution."
    )
