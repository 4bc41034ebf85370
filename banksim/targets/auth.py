"""A login to the bank, for a server that was started with its authentication on.

The first one follows a 401.  Many greenlets get that at once: the first logs in, the others
wait for it and go on with its token.  A token with a known end is renewed before it
is reached, while calls go on under the old one.

A failed login is not repeated for a while, so a wrong password cannot turn into a load of its own.

`FrontDoor` is everything else that a system asks at its door: headers, certificates, a proxy, and
secrets, which come out of the environment or files and are shown nowhere.
"""

from __future__ import annotations

import base64
import logging
import math
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import orjson
from gevent.lock import BoundedSemaphore

from banksim.model import UsageError
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
    def secrets(self) -> tuple[str, ...]:
        """What it sends and nobody may read in an answer that repeats it."""
        return (self._password,)

    def failure(self, reply: Reply) -> str:
        """Why a login failed, without what was sent with it."""
        text = failure_text(reply)
        for one in self.secrets:
            text = text.replace(one, "***") if one else text
        return text

    @property
    def ends_soon(self) -> bool:
        """True for one caller when the token is about to end: that one is to renew it."""
        if self._renew_at_s == math.inf or self._monotonic() < self._renew_at_s:
            return False
        self._renew_at_s = math.inf
        return True

    def renew(self, transport: Transport, generation: int, report: Callable[[Request, Reply], None]) -> bool:
        """True when there is a token newer than ``generation`` to try again with."""
        if not self.has_credentials:
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

    @property
    def has_credentials(self) -> bool:
        return bool(self._username)

    @property
    def due_first(self) -> bool:
        """Whether nothing can be asked before the first login."""
        return False

    def close(self) -> None:
        """Let go of what only the login needs."""

    def _ask(self, transport: Transport) -> tuple[Request, Reply]:
        credentials = {"username": self._username, "password": self._password}
        request = Request("POST", LOGIN_PATH, LOGIN_PATH, credentials)
        return request, transport.send(request)

    def _failure(self, reply: Reply) -> str:
        return (
            f"The login to the bank as {self._username!r} failed: {self.failure(reply)}. "
            "Check NEXUM_USERNAME and NEXUM_PASSWORD."
        )

    def _log_in(self, transport: Transport, report: Callable[[Request, Reply], None]) -> bool:
        request, reply = self._ask(transport)
        report(request, reply)
        now_s = self._monotonic()
        data = reply.data if isinstance(reply.data, Mapping) else {}
        token = data.get("access_token")
        if reply.status != 200 or not isinstance(token, str) or not token:
            answered = 200 <= reply.status < 500 and reply.status != 429
            self._next_at_s = now_s + (AFTER_REFUSAL_S if answered else AFTER_NO_ANSWER_S)
            self._log_once(self._failure(reply))
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


class SignedIn:
    """Base of a client: its calls, with a login where the system asks for one."""

    what = "bank"

    def __init__(self, transport: Transport, login: Login | None) -> None:
        self.transport = transport
        self._login = login or Login()
        self._limit_logged = False

    @property
    def address(self) -> str:
        return self.transport.address

    def report(self, request: Request, reply: Reply, error: str | None) -> None:
        """Notify the observer of a call that ended; ``error`` is why it failed."""
        raise NotImplementedError

    def send(self, request: Request) -> Reply:
        """Send one request, and once more after a login when the system answers 401: it did nothing then."""
        login = self._login
        if login.ends_soon or login.due_first:
            self.log_in()
        generation = login.generation
        reply = self.transport.send(request)
        if reply.status == 401:
            if request.begun is not None and generation:  # it may have been made under an older token
                self.report(request, reply, failure_text(reply))
                return self.send(request._replace(begun=None))
            if login.renew(self.transport, generation, self._report_login):
                self.report(request, reply, failure_text(reply))
                reply = self.transport.send(request._replace(begun=None))
        elif reply.status == 429 and not self._limit_logged:
            self._limit_logged = True
            _log.error(
                "The %s at %s limits requests (HTTP 429%s). It is not prepared for load: "
                "every figure of this run is the limiter's, not the %s's. Switch the limiter off.",
                self.what,
                self.address,
                f", {reply.error}" if reply.error else "",
                self.what,
            )
        return reply

    def close(self) -> None:
        self.transport.close()
        self._login.close()

    @property
    def login_ends_soon(self) -> bool:
        """True for one caller when the token is about to end: that one is to call `log_in`."""
        return self._login.ends_soon

    def log_in(self) -> None:
        """Get a new token, while other calls go on under the old one."""
        self._login.renew(self.transport, self._login.generation, self._report_login)

    def _report_login(self, request: Request, reply: Reply) -> None:
        self.report(request, reply, None if reply.status == 200 else self._login.failure(reply))


