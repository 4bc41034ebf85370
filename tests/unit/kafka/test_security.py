"""TLS and logins come from the environment, each mistake names its variable, and no password is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from banksim.kafka import EmbeddedBroker
from banksim.kafka.client import client_security, remedy
from banksim.model import UsageError

SECRET = "not-to-be-told"
LOGIN = {
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_USERNAME": "me",
    "KAFKA_SASL_PASSWORD": SECRET,
}


def test_without_settings_connections_are_plain() -> None:
    assert client_security({}) == {}
    assert client_security({"KAFKA_SECURITY_PROTOCOL": "plaintext", "KAFKA_SASL_USERNAME": ""}) == {}


def test_a_login_over_tls(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text("-----BEGIN CERTIFICATE-----\n")
    given = {**LOGIN, "KAFKA_SASL_MECHANISM": "scram-sha-512", "KAFKA_CA_FILE": str(authority)}
    assert client_security(given) == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "me",
        "sasl.password": SECRET,
        "ssl.ca.location": str(authority),
    }
    assert client_security(LOGIN)["sasl.mechanism"] == "PLAIN"
    assert client_security({"KAFKA_SECURITY_PROTOCOL": "ssl"}) == {"security.protocol": "SSL"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, ("KAFKA_SECURITY_PROTOCOL: expected PLAINTEXT, SSL", "'TLS'")),
        ({"KAFKA_SASL_USERNAME": ""}, ("KAFKA_SASL_USERNAME: missing", "SASL_SSL")),
        (
            {"KAFKA_SASL_USERNAME": "", "KAFKA_SASL_PASSWORD": ""},
            ("KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD: missing",),
        ),
        ({"KAFKA_SASL_MECHANISM": "GSSAPI"}, ("KAFKA_SASL_MECHANISM: expected PLAIN", "'GSSAPI'")),
        (
            {"KAFKA_SECURITY_PROTOCOL": ""},
            ("KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD: no login", "PLAINTEXT"),
        ),
        ({"KAFKA_CA_FILE": "/nowhere/ca.pem"}, ("KAFKA_CA_FILE: /nowhere/ca.pem cannot be read",)),
        ({"KAFKA_CA_FILE": __file__ + "x"}, ("KAFKA_CA_FILE",)),
        (
            {"KAFKA_CA_FILE": __file__, "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"},
            ("KAFKA_CA_FILE: no certificate is checked",),
        ),
    ],
)
def test_each_mistake_names_its_variable(changes: dict[str, str], words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        client_security({**LOGIN, **changes})
    for word in words:
        assert word in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_file_without_a_certificate_is_told(tmp_path: Path) -> None:
    empty = tmp_path / "ca.pem"
    empty.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"KAFKA_CA_FILE: .* holds no certificate"):
        client_security({**LOGIN, "KAFKA_CA_FILE": str(empty)})


def test_the_embedded_broker_speaks_plaintext_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SSL")
    with pytest.raises(UsageError, match="KAFKA_SECURITY_PROTOCOL: the embedded broker"):
        EmbeddedBroker().start()


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (
            "SASL authentication error: Authentication failed: Invalid username or password",
            "KAFKA_SASL_PASSWORD",
        ),
        (
            "SSL handshake failed: certificate verify failed: broker certificate could not be verified",
            "KAFKA_CA_FILE",
        ),
        (
            "Disconnected while requesting ApiVersion: might be caused by incorrect security.protocol",
            "KAFKA_SECURITY",
        ),
        ("Local: Broker transport failure", "KAFKA_SECURITY_PROTOCOL"),
    ],
)
def test_what_to_do(reason: str, word: str) -> None:
    assert word in remedy(reason)
