"""How librdkafka's blocking calls and its log are kept away from the loop and from stderr."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import gevent

T = TypeVar("T")

#: librdkafka tells every lost connection; that is for --verbose, what matters to a run is counted.
CLIENT_LOG = logging.getLogger("banksim.broker.librdkafka")
CLIENT_LOG.setLevel(logging.ERROR)


def in_thread(call: Callable[[], T]) -> T:
    """Result of a blocking call, made in the loop's thread pool: only this greenlet waits."""
    result: T = gevent.get_hub().threadpool.apply(call)
    return result
