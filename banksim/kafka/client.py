"""How Kafka clients prove who they are and check who answers: from the environment alone.

A command line is there for everybody to read, and a scenario is passed on; so neither holds
a password.  What is read here goes to librdkafka and nowhere else: it is in no log, no
result and no error message.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import gevent

from banksim.model import UsageError

# -- The topics between the core bank and the fraud detector ----------------------------------------


TRANSACTIONS = "nexum.transactions"  # key: transaction id
CUSTOMERS = "nexum.customers"  # key: customer id
DECISIONS = "bastion.fraud.decisions"  # key: transaction id
ALERTS = "bastion.fraud.alerts"


# -- How librdkafka's blocking calls and its log are kept away from the loop and from stderr --------


T = TypeVar("T")

#: librdkafka tells every failed attempt to connect, each second of an outage.  What matters to a run is
#: counted and shown with its reason, so only what ends the client is let through.
CLIENT_LOG = logging.getLogger("banksim.kafka.librdkafka")
CLIENT_LOG.setLevel(logging.CRITICAL)


def in_thread(call: Callable[[], T]) -> T:
    """Result of a blocking call, made in the loop's thread pool: only this greenlet waits."""
    result: T = gevent.get_hub().threadpool.apply(call)
    return result


PROTOCOL = "KAFKA_SECURITY_PROTOCOL"
MECHANISM = "KAFKA_SASL_MECHANISM"
USERNAME = "KAFKA_SASL_USERNAME"
PASSWORD = "KAFKA_SASL_PASSWORD"
CA_FILE = "KAFKA_CA_FILE"

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
LOGIN_KEYS = (USERNAME, PASSWORD, MECHANISM)


def client_security(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """librdkafka's settings for TLS and login; empty for plain connections without either.

    Reads the process's environment unless one is given.  Raises UsageError naming the variable.
    """
    given = os.environ if environ is None else environ
    protocol = _one_of(given, PROTOCOL, PROTOCOLS)
    settings = {"security.protocol": protocol} if protocol != PROTOCOLS[0] else {}
    if protocol.startswith("SASL_"):
        missing = [name for name in (USERNAME, PASSWORD) if not given.get(name)]
        if missing:
            raise UsageError(f"{' and '.join(missing)}: missing; {PROTOCOL}={protocol} is a login")
        settings |= {
            "sasl.mechanism": _one_of(given, MECHANISM, MECHANISMS),
            "sasl.username": given[USERNAME],
            "sasl.password": given[PASSWORD],
        }
    elif useless := [name for name in LOGIN_KEYS if given.get(name)]:
        raise UsageError(
            f"{' and '.join(useless)}: no login happens with {PROTOCOL}={protocol}; "
            "expected SASL_SSL, or SASL_PLAINTEXT for a network that nobody listens to"
        )
    if given.get(CA_FILE):
        settings |= _authority(given[CA_FILE], protocol)
    return settings


def _one_of(given: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    value = given.get(name, "").strip().upper() or known[0]
    if value not in known:
        raise UsageError(f"{name}: expected {', '.join(known)}, got {given[name]!r}")
    return value


def _authority(path: str, protocol: str) -> dict[str, str]:
    if not protocol.endswith("SSL"):
        raise UsageError(
            f"{CA_FILE}: no certificate is checked with {PROTOCOL}={protocol}; expected SSL or SASL_SSL"
        )
    try:
        text = Path(path).read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise UsageError(f"{CA_FILE}: {path} cannot be read: {error.strerror}") from None
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise UsageError(f"{CA_FILE}: {path} holds no certificate in PEM form")
    return {"ssl.ca.location": path}


def remedy(reason: str) -> str:
    """What to do about a client's error, by the words librdkafka has for it."""
    words = reason.lower()
    if "authentication" in words or "sasl" in words:
        return f"the login is refused; check {USERNAME}, {PASSWORD} and {MECHANISM}"
    if "certificate" in words:
        return f"its certificate is not accepted; name the authority that signed it in {CA_FILE} (a PEM file)"
    return f"if it is one, it may want another {PROTOCOL} ({', '.join(PROTOCOLS)})"
