"""Is a system there, and how fast does it say so."""

from __future__ import annotations

from dataclasses import dataclass

from banksim.systems.transport import Reply, Transport
from banksim.systems.wording import failure_text


@dataclass(frozen=True, slots=True)
class Health:
    """One health check: the system's name, whether it is well, wall milliseconds, and what is wrong."""

    name: str
    ok: bool
    latency_ms: float
    detail: str = ""


def check_health(transport: Transport) -> Reply:
    """``GET /health``, which both systems have."""
    return transport.call("GET", "/health", "/health")


def as_health(name: str, reply: Reply) -> Health:
    """A health check's reply in words; well means status 200, whatever the body says."""
    ok = reply.status == 200
    return Health(name, ok, reply.latency_ms, "" if ok else failure_text(reply))
