"""TLS is verified: only a certificate that the CA file vouches for, for this host, is accepted."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from banksim.model import BankStatus
from banksim.targets import Request
from tests.unit.targets.clients import Client, both_clients
from tests.unit.targets.odd_servers import odd_server
from tests.unit.targets.rides import System, ride

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="openssl makes the certificates")


def certificate(folder: Path, names: str) -> tuple[Path, ssl.SSLContext]:
    """A self-signed certificate for ``names``, and a server context that shows it."""
    assert OPENSSL is not None
    cert, key = folder / "cert.pem", folder / "key.pem"
    options = f"-nodes -days 2 -subj /CN=test -addext subjectAltName={names} -keyout {key} -out {cert}"
    curve = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1"
    subprocess.run(
        [OPENSSL, "req", "-x509", *curve.split(), *options.split()],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context


def call(client: Client, url: str, ca_file: str) -> tuple[int, str, bool]:
    to = client.transport(url, ca_file=ca_file)
    replies = [to.send(Request("POST", "/x", "/x", {})) for _ in range(3)]
    to.close()
    assert len({(r.status, r.error, r.sent) for r in replies}) == 1
    return replies[0].status, replies[0].error, replies[0].sent


@both_clients
def test_trusted(client: Client, tmp_path: Path) -> None:
    cert, context = certificate(tmp_path, "IP:127.0.0.1")
    with odd_server(lambda c: c.serve(), tls=context) as seen:
        assert call(client, seen.url, str(cert)) == (200, "", True)
    assert seen.connections == 1, "kept alive"


@both_clients
def test_unknown_issuer(client: Client, tmp_path: Path) -> None:
    _, context = certificate(tmp_path, "IP:127.0.0.1")
    with odd_server(lambda c: c.serve(), tls=context) as seen:
        status, error, sent = call(client, seen.url, "")
    assert (status, sent) == (0, False)
    assert "certificate is not accepted" in error


@both_clients
def test_wrong_host(client: Client, tmp_path: Path) -> None:
    cert, context = certificate(tmp_path, "DNS:bank.example")
    with odd_server(lambda c: c.serve(), tls=context) as seen:
        status, error, sent = call(client, seen.url, str(cert))
    assert (status, sent) == (0, False)
    assert "certificate is not accepted" in error


@both_clients
def test_plain_server_behind_https(client: Client) -> None:
    with odd_server(lambda c: c.send(b"HTTP/1.1 400 Bad\r\n\r\n")) as seen:
        status, error, sent = call(client, seen.url.replace("http:", "https:"), "")
    assert (status, sent) == (0, False)
    assert "TLS failed" in error


def test_rows_over_tls_go_through_the_full_client(tmp_path: Path) -> None:
    cert, context = certificate(tmp_path, "IP:127.0.0.1")
    done = b'{"state":"completed"}'
    with (
        odd_server(lambda c: c.serve(done), tls=context) as seen,
        ride(System(seen.url, options={"ca_file": str(cert)}), concurrency=3) as riding,
    ):
        for row in range(30):
            riding.send(row)
        riding.wait()
    assert {riding.outcome(row).bank.status for row in range(30)} == {BankStatus.POSTED}
    assert riding.transactions == 30
    assert seen.connections <= 3
    assert len(seen.requests) == 30
