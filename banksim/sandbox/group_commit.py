"""Several requests, one commit: a flush to disk costs the same for one posting as for fifty.

Requests that arrive while a commit is under way wait, and are then done together, one after
the other in one transaction.  None is answered before that transaction is on the disk, so
an answer is worth what it was worth before.

    requests ──► waiting ──► [work, work, work, COMMIT] ──► answers
                    ▲ while this goes on, the next ones gather

When a group fails, nothing of it was written: lost before the commit, it is done once more;
a statement that failed rolls the others back with it, so each is then done by itself; lost
during the commit, nobody in it can be told what happened.
"""

from __future__ import annotations

from collections.abc import Callable

import gevent
from gevent.event import AsyncResult

from banksim.sandbox.database import CommitUnknown, ConnectionLost, Database, Unavailable
from banksim.sandbox.fields import Reply

#: More than this in one transaction would make the first of them wait.
MAX_GROUP = 64


class _Request:
    """``work`` is what to do; ``result`` hears its reply, or the StorageError that ended it."""

    __slots__ = ("result", "work")

    def __init__(self, work: Callable[[], Reply]) -> None:
        self.work = work
        self.result = AsyncResult()


class GroupCommit:
    """Does requests in groups.  ``work`` must not be harmed by being done again after a rollback."""

    def __init__(self, database: Database, on_rollback: Callable[[], None]) -> None:
        """``on_rollback``: whatever was kept in memory about rows of this transaction is wrong."""
        self._db = database
        self._on_rollback = on_rollback
        self._waiting: list[_Request] = []
        self._working = False
        self.groups = 0

    def perform(self, work: Callable[[], Reply]) -> Reply:
        """Wait until ``work`` is done and committed.  Raises what it raised, or a StorageError."""
        request = _Request(work)
        self._waiting.append(request)
        if not self._working:
            self._working = True
            gevent.spawn(self._run)
        reply: Reply = request.result.get()
        return reply

    def _run(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
                with self._db.lock:
                    self._do(group)
        finally:
            self._working = False

    def _do(self, group: list[_Request]) -> None:
        self.groups += 1
        try:
            replies = self._together(group)
        except (CommitUnknown, ConnectionLost, Unavailable) as error:
            for request in group:
                request.result.set_exception(error)
        except Exception as error:
            if len(group) == 1:
                group[0].result.set_exception(error)
                return
            for request in group:
                self._do([request])
        else:
            for request, reply in zip(group, replies, strict=True):
                request.result.set(reply)

    def _together(self, group: list[_Request]) -> list[Reply]:
        """Once more from the start when the database restarted before anything was committed."""
        try:
            return self._in_one_transaction(group)
        except ConnectionLost:
            return self._in_one_transaction(group)

    def _in_one_transaction(self, group: list[_Request]) -> list[Reply]:
        try:
            with self._db.transaction():
                return [request.work() for request in group]
        except BaseException:
            self._on_rollback()
            raise
