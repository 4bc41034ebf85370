"""What stands between a client and its system: redirects, pauses, packing, proxies, addresses, secrets."""

from __future__ import annotations

import gzip
import random
import socket
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket as green
from gevent.server import StreamServer

from banksim.model import UsageError
from banksim.scenario.targets import Target
from banksim.targets import HttpTransport, Request
from banksim.targets.auth import FrontDoor, secret
from banksim.targets.calls import failure_text
from banksim.targets.connect import door_of
from banksim.targets.http.client import BaseUrl
from banksim.targets.http.connection import Connector, PlainConnection
from tests.unit.targets.odd_servers import Conversation, odd_server

GET = Request("GET", "/x", "/x")


def transport(url: str, door: FrontDoor | None = None, **options: Any) -> HttpTransport:
    return HttpTransport(url, rng=random.Random(1), max_retries=0, door=door, **options)


def answered(head: bytes, body: bytes = b"{}") -> Any:
    def behave(c: Conversation) -> None:
        while c.request():
            c.send(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (head, len(body), body))

    return behave


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (
            b"307 Moved\r\nLocation: https://new/x",
            "HTTP 307: it redirects to https://new/x, which is not followed",
        ),
        (b"429 Slow\r\nRetry-After: 30", "HTTP 429: asks to come back after 30 s"),
        (b"503 Busy\r\nretry-after: Fri, 31 Dec", "HTTP 503: asks to come back after Fri, 31 Dec"),
        (b"500 Oh", "HTTP 500"),
    ],
)
def test_the_head_says_why(head: bytes, said: str) -> None:
    with odd_server(answered(head)) as seen:
        to = transport(seen.url)
        replies = [to.send(GET) for _ in range(2)]  # the second might come by a remembered head
        to.close()
    assert [failure_text(reply) for reply in replies] == [said, said]


def test_an_answer_that_is_packed_although_nobody_asked() -> None:
    for encoding in (b"gzip", b"GZIP"):
        body = gzip.compress(b'{"a": 1}')
        with odd_server(answered(b"200 OK\r\nContent-Encoding: " + encoding, body)) as seen:
            to = transport(seen.url)
            assert [to.send(GET).data for _ in range(3)] == [{"a": 1}] * 3
            to.close()


@pytest.mark.parametrize("body", [b"no gzip", gzip.compress(b"x" * 5_000_000)])
def test_what_cannot_be_unpacked_is_an_error_and_no_crash(body: bytes) -> None:
    with odd_server(answered(b"200 OK\r\nContent-Encoding: gzip", body)) as seen:
        to = transport(seen.url)
        assert to.send(GET).error == "the answer is not JSON"
        to.close()


def test_headers_are_sent_once_each_and_may_replace_ours() -> None:
    door = FrontDoor(headers={"X-Api-Key": "k", "accept": "application/vnd+json"})
    with odd_server(answered(b"200 OK")) as seen:
        to = transport(seen.url, door)
        to.send(GET)
        to.send(Request("POST", "/y", "/y", b"[]", headers="Content-Type: text/x\r\n"))
        to.close()
    first, second = (request.split(b"\r\n\r\n")[0].split(b"\r\n") for request in seen.requests)
    assert first.count(b"X-Api-Key: k") == 1 and b"Accept: application/vnd+json" in first
    assert not any(line.startswith(b"Accept: application/json") for line in first)
    assert [line for line in second if b"Content-" in line] == [b"Content-Type: text/x", b"Content-Length: 2"]


class Proxy:
    """Passes on CONNECT and whole addresses; notes the first line of each request."""

    def __init__(self, allowed: bool = True) -> None:
        self.lines: list[bytes] = []
        self._allowed = allowed
        self._server = StreamServer(("127.0.0.1", 0), self._serve)
        self._server.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.stop(timeout=1)

    def _serve(self, client: Any, _: Any) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        self.lines.append(head.split(b"\r\n")[0])
        method, where, _ = self.lines[-1].split(b" ")
        if not self._allowed:
            client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            client.close()
            return
        place = where.decode() if method == b"CONNECT" else where.decode().split("/")[2]
        host, _, port = place.partition(":")
        upstream = green.create_connection((host, int(port)))
        if method == b"CONNECT":
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            upstream.sendall(head)
        back = gevent.spawn(self._copy, upstream, client)
        self._copy(client, upstream)
        back.join(1)

    @staticmethod
    def _copy(source: Any, sink: Any) -> None:
        try:
            while data := source.recv(65_536):
                sink.sendall(data)
        except OSError:
            pass
        finally:
            sink.close()


