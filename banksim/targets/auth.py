"""A login to the bank, for a server that was started with its authentication on.

The first one follows a 401.  Many greenlets get that at once: the first logs in, the others
wait for it and go on with its token.  A token with a known end is renewed before it
is reached, while calls go on under the old one.

A failed login is not repeated for a while, so a wrong password cannot turn into a load of its own.
"""

from __future__ import annotations

import base64
import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from gevent.lock import BoundedSemaphore

from banksim.targets.calls import Reply, Request, Transport, failure_text

LOGIN_PATH = "/rbac/auth/login"
#: Seconds from a login to the next one: after it succeeded, after the bank said no, after no usable answer.
AFTER_SUCCESS_S = 1.0
AFTER_REFUSAL_S = 60.0
AFTER_NO_ANSWER_S = 5.0
#: A token is renewed when this share of its life is left, at most `EARLIEST_S` ahead of its end.
LIFE_LEFT = 0.2
EARLIEST_S = 30.0
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
        self._next_at_s = -math.inf
        self._renew_at_s = math.inf
        self._logged: set[str] = set()
        #: Grows with each token, so a caller can tell whether its 401 was under an older one.
        self.generation = 0

    @property
    def ends_soon(self) -> bool:
        """True for one caller when the token is about to end: that one is to renew it."""
        if self._renew_at_s == math.inf or self._monotonic() < self._renew_at_s:
            return False
        self._renew_at_s = math.inf
        return True

    def renew(self, transport: Transport, generation: int, report: Callable[[Request, Reply], None]) -> bool:
        """True when there is a token newer than ``generation`` to try again with."""
        if not self._username:
            self._log_once(
                "The bank asks for a login (HTTP 401). Give one in the environment (NEXUM_USERNAME and "
                "NEXUM_PASSWORD, or a NEXUM_TOKEN that it takes), or start the bank without authentication."
            )
            return False
        with self._lock:
            if self.generation != generation:
                return True
            if self._monotonic() < self._next_at_s:
                if self.generation:
                    self._log_once("The bank refuses (HTTP 401) a token that its login has only just given.")
                return False
            return self._log_in(transport, report)

    def _log_in(self, transport: Transport, report: Callable[[Request, Reply], None]) -> bool:
        credentials = {"username": self._username, "password": self._password}
        request = Request("POST", LOGIN_PATH, LOGIN_PATH, credentials)
        reply = transport.send(request)
        report(request, reply)
        now_s = self._monotonic()
        data = reply.data if isinstance(reply.data, Mapping) else {}
        token = data.get("access_token")
        if reply.status != 200 or not isinstance(token, str) or not token:
            answered = 200 <= reply.status < 500 and reply.status != 429
            self._next_at_s = now_s + (AFTER_REFUSAL_S if answered else AFTER_NO_ANSWER_S)
            self._log_once(
                f"The login to the bank as {self._username!r} failed: {failure_text(reply)}. "
                "Check NEXUM_USERNAME and NEXUM_PASSWORD."
            )
            return False
        transport.authorize(token)
        self.generation += 1
        self._next_at_s = now_s + AFTER_SUCCESS_S
        life_s = lifetime_s(data.get("expires_in"), token)
        self._renew_at_s = max(self._next_at_s, now_s + life_s - min(EARLIEST_S, LIFE_LEFT * life_s))
        return True

    def _log_once(self, message: str) -> None:
        if message not in self._logged:  # as many as there are messages here
            self._logged.add(message)
            _log.error(message)


def lifetime_s(expires_in: Any, token: str) -> float:
    """Seconds that a new token is good for, by the answer's ``expires_in`` or the token itself.

    A JSON Web Token holds the moments at which it was issued and ends (RFC 7519, ``iat`` and ``exp``).
    Infinite when neither says.
    """
    if isinstance(expires_in, int | float) and not isinstance(expires_in, bool) and expires_in > 0:
        return float(expires_in)
    try:
        payload = token.split(".")[1]
        claims = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        life_s = float(claims["exp"]) - float(claims.get("iat", time.time()))
    except (IndexError, KeyError, TypeError, ValueError, AttributeError):
        return math.inf
    return life_s if life_s > 0 else math.inf
