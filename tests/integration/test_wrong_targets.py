"""An address with something else behind it ends in one message that names the setting."""

from __future__ import annotations

import json
import shutil
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from gevent.pywsgi import WSGIServer

from banksim.measure.results import encode
from banksim.model import BanksimError, ExitCode
from banksim.run.plan import Mode
from banksim.run.run import End, Run, check_run
from tests.integration.commands import free_port
from tests.integration.driver import Driver, settings_for
from tests.unit.targets.test_tls import certificate

SCENARIO = """\
name: Somebody else answers
duration_hours: 1
speed_multiplier: 3600
customers: 10
transaction_rate: {peak_tps: 30, off_peak_tps: 30}
connections: {timeout_seconds: 2, max_retries: 0, kafka_bootstrap_servers: null}
"""
HTML = ("200 OK", "text/html", "<!doctype html><title>Router login</title>")
PRINTER = ("200 OK", "application/json", '{"status": "ok", "device": "printer"}')
NOBODY = ("401 Unauthorized", "application/json", '{"detail": "Not authenticated"}')
HEALTHY = ("200 OK", "application/json", '{"status": "healthy"}')
Answer = tuple[str, str, str]


@contextmanager
def answering(answer: Callable[[str], Answer], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server that answers each path with (status, content type, body)."""

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["wsgi.input"].read()
        status, kind, body = answer(environ["PATH_INFO"])
        start_response(status, [("Content-Type", kind)])
        return [body.encode()]

    more = {"ssl_context": tls} if tls is not None else {}
    server = WSGIServer(("127.0.0.1", 0), app, log=None, error_log=None, **more)
    server.start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
    finally:
        server.stop(timeout=0)


def refused(folder: Path, nexum_url: str, bastion_url: str = "") -> str:
    """The one message that a run with these addresses ends with before it begins."""
    with pytest.raises(BanksimError) as caught:
        check_run(settings_for(folder, SCENARIO, Mode.LIVE, nexum_url=nexum_url, bastion_url=bastion_url))
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def run_at(folder: Path, nexum_url: str, bastion_url: str = "") -> Run:
    settings = settings_for(folder, SCENARIO, Mode.LIVE, nexum_url=nexum_url, bastion_url=bastion_url)
    check_run(settings)
    return Driver(settings).conduct()


def test_nobody_listens(tmp_path: Path) -> None:
    message = refused(tmp_path, f"http://127.0.0.1:{free_port()}")
    assert "connection refused" in message and "--nexum-url" in message and "NEXUM_URL" in message


@pytest.mark.parametrize("url", ["localhost:8090", "ftp://localhost", "http://", "http://x y"])
def test_what_is_no_address(tmp_path: Path, url: str) -> None:
    with pytest.raises(BanksimError, match=r"nexum_url|--nexum-url"):
        settings_for(tmp_path, SCENARIO, Mode.LIVE, nexum_url=url)


def test_a_web_page_is_no_bank_and_no_detector(tmp_path: Path) -> None:
    with answering(lambda path: HTML) as url:
        assert "web page" in (message := refused(tmp_path, url)) and "--nexum-url" in message
        assert "web page" in (message := refused(tmp_path, "", url)) and "--bastion-url" in message


@pytest.mark.parametrize("body", ["[1, 2]", "3", '"well"', "", "OK"])
def test_a_bank_says_that_it_is_well_in_json(tmp_path: Path, body: str) -> None:
    with answering(lambda path: ("200 OK", "application/json", body)) as url:
        assert "is not Nexum" in (message := refused(tmp_path, url)) and "--nexum-url" in message


def test_a_detector_may_say_that_it_is_well_in_any_words(tmp_path: Path) -> None:
    with answering(lambda path: ("200 OK", "text/plain", "OK")) as url:
        check_run(settings_for(tmp_path, SCENARIO, Mode.LIVE, nexum_url="", bastion_url=url))


@pytest.mark.parametrize("status", ["302 Found", "404 Not Found", "500 Oh", "503 Later"])
def test_an_unwell_target(tmp_path: Path, status: str) -> None:
    with answering(lambda path: (status, "text/plain", "no")) as url:
        assert status[:3] in (message := refused(tmp_path, url)) and "--nexum-url" in message


def test_something_that_is_well_and_no_bank(tmp_path: Path) -> None:
    with answering(lambda path: PRINTER) as url:
        run = run_at(tmp_path, url)
    assert (run.end, run.exit_code) == (End.FAILED, ExitCode.ERROR)
    assert "HTTP 200 where Nexum answers 201" in run.message
    assert "--nexum-url" in run.message and "printer" in run.message


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_a_certificate_that_nobody_vouches_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cert, context = certificate(tmp_path, "IP:127.0.0.1")
    with answering(lambda path: HEALTHY, tls=context) as url:
        message = refused(tmp_path, url)
        assert "certificate" in message and "BANKSIM_CA_FILE" in message
        monkeypatch.setenv("BANKSIM_CA_FILE", str(cert))
        check_run(settings_for(tmp_path, SCENARIO, Mode.LIVE, nexum_url=url, bastion_url=""))


@pytest.mark.parametrize("text", [None, "no certificate in here"])
def test_a_ca_file_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    file = tmp_path / "ca.pem"
    if text is not None:
        file.write_text(text)
    monkeypatch.setenv("BANKSIM_CA_FILE", str(file))
    message = refused(tmp_path, f"https://127.0.0.1:{free_port()}")
    assert "BANKSIM_CA_FILE" in message


def test_a_bank_that_does_not_take_the_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NEXUM_USERNAME", "me")
    monkeypatch.setenv("NEXUM_PASSWORD", "not-to-be-told")
    with answering(lambda path: HEALTHY if path == "/health" else NOBODY) as url:
        run = run_at(tmp_path, url)
    assert run.end is End.FAILED and "401" in run.message
    told = [record.getMessage() for record in caplog.records if "login to the bank" in record.getMessage()]
    assert len(told) == 1 and "NEXUM_USERNAME and NEXUM_PASSWORD" in told[0]
    assert "not-to-be-told" not in caplog.text


def test_a_detector_that_does_not_take_the_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("BASTION_TOKEN", "not-to-be-told")
    with answering(lambda path: HEALTHY if path == "/health" else NOBODY) as url:
        run = run_at(tmp_path, "", url)
    assert run.end is End.COMPLETED
    told = [record.getMessage() for record in caplog.records if "BASTION_TOKEN" in record.getMessage()]
    assert len(told) == 1 and "401" in told[0]
    assert run.results is not None
    assert encode(run.results)["detection"]["coverage"] == 0
    assert "not-to-be-told" not in caplog.text + json.dumps(encode(run.results), default=str)
