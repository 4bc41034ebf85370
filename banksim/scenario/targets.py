"""`targets`: which systems a run talks to, in whose words, and what they ask at their door.

Secrets are never in the file: `${NAME}` is read from the environment and `${file:PATH}` from a file, in
each process, when it connects.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from banksim.scenario.fields import Block, Expected, Number, Url

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
