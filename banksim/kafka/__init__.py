"""Plumbing to a Kafka broker that both sides use: our client, and the stand-in detector.

Everything here runs beside gevent's loop without holding it up: librdkafka does its work in
native threads, calls that wait for an answer go to the loop's thread pool, and Python hears
of results only from a non-blocking poll.  What an event says is not decided here.
"""

from __future__ import annotations

from banksim.kafka.client import (
    ALERTS,
    CUSTOMERS,
    DECISIONS,
    EMBEDDED,
    TRANSACTIONS,
    EmbeddedBroker,
    TopicReader,
    broker_problem,
    client_security,
)
from banksim.kafka.publisher import Delivery, Publisher
