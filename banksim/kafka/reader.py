"""Reads topics from where they end now, so that only what comes after the start is seen.

It belongs to no consumer group: partitions are assigned by hand at the offsets they end at,
so nothing is committed, nobody is rebalanced, and there is no gap between "now" and the
first read.  A topic that is not there yet is looked for again; when it appears it is read
from its beginning, since all of it was written after the start.

One greenlet consumes without blocking, a batch at a time.
Not handled: partitions added to a topic during the run.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import gevent
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from banksim.kafka.client import CLIENT_LOG, client_security, in_thread

logger = logging.getLogger(__name__)

POLL_EVERY_S = 0.005
BUSY_PAUSE_S = 0.001
BATCH = 100
#: The embedded broker answers a fetch only after this wait, also when something is there to read.
FETCH_WAIT_MS = 20
LOOK_AGAIN_S = 1.0
METADATA_TIMEOUT_S = 3.0


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
