"""Where a run's events go: which brokers, or why none.

mode           brokers from                                              without an answer
live           --kafka-servers, KAFKA_BOOTSTRAP_SERVERS, scenario        events counted as not published
sandbox,       --kafka-servers only: a rehearsal must not write to       the same
dry-run        whatever broker happens to be configured
any            --no-kafka: none, and nothing is counted                  -
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from banksim.broker import EMBEDDED, EmbeddedBroker, broker_problem, client_security
from banksim.engine.settings import KafkaUse, Mode, RunSettings

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Brokers:
    """``servers`` is host:port with commas, empty when there are none; then ``reason`` says why.

    ``wanted`` tells brokers that are missing from brokers that nobody asked for.
    """

    servers: str = ""
    wanted: bool = False
    asked_for: str = ""
    reason: str = ""
    embedded: EmbeddedBroker | None = None

    def close(self) -> None:
        if self.embedded is not None:
            self.embedded.close()


def check_brokers(settings: RunSettings) -> None:
    """Raise UsageError when what the environment says about TLS and logins cannot be."""
    if settings.kafka is not KafkaUse.OFF and (
        settings.kafka is KafkaUse.ASKED or settings.mode is Mode.LIVE
    ):
        client_security()


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
    if servers == EMBEDDED:
        broker = EmbeddedBroker()
        address = broker.start()
        logger.info("Kafka: an embedded test broker at %s, which ends with this run", address)
        return Brokers(address, True, servers, embedded=broker)
    problem = broker_problem(servers)
    if problem:
        reason = f"{problem}, events are counted as not published"
        logger.warning("Kafka: %s (--kafka-servers names others, --no-kafka switches this off)", reason)
        return Brokers(wanted=True, asked_for=servers, reason=reason)
    protocol = client_security().get("security.protocol", "PLAINTEXT")
    logger.info("Kafka: publishing to %s (%s)", servers, protocol)
    if protocol == "SASL_PLAINTEXT":
        logger.warning("Kafka: the login crosses the network unencrypted; SASL_SSL would hide it")
    return Brokers(servers, True, servers)
