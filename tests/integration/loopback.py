"""A master and workers in one process, with messages handed over as they would be on the wire.

No Locust and no sockets: users are greenlets, and whatever a test wants to look at is at hand.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import gevent
import msgpack
from gevent.queue import SimpleQueue

from banksim.model import Planned
from banksim.run.dispatcher import ANY_PERSONA, FRAUD_SEAT, UserQueues
from banksim.run.plan import RunSettings
from banksim.run.run import Run
from banksim.run.workers import Members, RemoteSource, WorkerRun
from banksim.run.workers.messages import (
    FromMaster,
    FromWorker,
    Orders,
    RunMessage,
    encode,
    from_master,
    from_worker,
)

Wire = dict[str, Any]


class Post:
    """Messages to one receiver, in order, each packed and unpacked."""

    def __init__(self, receive: Callable[[Wire], None]) -> None:
        self._queue: SimpleQueue = SimpleQueue()
        self._receive = receive
        self.greenlet = gevent.spawn(self._deliver)

    def put(self, message: Wire) -> None:
        self._queue.put(msgpack.dumps(message))

    def _deliver(self) -> None:
        while True:
            self._receive(msgpack.loads(self._queue.get(), strict_map_key=False))


class LoopbackWorker:
    """One worker with users of its own."""

    def __init__(self, cluster: LoopbackCluster, name: str, users: int) -> None:
        self.name = name
        self.run: WorkerRun | None = None
        self.planned: list[Planned] = []
        self._cluster = cluster
        self._users = users
        self._greenlets: list[Any] = []
        self.to_me = Post(self._hear)

    def _hear(self, data: Wire) -> None:
        message = from_master(data)
        if not isinstance(message, Orders):
            if self.run is not None:
                self.run.hear(message)
            return
        self.run = WorkerRun(message, UserQueues([ANY_PERSONA, FRAUD_SEAT]), [], self)
        self._greenlets = [gevent.spawn(self.run.conduct)]
        for seat in (ANY_PERSONA, FRAUD_SEAT):
            self._greenlets += [gevent.spawn(self._work, self.run, seat) for _ in range(self._users)]

    def _work(self, run: WorkerRun, seat: str) -> None:
        while True:
            arrival = run.queues.take(seat)
            self.planned.append(arrival.planned)
            arrival.carry_out()

    def send(self, message: FromWorker) -> None:
        self._cluster.to_master.put({"from": self.name, "what": encode(message)})

    def kill(self) -> None:
        """Gone, without a word."""
        gevent.killall([*self._greenlets, self.to_me.greenlet])
        if self.run is not None:
            self.run.finished.wait(10)  # killed, it closes what it has opened


class LoopbackCluster:
    """One run on some workers."""

    def __init__(
        self, settings: RunSettings, workers: int, users: int = 8, host: str = socket.gethostname()
    ) -> None:
        self.host = host
        self.members = Members()
        self.workers: dict[str, LoopbackWorker] = {}
        self.source = RemoteSource(settings, self.members, self)
        self.run = Run(settings, self.source.prepare)
        self.to_master = Post(self._hear)
        self._users = users
        for _ in range(workers):
            self.add_worker()

    def add_worker(self) -> LoopbackWorker:
        """One more worker; a run that goes on gives it orders."""
        name = f"worker-{len(self.workers)}"
        worker = self.workers[name] = LoopbackWorker(self, name, self._users)
        member = self.members.hear(name, self.host, len(self.workers))
        self.source.greet(member, "")
        return worker

    def conduct(self, meanwhile: Callable[[LoopbackCluster], None] | None = None) -> Run:
        """Live the whole run; ``meanwhile`` is called at the same time."""
        other = gevent.spawn(meanwhile, self) if meanwhile is not None else None
        try:
            self.run.conduct()
        finally:
            for worker in self.workers.values():
                worker.kill()
            self.to_master.greenlet.kill()
        if other is not None:
            other.get()
        return self.run

    @property
    def planned(self) -> list[Planned]:
        """Everything that all workers did."""
        return [planned for worker in self.workers.values() for planned in worker.planned]

    def _hear(self, letter: Wire) -> None:
        member = self.members.hear(letter["from"], self.host, 0)
        message = from_worker(letter["what"])
        if isinstance(message, RunMessage) and not self.run.finished.is_set():
            self.source.hear(member, message)

    def send(self, client_id: str, message: FromMaster) -> None:
        self.workers[client_id].to_me.put(encode(message))
