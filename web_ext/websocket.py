"""The route ``/ws``: host, origin and login are asked before the handshake, like everywhere.

A browser sends a WebSocket's handshake as a GET from any site, with its Origin and the user's
cookies; so here, other than for pages, a foreign Origin is refused although nothing changes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from typing import Any

from flask import Blueprint, Response, request
from wsproto.utilities import ProtocolError

from web_ext.broadcast import Broadcaster, Listener
from web_ext.frames import Connection, NoSocket
from web_ext.guard import Guard
from web_ext.wire import problem

logger = logging.getLogger(__name__)


class _Taken(Response):
    """An answer that was given already, on the connection itself."""

    def __call__(self, *_: Any, **__: Any) -> Iterable[bytes]:
        return []


def add_websocket(blueprint: Blueprint, broadcaster: Broadcaster, guard: Guard) -> None:
    """Add ``/ws`` to a blueprint whose ``before_request`` asks the guard."""

    def ws() -> Any:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            response = problem("This address speaks WebSocket: connect with a WebSocket client.", 426)
            response.headers["Upgrade"] = "websocket"
            return response
        refused = guard.refuse_other_site()
        if refused is not None:
            return refused
        listener = broadcaster.join()
        if listener is None:
            return problem("Too many clients are connected already. Close one, or try again later.", 503)
        try:
            connection = Connection(request.environ, _headers())
        except (NoSocket, ProtocolError, OSError) as error:
            broadcaster.leave(listener)
            return problem(f"The handshake failed: {error}", 400)
        _converse(broadcaster, listener, connection)
        return _Taken()

    blueprint.add_url_rule("/ws", "ws", ws, websocket=True)
    blueprint.add_url_rule("/ws", "ws_plain", ws)  # whoever asks without an upgrade is told what this is


def _converse(broadcaster: Broadcaster, listener: Listener, connection: Connection) -> None:
    """Until the client leaves, or a write to it fails."""
    writer = threading.Thread(
        target=_write, args=(listener, connection), name="banksim-websocket", daemon=True
    )
    writer.start()
    try:
        for text in connection.messages():
            broadcaster.hear(listener, text)
    finally:
        broadcaster.leave(listener)
        connection.close()


def _write(listener: Listener, connection: Connection) -> None:
    while not listener.outbox.closed:
        frames = listener.outbox.take()
        try:
            connection.send(frames)
        except OSError as error:
            logger.debug("A WebSocket client is gone or stuck: %s", error)
            connection.close()
            return


def _headers() -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in request.headers]
