"""A corpus of answers, most of them odd: what a server sends, then closes, and what that means.

Each: the bytes → status (0: none came), decoded data, and part of the error ("" for none).
"""

from __future__ import annotations

from typing import Any

from tests.unit.targets.odd_servers import JSON_HEAD

OK_EMPTY = JSON_HEAD + b"Content-Length: 2\r\n\r\n{}"

ANSWERS: dict[str, tuple[bytes, int, Any, str]] = {
    "chunked": (
        JSON_HEAD + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n2\r\n1}\r\n0\r\n\r\n',
        200,
        {"a": 1},
        "",
    ),
    "body until close": (JSON_HEAD + b'Connection: close\r\n\r\n{"a":1}', 200, {"a": 1}, ""),
    "empty body": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, None, ""),
    "null": (JSON_HEAD + b"Content-Length: 4\r\n\r\nnull", 200, None, ""),
    "plain text 500": (
        b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 21\r\n\r\nInternal Server Error",
        500,
        "Internal Server Error",
        "",
    ),
    "garbage JSON": (JSON_HEAD + b"Content-Length: 6\r\n\r\n{oops}", 200, "{oops}", "not JSON"),
    "binary": (JSON_HEAD + b"Content-Length: 3\r\n\r\n\xff\xfe\x00", 200, "\ufffd\ufffd\x00", "not JSON"),
    "interim 100": (
        b"HTTP/1.1 100 Continue\r\n\r\n" + JSON_HEAD + b"Content-Length: 2\r\n\r\n{}",
        200,
        {},
        "",
    ),
    "closed after headers": (JSON_HEAD + b"Content-Length: 10\r\n\r\n", 200, None, "broke off"),
    "half a body": (JSON_HEAD + b'Content-Length: 10\r\n\r\n{"a"', 200, None, "broke off"),
    "half a chunk": (JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{", 200, None, "broke off"),
    "half a 400": (b"HTTP/1.1 400 Bad\r\nContent-Length: 99\r\n\r\n{", 400, None, "broke off"),
    "half the headers": (b"HTTP/1.1 200 OK\r\nContent-", 0, None, "not a whole HTTP answer"),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", 0, None, "not a whole HTTP answer"),
    "nothing": (b"", 0, None, "closed before an answer"),
    "huge body": (
        JSON_HEAD + b"Content-Length: 90000\r\n\r\n" + b" " * 90000,
        200,
        None,
        "larger than 50,000",
    ),
    "huge chunks": (
        JSON_HEAD
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + b"1000\r\n"
        + b"x" * 4096
        + b"\r\n"
        + b"fffff\r\n"
        + b"x" * 99999,
        200,
        None,
        "larger than 50,000",
    ),
    "endless headers": (b"HTTP/1.1 200 OK\r\n" + b"X-Filler: yes\r\n" * 9000, 0, None, "larger than 50,000"),
    "two answers at once": (OK_EMPTY + JSON_HEAD + b"Content-Length: 2\r\n\r\n[]", 200, {}, ""),
    "garbage after the answer": (OK_EMPTY + b"oops\r\n", 200, {}, ""),
    "a body after 204": (b"HTTP/1.1 204 No Content\r\n\r\n{}", 204, None, ""),
    "an offer of HTTP/2": (
        b"HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: Upgrade, Keep-Alive\r\nContent-Length: 2\r\n\r\n{}",
        200,
        {},
        "",
    ),
    "another protocol": (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        0,
        None,
        "it switches to another protocol",
    ),
    "HTTP/1.0 until close": (b'HTTP/1.0 200 OK\r\nX: y\r\n\r\n{"a":1}', 200, {"a": 1}, ""),
    "HTTP/1.0 with a length": (b'HTTP/1.0 200 OK\r\nContent-Length: 7\r\n\r\n{"a":1}', 200, {"a": 1}, ""),
    "a bad chunk": (
        JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        200,
        None,
        "broke off: not a whole HTTP answer (Invalid character in chunk size)",
    ),
    "only an interim answer": (b"HTTP/1.1 100 Continue\r\n\r\n", 0, None, "it ended early"),
    "two lengths": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        0,
        None,
        "not a whole HTTP answer (Duplicate Content-Length)",
    ),
    "length and chunks": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        0,
        None,
        "not a whole HTTP answer",
    ),
    "negative length": (
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
        0,
        None,
        "not a whole HTTP answer",
    ),
    "early hints": (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK_EMPTY, 200, {}, ""),
    "304 with a length": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", 304, None, ""),
    "line feeds alone": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}", 0, None, "not a whole HTTP answer"),
    "trailers": (
        JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Sum: 1\r\n\r\n",
        200,
        {},
        "",
    ),
    "empty 200": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, None, ""),
    "HTTP/2 in plain text": (
        b"HTTP/2 200\r\ncontent-length: 2\r\n\r\n{}",
        0,
        None,
        "not a whole HTTP answer",
    ),
    "status 99": (b"HTTP/1.1 99 Odd\r\nContent-Length: 2\r\n\r\n{}", 0, None, "not a whole HTTP answer"),
    "NUL in a header": (
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 2\r\n\r\n{}",
        0,
        None,
        "not a whole HTTP answer",
    ),
    "no reason phrase": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}", 200, {}, ""),
    "a TLS alert": (b"\x15\x03\x01\x00\x02\x02\x0a", 0, None, "not a whole HTTP answer"),
}