class OAuthLogin(Login):
    """OAuth 2.0 client credentials (RFC 6749, section 4.4): a token before the first call, renewed."""

    def __init__(
        self, door: FrontDoor, to_issuer: Transport, monotonic: Callable[[], float] = time.monotonic
    ):
        super().__init__(monotonic=monotonic)
        self._door = door
        self._issuer = to_issuer

    @property
    def has_credentials(self) -> bool:
        return True

    @property
    def secrets(self) -> tuple[str, ...]:
        door = self._door
        return (basic_credentials(door.client_id, door.client_secret), door.client_secret)

    @property
    def due_first(self) -> bool:
        return self.generation == 0

    def close(self) -> None:
        self._issuer.close()

    def _ask(self, transport: Transport) -> tuple[Request, Reply]:  # noqa: ARG002
        path = urlsplit(self._door.token_url).path or "/"
        form = "grant_type=client_credentials"
        form += f"&scope={quote(self._door.scope)}" if self._door.scope else ""
        basic = basic_credentials(self._door.client_id, self._door.client_secret)
        headers = f"Content-Type: application/x-www-form-urlencoded\r\nAuthorization: Basic {basic}\r\n"
        request = Request("POST", path, path, form.encode(), headers=headers)
        return request, self._issuer.send(request)

    def _failure(self, reply: Reply) -> str:
        return (
            f"No token from {self._issuer.address}: {self.failure(reply)}. "
            "Check oauth.client_id and oauth.client_secret of the target."
        )


class _NoLogin(Login):
    """A system whose 401 is an answer."""

    def renew(self, transport: Transport, generation: int, report: Callable[[Request, Reply], None]) -> bool:  # noqa: ARG002
        return False


NO_LOGIN = _NoLogin()


# -- What a system asks at its door ------------------------------------------------------------------


_SECRET = re.compile(r"\$\{(file:)?([^}]+)\}")


def secret(text: str, where: str) -> str:
    """``text`` with ``${NAME}`` out of the environment and ``${file:PATH}`` out of a file.

    ``${NAME:-}`` may be missing, and is then what stands behind the dash.

    Raises UsageError that names ``where`` and what is missing, never a value.
    """

    def value(match: re.Match[str]) -> str:
        is_file, name = match.groups()
        if not is_file:
            name, dash, default = name.partition(":-")
            if name not in os.environ and not dash:
                raise UsageError(f"{where}: the environment has no {name}, which ${{{name}}} asks for")
            return os.environ.get(name, default)
        try:
            return Path(name).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            raise UsageError(f"{where}: the file {name} cannot be read: {reason}") from None

    filled = _SECRET.sub(value, text)
    if not filled.isascii() or any(c < " " for c in filled):
        raise UsageError(
            f"{where}: expected visible ASCII characters in one line (after secrets are filled in)"
        )
    return filled


def basic_credentials(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


@dataclass(frozen=True, slots=True)
class FrontDoor:
    """Secrets filled in.  ``headers`` are sent with every call; files are paths, empty for none."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    token: str = field(default="", repr=False)
    ca_file: str = ""
    certificate: str = ""
    key: str = ""
    proxy: str = field(default="", repr=False)
    token_url: str = ""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    scope: str = ""

    def towards(self, scheme: str, host: str) -> FrontDoor:
        """With the proxy of HTTP_PROXY or HTTPS_PROXY where none is given and NO_PROXY allows it."""
        proxy = getproxies_environment().get(scheme, "")
        here = host in ("localhost", "::1") or host.startswith("127.")
        if self.proxy or not proxy or here or proxy_bypass(host):
            return self
        return replace(self, proxy=proxy)


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
