"""The HTTP side of both stand-ins: request bodies, refusals, and a thin WSGI application.

An API is any object with ``handle(method, path, query, body) -> (status, JSON-able)``.  Bodies are
JSON both ways.  A body that is not JSON is a 422, one over ``MAX_BODY_BYTES`` a 413, and one with
another content type is passed on as text, which the APIs refuse as the real bank does.  An exception
inside an API is a 500; its traceback goes to the log.

Wrong fields become one 422 whose ``detail`` lists ``{type, loc, msg, input[, ctx]}`` in the form of
FastAPI, as the real bank answers.

Not handled: chunked request bodies beyond the bound are cut off by closing the connection;
compression; sign-in.

Faults of the stand-ins, made on purpose: their effect on each call while they are on.

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
import http
import logging
import random
import socket
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from hmac import compare_digest
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qsl

import gevent
import orjson
from gevent.event import Event
from pydantic import BaseModel, ValidationError

MAX_BODY_BYTES = 1_048_576

#: Status and JSON-able body of an answer.
Reply = tuple[int, Any]
#: The query string of a request; of a repeated name the last value.
Query = Mapping[str, str]
Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]
Model = TypeVar("Model", bound=BaseModel)

_log = logging.getLogger(__name__)
_STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in http.HTTPStatus}


class Refusal(Exception):
    """Ends the handling of a request with an error answer; ``detail`` is its text or its list."""

    def __init__(self, status: int, detail: str | list[Any]) -> None:
        self.reply: Reply = (status, {"detail": detail})
        super().__init__(str(detail))


def read(model: type[Model], given: object, where: str = "body") -> Model:
    """A body (or the ``query``) as ``model``.  Raises Refusal(422) with every mistake in it."""
    if given is None:
        raise Refusal(422, [{"type": "missing", "loc": [where], "msg": "Field required", "input": None}])
    try:
        return model.model_validate(given, from_attributes=True)
    except ValidationError as error:
        wrong = error.errors(include_url=False)
        raise Refusal(422, [{**one, "loc": [where, *one["loc"]]} for one in wrong]) from None


class Api(Protocol):
    def handle(self, method: str, path: str, query: Query, body: Any = None) -> Reply: ...


def status_line(status: int) -> str:
    """ "404 Not Found"; a status without a standard phrase gets the word "Status"."""
    return _STATUS_LINES.get(status) or f"{status} Status"


class WsgiFace:
    """A WSGI application in front of an API."""

    def __init__(self, api: Api, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._api = api
        self._max_body_bytes = max_body_bytes

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO") or "/"
        headers = [("Content-Type", "application/json")]
        if len(path) > 1 and path.endswith("/"):
            status, answer = 307, None
            headers.append(("Location", path.rstrip("/") or "/"))
        else:
            status, answer = self._answer(environ, method, path)
        if status == 413:
            headers.append(("Connection", "close"))  # the rest of the body is not read
        payload = b"" if answer is None else orjson.dumps(answer)
        headers.append(("Content-Length", str(len(payload))))
        start_response(status_line(status), headers)
        return [b""] if method == "HEAD" else [payload]

    def _answer(self, environ: Environ, method: str, path: str) -> Reply:
        raw = self._read_body(environ)
        if raw is None:
            return 413, {"detail": f"Body larger than {self._max_body_bytes} bytes"}
        body: Any = None
        if raw:
            if environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower() == "application/json":
                try:
                    body = orjson.loads(raw)
                except orjson.JSONDecodeError as error:
                    return _invalid_json(error)
            else:
                body = raw.decode("utf-8", "replace")
        query_text = environ.get("QUERY_STRING", "")
        query = dict(parse_qsl(query_text, keep_blank_values=True)) if query_text else {}
        try:
            return self._api.handle(method, path, query, body)
        except Exception:
            _log.exception("exception while answering %s %s", method, path)
            return 500, {"detail": "Internal Server Error"}

    def _read_body(self, environ: Environ) -> bytes | None:
        """The whole body; None when it is over the bound."""
        length = environ.get("CONTENT_LENGTH")
        if length:
            if not length.isdigit() or int(length) > self._max_body_bytes:
                return None
            return bytes(environ["wsgi.input"].read(int(length)))
        if environ.get("HTTP_TRANSFER_ENCODING", "").lower() != "chunked":
            return b""
        raw = bytes(environ["wsgi.input"].read(self._max_body_bytes + 1))
        return None if len(raw) > self._max_body_bytes else raw


def _invalid_json(error: orjson.JSONDecodeError) -> Reply:
    return 422, {
        "detail": [
            {
                "type": "json_invalid",
                "loc": ["body", error.pos],
                "msg": "JSON decode error",
                "input": {},
                "ctx": {"error": error.msg},
            }
        ]
    }


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
