"""The question asked before events are published: is there a broker, and is it one we can use?

What goes wrong in practice is told apart, since each has its own remedy: nobody listens;
somebody listens who is no Kafka broker, or wants TLS or another login (security.py); the
broker sends its clients on to an address that cannot be reached from here; the addresses
belong to different clusters.
"""

from __future__ import annotations

import re
from typing import Any

from confluent_kafka import KafkaException, Producer
from gevent import socket
from gevent.pool import Pool

from banksim.kafka.client import CLIENT_LOG, PROTOCOL, client_security, in_thread, remedy
from banksim.model import UsageError

# -- A broker inside this process, so that events can be tried with nothing installed ---------------
#
# It is librdkafka's mock cluster: a real TCP listener on this machine that speaks enough of
# Kafka's protocol for producers and consumers, keeps everything in memory and makes topics
# when they are first named.  Its work is done in a native thread.  For trying and testing;
# it says nothing about how fast or safe a real cluster is.


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


CONNECT_TIMEOUT_S = 2.0
METADATA_TIMEOUT_S = 3.0
#: More addresses than these are not looked at.
MAX_ASKED = 8


def broker_problem(servers: str) -> str | None:
    """None when ``servers`` (host:port, with commas) can be used, else what is wrong and what to do.

    Takes at most about eight seconds; only the calling greenlet waits.  Raises UsageError for security
    settings that cannot be.
    """
    addresses = [address.strip() for address in servers.split(",")][:MAX_ASKED]
    listening = _that_listen(addresses)
    if not listening:
        return f"no broker answers at {servers}"
    answers = Pool(MAX_ASKED).map(_ask, listening)
    clusters = {
        answer.cluster_id: address
        for address, answer in zip(listening, answers, strict=True)
        if not isinstance(answer, str)
    }
    if not clusters:
        return str(answers[0])
    if len(clusters) > 1:
        named = " and ".join(f"{address} (cluster {cluster})" for cluster, address in clusters.items())
        return f"the brokers belong to different clusters: {named}; name those of one with --kafka-servers"
    metadata = next(answer for answer in answers if not isinstance(answer, str))
    advertised = [f"{broker.host}:{broker.port}" for broker in metadata.brokers.values()][:MAX_ASKED]
    if not _that_listen(advertised):
        return (
            f"the broker at {listening[0]} sends its clients on to {', '.join(advertised)}, which does not "
            "answer from here; set its advertised.listeners to an address that does"
        )
    return None


def _that_listen(addresses: list[str]) -> list[str]:
    found = Pool(MAX_ASKED).map(_listens, addresses)
    return [address for address, listens in zip(addresses, found, strict=True) if listens]


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_TIMEOUT_S).close()
    except (OSError, OverflowError, UnicodeError):
        return False
    return True


def _ask(address: str) -> Any:
    """The cluster's metadata as one address tells it, or a text that says what is wrong."""
    heard: list[str] = []
    security = client_security()

    def ask() -> Any:
        client = Producer(
            {
                "bootstrap.servers": address,
                **security,
                "log_level": 3,
                "error_cb": lambda error: heard.append(str(error.str())),
            },
            logger=CLIENT_LOG,
        )
        try:
            return client.list_topics(timeout=METADATA_TIMEOUT_S)
        except KafkaException as error:
            client.poll(0)  # hands over what the client's threads have met
            return error.args[0].str()
        finally:
            client.close()

    answer = in_thread(ask)
    if not isinstance(answer, str):
        return answer
    details = [text for text in heard if "brokers are down" not in text] or [answer]
    reason = re.sub(r"^\S+/bootstrap: ", "", details[0])
    return f"what listens at {address} does not answer as a Kafka broker ({reason}); {remedy(reason)}"
