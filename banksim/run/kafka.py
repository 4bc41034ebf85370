"""The run's events on Kafka, and the decisions that come back for them.

The truth stays here: the publisher is handed a transaction, and what is known about it is
only looked up when a decision with its id arrives.

A transaction is published when the bank has booked it (or there is no bank to ask), before
it is scored over HTTP; a customer when the bank has opened it.  At the end the last events
are waited for, then the last decisions as long as some still come, all within bounds.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from typing import Any

import gevent

from banksim import kafka
from banksim.measure.kafka import Kafka as Figures
from banksim.measure.kafka import StreamFigures
from banksim.measure.results import TargetRow
from banksim.model import BankReply, BankStatus, Planned
from banksim.run.plan import KafkaUse, Mode, RunSettings
from banksim.run.sink import Sink
from banksim.run.timekeeper import Timekeeper
from banksim.targets import AccountDirectory, Call
from banksim.targets.kafka_events import (
    Format,
    customer_event,
    encode,
    read_alert,
    read_decision,
    transaction_event,
)
from banksim.world import Customer

logger = logging.getLogger(__name__)

# -- Where a run's events go: which brokers, or why none --------------------------------------------
#
# mode           brokers from                                              without an answer
# live           --kafka-servers, KAFKA_BOOTSTRAP_SERVERS, scenario        events counted as not published
# sandbox,       --kafka-servers only: a rehearsal must not write to       the same
# dry-run        whatever broker happens to be configured
# any            --no-kafka: none, and nothing is counted                  -


@dataclass(slots=True)
class Brokers:
    """``servers`` is host:port with commas, empty when there are none; then ``reason`` says why.

    ``wanted`` tells brokers that are missing from brokers that were not asked for.
    """

    servers: str = ""
    wanted: bool = False
    asked_for: str = ""
    reason: str = ""
    embedded: kafka.EmbeddedBroker | None = None

    def described(self, figures: Figures, form: Format, detail: str) -> Figures:
        """With where the events went, as what, and what is to be said of it."""
        servers = self.asked_for
        return replace(figures, enabled=bool(self.servers), servers=servers, format=form, detail=detail)

    def close(self) -> None:
        if self.embedded is not None:
            self.embedded.close()


def check_brokers(settings: RunSettings) -> None:
    """Raise UsageError when what the environment says about TLS and logins cannot be."""
    if settings.kafka is not KafkaUse.OFF and (
        settings.kafka is KafkaUse.ASKED or settings.mode is Mode.LIVE
    ):
        kafka.client_security()


def find_brokers(settings: RunSettings) -> Brokers:
    """Decide, look whether they answer, and say so in one line.  Never raises for a broker."""
    servers = settings.scenario.connections.kafka_bootstrap_servers
    if settings.kafka is KafkaUse.OFF:
        return Brokers(reason="disabled: --no-kafka")
    if settings.kafka is KafkaUse.AUTO and settings.mode is not Mode.LIVE:
        return Brokers(
            reason=f"off in {settings.mode} mode; name brokers with --kafka-servers, or 'embedded'"
        )
    if not servers:
        return Brokers(reason="disabled: the scenario names no brokers")
    if servers == kafka.EMBEDDED:
        broker = kafka.EmbeddedBroker()
        address = broker.start()
        logger.info("Kafka: an embedded test broker at %s, which ends with this run", address)
        return Brokers(address, True, servers, embedded=broker)
    problem = kafka.broker_problem(servers)
    if problem:
        reason = f"{problem}, events are counted as not published"
        logger.warning("Kafka: %s (--kafka-servers names others, --no-kafka switches this off)", reason)
        return Brokers(wanted=True, asked_for=servers, reason=reason)
    protocol = kafka.client_security().get("security.protocol", "PLAINTEXT")
    logger.info("Kafka: publishing to %s (%s)", servers, protocol)
    if protocol == "SASL_PLAINTEXT":
        logger.warning("Kafka: the login crosses the network unencrypted; SASL_SSL would hide it")
    return Brokers(servers, True, servers)


#: Wall seconds for the last events to be acknowledged, and for their decisions to come.
DELIVERY_DRAIN_S = 5.0
DECISION_DRAIN_S = 10.0
#: No decision for so long means that no more will come.
QUIET_S = 2.0


class Events:
    """Kafka as one run sees it.  Without brokers it only counts."""

    def __init__(
        self,
        brokers: Brokers,
        form: Format,
        directory: AccountDirectory,
        has_bank: bool,
        sink: Sink,
        timekeeper: Timekeeper,
    ) -> None:
        """Each delivery is reported to ``sink`` as a call to the system "kafka"."""
        self.figures = StreamFigures()
        self._brokers = brokers
        self._form = form
        self._directory = directory
        self._has_bank = has_bank
        self._sink = sink
        self._timekeeper = timekeeper
        self._publisher: kafka.Publisher | None = None
        self._reader: kafka.TopicReader | None = None
        self._acknowledged_ms: float | None = None
        self._failing = ""
        self._closed = False

    def start(self) -> None:
        """Connect; returns when the end of the decision topics is known, so that no decision is missed."""
        servers = self._brokers.servers
        if not servers:
            return
        self._publisher = kafka.Publisher(servers, self._delivered)
        self._publisher.start()
        missing = self._publisher.missing_topics((kafka.TRANSACTIONS, kafka.CUSTOMERS))
        if missing:
            logger.warning(
                "Kafka: the brokers have no topic %s and make none by themselves; create it with "
                "kafka-topics --create --bootstrap-server %s --topic NAME",
                " and ".join(missing),
                servers,
            )
        self._reader = kafka.TopicReader(servers, (kafka.DECISIONS, kafka.ALERTS), self._heard)
        self._reader.start()

    @property
    def wanted(self) -> bool:
        """Whether transactions have to be told of at all."""
        return self._brokers.wanted

    def transaction(self, planned: Planned, reply: BankReply) -> None:
        """A transaction was answered by the bank.  Returns at once."""
        if not self._brokers.wanted:
            return
        if reply.status is not BankStatus.POSTED and self._has_bank:
            return
        tx = planned.transaction
        now_s = time.monotonic()
        event = transaction_event(tx, self._directory, self._form) if self._publisher else {}
        if self._publish(kafka.TRANSACTIONS, tx.transaction_id, event):
            self.figures.expect(tx.transaction_id, planned.truth, now_s)

    def customer(self, customer: Customer, time_s: float) -> None:
        """The bank opened a customer at ``time_s`` (unix seconds, simulated).  Returns at once."""
        customer_id = self._directory.customer_id(customer.index)
        if self._brokers.wanted and customer_id is not None:
            event = customer_event(customer, customer_id, time_s, self._form) if self._publisher else {}
            self._publish(kafka.CUSTOMERS, customer_id, event)

    def drain(self) -> None:
        """Wait for the last acknowledgements and decisions, within bounds; tell how it went."""
        if self._publisher is None:
            return
        self._publisher.drain(DELIVERY_DRAIN_S)
        self._await_decisions()
        count = self.figures.counts
        logger.info(
            "Kafka: %s events delivered, %s failed, %s dropped; %s decisions came back, %s are missing",
            *(f"{count[name]:,}" for name in ("delivered", "failed", "dropped", "matched")),
            f"{max(0, self.figures.undecided):,}",
        )

    def close(self) -> None:
        """Let go of the brokers; also of those inside this process."""
        if self._closed:
            return
        self._closed = True
        for part in (self._reader, self._publisher):
            if part is not None:
                part.close()

    def results(self) -> Figures:
        """For results.json."""
        return self._brokers.described(self.figures.results(), self._form, self._detail())

    def status(self) -> TargetRow:
        """The row for the status page; ``ok`` is None where Kafka was not asked for or not used so far."""
        connected = bool(self._brokers.servers)
        answered = self.figures.counts["delivered"] > 0
        ok = (False if self._trouble() else True if answered else None) if connected else None
        return TargetRow(
            name="Kafka",
            url=self._brokers.asked_for,
            ok=False if self._brokers.wanted and not connected else ok,
            detail=self._detail(),
            latency_ms=None if self._acknowledged_ms is None else round(self._acknowledged_ms, 2),
        )

    def _trouble(self) -> str:
        return self._failing or (self._publisher.last_error if self._publisher else "")

    def _detail(self) -> str:
        if not self._brokers.servers:
            return self._brokers.reason
        count = self.figures.counts
        lost = count["failed"] + count["dropped"]
        parts = [f"{count['delivered']:,} events delivered", f"{lost:,} not published" if lost else ""]
        return "; ".join(part for part in (self._trouble(), ", ".join(p for p in parts if p)) if part)

    def _publish(self, topic: str, key: str, event: dict[str, Any]) -> bool:
        if self._publisher is None:
            self.figures.offered(topic, "unavailable")
            return False
        taken = self._publisher.publish(topic, key, encode(event))
        self.figures.offered(topic, "published" if taken else "dropped")
        return taken

    def _delivered(self, delivery: kafka.Delivery) -> None:
        self._failing = delivery.error
        if delivery.error:
            self.figures.failed(delivery.topic, delivery.key, delivery.error)
        else:
            self.figures.delivered(delivery.topic, delivery.key, delivery.latency_ms)
            self._acknowledged_ms = delivery.latency_ms
        error = delivery.error or None
        call = Call("kafka", "PUBLISH", delivery.topic, delivery.latency_ms, None, 0, 0, error)
        self._sink.called(self._timekeeper.now(), (call,))

    def _heard(self, topic: str, value: bytes) -> None:
        if topic == kafka.ALERTS:
            about = read_alert(value)
            if about is not None:
                self.figures.alert(about)
            return
        decision = read_decision(value)
        if decision is None:
            self.figures.unreadable()
        else:
            self.figures.decided(*decision, time.monotonic())

    def _await_decisions(self) -> None:
        began_s = news_s = time.monotonic()
        matched = self.figures.counts["matched"]
        while self.figures.undecided > 0:
            now_s = time.monotonic()
            if self.figures.counts["matched"] != matched:
                matched, news_s = self.figures.counts["matched"], now_s
            if now_s - news_s > QUIET_S or now_s - began_s > DECISION_DRAIN_S:
                return
            gevent.sleep(0.01)
