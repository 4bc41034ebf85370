"""One line to the bank: calls that are told to the observer, movements that are told to the books.

Here live the promises that every route of the bank shares: a movement is sent at most once,
a call is repeated after a login only (a 401 is given before anything is done), a limiter is
named loudly and once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from banksim.domain import BankReply, BankStatus
from banksim.systems.calls import Observer, call_of
from banksim.systems.login import LOGIN_PATH, Login
from banksim.systems.nexum_wire import Verdict
from banksim.systems.transport import Reply, Transport
from banksim.systems.wording import failure_text

_log = logging.getLogger(__name__)

#: Account id and signed cents of each side of a movement.
Legs = Sequence[tuple[str, int]]


class Books(Protocol):
    """Hears of every movement on an account, for reconciliation at the end."""

    def begins(self, legs: Legs) -> None:
        """A movement is about to be sent."""

    def ends(self, legs: Legs) -> None:
        """It ended, after `on_movement` where something was or may have been booked."""

    def on_movement(self, account_id: str, amount_cents: int, certain: bool) -> None:
        """Signed cents, positive into the account; not certain when the answer never came."""


class BankLine:
    """Shared by everything that talks to one bank; many greenlets at once."""

    def __init__(self, transport: Transport, observer: Observer, books: Books | None, login: Login) -> None:
        self.transport = transport
        self._observer = observer
        self._books = books
        self._login = login
        self._told_of_limit = False

    def call(
        self,
        method: str,
        path: str,
        name: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        repeatable: bool = False,
    ) -> Reply:
        """One call, and once more after a login when the bank refuses to know us."""
        generation = self._login.generation
        reply = self.transport.call(method, path, name, body, query, repeatable=repeatable)
        if reply.status == 401:
            if self._login.renew(self.transport, generation, self._tell_login):
                self.tell(method, name, reply, failure_text(reply))
                reply = self.transport.call(method, path, name, body, query, repeatable=repeatable)
        elif reply.status == 429 and not self._told_of_limit:
            self._told_of_limit = True
            _log.error(
                "The bank at %s limits requests (HTTP 429). It is not prepared for load: "
                "every figure of this run is the limiter's, not the bank's. Switch the limiter off.",
                self.transport.address,
            )
        return reply

    def move(
        self,
        path: str,
        name: str,
        body: Mapping[str, Any] | None,
        legs: Legs,
        judge: Callable[[Reply], Verdict],
        query: Mapping[str, str] | None = None,
    ) -> BankReply:
        """Post one movement, once.  Never raises for what the bank does."""
        if self._books is not None:
            self._books.begins(legs)
        try:
            verdict, reply = self._sent(path, name, body, legs, judge, query)
        finally:
            if self._books is not None:
                self._books.ends(legs)
        answered = verdict.status in (BankStatus.POSTED, BankStatus.REFUSED)
        self.tell("POST", name, reply, None if answered else verdict.detail)
        return BankReply(verdict.status, verdict.detail, reply.latency_ms)

    def _sent(
        self,
        path: str,
        name: str,
        body: Mapping[str, Any] | None,
        legs: Legs,
        judge: Callable[[Reply], Verdict],
        query: Mapping[str, str] | None,
    ) -> tuple[Verdict, Reply]:
        try:
            reply = self.call("POST", path, name, body, query=query)
        except BaseException:
            # The greenlet was killed while it waited: the bank may have booked it.
            self._book(legs, certain=False)
            raise
        verdict = judge(reply)
        if verdict.status in (BankStatus.POSTED, BankStatus.UNKNOWN):
            self._book(legs, certain=verdict.status is BankStatus.POSTED)
        return verdict, reply

    def tell(self, method: str, name: str, reply: Reply, error: str | None) -> None:
        """Tell the observer of a call that ended."""
        self._observer(call_of("nexum", method, name, reply, error))

    def _book(self, legs: Legs, certain: bool) -> None:
        if self._books is not None:
            for account_id, amount_cents in legs:
                self._books.on_movement(account_id, amount_cents, certain)

    def _tell_login(self, reply: Reply) -> None:
        self.tell("POST", LOGIN_PATH, reply, None if reply.status == 200 else failure_text(reply))
