"""Servers that misbehave in one way each, as greenlets of the test's own process."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from gevent.server import StreamServer

JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@dataclass
class Seen:
    """What arrived: whole requests (head and body), and how many connections were made."""

    url: str = ""
    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)

    def bodies(self) -> list[bytes]:
        return [request.partition(b"\r\n\r\n")[2] for request in self.requests]


class Conversation:
    """One connection, seen from the server."""

    def __init__(self, sock: Any, seen: Seen, number: int) -> None:
        self.sock = sock
        self.number = number  # of the connection, from 1
        self._seen = seen

    def request(self) -> bytes:
        """The next whole request, b"" when the client hung up."""
        data = b""
        while b"\r\n\r\n" not in data:
            block = self.sock.recv(65536)
            if not block:
                return b""
            data += block
        head, _, body = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        whole = bytearray(body)
        while len(whole) < length:
            whole += self.sock.recv(65536)
        self._seen.requests.append(head + b"\r\n\r\n" + whole)
        return self._seen.requests[-1]

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def answer(self, body: bytes, status: str = "200 OK", head: bytes = b"") -> None:
        start = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n".encode()
        self.send(start + head + b"\r\n" + body)

    def reset(self) -> None:
        """Make the close that follows a reset (linger on, 0 s)."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def serve(self, body: bytes = b'{"ok":true}', status: str = "200 OK") -> None:
        """Well behaved until the client hangs up."""
        while self.request():
            self.answer(body, status)


@contextmanager
def odd_server(
    behaviour: Callable[[Conversation], None], tls: ssl.SSLContext | None = None
) -> Iterator[Seen]:
    """``behaviour`` gets each connection; when it returns, the connection is closed."""
    seen = Seen()

    def handle(sock: Any, _address: Any) -> None:
        seen.connections += 1
        try:
            behaviour(Conversation(sock, seen, seen.connections))
        except OSError:
            pass  # the client went away, as some tests want it to
        finally:
            sock.close()

    options = {"ssl_context": tls} if tls else {}
    server = StreamServer(("127.0.0.1", 0), handle, **options)
    server.start()
    seen.port = server.server_port
    seen.url = f"{'https' if tls else 'http'}://127.0.0.1:{seen.port}"
    try:
        yield seen
    finally:
        server.stop(timeout=0)
