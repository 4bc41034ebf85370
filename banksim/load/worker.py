"""A worker's half of runs: it says hello, and takes part in each run the master orders.

    hello every second ──► welcome: a number ──► orders ──► `WorkerRun` ──► final ──► idle again

Users that Locust spawns before the orders of their run have arrived wait for them.  A worker whose
master does not answer any more ends, with an exit code that says so.
"""

from __future__ import annotations

import logging
import os
import socket
from typing import NoReturn

import gevent
from gevent.event import Event
from locust.env import Environment
from locust.exception import RPCError
from locust.runners import STATE_INIT, STATE_STOPPED, STATE_STOPPING, Runner

import banksim
from banksim.load.session import LocustStatistics
from banksim.load.users import idle_seats, seat_names
from banksim.model import BanksimError, ExitCode
from banksim.run.dispatcher import UserQueues
from banksim.run.run import End
from banksim.run.workers import WorkerRun
from banksim.run.workers.messages import (
    FromMaster,
    FromWorker,
    Hello,
    Orders,
    Refused,
    Rejected,
    RunMessage,
    Welcome,
    encode,
    from_master,
)

logger = logging.getLogger(__name__)

# -- Messages between master and workers over Locust's own connection -------------------------------
#
# One type of Locust message each way; `banksim.run.workers.messages` defines what is in them.
# A message that cannot be sent is dropped: a process that is gone is noticed by its silence.


TO_MASTER = "banksim_to_master"
TO_WORKER = "banksim_to_worker"


class MasterMail:
    """The master's end; a `banksim.run.workers.members.Outbox`."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def send(self, client_id: str, message: FromMaster) -> None:
        try:
            self._runner.send_message(TO_WORKER, encode(message), client_id)
        except RPCError as error:
            logger.debug("A message to %s was not sent: %s", client_id, error)


class WorkerMail:
    """A worker's end; a `banksim.run.workers.worker.Uplink`."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        #: Set once the master is gone: what is sent then would only pile up.
        self.closed = False

    def send(self, message: FromWorker) -> None:
        if self.closed:
            return
        try:
            self._runner.send_message(TO_MASTER, encode(message))
        except RPCError as error:
            logger.debug("A message to the master was not sent: %s", error)


HELLO_EVERY_S = 1.0
#: Hellos in a row without any message from the master, after which it is gone.
UNANSWERED = 20
#: How long a worker without a master gets to finish what is in flight.
ABANDON_S = 30.0


def ignore_the_wall_clock(environment: Environment) -> None:
    """Locust leaves a master unheard for a minute of a clock that may jump; here hellos judge that."""

    def forget(**_: object) -> None:
        environment.runner.last_heartbeat_timestamp = None

    environment.events.heartbeat_received.add_listener(forget)


class WorkerSession:
    """Runs of one Locust worker, one at a time."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        environment.banksim = self
        self._statistics = LocustStatistics(environment)
        self._mail = WorkerMail(environment.runner)
        self._run: WorkerRun | None = None
        self._has_run = Event()
        self._number: int | None = None
        self._failed = False
        self._in_run = ""
        self._unanswered = 0
        self._unreadable = 0
        environment.runner.register_message(TO_WORKER, lambda msg, **_: self._hear(msg.data))
        environment.events.test_stopping.add_listener(lambda **_: self.end(End.STOPPED))
        ignore_the_wall_clock(environment)
        gevent.spawn(self._keep_in_touch)

    @property
    def queues(self) -> UserQueues:
        """Where users take arrivals of the present run from; waits until there is one."""
        while self._run is None or not self._has_run.is_set():
            self._has_run.wait()
        return self._run.queues

    @property
    def started(self) -> bool:
        return self._run is not None

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.ERROR if self._failed else ExitCode.COMPLETED

    def end(self, end: End) -> None:
        """End this worker's part of the present run, if any, and wait until its figures are handed over."""
        run = self._run
        if run is not None and not run.finished.is_set():
            run.request_end(end)
            run.finished.wait()
        self._statistics.enter()

    def quit(self) -> None:
        """Leave the master."""
        self.environment.runner.quit()

    def _keep_in_touch(self) -> NoReturn:
        while True:
            self._mail.send(
                Hello(
                    version=banksim.__version__, host=socket.gethostname(), pid=os.getpid(), run=self._in_run
                )
            )
            gevent.sleep(HELLO_EVERY_S)
            if self._reads_no_messages:
                continue
            self._unanswered += 1  # in hellos, not in seconds: this process itself may have been frozen
            if self._unanswered == UNANSWERED and not self._failed:
                gevent.spawn(self._abandon)

    @property
    def _reads_no_messages(self) -> bool:
        """Locust reads none between a stop and its own "ready": for its stop timeout, whatever that is."""
        runner = self.environment.runner
        return runner.state in (STATE_STOPPING, STATE_STOPPED) and runner.worker_state != STATE_INIT

    def _abandon(self) -> None:
        runner = self.environment.runner
        logger.error(
            "The master at %s:%d has not answered for %.0f s: this worker ends with exit code %d",
            runner.master_host,
            runner.master_port,
            UNANSWERED * HELLO_EVERY_S,
            ExitCode.ERROR,
        )
        self._failed = self._mail.closed = True
        if self._run is not None and not self._run.finished.is_set():
            self._run.abandon()
            self._run.finished.wait(ABANDON_S)
        self.quit()

    def _hear(self, data: object) -> None:
        self._unanswered = 0
        try:
            message = from_master(data)
        except ValueError as error:
            self._unreadable += 1
            if self._unreadable == 1:
                logger.warning("A message of the master cannot be read: %s", error)
            return
        match message:
            case Welcome():
                self._take_welcome(message)
            case Rejected():
                self._take_rejection(message)
            case Orders():
                if self._run is None or self._run.run_id != message.run:
                    self._begin(message)
            case RunMessage():
                if self._run is not None and self._run.run_id == message.run:
                    self._run.hear(message)

    def _take_rejection(self, rejected: Rejected) -> None:
        if not self._failed:
            logger.error("The master rejects this worker: %s", rejected.reason)
            self._failed = True
            gevent.spawn(self.quit)

    def _take_welcome(self, welcome: Welcome) -> None:
        if self._number is None:
            self._number = welcome.number
            logger.info("This is worker %d of the bank", self._number)

    def _begin(self, orders: Orders) -> None:
        """A run begins.  Returns at once."""
        if self._run is not None and not self._run.finished.is_set():
            self._run.request_end(End.STOPPED)  # the master has moved on
        self._in_run = orders.run
        try:
            classes = self.environment.user_classes
            queues = UserQueues(seat_names(classes), idle_seats(classes))
            run = WorkerRun(orders, queues, [self._statistics], self._mail)
        except BanksimError as error:
            logger.error("This worker cannot take part in the run: %s", error)
            self._mail.send(Refused(run=orders.run, reason=str(error)))
            return
        self._run = run
        self._has_run.set()
        gevent.spawn(run.conduct).link(lambda _: self._over(run))

    def _over(self, run: WorkerRun) -> None:
        if self._run is run:
            self._has_run.clear()
