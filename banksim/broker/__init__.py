"""Plumbing to a Kafka broker that both sides use: our client, and the stand-in detector.

Everything here runs beside gevent's loop without holding it up: librdkafka does its work in
native threads, calls that wait for an answer go to the loop's thread pool, and Python hears
of results only from a non-blocking poll.  What an event says is not decided here.
"""

from banksim.broker.embedded import EMBEDDED, EmbeddedBroker
from banksim.broker.probe import broker_problem
from banksim.broker.publisher import Delivery, Publisher
from banksim.broker.reader import TopicReader
from banksim.broker.security import client_security
from banksim.broker.topics import ALERTS, CUSTOMERS, DECISIONS, TRANSACTIONS

__all__ = [
    "ALERTS",
    "CUSTOMERS",
    "DECISIONS",
    "EMBEDDED",
    "TRANSACTIONS",
    "Delivery",
    "EmbeddedBroker",
    "Publisher",
    "TopicReader",
    "broker_problem",
    "client_security",
]
