"""A thin WSGI face over anything with ``handle(method, path, query, body) -> (status, JSON-able)``.

Bodies are JSON both ways.  A body that is not JSON is a 422, one over ``MAX_BODY_BYTES`` a 413, one
with another content type is handed on as text, which the APIs refuse as the real bank does.  A
fault inside an API is a 500 whose text reaches the client and whose traceback reaches the log.

Not handled: chunked request bodies beyond the bound are cut off by closing the connection;
compression; sign-in.
"""

from __future__ import annotations

import http
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol
from urllib.parse import parse_qsl

import orjson

from banksim.sandbox.fields import Reply, invalid_json

MAX_BODY_BYTES = 1_048_576

_log = logging.getLogger(__name__)
_STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in http.HTTPStatus}

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]


def status_line(status: int) -> str:
    """ "404 Not Found"; a number that nobody named stands alone with a word."""
    return _STATUS_LINES.get(status) or f"{status} Status"


class Api(Protocol):
    def handle(self, method: str, path: str, query: Mapping[str, str], body: Any = None) -> Reply: ...


class WsgiFace:
    """WSGI application; see the module's note."""

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
                    return invalid_json(error.pos, error.msg)
            else:
                body = raw.decode("utf-8", "replace")
        query_text = environ.get("QUERY_STRING", "")
        query = dict(parse_qsl(query_text, keep_blank_values=True)) if query_text else {}
        try:
            return self._api.handle(method, path, query, body)
        except Exception:
            _log.exception("fault while answering %s %s", method, path)
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
