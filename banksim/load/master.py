"""The master's half of runs whose load workers make.

Everything a page or a signal asks of a session works as in one process; only the run is
another one, and the messages of workers are passed on to it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import gevent
import zmq
from locust.env import Environment
from locust.exception import RPCError
from locust.runners import MasterRunner

import banksim
from banksim.load.session import Session
from banksim.load.worker import TO_MASTER, MasterMail
from banksim.measure.results import WorkerShown
from banksim.model import UsageError
from banksim.run.capacity import check_conditions
from banksim.run.plan import RunSettings
from banksim.run.run import Run
from banksim.run.workers import Members, RemoteSource
from banksim.run.workers.members import Member, Standing
from banksim.run.workers.messages import Bye, Final, Hello, Rejected, Welcome, from_worker

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
            message = from_worker(data)
        except ValueError as error:
            self.strangers.refuse(error)
            return
        if isinstance(message, Hello):
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
        elif isinstance(message, Final):
            self._mail.send(member.client_id, Bye(run=message.run))

    def _greet(self, client_id: str, hello: Hello) -> None:
        if client_id not in self._runner.clients and self.members.find(client_id) is None:
            return  # a worker of an earlier master: Locust gives it no users, and it ends by itself
        try:
            member = self._welcome(client_id, hello)
        except ValueError as error:
            self._mail.send(client_id, Rejected(reason=str(error)))
            return
        self._mail.send(client_id, Welcome(number=member.number))
        if self._source is not None and self.active:
            gevent.spawn(self._source.greet, member, hello.run)

    def _welcome(self, client_id: str, hello: Hello) -> Member:
        """Raises ValueError when the worker cannot work for this master."""
        if hello.version != banksim.__version__:
            raise ValueError(
                f"the master runs banksim {banksim.__version__}, this worker {hello.version}; "
                "install the same version on both"
            )
        return self.members.hear(client_id, hello.host, hello.pid)
