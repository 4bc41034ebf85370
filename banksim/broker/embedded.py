"""A broker inside this process, so that events can be tried with nothing installed.

It is librdkafka's mock cluster: a real TCP listener on this machine that speaks enough of
Kafka's protocol for producers and consumers, keeps everything in memory and makes topics
when they are first named.  Its work is done in a native thread.  For trying and testing;
it says nothing about how fast or safe a real cluster is.
"""

from __future__ import annotations

from typing import Any

from confluent_kafka import Producer

from banksim.broker.native import CLIENT_LOG, in_thread
from banksim.broker.security import PROTOCOL, client_security
from banksim.domain import UsageError

#: Said instead of host:port to ask for one.
EMBEDDED = "embedded"
START_TIMEOUT_S = 5.0


class EmbeddedBroker:
    """One broker, from `start` to `close`."""

    def __init__(self) -> None:
        self.servers = ""
        self._host: Any = None

    def start(self) -> str:
        """Start, and return its host:port.  Raises UsageError where clients are to use TLS or a login."""
        if client_security():
            raise UsageError(
                f"{PROTOCOL}: the embedded broker speaks PLAINTEXT alone; unset this, or name other brokers"
            )
        self._host = Producer(
            {"bootstrap.servers": EMBEDDED, "test.mock.num.brokers": 1, "log_level": 3}, logger=CLIENT_LOG
        )
        found = in_thread(lambda: self._host.list_topics(timeout=START_TIMEOUT_S)).brokers.values()
        self.servers = ",".join(f"{broker.host}:{broker.port}" for broker in found)
        return self.servers

    def close(self) -> None:
        """Stop listening; what was kept is gone.  Harmless when not started."""
        host, self._host = self._host, None
        if host is not None:
            in_thread(host.close)
