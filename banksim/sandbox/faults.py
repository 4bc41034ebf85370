"""Faults of the stand-ins, made on purpose: their effect on each call while they are on.

The controller of the stand-ins sets the active faults (`FaultBoard.set`); each call draws its
own effect.  `FaultyFace` carries effects out over HTTP, where a reset is a real reset and a
hang a connection that stays open.

Delays add up over all faults; of the others the first in order that hits decides.  A hang,
a reset and a garbled answer happen before or after the work is done, half and half: to a
client they look the same, and only the books show the difference.  A hang ends with its
fault, in a reset.
"""

from __future__ import annotations

import errno
import random
import socket
import struct
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from hmac import compare_digest

import gevent
import orjson
from gevent.event import Event
from pydantic import BaseModel

from banksim.sandbox.http import Environ, StartResponse, status_line

#: Environment variable with the secret for setting faults; without it a server has none.
CONTROL_TOKEN = "BANKSIM_SANDBOX_CONTROL"
CONTROL_PATH = "/sandbox/faults"
#: Key under which the server passes a connection's socket to the application, for resets.
SOCKET_KEY = "banksim.socket"
MAX_CONTROL_BYTES = 65_536
#: Kinds that are carried out on each call; a restart is done to the whole server.
LATENCY, ERRORS, HANGS, RESETS, GARBAGE = "latency", "errors", "hangs", "resets", "garbage"
#: Content type and body of answers that no client can use.
GARBAGE_ANSWERS = (
    ("text/html", b"<html><title>502</title><h1>Welcome to nginx!</h1></html>"),
    ("application/json", b'{"transaction_id": "4'),
    ("application/json", b"[]"),
    ("application/json", b"null"),
    ("application/json", b'{"risk_score": 85, "action": "PERHAPS", "state": "maybe"}'),
    ("application/octet-stream", bytes(range(256))),
)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class ActiveFault:
    """One fault that is on.  ``latency_ms`` is (least, most), ``share`` 0..1 of the calls."""

    number: int
    kind: str
    share: float = 1.0
    latency_ms: tuple[float, float] = (0.0, 0.0)
    status: int = 503

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


class _Control(BaseModel):
    """The body of ``PUT /sandbox/faults``."""

    faults: list[ActiveFault]


@dataclass(frozen=True, slots=True)
class Effect:
    """The effect on one call.  ``kind`` is empty for a mere delay; ``done``: the work is done anyway."""

    delay_s: float
    kind: str = ""
    done: bool = False
    status: int = 503
    garbage: tuple[str, bytes] = GARBAGE_ANSWERS[0]
    lifted: Event = field(default_factory=Event)


class FaultBoard:
    """The active faults.  ``affected`` counts the affected calls of each, by its number."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._faults: tuple[ActiveFault, ...] = ()
        self._lifted: dict[int, Event] = {}
        self.affected: dict[int, int] = {}

    def set(self, faults: Iterable[ActiveFault]) -> None:
        """Replace the active faults; calls that hang in a removed one are released."""
        self._faults = tuple(faults)
        numbers = {fault.number for fault in self._faults}
        for number in [number for number in self._lifted if number not in numbers]:
            self._lifted.pop(number).set()
        for number in numbers:
            self._lifted.setdefault(number, Event())
            self.affected.setdefault(number, 0)

    def draw(self) -> Effect | None:
        """Draw the effect on one call; None for none, which costs next to nothing."""
        if not self._faults:
            return None
        rng, delay_s, hit = self._rng, 0.0, False
        for fault in self._faults:
            if fault.share < 1 and rng.random() >= fault.share:
                continue
            self.affected[fault.number] += 1
            if fault.kind != LATENCY:
                return Effect(
                    delay_s,
                    fault.kind,
                    fault.kind != ERRORS and rng.random() < 0.5,
                    fault.status,
                    GARBAGE_ANSWERS[int(rng.random() * len(GARBAGE_ANSWERS))],
                    self._lifted[fault.number],
                )
            hit = True
            delay_s += rng.uniform(*fault.latency_ms) / 1000
        return Effect(delay_s) if hit else None


class FaultyFace:
    """A WSGI application in front of ``face`` that carries out the faults of ``board``.

    ``PUT /sandbox/faults`` with the bearer ``token`` sets the board and answers {"affected": {number:
    calls}}; without the token that route does not exist.
    """

    def __init__(
        self, face: Callable[[Environ, StartResponse], Iterable[bytes]], board: FaultBoard, token: str
    ) -> None:
        self._face = face
        self._board = board
        self._authorization = f"Bearer {token}"

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") == CONTROL_PATH and self._may_control(environ):
            return self._control(environ, start_response)
        # Reconciliation reads the books; no customer's call goes there.
        own = environ.get("PATH_INFO", "").startswith("/ledger/")
        effect = None if own else self._board.draw()
        if effect is None:
            return self._face(environ, start_response)
        gevent.sleep(effect.delay_s)
        match effect.kind:
            case "":
                return self._face(environ, start_response)
            case "errors":
                body = orjson.dumps({"detail": "a fault of the scenario"})
                return _answer(start_response, effect.status, "application/json", body)
        if effect.done:
            for _ in self._face(environ, _discard):
                pass
        if effect.kind == GARBAGE:
            return _answer(start_response, 200, *effect.garbage)
        if effect.kind == HANGS:
            effect.lifted.wait()
        raise _reset(environ)

    def _may_control(self, environ: Environ) -> bool:
        given = environ.get("HTTP_AUTHORIZATION", "")
        return compare_digest(given.encode(), self._authorization.encode())

    def _control(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            self._board.set(
                _Control.model_validate_json(environ["wsgi.input"].read(MAX_CONTROL_BYTES)).faults
            )
        except ValueError as error:
            body = orjson.dumps({"detail": f"not a list of faults: {error!r}"})
            return _answer(start_response, 422, "application/json", body)
        affected = {str(number): count for number, count in self._board.affected.items()}
        return _answer(start_response, 200, "application/json", orjson.dumps({"affected": affected}))


def _answer(start_response: StartResponse, status: int, kind: str, body: bytes) -> list[bytes]:
    start_response(status_line(status), [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


def _discard(_status: str, _headers: list[tuple[str, str]]) -> None:
    """Takes the head of an answer that is not sent."""


def _reset(environ: Environ) -> OSError:
    """An error on which the server resets the connection without an answer, as a crash would."""
    sock = environ.get(SOCKET_KEY)
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    return ConnectionResetError(errno.ECONNRESET, "a fault of the scenario")
