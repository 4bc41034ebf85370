"""How a Kafka client connects: the topics, login and encryption, and whether there is a broker one can use.

Credentials come from the environment alone: a command line is there for everybody to read, and a scenario
is passed on.  What is read here goes to librdkafka and nowhere else: it is in no log, no result and no
error message.

Reads topics from where they end now, so that only what comes after the start is seen.

It belongs to no consumer group: partitions are assigned by hand at the offsets they end at,
so nothing is committed, nobody is rebalanced, and there is no gap between "now" and the
first read.  A topic that is not there yet is looked for again; when it appears it is read
from its beginning, since all of it was written after the start.

One greenlet consumes without blocking, a batch at a time.
Not handled: partitions added to a topic during the run.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import gevent
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition
from gevent import socket
from gevent.pool import Pool

from banksim.model import UsageError

# -- The topics between the core bank and the fraud detector ----------------------------------------


TRANSACTIONS = "nexum.transactions"  # key: transaction id
CUSTOMERS = "nexum.customers"  # key: customer id
DECISIONS = "bastion.fraud.decisions"  # key: transaction id
ALERTS = "bastion.fraud.alerts"


# -- How librdkafka's blocking calls and its log are kept away from the loop and from stderr --------


T = TypeVar("T")

#: librdkafka tells every failed attempt to connect, each second of an outage.  What matters to a run is
#: counted and shown with its reason, so only what ends the client is let through.
CLIENT_LOG = logging.getLogger("banksim.kafka.librdkafka")
CLIENT_LOG.setLevel(logging.CRITICAL)


def in_thread(call: Callable[[], T]) -> T:
    """Result of a blocking call, made in the loop's thread pool: only this greenlet waits."""
    result: T = gevent.get_hub().threadpool.apply(call)
    return result


PROTOCOL = "KAFKA_SECURITY_PROTOCOL"
MECHANISM = "KAFKA_SASL_MECHANISM"
USERNAME = "KAFKA_SASL_USERNAME"
PASSWORD = "KAFKA_SASL_PASSWORD"
CA_FILE = "KAFKA_CA_FILE"

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
LOGIN_KEYS = (USERNAME, PASSWORD, MECHANISM)


