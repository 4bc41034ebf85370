"""Front doors and carriers for the contract servers: HTTP, mutual TLS, OAuth 2.0 tokens, NATS."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.services.contracts import Answer, Contract, Wrong


class Tokens:
    """An OAuth 2.0 issuer (client credentials) whose tokens live ``life_s``, and a door that wants them."""

    def __init__(self, contract: Contract, life_s: float) -> None:
        self.contract = contract
        self.life_s = life_s
        self.issued: list[str] = []
        self.refused = 0
        self._ends: dict[str, float] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.contract, name)

    def answer(self, method: str, path: str, query: Mapping[str, str], body: Any, headers: Any) -> Answer:
        if path == "/token":
            basic = base64.b64encode(b"banksim:very-secret").decode()
            if headers.get("Authorization") != f"Basic {basic}" or body != "grant_type=client_credentials":
                return 401, {"error": "invalid_client"}
            token = hashlib.sha256(f"{len(self.issued)}".encode()).hexdigest()
            self.issued.append(token)
            self._ends[token] = time.monotonic() + self.life_s
            return 200, {"access_token": token, "token_type": "Bearer", "expires_in": self.life_s}
        token = (headers.get("Authorization") or "").removeprefix("Bearer ")
        if self._ends.get(token, 0.0) < time.monotonic():
            self.refused += 1
            return 401, {"error": "invalid_token"}
        return self.contract.answer(method, path, query, body, headers)


@contextmanager
def serving(contract: Contract | Tokens, certificates: Path | None = None) -> Iterator[str]:
    """Serve ``contract``; yields its address.  With ``certificates`` over TLS that asks for the client's."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except (ConnectionError, ssl.SSLError):
                self.close_connection = True

        def do(self) -> None:
            parts = urlsplit(self.path)
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            with contract.lock:
                try:
                    body: Any = json.loads(raw) if raw[:1] in (b"{", b"[") else raw.decode() or None
                    contract.seen.append((self.command, self.path, body))
                    status, data = contract.answer(self.command, parts.path, query, body, self.headers)
                except (Wrong, KeyError, TypeError, ValueError) as error:
                    contract.mistakes.append(f"{self.command} {self.path}: {type(error).__name__} {error}")
                    status, data = 422, {"error": str(error)}
            if (pause_s := getattr(contract, "delay_s", None)) and self.command != "GET":
                time.sleep(pause_s() if callable(pause_s) else 0)
            text = b"" if data is None else json.dumps(data).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if status != 204:
                self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = do  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if certificates is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
        context.load_verify_locations(certificates / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"{'https' if certificates else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def nats_server() -> Iterator[tuple[str, Callable[[Any], None]]]:
    """As much of NATS as a subscriber needs: (its address, publish).  Sends a PING and wants its PONG."""
    subscribers: list[socket.socket] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.sendall(b'INFO {"server_id":"test"}\r\nPING\r\n')
            stream = sock.makefile("rb")
            said = [stream.readline() for _ in range(3)]
            assert said[0].startswith(b"CONNECT {") and said[1] == b"SUB verdicts 1\r\n"
            assert said[2] == b"PONG\r\n"
            subscribers.append(sock)

    def publish(data: Any) -> None:
        payload = json.dumps(data).encode()
        for sock in subscribers:
            sock.sendall(b"MSG verdicts 1 %d\r\n%b\r\n" % (len(payload), payload))

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"nats://127.0.0.1:{listener.getsockname()[1]}/verdicts", publish
    finally:
        listener.close()
        for sock in subscribers:
            sock.close()


def certificates(folder: Path) -> Path:
    """An authority, a server and a client certificate that it signed, as files in ``folder``."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=folder)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *curve, "-days", "2", "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem")
    for name, extra in (("server", "subjectAltName=IP:127.0.0.1"), ("client", "subjectAltName=DNS:client")):
        request = (*curve, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl("req", *request)
        (folder / f"{name}.ext").write_text(extra)
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2")
        files = ("-in", f"{name}.csr", "-out", f"{name}.pem", "-extfile", f"{name}.ext")
        openssl("x509", "-req", *files, *signed)
    return folder