def test_through_a_proxy() -> None:
    proxy = Proxy()
    with odd_server(answered(b"200 OK")) as seen:
        to = transport(seen.url, FrontDoor(proxy=proxy.url))
        assert [to.send(GET).status for _ in range(2)] == [200, 200]
        to.close()
    proxy.stop()
    assert proxy.lines == [f"GET {seen.url}/x HTTP/1.1".encode()]


def test_the_environments_proxy_is_used_but_not_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Proxy(allowed=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, proxy.url)
    to = transport("http://bank.test:8090", FrontDoor())
    assert to.send(GET).status == 403
    to.close()
    proxy.stop()
    assert proxy.lines == [b"GET http://bank.test:8090/x HTTP/1.1"]
    for address in ("http://localhost:1", "http://127.0.0.1:1", "https://bank.test"):
        assert transport(address, FrontDoor()).door.proxy == ""
    assert transport("http://bank.test", FrontDoor(proxy="http://own:1")).door.proxy == "http://own:1"
    monkeypatch.setenv("no_proxy", "bank.test")
    assert transport("http://bank.test:8090", FrontDoor()).door.proxy == ""


def test_a_proxy_that_refuses_a_tunnel_is_named() -> None:
    proxy = Proxy(allowed=False)
    to = transport("https://bank.test:8443", FrontDoor(proxy=proxy.url))
    reply = to.send(GET)
    to.close()
    proxy.stop()
    assert proxy.lines == [b"CONNECT bank.test:8443 HTTP/1.1"]
    assert "the proxy does not let us through: HTTP/1.1 403 Forbidden" in reply.error


def test_all_addresses_of_a_name_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with odd_server(answered(b"200 OK")) as one, odd_server(answered(b"200 OK")) as two:
        found = [(socket.AF_INET, 1, 6, "", ("127.0.0.1", seen.port)) for seen in (one, two)]
        real = green.getaddrinfo
        monkeypatch.setattr(
            green, "getaddrinfo", lambda host, *rest: found if host == "bank.test" else real(host, *rest)
        )
        connector = Connector(BaseUrl.parse("http://bank.test"), timeout_s=5, limit_bytes=1000)
        made = [connector.connect_plain(PlainConnection) for _ in range(6)]
        gevent.sleep(0.05)
        for connection in made:
            connection.close()
        assert (one.connections, two.connections) == (3, 3)


def test_secrets_come_from_the_environment_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "hunter2")
    (tmp_path / "key").write_text("from-file\n")
    assert secret("x ${A_KEY}", "h") == "x hunter2"
    assert secret(f"${{file:{tmp_path}/key}}", "h") == "from-file"
    assert secret("${MISSING_KEY:-none}", "h") == "none"
    for text, said in (
        ("${MISSING_KEY}", "headers.X: the environment has no MISSING_KEY"),
        ("${file:/no/such}", "headers.X: the file /no/such cannot be read: No such file"),
    ):
        with pytest.raises(UsageError, match=said):
            secret(text, "headers.X")
    monkeypatch.setenv("A_KEY", "hunter2\r\nEvil: 1")
    with pytest.raises(UsageError) as refused:
        secret("${A_KEY}", "headers.X")
    assert "hunter2" not in str(refused.value)


def test_no_secret_is_in_what_is_shown_of_a_door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "u:hunter2")
    door = door_of(Target(basic="${A_KEY}", headers={"X-K": "${A_KEY}"}), "targets.bank", Path())
    assert door.headers["Authorization"] == "Basic dTpodW50ZXIy"
    assert "hunter2" not in repr(door) and "dTpodW50" not in repr(door)
    with pytest.raises(UsageError, match="expected the name of a header, got 'X Y'"):
        door_of(Target(headers={"X Y": "1"}), "targets.bank", Path())
    with pytest.raises(ValueError, match="so that the secret is not in this file"):
        Target(token="plain-text-token")
