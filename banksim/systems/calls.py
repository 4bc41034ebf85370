"""What is told about every call to a system under test: one `Call`, to one observer.

The clients call the observer once per answered, failed or timed-out call, after it ended
and before they return.  Whoever wants figures (Locust's statistics, the latency
histograms) is that observer; the clients keep none.

``name`` is a stable path template ("/customers/{id}/kyc"), so figures group by route and
their number is bounded.  ``error`` says why a call is a *technical* failure; a business
refusal (insufficient funds, blocked by a rule) is an answer and has none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from banksim.systems.transport import Reply

System = Literal["nexum", "bastion", "kafka"]


class Call(NamedTuple):
    """One call: wall time in milliseconds, HTTP status (None without an answer), sizes in bytes.

    To Kafka a call is one event, from publishing to the broker's acknowledgement; it has no status.
    """

    system: System
    method: str
    name: str
    latency_ms: float
    status: int | None
    request_bytes: int
    response_bytes: int
    error: str | None
    #: False when the circuit to the system was open: it never saw this call, so there is no latency.
    sent: bool = True


def call_of(system: System, method: str, name: str, reply: Reply, error: str | None) -> Call:
    """The call that ended with ``reply``."""
    # By position: a tuple made of names takes twice as long.
    return Call(
        system,
        method,
        name,
        reply.latency_ms,
        reply.status or None,
        reply.request_bytes,
        reply.response_bytes,
        error,
        reply.attempts > 0,
    )


Observer = Callable[[Call], None]


def ignore_call(call: Call) -> None:
    """The observer of a caller that wants no figures."""
