"""Faults of the stand-ins, made on purpose: what happens to one call while they are on.

Whoever runs the stand-ins says which faults are on (`FaultBoard.set`); each call draws its
own effect.  `FaultyFace` carries effects out over HTTP, where a reset is a real reset and a
hang a connection that stays open.

Delays add up over all faults; of the others the first in order that hits decides.  A hang,
a reset and a garbled answer may strike before or after the work is done, half and half: to
a client they look the same, and only the books tell.  A hang ends with its fault, in a
reset.
"""

from __future__ import annotations

import errno
import random
import socket
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Any

import gevent
import orjson
from gevent.event import Event

from banksim.sandbox.http import Environ, StartResponse, status_line

#: Environment variable with the secret that a server takes its faults by; without one it takes none.
CONTROL_TOKEN = "BANKSIM_SANDBOX_CONTROL"
CONTROL_PATH = "/sandbox/faults"
#: Where `PromptServer` leaves a connection's socket for whoever must reset it.
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

    def as_dict(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "kind": self.kind,
            "share": self.share,
            "latency_ms": list(self.latency_ms),
            "status": self.status,
        }

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> ActiveFault:
        """Raises KeyError, TypeError and ValueError for anything else than `as_dict` made."""
        least_ms, most_ms = map(float, row["latency_ms"])
        return cls(
            int(row["number"]),
            str(row["kind"]),
            float(row["share"]),
            (least_ms, most_ms),
            int(row["status"]),
        )


@dataclass(frozen=True, slots=True)
class Effect:
    """What one call meets.  ``kind`` is empty when it is only late; ``done``: the work is done anyway."""

    delay_s: float
    kind: str = ""
    done: bool = False
    status: int = 503
    garbage: tuple[str, bytes] = GARBAGE_ANSWERS[0]
    lifted: Event = field(default_factory=Event)


class FaultBoard:
    """The faults that are on.  ``affected`` counts the calls each met, by its number."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._faults: tuple[ActiveFault, ...] = ()
        self._lifted: dict[int, Event] = {}
        self.affected: dict[int, int] = {}

    def set(self, faults: Iterable[ActiveFault]) -> None:
        """From now on these and no others; calls that hang in one that is gone are let go."""
        self._faults = tuple(faults)
        numbers = {fault.number for fault in self._faults}
        for number in [number for number in self._lifted if number not in numbers]:
            self._lifted.pop(number).set()
        for number in numbers:
            self._lifted.setdefault(number, Event())
            self.affected.setdefault(number, 0)

    def draw(self) -> Effect | None:
        """The effect on one call; None for none, which costs next to nothing."""
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
    """A WSGI application in front of ``face`` that carries out what ``board`` says.

    ``PUT /sandbox/faults`` with the bearer ``token`` sets the board and answers {"affected": {number:
    calls}}; to everybody else that route does not exist.
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
        # The books are for whoever checks the stand-in; no customer's call goes there.
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
            for _ in self._face(environ, _nobody):
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
            rows = orjson.loads(environ["wsgi.input"].read(MAX_CONTROL_BYTES))["faults"]
            self._board.set([ActiveFault.from_dict(row) for row in rows])
        except (KeyError, TypeError, ValueError) as error:
            body = orjson.dumps({"detail": f"not a list of faults: {error!r}"})
            return _answer(start_response, 422, "application/json", body)
        affected = {str(number): count for number, count in self._board.affected.items()}
        return _answer(start_response, 200, "application/json", orjson.dumps({"affected": affected}))


def _answer(start_response: StartResponse, status: int, kind: str, body: bytes) -> list[bytes]:
    start_response(status_line(status), [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


def _nobody(_status: str, _headers: list[tuple[str, str]]) -> None:
    """Takes the head of an answer that nobody will get."""


def _reset(environ: Environ) -> OSError:
    """The server closes a connection that this error came out of: as a crash would, and without an answer."""
    sock = environ.get(SOCKET_KEY)
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    return ConnectionResetError(errno.ECONNRESET, "a fault of the scenario")
