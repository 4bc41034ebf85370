"""`load`: a search for the highest rate instead of the scenario's own curve."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from banksim.scenario.fields import Block, Number


class Load(Block):
    """How the offered rate is decided.  Without this block it is `transaction_rate`'s."""

    mode: Literal["capacity"] = Field(
        default="capacity",
        description="`capacity`: raise the rate until a condition fails, then close in on the limit.",
    )
    start_tps: Annotated[float, Number(above=0, high=100_000)] = Field(
        default=10.0, description="Rate of the first step, transactions per wall-clock second."
    )
    factor: Annotated[float, Number(above=1, high=10)] = Field(
        default=1.5, description="What the rate is multiplied by after a step that held; `step` wins over it."
    )
    step: Annotated[float, Number(above=0, high=100_000)] | None = Field(
        default=None, description="What is added to the rate after a step that held."
    )
    hold_seconds: Annotated[float, Number(1, 3600)] = Field(
        default=30.0, description="Wall-clock seconds each rate is offered before it is judged."
    )
    precision: Annotated[float, Number(0.005, 0.5)] = Field(
        default=0.05, description="The search ends when the limit is known to this share."
    )
    max_tps: Annotated[float, Number(above=0, high=100_000)] = Field(
        default=10_000.0, description="Highest rate that is tried."
    )
    until: tuple[str, ...] = Field(
        default=("response_time.p99 < 1s", "errors < 1%", "drops == 0"),
        description="Thresholds that each step must meet.",
    )
