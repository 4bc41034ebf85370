"""The stand-in bank and detector behind real HTTP: ``python -m banksim.sandbox.server``.

One line per server on standard output when it accepts connections, for the user and for the program
that started it:

    bank listening on http://127.0.0.1:8090
    detector listening on http://127.0.0.1:8080

SIGTERM and SIGINT end both gracefully.  ``--only bank`` or ``--only detector`` starts one, so that two
processes can use two cores.  A port that is taken is one message and exit code 1.

Each connection is a greenlet; the work inside a request is short and never yields, so requests are
served one at a time, as the real bank does.  ``--bank-delay-ms`` and ``--detector-delay-ms`` add a wait
that holds up that request only.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import gevent
from gevent.event import Event
from gevent.pool import Pool
from gevent.pywsgi import WSGIHandler, WSGIServer

from banksim.model import BanksimError, ExitCode
from banksim.sandbox import http
from banksim.sandbox.bank.api import BankApi
from banksim.sandbox.bank.database import IN_MEMORY
from banksim.sandbox.detector.api import DetectorApi
from banksim.sandbox.detector.kafka import KafkaSide, open_kafka_side
from banksim.world.random import stream

BANK_PORT = 8090
DETECTOR_PORT = 8080
#: A URL with a password should not be on the command line, which other users can read.
DATABASE_URL = "BANKSIM_DATABASE_URL"
MAX_CONNECTIONS = 10_000
#: Longest wait for requests in progress; idle connections are closed at its end.
STOP_TIMEOUT_S = 0.5


class PortTaken(BanksimError):
    """An address cannot be bound."""


@dataclass(frozen=True, slots=True)
class Settings:
    """``only`` is "bank", "detector" or None for both; port 0 takes a free one; delays are wall time."""

    host: str = "127.0.0.1"
    bank_port: int = BANK_PORT
    detector_port: int = DETECTOR_PORT
    database: str = IN_MEMORY
    database_url: str = ""
    only: str | None = None
    bank_delay_ms: float = 0.0
    detector_delay_ms: float = 0.0
    kafka_servers: str = ""


class PromptServer(WSGIServer):  # type: ignore[misc]
    """Sends each part of an answer at once.

    gevent writes head and body separately; with Nagle's algorithm the body would wait for the
    client's delayed acknowledgement, and every request would take 40 ms.
    """

    def handle(self, sock: socket.socket, address: object) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().handle(sock, address)


class OpenHandler(WSGIHandler):  # type: ignore[misc]
    """Shows the application its connection, so that a fault can reset it."""

    def get_environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environ()
        environ[http.SOCKET_KEY] = self.socket
        return environ


class Delayed:
    """An API that answers after a wait of ``delay_ms``."""

    def __init__(self, api: http.Api, delay_ms: float) -> None:
        self._api = api
        self._delay_s = delay_ms / 1000

    def handle(self, method: str, path: str, query: http.Query, body: Any = None) -> http.Reply:
        gevent.sleep(self._delay_s)
        return self._api.handle(method, path, query, body)


def _announce(line: str) -> None:
    print(line, flush=True)


def serve(settings: Settings, stop: Event | None = None, announce: Callable[[str], None] = _announce) -> None:
    """Serve until ``stop`` is set (or a signal comes, when none is given).  Raises BanksimError."""
    done = Event() if stop is None else stop
    if stop is None:
        for number in (signal.SIGTERM, signal.SIGINT):
            gevent.signal_handler(number, done.set)
    bank = BankApi(settings.database_url or settings.database) if settings.only != "detector" else None
    servers: list[WSGIServer] = []
    kafka: KafkaSide | None = None
    try:
        if settings.kafka_servers and settings.only != "bank":
            kafka = open_kafka_side(settings.kafka_servers, announce)
        if bank is not None:
            servers.append(
                _start("bank", bank, settings.bank_delay_ms, settings.host, settings.bank_port, announce)
            )
        if settings.only != "bank":
            servers.append(
                _start(
                    "detector",
                    DetectorApi(),
                    settings.detector_delay_ms,
                    settings.host,
                    settings.detector_port,
                    announce,
                )
            )
        done.wait()
    finally:
        for server in servers:
            server.stop(timeout=STOP_TIMEOUT_S)
        if kafka is not None:
            kafka.close()
        if bank is not None:
            bank.close()


def _start(
    name: str, api: http.Api, delay_ms: float, host: str, port: int, announce: Callable[[str], None]
) -> WSGIServer:
    face = _face(name, http.WsgiFace(Delayed(api, delay_ms) if delay_ms > 0 else api))
    server = PromptServer(
        (host, port), face, log=None, spawn=Pool(MAX_CONNECTIONS), backlog=1024, handler_class=OpenHandler
    )
    try:
        server.start()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PortTaken(f"cannot start the stand-in {name} on {host}:{port}: {reason}") from error
    shown_host = f"[{host}]" if ":" in host else host
    announce(f"{name} listening on http://{shown_host}:{server.server_port}")
    return server


def _face(name: str, face: http.WsgiFace) -> Callable[[http.Environ, http.StartResponse], Iterable[bytes]]:
    """``face``, behind a `FaultyFace` if the environment holds the secret for setting faults."""
    token, _, seed = os.environ.get(http.CONTROL_TOKEN, "").partition(":")
    if not token:
        return face
    return http.FaultyFace(face, http.FaultBoard(stream(int(seed or 0), "faults", name)), token)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65_535:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, got {text}")
    return port


def _delay_ms(text: str) -> float:
    delay = float(text)
    if not 0 <= delay <= 60_000:
        raise argparse.ArgumentTypeError(f"expected 0 to 60000 milliseconds, got {text}")
    return delay


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="banksim sandbox",
        description="Serve a stand-in core bank and a stand-in fraud detector over HTTP.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (default %(default)s)")
    parser.add_argument(
        "--bank-port", type=_port, default=BANK_PORT, help="0 takes a free one (default %(default)s)"
    )
    parser.add_argument(
        "--detector-port", type=_port, default=DETECTOR_PORT, help="0 takes a free one (default %(default)s)"
    )
    parser.add_argument(
        "--database", default=IN_MEMORY, metavar="PATH", help="the ledger's SQLite file (default: in memory)"
    )
    parser.add_argument(
        "--database-url",
        default=os.environ.get(DATABASE_URL, ""),
        metavar="URL",
        help="the ledger in PostgreSQL, postgresql://user:password@host/database (default: the environment "
        f"variable {DATABASE_URL}, else the SQLite file)",
    )
    parser.add_argument("--only", choices=("bank", "detector"), help="serve one of the two")
    parser.add_argument(
        "--bank-delay-ms", type=_delay_ms, default=0.0, metavar="MS", help="wait before each answer"
    )
    parser.add_argument(
        "--detector-delay-ms", type=_delay_ms, default=0.0, metavar="MS", help="wait before each answer"
    )
    parser.add_argument(
        "--kafka-servers",
        default="",
        metavar="A,B",
        help="brokers as host:port: the detector also reads nexum.transactions there and publishes its "
        "decisions; 'embedded' starts a test broker and prints its address",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns an exit code.  Wrong options end in SystemExit(2) with a message."""
    options = build_parser().parse_args(argv)
    try:
        serve(Settings(**vars(options)))
    except BanksimError as error:
        print(f"banksim sandbox: {error}", file=sys.stderr)
        return int(error.exit_code)
    return int(ExitCode.COMPLETED)


if __name__ == "__main__":
    sys.exit(main())
