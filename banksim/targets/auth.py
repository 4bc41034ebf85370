"""A login to the bank, for a server that was started with its authentication on.

Only used after a 401.  Many greenlets meet that at once: the first logs in, the others
wait for it and go on with its token.  A login is tried at most once a minute, so a wrong
password cannot turn into a load of its own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from gevent.lock import BoundedSemaphore

from banksim.targets.calls import Reply, Request, Transport, failure_text

LOGIN_PATH = "/rbac/auth/login"
PAUSE_S = 60.0
_log = logging.getLogger(__name__)


class Login:
    """Turns a user name and password into a token on ``transport``.  Empty name: never logs in."""

    def __init__(
        self,
        username: str = "",
        password: str = "",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._username = username
        self._password = password
        self._monotonic = monotonic
        self._lock = BoundedSemaphore(1)
        self._tried_at_s: float | None = None
        self._told = False
        #: Grows with each token, so a caller can tell whether its 401 was under an older one.
        self.generation = 0

    def renew(self, transport: Transport, generation: int, report: Callable[[Request, Reply], None]) -> bool:
        """True when there is a token newer than ``generation`` to try again with."""
        if not self._username:
            self._tell(
                "The bank asks for a login (HTTP 401). Give one in the environment (NEXUM_USERNAME and "
                "NEXUM_PASSWORD, or a NEXUM_TOKEN that it takes), or start the bank without authentication."
            )
            return False
        with self._lock:
            if self.generation != generation:
                return True
            now_s = self._monotonic()
            if self._tried_at_s is not None and now_s - self._tried_at_s < PAUSE_S:
                return False
            self._tried_at_s = now_s
            return self._log_in(transport, report)

    def _log_in(self, transport: Transport, report: Callable[[Request, Reply], None]) -> bool:
        credentials = {"username": self._username, "password": self._password}
        request = Request("POST", LOGIN_PATH, LOGIN_PATH, credentials)
        reply = transport.send(request)
        report(request, reply)
        token = reply.data.get("access_token") if isinstance(reply.data, Mapping) else None
        if reply.status != 200 or not isinstance(token, str) or not token:
            self._tell(
                f"The login to the bank as {self._username!r} failed: {failure_text(reply)}. "
                "Check NEXUM_USERNAME and NEXUM_PASSWORD."
            )
            return False
        transport.authorize(token)
        self.generation += 1
        return True

    def _tell(self, message: str) -> None:
        if not self._told:
            self._told = True
            _log.error(message)
