"""A proxy that forwards HTTP and keeps what crossed, to look at the wire as it really is."""

from __future__ import annotations

from urllib.parse import urlsplit

import gevent
from gevent import socket
from gevent.server import StreamServer


class Tee:
    """Listens on a free port, forwards to ``url``, and keeps every byte the client sent."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._upstream = (parts.hostname, parts.port)
        self.sent: list[bytearray] = []
        self._server = StreamServer(("127.0.0.1", 0), self._forward)
        self._server.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.stop()

    def bodies(self) -> list[tuple[str, bytes]]:
        """(path, body) of every request, in order within each connection."""
        found = []
        for stream in self.sent:
            rest = bytes(stream)
            while rest:
                head, _, rest = rest.partition(b"\r\n\r\n")
                length = next(
                    (
                        int(line.split(b":")[1])
                        for line in head.split(b"\r\n")
                        if line.lower().startswith(b"content-length")
                    ),
                    0,
                )
                found.append((head.split(b" ")[1].decode(), head + b"\n" + rest[:length]))
                rest = rest[length:]
        return found

    def _forward(self, client: socket.socket, _: object) -> None:
        record = bytearray()
        self.sent.append(record)
        with client, socket.create_connection(self._upstream) as upstream:
            back = gevent.spawn(_copy, upstream, client, None)
            _copy(client, upstream, record)
            back.join()


def _copy(source: socket.socket, sink: socket.socket, record: bytearray | None) -> None:
    try:
        while data := source.recv(65_536):
            if record is not None:
                record += data
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # one side went away: the other sees it by itself
