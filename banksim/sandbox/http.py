"""The HTTP side of both stand-ins: request bodies, refusals, and a thin WSGI application.

An API is any object with ``handle(method, path, query, body) -> (status, JSON-able)``.  Bodies are
JSON both ways.  A body that is not JSON is a 422, one over ``MAX_BODY_BYTES`` a 413, and one with
another content type is passed on as text, which the APIs refuse as the real bank does.  An exception
inside an API is a 500; its traceback goes to the log.

Wrong fields become one 422 whose ``detail`` lists ``{type, loc, msg, input[, ctx]}`` in the form of
FastAPI, as the real bank answers.

Not handled: chunked request bodies beyond the bound are cut off by closing the connection;
compression; sign-in.
"""

from __future__ import annotations

import http
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qsl

import orjson
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
