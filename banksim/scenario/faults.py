"""`faults`: outages to rehearse, made in the stand-ins at given simulated times.

A run against live addresses refuses a scenario with faults.  `consistency` checks that a fault
has only keys that its kind reads.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from banksim.scenario.fields import Block, Label, LatencyRange, Number, PositiveMinutes

FaultTarget = Literal["bank", "detector"]
FaultKind = Literal["latency", "errors", "hangs", "resets", "garbage", "restart"]

#: Keys that only some kinds read.
KEYS_OF_KINDS = {
    "latency_ms": ("latency",),
    "status": ("errors",),
    "share": ("latency", "errors", "hangs", "resets", "garbage"),
}


class Fault(Block):
    """One fault of a stand-in, from a simulated moment on, for a while."""

    target: FaultTarget = Field(description="Which stand-in has it.")
    kind: FaultKind = Field(
        description="`latency`: answers come later. `errors`: an HTTP error for an answer. `hangs`: no "
        "answer, the connection stays open. `resets`: the connection is reset. `garbage`: answers in no "
        "known form. `restart`: killed, and started again at the end."
    )
    start_hour: Annotated[float, Number(0, 8784)] = Field(
        description="Simulated hours from the start of the run to the start of the fault."
    )
    duration_minutes: PositiveMinutes = Field(description="How long it lasts, in simulated minutes.")
    name: Label | None = Field(
        default=None, description="What the timeline and the report call it; none: target and kind."
    )
    share: Annotated[float, Number(above=0, high=1)] | None = Field(
        default=None, description="Share of the calls that it hits, drawn at random; none: all of them."
    )
    latency_ms: LatencyRange | None = Field(
        default=None,
        description="Latency: wall-clock milliseconds added to an answer, one number or [least, most].",
    )
    status: Annotated[int, Number(400, 599)] | None = Field(
        default=None,
        description="Errors: the HTTP status, 503 when not given. 502, 503 and 504 mean that the "
        "target is unavailable; any other is an answer.",
    )

    @property
    def label(self) -> str:
        """The fault's label in displays: its name, else "bank hangs"."""
        return self.name or f"{self.target} {self.kind}"

    @property
    def start_s(self) -> float:
        """Simulated seconds from the start of the run."""
        return self.start_hour * 3600.0

    @property
    def end_s(self) -> float:
        """Simulated seconds from the start of the run."""
        return self.start_s + self.duration_minutes * 60.0
