"""The master's half of runs whose load workers make.

Everything a page or a signal asks of a session works as in one process; only the run is
another one, and what workers say is passed on to it.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import gevent
from locust.env import Environment
from locust.runners import MasterRunner

import banksim
from banksim.load.session import Session
from banksim.load.worker import MasterMail
from banksim.model import UsageError
from banksim.run.run import Life
from banksim.run.settings import RunSettings
from banksim.run.workers import MasterRun, Members
from banksim.run.workers.messages import Message

logger = logging.getLogger(__name__)

# -- Users for workers: everyone gets the same, enough for every persona and the fraud actors -------
#
# Locust's own dispatcher shares a total out, which leaves a worker without users of some class, a
# late one without any, and never gives back those of a lost one.  Here users are only seats
# for arrivals, so all that matters is that each worker has enough of each kind.
#
# It never says that it is done: then Locust would begin a ramp of its own inside its
# message loop whenever a worker comes or goes, and nobody would be heard meanwhile.  The load
# shape notices instead, within a second.


class SeatDispatcher:
    """Takes the place of Locust's `UsersDispatcher` on a master; lives for one test."""

    dispatch_in_progress = True

    def __init__(self, worker_nodes: Sequence[Any], user_classes: Sequence[type[Any]]) -> None:
        self._workers = {node.id: node for node in worker_nodes}
        self._classes = [cls.__name__ for cls in user_classes]
        self._each = 0
        self._ready = False

    def new_dispatch(
        self, target_user_count: int, spawn_rate: float, user_classes: Sequence[type[Any]] | None = None
    ) -> None:
        """``target_user_count`` is for all workers together; a worker never gets fewer than before."""
        del spawn_rate, user_classes  # a worker's own users are there at once, and of all classes
        wanted = math.ceil(target_user_count / max(1, len(self._workers)))
        self._each = max(self._each, wanted)
        self._ready = True

    def add_worker(self, worker_node: Any) -> None:
        """Called by Locust; the next dispatch counts it in."""
        self._workers[worker_node.id] = worker_node

    def remove_worker(self, worker_node: Any) -> None:
        """Called by Locust."""
        self._workers.pop(worker_node.id, None)

    def __iter__(self) -> SeatDispatcher:
        return self

    def __next__(self) -> dict[str, dict[str, int]]:
        """{worker id: {user class: users}}, once per dispatch."""
        if not self._ready:
            raise StopIteration
        self._ready = False
        return {worker_id: self._shares() for worker_id in self._workers}

    def _shares(self) -> dict[str, int]:
        share, rest = divmod(self._each, len(self._classes))
        return {name: share + (nth < rest) for nth, name in enumerate(self._classes)}


#: Users are idle by the time Locust stops them: the run has been drained before.
STOP_TIMEOUT_S = 1
NO_WORKER = (
    "No worker is connected. Start one with `locust -f locustfiles/banking.py --worker`, "
    "on another machine with --master-host ADDRESS."
)


class MasterSession(Session):
    """Runs of one Locust master, one at a time."""

    def __init__(self, environment: Environment) -> None:
        environment.stop_timeout = environment.stop_timeout or STOP_TIMEOUT_S
        super().__init__(environment)
        environment.dispatcher_class = SeatDispatcher
        assert isinstance(environment.runner, MasterRunner)
        self._runner: MasterRunner = environment.runner
        self.members = Members()
        self._mail = MasterMail(self._runner, self._hear)

    @property
    def makers(self) -> int:  # type: ignore[override]
        return int(self._runner.worker_count)

    @property
    def maker_ids(self) -> frozenset[str]:
        clients = self._runner.clients
        return frozenset(client.id for client in clients.ready + clients.spawning + clients.running)

    def prepare(self, options: Mapping[str, Any], allow_paths: bool = True) -> RunSettings:
        settings = super().prepare(options, allow_paths)
        if settings.scenario.load is not None:
            self._prepared = None
            raise UsageError(
                "load: the search for capacity looks at one generator at a time; run it without --master "
                "and --processes"
            )
        return settings

    def prepare_form(self, form: Mapping[str, str]) -> RunSettings:
        self._need_worker()
        return super().prepare_form(form)

    def start(self, form: Mapping[str, str], switch: bool = False) -> None:
        self._need_worker()
        super().start(form, switch)

    def quit(self) -> None:
        self._runner.quit()

    def worker_rows(self) -> list[dict[str, Any]]:
        """Each worker for the status page: those of the run, and those that wait for one."""
        run = self._run
        if isinstance(run, MasterRun) and not run.finished.is_set():
            return run.worker_rows()
        return [
            {"number": m.number, "host": m.host, "pid": m.pid, "standing": "idle", "share": 0.0}
            | {"cpu_percent": None, "rss_bytes": None}
            for m in self.members.present()
        ]

    def _new_run(self, settings: RunSettings) -> Life:
        return MasterRun(settings, self.members, self._mail.send)

    def _need_worker(self) -> None:
        if not self.members.present():
            raise UsageError(NO_WORKER)

    def _hear(self, client_id: str, message: Message) -> None:
        if message["kind"] == "hello":
            self._greet(client_id, message)
            return
        member, run = self.members.find(client_id), self._run
        if member is None:
            return  # its hello comes every second
        member.heard_s = time.monotonic()
        if isinstance(run, MasterRun) and message["run"] == run.settings.run_id:
            if run.finished.is_set() and message["kind"] == "final":
                self._mail.send(client_id, {"kind": "bye", "run": message["run"]})
            elif not run.finished.is_set():
                run.hear(member, message)

    def _greet(self, client_id: str, message: Message) -> None:
        problem = ""
        if message["version"] != banksim.__version__:
            problem = (
                f"the master runs banksim {banksim.__version__}, this worker {message['version']}; "
                "install the same version on both"
            )
        member = None if problem else self.members.hear(client_id, message["host"], message["pid"])
        number = member.number if member is not None else -1
        self._mail.send(client_id, {"kind": "welcome", "run": "", "number": number, "problem": problem})
        if member is not None and isinstance(self._run, MasterRun) and self.active:
            gevent.spawn(self._run.greet, member, message["run"])
