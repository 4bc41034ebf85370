"""Bundles of clients, and the probe before a run."""

from __future__ import annotations

import socket

import pytest

from banksim.model import Decision, Kind, UsageError
from banksim.targets import (
    ClientSettings,
    http_targets,
    in_process_targets,
    probe,
)
from banksim.targets.http.client import BaseUrl
from tests.unit.targets.odd_servers import odd_server
from tests.unit.targets.people import Notebook, customer, transaction
from tests.unit.targets.strict_bank import StrictBank

SETTINGS = ClientSettings(seed=1)


class Detector:
    def handle(self, method: str, path: str, query: object, body: object) -> tuple[int, object]:
        return 200, {"risk_score": 0.25, "action": "APPROVE"}


def test_in_process_pair_shares_one_directory() -> None:
    notebook = Notebook()
    targets = in_process_targets(StrictBank(), Detector(), SETTINGS, notebook, notebook)
    assert targets.bank is not None
    assert targets.detector is not None
    targets.bank.open_customer(customer())
    assert targets.directory.is_open(0)
    assert targets.bank.post(transaction(Kind.DEPOSIT)).status == "posted"
    assert targets.detector.score(transaction()).decision is Decision.APPROVE
    assert [health.name for health in targets.health()] == ["Nexum", "Bastion"]
    assert all(health.ok for health in targets.health())
    assert {call.system for call in notebook.calls} == {"nexum", "bastion"}
    assert notebook.movements[-1][1:] == (1250, True)
    targets.close()


def test_an_empty_address_is_no_system() -> None:
    targets = http_targets("", "", SETTINGS)
    assert (targets.bank, targets.detector, targets.health()) == (None, None, [])
    targets.close()
    nothing = in_process_targets(None, None, SETTINGS)
    assert (nothing.bank, nothing.detector) == (None, None)


def test_a_wrong_address_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        http_targets("localhost:8090", "", SETTINGS)


def test_tokens_and_addresses_go_to_the_right_system() -> None:
    with odd_server(lambda c: c.serve()) as bank, odd_server(lambda c: c.serve()) as detector:
        settings = ClientSettings(seed=1, nexum_token="for-bank", bastion_token="for-detector")
        targets = http_targets(bank.url, detector.url, settings)
        targets.health()
        targets.close()
    assert b"Bearer for-bank\r\n" in bank.requests[0]
    assert b"Bearer for-detector\r\n" in detector.requests[0]


def test_probe_of_a_system_that_is_there() -> None:
    with odd_server(lambda c: c.serve()) as seen:
        assert probe(seen.url + "/core/") is None
    assert seen.requests[0].startswith(b"GET /core/health HTTP/1.1\r\n")


def test_probe_of_a_system_that_is_not() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # bound, not listening
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        assert probe(url) == (
            f"Nexum does not answer at {url}: connection refused. "
            "Check --nexum-url (NEXUM_URL). "
            "Or start the stand-ins with `banksim sandbox`, or run with --sandbox or --dry-run."
        )


def test_probe_of_something_else() -> None:
    with odd_server(lambda c: c.serve(b"<html>", "404 Not Found")) as seen:
        text = probe(seen.url, "Bastion")
    assert text is not None
    assert text.startswith(f"Bastion at {seen.url} is not ready, or it is something else that listens there")
    assert "HTTP 404" in text


def test_a_servers_error_page_is_told_in_one_plain_line() -> None:
    page = b"<!DOCTYPE html>\n<style>p {color: red}</style>\n<h1>Not\nhere</h1>\n<p>Look  elsewhere</p>"
    with odd_server(lambda c: c.serve(page, "404 Not Found")) as seen:
        text = probe(seen.url, "Bastion") or ""
    assert "HTTP 404: Not here Look elsewhere. Check" in text


def test_probe_of_an_address_that_is_none() -> None:
    with pytest.raises(UsageError, match="--nexum-url: 'localhost:8090' is not a usable address"):
        probe("localhost:8090")


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    for address in ("http://user:hunter2@bank:8090", "http://user:hunter2@bank:port"):
        with pytest.raises(UsageError) as refused:
            probe(address)
        assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("host", ["a" * 64, "a..b", ".".join(["a" * 60] * 5), "bank." + "b" * 5_000])
def test_a_host_that_there_cannot_be_is_refused(host: str) -> None:
    with pytest.raises(UsageError, match="names no host that there can be"):
        BaseUrl.parse(f"http://{host}:8090")
    assert BaseUrl.parse(f"http://{'a' * 63}.example.").host == f"{'a' * 63}.example."
