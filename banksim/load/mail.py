"""Messages between master and workers over Locust's own connection.

One type of Locust message each way; what is in them is `banksim.cluster.messages`' business.
A message that cannot be sent is dropped: whoever is gone is noticed by its silence.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from locust.exception import RPCError
from locust.runners import Runner

from banksim.cluster.messages import Message

logger = logging.getLogger(__name__)

TO_MASTER = "banksim_to_master"
TO_WORKER = "banksim_to_worker"


class MasterMail:
    """The master's end."""

    def __init__(self, runner: Runner, on_message: Callable[[str, Message], None]) -> None:
        """``on_message`` hears a worker's client id and what it says; it must not wait."""
        self._runner = runner
        runner.register_message(TO_MASTER, lambda msg, **_: on_message(msg.node_id, msg.data))

    def send(self, client_id: str, message: Message) -> None:
        try:
            self._runner.send_message(TO_WORKER, message, client_id)
        except RPCError as error:
            logger.debug("a message to %s was not sent: %s", client_id, error)


class WorkerMail:
    """A worker's end."""

    def __init__(self, runner: Runner, on_message: Callable[[Message], None]) -> None:
        self._runner = runner
        runner.register_message(TO_WORKER, lambda msg, **_: on_message(msg.data))

    def send(self, message: Message) -> None:
        try:
            self._runner.send_message(TO_MASTER, message)
        except RPCError as error:
            logger.debug("a message to the master was not sent: %s", error)
