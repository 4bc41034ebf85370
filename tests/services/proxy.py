"""A proxy that resets connections: now and then, with the request not sent on, or sent on and unanswered."""

from __future__ import annotations

import random
import struct
from urllib.parse import urlsplit

import gevent
from gevent import socket
from gevent.server import StreamServer

#: Close with a reset instead of a goodbye.
_LINGER = struct.pack("ii", 1, 0)


class ResettingProxy:
    """Forwards to ``url``.  Of each request, ``share`` are reset, before or after they were passed on."""

    def __init__(self, url: str, share: float, seed: int = 1) -> None:
        parts = urlsplit(url)
        self._upstream = (parts.hostname, parts.port)
        self._share = share
        self._rng = random.Random(seed)
        self.resets = 0
        self._server = StreamServer(("127.0.0.1", 0), self._forward)
        self._server.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.stop()

    def _forward(self, client: socket.socket, _: object) -> None:
        with client, socket.create_connection(self._upstream) as upstream:
            back = gevent.spawn(_copy, upstream, client)
            try:
                while data := client.recv(65_536):  # requests here are smaller: one each
                    luck = self._rng.random()
                    if luck < self._share / 2:
                        self._reset(client)
                        return
                    upstream.sendall(data)
                    if luck < self._share:
                        self._reset(client)
                        return
            except OSError:
                pass  # one side went away: the other sees it by itself
            finally:
                back.kill()

    def _reset(self, client: socket.socket) -> None:
        self.resets += 1
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            sink.sendall(data)
    except OSError:
        pass  # one side went away: the other sees it by itself
