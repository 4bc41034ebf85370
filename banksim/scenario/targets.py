"""`targets`: which systems a run talks to, in whose words, and what they ask at their door.

Secrets are never in the file: `${NAME}` is read from the environment and `${file:PATH}` from a file, in
each process, when it connects.

`faults`: outages to rehearse, made in the stand-ins at given simulated times.

A run against live addresses refuses a scenario with faults.  `consistency` checks that a fault
has only keys that its kind reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from banksim.scenario.fields import Block, Expected, Label, LatencyRange, Number, PositiveMinutes, Url

Reference = Annotated[
    str,
    Field(pattern=r"\$\{[^}]+\}"),
    Expected("${NAME} of an environment variable or ${file:PATH}, so that the secret is not in this file"),
]


class OAuth(Block):
    """OAuth 2.0 client credentials."""

    token_url: Url = Field(description="Where tokens are issued.")
    client_id: str = Field(description="Name of the client.")
    client_secret: Reference = Field(description="Its secret, as ${NAME} or ${file:PATH}.")
    scope: str = Field(default="", description="Scope that is asked for; empty for none.")


class Callbacks(Block):
    """Where a system that completes later calls us back."""

    host: str = Field(default="127.0.0.1", description="Address to listen at.")
    port: Annotated[int, Number(0, 65_535)] = Field(
        default=0, description="Port; 0: a free one, for requests that carry {callback_url}."
    )
    url: str = Field(default="", description="{callback_url}, where others reach it by another address.")
    topic: str = Field(default="", description="nats://HOST:PORT/SUBJECT that completions are read from.")


class Target(Block):
    """One system under test."""

    adapter: str = Field(
        default="",
        description="A mapping shipped with banksim, a mapping file, or FILE.py:CLASS; empty: Nexum or "
        "Bastion. Paths are relative to the scenario file.",
    )
    url: Url = Field(default="", description="Its address; `--nexum-url` or `--bastion-url` wins.")
    headers: dict[str, str] = Field(default_factory=dict, description="Sent with every request.")
    basic: Reference | None = Field(default=None, description="USER:PASSWORD, such as ${USER}:${PASSWORD}.")
    token: Reference | None = Field(default=None, description="A bearer token, such as ${BANK_TOKEN}.")
    oauth: OAuth | None = Field(default=None, description="OAuth 2.0 client credentials.")
    ca_file: str = Field(default="", description="PEM file of the authority that signed its certificate.")
    certificate: str = Field(default="", description="PEM file of our own certificate (mutual TLS).")
    key: str = Field(default="", description="PEM file of its key; empty: in the same file.")
    proxy: str = Field(default="", description="HTTP proxy on the way there, such as http://proxy:3128.")
    callbacks: Callbacks = Field(default_factory=Callbacks, description="Where late completions arrive.")

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        given = [name for name in ("basic", "token", "oauth") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"expected at most one of basic, token and oauth, got {' and '.join(given)}")
        return self


class TargetsBlock(Block):
    """The systems of a run; one that is not named here is left out."""

    bank: Target | None = Field(default=None, description="The core bank.")
    detector: Target | None = Field(default=None, description="The fraud detector.")


def with_addresses(data: Mapping[object, object]) -> dict[object, object]:
    """``data`` with the addresses of its `targets` block as those of its `connections`."""
    block = data.get("targets")
    connections = data.get("connections") or {}
    if not isinstance(block, Mapping) or not block or not isinstance(connections, Mapping):
        return dict(data)
    addresses: dict[object, object] = {}
    for role, key in (("bank", "nexum_url"), ("detector", "bastion_url")):
        target = block.get(role)
        if role not in block:
            addresses[key] = ""
        elif isinstance(target, Mapping) and target.get("url"):
            addresses[key] = target["url"]
    return {**data, "connections": {**connections, **addresses}}


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
