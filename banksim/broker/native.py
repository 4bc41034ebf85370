"""How librdkafka's blocking calls and its log are kept away from the loop and from stderr."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import gevent

T = TypeVar("T")

#: librdkafka tells every failed attempt to connect, each second of an outage.  What matters to a run is
#: counted and shown with its reason, so only what ends the client is let through.
CLIENT_LOG = logging.getLogger("banksim.broker.librdkafka")
CLIENT_LOG.setLevel(logging.CRITICAL)


def in_thread(call: Callable[[], T]) -> T:
    """Result of a blocking call, made in the loop's thread pool: only this greenlet waits."""
    result: T = gevent.get_hub().threadpool.apply(call)
    return result