def client_security(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """librdkafka's settings for TLS and login; empty for plain connections without either.

    Reads the process's environment unless one is given.  Raises UsageError naming the variable.
    """
    given = os.environ if environ is None else environ
    protocol = _one_of(given, PROTOCOL, PROTOCOLS)
    settings = {"security.protocol": protocol} if protocol != PROTOCOLS[0] else {}
    if protocol.startswith("SASL_"):
        missing = [name for name in (USERNAME, PASSWORD) if not given.get(name)]
        if missing:
            raise UsageError(f"{' and '.join(missing)}: missing; {PROTOCOL}={protocol} is a login")
        settings |= {
            "sasl.mechanism": _one_of(given, MECHANISM, MECHANISMS),
            "sasl.username": given[USERNAME],
            "sasl.password": given[PASSWORD],
        }
    elif useless := [name for name in LOGIN_KEYS if given.get(name)]:
        raise UsageError(
            f"{' and '.join(useless)}: no login happens with {PROTOCOL}={protocol}; "
            "expected SASL_SSL, or SASL_PLAINTEXT for a network that nobody listens to"
        )
    if given.get(CA_FILE):
        settings |= _authority(given[CA_FILE], protocol)
    return settings


def _one_of(given: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    value = given.get(name, "").strip().upper() or known[0]
    if value not in known:
        raise UsageError(f"{name}: expected {', '.join(known)}, got {given[name]!r}")
    return value


def _authority(path: str, protocol: str) -> dict[str, str]:
    if not protocol.endswith("SSL"):
        raise UsageError(
            f"{CA_FILE}: no certificate is checked with {PROTOCOL}={protocol}; expected SSL or SASL_SSL"
        )
    try:
        text = Path(path).read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise UsageError(f"{CA_FILE}: {path} cannot be read: {error.strerror}") from None
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise UsageError(f"{CA_FILE}: {path} holds no certificate in PEM form")
    return {"ssl.ca.location": path}


def remedy(reason: str) -> str:
    """What to do about a client's error, by the words librdkafka has for it."""
    words = reason.lower()
    if "authentication" in words or "sasl" in words:
        return f"the login is refused; check {USERNAME}, {PASSWORD} and {MECHANISM}"
    if "certificate" in words:
        return f"its certificate is not accepted; name the authority that signed it in {CA_FILE} (a PEM file)"
    return f"if it is one, it may want another {PROTOCOL} ({', '.join(PROTOCOLS)})"


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


# -- Asked before events are published: is there a broker, and can it be used? ------------------------
#
# What goes wrong in practice has its own remedy each: nothing listens; what listens is no Kafka broker, or
# wants TLS or another login; the broker sends its clients on to an address that cannot be reached from
# here; the addresses belong to different clusters.


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


logger = logging.getLogger(__name__)

POLL_EVERY_S = 0.005
BUSY_PAUSE_S = 0.001
BATCH = 100
#: The embedded broker answers a fetch only after this wait, also when something is there to read.
FETCH_WAIT_MS = 20
LOOK_AGAIN_S = 1.0


class TopicReader:
    """Calls ``on_message(topic, value)`` for each message, in a greenlet of its own.

    With ``group`` its progress is noted at the broker under that name, for whoever looks with Kafka's own
    tools.  The group is never joined: this reader reads every partition, from where it ended at the start.
    """

    def __init__(
        self,
        servers: str,
        topics: Iterable[str],
        on_message: Callable[[str, bytes], None],
        group: str = "",
    ) -> None:
        self._on_message = on_message
        self._unplaced = list(topics)
        self._absent: set[str] = set()  # known not to have existed at some moment after the start
        self._stopped = False
        self._greenlet: Any = None
        self._consumer: Any = Consumer(
            {
                "bootstrap.servers": servers,
                "client.id": "banksim",
                "group.id": group or "banksim",  # the client demands one
                "enable.auto.commit": bool(group),
                "auto.commit.interval.ms": 1000,
                "auto.offset.reset": "latest",
                "fetch.wait.max.ms": FETCH_WAIT_MS,
                "allow.auto.create.topics": False,
                "reconnect.backoff.max.ms": 1000,
                **client_security(),
                "log_level": 3,
            },
            logger=CLIENT_LOG,
        )

    def start(self) -> None:
        """Find the ends of the topics, and read from there.  Returns when their ends are known."""
        self._place()
        self._greenlet = gevent.spawn(self._run)

    @property
    def waiting_for(self) -> tuple[str, ...]:
        """Topics that are not there yet."""
        return tuple(self._unplaced)

    def close(self) -> None:
        if self._stopped:
            return
        self._stopped = True
        if self._greenlet is not None:
            self._greenlet.join()  # never killed: a thread may be inside the consumer
        in_thread(self._consumer.close)

    def _run(self) -> None:
        look_s = time.monotonic() + LOOK_AGAIN_S
        while not self._stopped:
            messages = self._consumer.consume(BATCH, timeout=0)
            for message in messages:
                if message.error() is None:
                    self._on_message(message.topic(), message.value() or b"")
            if self._unplaced and time.monotonic() >= look_s:
                self._place()
                look_s = time.monotonic() + LOOK_AGAIN_S
            gevent.sleep(BUSY_PAUSE_S if messages else POLL_EVERY_S)

    def _place(self) -> None:
        """Assign what can be found of the topics that are not assigned yet."""
        for topic in list(self._unplaced):
            try:
                ends = in_thread(partial(self._ends, topic))
            except KafkaException as error:
                logger.debug("Kafka does not tell where %s ends: %s", topic, error)
                continue
            if not ends:
                self._absent.add(topic)
                continue
            self._consumer.incremental_assign(ends)
            self._unplaced.remove(topic)

    def _ends(self, topic: str) -> list[Any]:
        """Where to begin in each partition; empty when there is no such topic."""
        found = self._consumer.list_topics(topic, timeout=METADATA_TIMEOUT_S).topics[topic]
        if found.error is not None or not found.partitions:
            return []
        places = []
        for partition in found.partitions:
            place = TopicPartition(topic, partition)
            if topic in self._absent:
                place.offset = OFFSET_BEGINNING
            else:
                place.offset = self._consumer.get_watermark_offsets(place, timeout=METADATA_TIMEOUT_S)[1]
            places.append(place)
        return places
