"""Sends events to Kafka without ever holding up the loop.

    publish ──► librdkafka's queue ──► native threads ──► broker
       │ full: counted, dropped              │
       ▼                                     ▼ delivery report
    returns at once        poll(0) ──► reports ──► on_delivery, some at a time

One greenlet polls.  The client's own callback only sets a report aside; what is done with
reports is done a slice at a time with pauses between, since after an outage thousands come at once.

Bounds: MAX_WAITING events wait for the broker, each for at most DELIVERY_TIMEOUT_S; whatever is left
at the end of `drain` is given up.  Each event that `publish` took ends in exactly one report.
Make it after a process has forked.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import gevent
from confluent_kafka import KafkaError, KafkaException, Producer

from banksim.kafka.client import CLIENT_LOG, client_security, in_thread

logger = logging.getLogger(__name__)

#: Events waiting for the broker.  A poll hands over all that is ready at once, about 5 µs each, so this
#: bounds how long it can hold the loop (25 ms) as well as memory.
MAX_WAITING = 5_000
DELIVERY_TIMEOUT_S = 10.0
#: Events of one moment share a request; longer is more throughput and more latency.
LINGER_MS = 5
POLL_EVERY_S = 0.005
BUSY_PAUSE_S = 0.001
SLICE = 100
GIVE_UP_S = 2.0
METADATA_TIMEOUT_S = 3.0
TOPIC_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one event.  ``latency_ms`` runs from publish to the broker's acknowledgement.

    ``error`` is empty when it was acknowledged.
    """

    topic: str
    key: str
    latency_ms: float
    error: str


class Publisher:
    """One producer.  ``on_delivery`` hears of every event that was taken, in a greenlet of its own."""

    def __init__(self, servers: str, on_delivery: Callable[[Delivery], None]) -> None:
        self._on_delivery = on_delivery
        self._reports: deque[Delivery] = deque()
        self._stopped = False
        self._pump: Any = None
        self.last_error = ""
        self._producer: Any = Producer(
            {
                "bootstrap.servers": servers,
                "client.id": "banksim",
                "acks": "all",
                "enable.idempotence": True,  # a resend by the client doubles nothing
                "compression.type": "gzip",  # the one every consumer library reads without extras
                "linger.ms": LINGER_MS,
                "message.timeout.ms": int(DELIVERY_TIMEOUT_S * 1000),
                "queue.buffering.max.messages": MAX_WAITING,
                "reconnect.backoff.max.ms": 1000,
                **client_security(),
                "log_level": 3,
                "error_cb": self._on_error,
            },
            logger=CLIENT_LOG,
        )

    def start(self) -> None:
        self._pump = gevent.spawn(self._run)

    def missing_topics(self, topics: Iterable[str]) -> list[str]:
        """Which of ``topics`` are not there, after the broker had a moment to make them.  Waits."""
        missing = list(topics)
        until_s = time.monotonic() + TOPIC_TIMEOUT_S
        while True:
            missing = [topic for topic in missing if not in_thread(partial(self._has, topic))]
            if not missing or time.monotonic() > until_s:
                return missing
            gevent.sleep(0.2)

    def publish(self, topic: str, key: str, value: bytes) -> bool:
        """Hand over one event.  False when it was dropped: the buffer is full, or it cannot be sent."""
        try:
            self._producer.produce(topic, value, key.encode(), on_delivery=self._report)
        except BufferError:
            self.last_error = self.last_error or f"{MAX_WAITING:,} events are waiting for the broker"
            return False
        except KafkaException as error:
            self.last_error = str(error.args[0].str())
            return False
        return True

    @property
    def waiting(self) -> int:
        """Events taken whose end has not been told yet."""
        return len(self._producer) + len(self._reports)

    def drain(self, bound_s: float) -> None:
        """Wait until everything is acknowledged, at most ``bound_s`` seconds; then give up the rest."""
        if self._wait_for_end(bound_s):
            return
        self._producer.purge(in_queue=True, in_flight=True, blocking=False)
        if not self._wait_for_end(GIVE_UP_S):
            logger.warning("%d events never got a delivery report", self.waiting)

    def close(self) -> None:
        """Let go of the broker.  Drain first: what still waits is lost without a report."""
        if self._stopped:
            return
        self._stopped = True
        if self._pump is not None:
            self._pump.join()
        self._producer.purge(in_queue=True, in_flight=True, blocking=False)
        in_thread(self._producer.close)

    def _wait_for_end(self, bound_s: float) -> bool:
        until_s = time.monotonic() + bound_s
        while self.waiting and time.monotonic() < until_s:
            gevent.sleep(POLL_EVERY_S)
        return not self.waiting

    def _run(self) -> None:
        while not self._stopped:
            if len(self._reports) < SLICE:
                self._producer.poll(0)
            for _ in range(min(SLICE, len(self._reports))):
                self._on_delivery(self._reports.popleft())
            gevent.sleep(BUSY_PAUSE_S if self._reports else POLL_EVERY_S)

    def _report(self, error: Any, message: Any) -> None:
        text = "" if error is None else str(error.str())
        if not text:
            self.last_error = ""
        elif error.code() in (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT):
            text = "given up at the end of the run"
        key = message.key()
        self._reports.append(
            Delivery(message.topic(), key.decode() if key else "", message.latency() * 1000.0, text)
        )

    def _on_error(self, error: Any) -> None:
        self.last_error = str(error.str())

    def _has(self, topic: str) -> bool:
        try:
            found = self._producer.list_topics(topic, timeout=METADATA_TIMEOUT_S).topics[topic]
        except KafkaException:
            return False
        return found.error is None and bool(found.partitions)
