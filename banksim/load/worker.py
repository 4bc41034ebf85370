"""A worker's half of runs: it says hello, and lives whatever run the master tells it to.

    hello every second ──► welcome: a number ──► run ──► `WorkerRun` ──► final ──► idle again

Users that Locust spawns before the orders of their run have arrived wait for them.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from typing import NoReturn

import gevent
from gevent.event import Event
from locust.env import Environment
from locust.exception import RPCError
from locust.runners import Runner

import banksim
from banksim.load.session import seat_names
from banksim.load.statistics import LocustStatistics
from banksim.model import BanksimError, ExitCode
from banksim.run.run import End
from banksim.run.workers import WorkerRun
from banksim.run.workers.messages import Message

logger = logging.getLogger(__name__)

# -- Messages between master and workers over Locust's own connection -------------------------------
#
# One type of Locust message each way; what is in them is `banksim.run.workers.messages`' business.
# A message that cannot be sent is dropped: whoever is gone is noticed by its silence.


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


HELLO_EVERY_S = 1.0


class WorkerSession:
    """Runs of one Locust worker, one at a time."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        environment.banksim = self
        self._statistics = LocustStatistics(environment)
        self._mail = WorkerMail(environment.runner, self._hear)
        self._run: WorkerRun | None = None
        self._has_run = Event()
        self._number: int | None = None
        self._failed = False
        self._in_run = ""
        environment.events.test_stopping.add_listener(lambda **_: self.end(End.STOPPED))
        gevent.spawn(self._say_hello)

    @property
    def stage(self) -> WorkerRun:
        """Where the users of the run under way play; waits until there is one."""
        self._has_run.wait()
        assert self._run is not None
        return self._run

    @property
    def started(self) -> bool:
        return self._run is not None

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.ERROR if self._failed else ExitCode.COMPLETED

    def end(self, end: End) -> None:
        """End this worker's part of the run under way, if any, and wait until its figures are handed over."""
        run = self._run
        if run is not None and not run.finished.is_set():
            run.request_end(end)
            run.finished.wait()
        self._statistics.enter()

    def quit(self) -> None:
        """Leave the master."""
        self.environment.runner.quit()

    def _say_hello(self) -> NoReturn:
        while True:
            self._mail.send(
                {
                    "kind": "hello",
                    "version": banksim.__version__,
                    "host": socket.gethostname(),
                    "pid": os.getpid(),
                    "run": self._in_run,
                }
            )
            gevent.sleep(HELLO_EVERY_S)

    def _hear(self, message: Message) -> None:
        run = self._run
        match message["kind"]:
            case "welcome":
                self._be_welcomed(message)
            case "run":
                if run is None or run.run_id != message["run"]:
                    self._begin(message)
            case _:
                if run is not None and run.run_id == message["run"]:
                    run.hear(message)

    def _be_welcomed(self, message: Message) -> None:
        if message["problem"]:
            logger.error("This worker cannot work here: %s", message["problem"])
            self._failed = True
            gevent.spawn(self.quit)
        elif self._number is None:
            self._number = message["number"]
            logger.info("This is worker %d of the bank", self._number)

    def _begin(self, orders: Message) -> None:
        """A run begins.  Returns at once."""
        if self._run is not None and not self._run.finished.is_set():
            self._run.request_end(End.STOPPED)  # the master has moved on
        self._in_run = orders["run"]
        try:
            run = WorkerRun(
                orders,
                orders["number"],
                seat_names(self.environment.user_classes),
                self._statistics.add,
                self._mail.send,
            )
        except BanksimError as error:
            logger.error("This worker cannot take part: %s", error)
            self._mail.send({"kind": "refused", "run": orders["run"], "reason": str(error)})
            return
        self._run = run
        self._has_run.set()
        gevent.spawn(run.conduct).link(lambda _: self._over(run))

    def _over(self, run: WorkerRun) -> None:
        if self._run is run:
            self._has_run.clear()
