"""The master's half of runs whose load workers make.

Everything a page or a signal asks of a session works as in one process; only the run is
another one, and the messages of workers are passed on to it.

A worker's half of runs: it says hello, and takes part in each run the master orders.

    hello every second ──► welcome: a number ──► orders ──► `WorkerRun` ──► final ──► idle again

Users that Locust spawns before the orders of their run have arrived wait for them.  A worker whose
master does not answer any more ends, with an exit code that says so.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import gevent
import zmq
from gevent.event import Event
from locust.env import Environment
from locust.exception import RPCError
from locust.runners import STATE_INIT, STATE_STOPPED, STATE_STOPPING, MasterRunner, Runner

from banksim.load.session import LocustStatistics, Session
from banksim.load.users import idle_seats, seat_names
from banksim.measure.results import WorkerShown
from banksim.model import BanksimError, ExitCode, UsageError
from banksim.run.capacity import check_conditions
from banksim.run.dispatcher import UserQueues
from banksim.run.plan import RunSettings
from banksim.run.run import End, Run
from banksim.run.workers import Members, RemoteSource, WorkerRun, messages
from banksim.run.workers.members import Member, Standing

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

    def send(self, client_id: str, message: messages.FromMaster) -> None:
        try:
            self._runner.send_message(TO_WORKER, messages.encode(message), client_id)
        except RPCError as error:
            logger.debug("A message to %s was not sent: %s", client_id, error)


class WorkerMail:
    """A worker's end; a `banksim.run.workers.worker.Uplink`."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        #: Set once the master is gone: what is sent then would only pile up.
        self.closed = False

    def send(self, message: messages.FromWorker) -> None:
        if self.closed:
            return
        try:
            self._runner.send_message(TO_MASTER, messages.encode(message))
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
                messages.Hello(
                    version=messages.build(), host=socket.gethostname(), pid=os.getpid(), run=self._in_run
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
            message = messages.from_master(data)
        except ValueError as error:
            self._unreadable += 1
            if self._unreadable == 1:
                logger.warning("A message of the master cannot be read: %s", error)
            return
        match message:
            case messages.Welcome():
                self._take_welcome(message)
            case messages.Rejected():
                self._take_rejection(message)
            case messages.Orders():
                if self._run is None or self._run.run_id != message.run:
                    self._begin(message)
            case messages.RunMessage():
                if self._run is not None and self._run.run_id == message.run:
                    self._run.hear(message)

    def _take_rejection(self, rejected: messages.Rejected) -> None:
        if not self._failed:
            logger.error("The master rejects this worker: %s", rejected.reason)
            self._failed = True
            gevent.spawn(self.quit)

    def _take_welcome(self, welcome: messages.Welcome) -> None:
        if self._number is None:
            self._number = welcome.number
            logger.info("This is worker %d of the bank", self._number)

    def _begin(self, orders: messages.Orders) -> None:
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
            self._mail.send(messages.Refused(run=orders.run, reason=str(error)))
            return
        self._run = run
        self._has_run.set()
        gevent.spawn(run.conduct).link(lambda _: self._over(run))

    def _over(self, run: WorkerRun) -> None:
        if self._run is run:
            self._has_run.clear()


logger = logging.getLogger(__name__)

# -- What strangers send to the master's port -------------------------------------------------------
#
# Locust's listener ends with the first frame that is no message of its own, and the master is deaf from
# then on.  So what it receives and handles is guarded: whatever is odd is counted and left out.  A
# worker whose connection was cut half-way comes back under its old name (ROUTER_HANDOVER).


class Strangers:
    """Counts what could not be read, and logs the first and then ever fewer of them."""

    def __init__(self) -> None:
        self.refused = 0

    def refuse(self, reason: object) -> None:
        self.refused += 1
        if self.refused in (1, 10, 100) or self.refused % 1000 == 0:
            logger.warning(
                "Refused %s messages at the workers' port; the last one: %s", f"{self.refused:,}", reason
            )


def guard_listener(runner: MasterRunner, strangers: Strangers) -> None:
    """Wrap what Locust's listener calls; Locust makes a new server when its connection breaks."""
    handle, reset = runner.handle_message, runner.reset_connection

    def handle_message(client_id: str, msg: Any) -> None:
        try:
            handle(client_id, msg)
        except Exception as error:
            strangers.refuse(f"{type(error).__name__}: {error}")

    def reset_connection() -> None:
        reset()
        _guard_server(runner.server, strangers)

    runner.handle_message = handle_message
    runner.reset_connection = reset_connection
    _guard_server(runner.server, strangers)


def leave_the_end_to(session: Session, runner: MasterRunner) -> None:
    """Locust ends a test as soon as the last worker is missing or has quit; a run decides that itself.

    It waits for workers to come back, and a run that ends without any has failed.
    """
    stop, quit_now, check_stopped = runner.stop, runner.quit, runner.check_stopped

    def is_locusts_own() -> bool:
        current = getattr(gevent.getcurrent(), "_run", None)
        return session.active and current in (runner.heartbeat_worker, runner.client_listener)

    def stop_unless_its_own(send_stop_to_client: bool = True) -> None:
        if not is_locusts_own():
            stop(send_stop_to_client)

    def quit_unless_its_own() -> None:
        if not is_locusts_own():
            quit_now()

    def check_stopped_between_runs() -> None:
        if not session.active:
            check_stopped()

    runner.stop = stop_unless_its_own
    runner.check_stopped = check_stopped_between_runs
    runner.quit = quit_unless_its_own


def _guard_server(server: Any, strangers: Strangers) -> None:
    receive: Callable[[], Any] = server.recv_from_client

    def recv_from_client() -> Any:
        while True:
            try:
                return receive()
            except RPCError:
                raise  # Locust knows what to do
            except Exception as error:
                strangers.refuse(f"{type(error).__name__}: {error}")

    server.recv_from_client = recv_from_client
    server.socket.setsockopt(zmq.ROUTER_HANDOVER, 1)


#: Users are idle by the time Locust stops them: the run has been drained before.
STOP_TIMEOUT_S = 1


class MasterSession(Session):
    """Runs of one Locust master, one at a time."""

    def __init__(self, environment: Environment) -> None:
        environment.stop_timeout = environment.stop_timeout or STOP_TIMEOUT_S
        super().__init__(environment)
        self._runner: MasterRunner = environment.runner
        self.members = Members(self._runner.master_bind_host, self._runner.master_bind_port)
        self.strangers = Strangers()
        self._source: RemoteSource | None = None
        self._mail = MasterMail(self._runner)
        guard_listener(self._runner, self.strangers)
        leave_the_end_to(self, self._runner)
        self._runner.register_message(TO_MASTER, lambda msg, **_: self._hear(msg.node_id, msg.data))

    @property
    def makers(self) -> int:  # type: ignore[override]
        return int(self._runner.worker_count)

    @property
    def maker_ids(self) -> frozenset[str]:
        clients = self._runner.clients
        return frozenset(client.id for client in clients.ready + clients.spawning + clients.running)

    @property
    def idle_message(self) -> str:
        options, here = self.environment.parsed_options, self.makers
        if (options.headless or options.autostart) and here < options.expect_workers:
            return f"Waiting for workers: {here} of {options.expect_workers} connected"
        return super().idle_message if here else f"No worker is connected. {self._how_to_join}"

    def prepare(self, options: Mapping[str, Any], allow_paths: bool = True) -> RunSettings:
        settings = super().prepare(options, allow_paths)
        if settings.scenario.load is not None:
            self._prepared = None
            check_conditions(settings, workers=True)
            self._prepared = settings
        return settings

    def prepare_form(self, form: Mapping[str, str]) -> RunSettings:
        self._need_worker()
        return super().prepare_form(form)

    def start(self, form: Mapping[str, str], switch: bool = False) -> None:
        self._need_worker()
        super().start(form, switch)

    def quit(self) -> None:
        self._runner.quit()

    def worker_rows(self) -> list[WorkerShown]:
        """Each worker for the status page: those of the run, and those that wait for one."""
        if self.active and self._source is not None:
            return self._source.standings()
        return [WorkerShown(m.number, m.host, m.pid, str(Standing.IDLE)) for m in self.members.present()]

    def _new_run(self, settings: RunSettings) -> Run:
        source = self._source = RemoteSource(settings, self.members, self._mail)
        return Run(settings, source.prepare)

    @property
    def _how_to_join(self) -> str:
        return f"Start one with: {self.members.how_to_join}"

    def _need_worker(self) -> None:
        if not self.members.present():
            raise UsageError(f"No worker is connected. {self._how_to_join}")

    def _hear(self, client_id: str, data: object) -> None:
        try:
            message = messages.from_worker(data)
        except ValueError as error:
            self.strangers.refuse(error)
            return
        if isinstance(message, messages.Hello):
            self._greet(client_id, message)
            return
        member, run = self.members.find(client_id), self._run
        if member is None:
            return  # its hello comes every second
        member.heard_s = time.monotonic()
        if run is None or self._source is None or message.run != run.settings.run_id:
            return
        if not run.finished.is_set():
            self._source.hear(member, message)
        elif isinstance(message, messages.Final):
            self._mail.send(member.client_id, messages.Bye(run=message.run))

    def _greet(self, client_id: str, hello: messages.Hello) -> None:
        if client_id not in self._runner.clients and self.members.find(client_id) is None:
            return  # a worker of an earlier master: Locust gives it no users, and it ends by itself
        try:
            member = self._welcome(client_id, hello)
        except ValueError as error:
            self._mail.send(client_id, messages.Rejected(reason=str(error)))
            return
        self._mail.send(client_id, messages.Welcome(number=member.number))
        if self._source is not None and self.active:
            gevent.spawn(self._source.greet, member, hello.run)

    def _welcome(self, client_id: str, hello: messages.Hello) -> Member:
        """Raises ValueError when the worker cannot work for this master."""
        if hello.version != messages.build():
            raise ValueError(
                f"the master runs banksim {messages.build()}, this worker {hello.version}; "
                "install the same build on both"
            )
        return self.members.hear(client_id, hello.host, hello.pid)
