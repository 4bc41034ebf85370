"""The shipped mappings against strict servers of their contracts, through every kind of front door."""

from __future__ import annotations

import json
import socket
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from banksim.cli.main import main
from banksim.measure.results import encode
from banksim.model import BankStatus, ExitCode, UsageError
from banksim.run.connect import check_targets
from banksim.run.plan import Mode
from banksim.run.run import End, Run
from banksim.scenario.targets import TargetsBlock
from banksim.targets import Call, ClientSettings, NexumClient, http_targets
from banksim.targets.carrier import http_under
from tests.docs.pages import ROOT, examples
from tests.integration.commands import locust
from tests.integration.driver import Driver, settings_for
from tests.integration.test_no_leak import FORBIDDEN
from tests.services import contracts
from tests.services.contracts import Contract
from tests.services.doors import Tokens, certificates, nats_server, serving
from tests.unit.targets.people import customer, transaction

SIMPLE = {
    "plain_bank": contracts.PlainBank,
    "plain_detector": contracts.PlainDetector,
    "rinha": contracts.Rinha,
    "blnk": contracts.Blnk,
    "blnk_queued": contracts.Blnk,
    "formance": contracts.Formance,
    "jube": contracts.Jube,
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def own_port() -> tuple[str, ...]:
    """Between master and workers: other tests may have the usual port."""
    port = str(free_port())
    return "--master-bind-port", port, "--master-port", port


def check(name: str, url: str, scenario: Path | None = None) -> int:
    given = ["--scenario", str(scenario)] if scenario else []
    return main(["check-target", "--target", name, "--url", url, *given])


def scenario_with(folder: Path, **targets: object) -> Path:
    """A scenario with this `targets` block."""
    path = folder / "scenario.yaml"
    rates = {"peak_tps": 5, "off_peak_tps": 5}
    content = {"name": "t", "duration_hours": 1, "transaction_rate": rates, "targets": targets}
    path.write_text(json.dumps(content))
    return path


def bank_at(url: str, calls: list[Call] | None = None, **target: object) -> NexumClient:
    settings = ClientSettings(seed=1, blocks=TargetsBlock(bank=target), max_retries=0)  # type: ignore[arg-type]
    bank = http_targets(url, "", settings, calls.append if calls is not None else lambda _: None).bank
    assert bank is not None
    return bank


@pytest.mark.parametrize("name", SIMPLE)
def test_a_life_at_a_system_is_understood(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    contract: Contract = SIMPLE[name]()
    with serving(contract) as url:
        assert check(name, url) == 0
    assert contract.mistakes == []
    out = capsys.readouterr().out
    assert "Everything was understood." in out
    if contract.balances:
        assert "refused funds: " in out
        assert sorted(contract.balances.values())[-1] > 0


class Foreign(Contract):
    """The bank that docs/targets.md describes in its ten minutes; none of ours."""

    def answer(self, method: str, path: str, query: Any, body: Any, headers: Any) -> tuple[int, Any]:
        if path == "/ping":
            return 200, "pong"
        if (method, path) == ("POST", "/v1/accounts"):
            contracts.fields(body, holder=str, ref=str)
            self.balances[name := f"acc.{self.id()}@north"] = 0
            return 201, {"account": {"id": name}}
        if method == "GET":
            name = unquote(path.removeprefix("/v1/accounts/"))
            return 200, {"account": {"minor": self.balances[name]}}
        contracts.fields(body, debit=str, credit=str, minor=int, text=str)
        self.once(headers["Idempotency-Key"])
        sides = [None if body[side] == "clearing" else body[side] for side in ("debit", "credit")]
        if not self.move(sides[0], sides[1], body["minor"]):
            return 422, {"code": "NO_FUNDS"}
        return 201, {"posting": self.id()}


#: Two seconds at 60 a second, with fraud; nothing in it is about a target.
SHORT = """\
name: Short
duration_hours: 2
speed_multiplier: 3600
customers: 20
accounts_per_customer: 2
start_at: 2026-01-05 09:00:00
transaction_rate: {peak_tps: 60, off_peak_tps: 60}
fraud: {rate: 0.1, patterns: [{type: card_testing}, {type: mule_network}, {type: large_amount}]}
invariant: {every_seconds: 0.5}
"""


def live(folder: Path, text: str = SHORT, **overrides: Any) -> Run:
    settings = settings_for(folder, text, mode=Mode.LIVE, **overrides)
    check_targets(settings)
    run = Driver(settings).conduct()
    assert (run.end, run.exit_code) == (End.COMPLETED, ExitCode.COMPLETED), run.message
    assert run.results is not None
    return run


def figures(run: Run) -> Any:
    assert run.results is not None
    return encode(run.results)


def test_your_own_bank_in_ten_minutes(tmp_path: Path) -> None:
    """The mapping on the page: checked, and then a run whose balances agree to the cent."""
    mapping = tmp_path / "my_bank.yaml"
    mapping.write_text(examples(ROOT / "docs" / "targets.md")["my_bank.yaml"])
    contract = Foreign()
    with serving(contract) as url:
        assert check(str(mapping), url) == 0
        found = figures(live(tmp_path, nexum_url=url, bastion_url="", bank_adapter=str(mapping)))
    assert contract.mistakes == []
    assert found["transactions"]["completed"] > 60
    assert (found["reconciliation"]["verdict"], found["invariant"]["violations"]) == ("balanced", 0)
    assert found["invariant"]["readings"] > 10


@pytest.mark.parametrize("name", ["plain_bank", "blnk", "formance"])
def test_hot_accounts_of_merchants_agree_to_the_cent(name: str, tmp_path: Path) -> None:
    """Purchases and bills are transfers into three accounts of merchants."""
    contract = SIMPLE[name]()
    with serving(contract) as url:
        more = "activity: {hot_accounts: 3}\ncurrency: USD\n"
        found = figures(live(tmp_path, SHORT + more, nexum_url=url, bastion_url="", bank_adapter=name))
    assert contract.mistakes == []
    assert (found["reconciliation"]["verdict"], found["invariant"]["violations"]) == ("balanced", 0)
    received = Counter(seen[2].get("to") or seen[2].get("destination") for seen in contract.seen if seen[2])
    received += Counter(
        posting["destination"] for seen in contract.seen for posting in (seen[2] or {}).get("postings", ())
    )
    ours = [number for account, number in received.most_common() if account in contract.balances and account]
    assert sum(ours[:3]) > 0.6 * found["transactions"]["completed"] > 60
    assert ours[0] > 2 * ours[3]


def test_a_run_at_a_ledger_that_completes_later_and_a_contest_detector(tmp_path: Path) -> None:
    """Balances agree after completion, and each call is two rows: acceptance and completion."""
    ledger, detector = contracts.Blnk(), contracts.Rinha()
    with serving(ledger) as bank_url, serving(detector) as detector_url:
        bank = {"adapter": "blnk_queued", "url": bank_url}
        targets = {"bank": bank, "detector": {"adapter": "rinha", "url": detector_url}}
        found = figures(live(tmp_path, f"{SHORT}targets: {json.dumps(targets)}\n"))
    assert ledger.mistakes == detector.mistakes == []
    assert found["reconciliation"]["verdict"] == "balanced"
    calls = {row["call"]: row for row in found["calls"]}
    assert calls["COMPLETION /transactions"]["p50"] > 150 > calls["POST /transactions"]["p50"]
    assert found["detection"]["coverage"] == 1.0


def test_fineract_over_mutual_tls_with_basic_auth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = certificates(tmp_path)
    monkeypatch.setenv("FINERACT_USER", "mifos:password")
    door = {"basic": "${FINERACT_USER}", "ca_file": "ca.pem"}
    ours = {"certificate": "client.pem", "key": "client.key"}
    contract = contracts.Fineract()
    with serving(contract, folder) as url:
        assert check("fineract", url, scenario_with(tmp_path, bank=door | ours)) == 0
        assert contract.mistakes == []
        assert main(["check-target", "--target", "fineract", "--url", url]) == 1  # neither authority nor us
        assert check("fineract", url, scenario_with(tmp_path, bank=door)) == 1
        said = capsys.readouterr()
        assert "asks for a client certificate" in said.out + said.err
        wrong = door | {"certificate": "client.pem", "key": "server.key"}
        assert check("fineract", url, scenario_with(tmp_path, bank=wrong)) == 2
    said = capsys.readouterr()
    assert "do not fit" in said.err and "password" not in said.out + said.err


def test_mojaloop_calls_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOJALOOP_FSP", raising=False)
    contract = contracts.Mojaloop(double_every=2, lose_every=3)
    port = free_port()
    contract.callback = f"http://127.0.0.1:{port}"
    calls: list[Call] = []
    with serving(contract) as url:
        bank = bank_at(url, calls, adapter="mojaloop", callbacks={"port": port})
        assert bank.open_customer(customer())
        bank.completions._late.deadline_s = 0.5  # type: ignore[union-attr]
        said = [bank.post(transaction(transaction_id=f"t{n}")) for n in range(4)]
        time.sleep(0.1)
        counts = bank.completions.counts if bank.completions else {}
        with pytest.raises(UsageError, match=f"cannot listen at 127.0.0.1:{port}"):
            bank_at(url, adapter="mojaloop", callbacks={"port": port})
        bank.close()
    assert contract.mistakes == []
    assert [r.status for r in said] == ["posted", "posted", "unknown", "posted"]
    assert said[2].detail == "no completion within 0.5 s" and said[2].latency_ms >= 500
    assert counts == {"accepted": 4, "completed": 3, "missing": 1, "late": 0, "double": 2, "pending": 0}
    accepted = [call.latency_ms for call in calls if call.name == "/transfers" and call.method == "POST"]
    completed = [call for call in calls if call.method == "COMPLETION" and call.sent]
    assert [call.error for call in calls if not call.sent] == ["a completion came twice"] * 2
    assert len(accepted) == 4 and [bool(call.error) for call in completed] == [False, False, True, False]
    assert all(reply.latency_ms >= 20 > latency_ms for reply, latency_ms in zip(said, accepted, strict=True))


class CallsBackWhereAsked(contracts.Mojaloop):
    """Calls back at every address that some request has named, whichever of the workers asked."""

    def answer(self, method: str, path: str, query: Any, body: Any, headers: Any) -> tuple[int, Any]:
        if method == "POST":
            self.addresses = self.addresses | {headers["X-Callback"]}
        return super().answer(method, path, query, body, headers)


def test_workers_are_called_back_and_read_a_subject_together(tmp_path: Path) -> None:
    """Two workers, a bank that calls back and a detector that publishes: nothing is missing or late."""
    shipped = (ROOT / "banksim/targets/mappings/mojaloop.yaml").read_text()
    mapping = tmp_path / "switch.yaml"
    mapping.write_text(
        shipped.replace(
            '      Date: "{now_http}"', '      Date: "{now_http}"\n      X-Callback: "{callback_url}"'
        )
    )
    bank, detector = CallsBackWhereAsked(double_every=9), contracts.Tazama()
    with nats_server() as (topic, publish), serving(bank) as bank_url, serving(detector) as detector_url:
        detector.publish = publish
        targets = {
            "bank": {"adapter": str(mapping), "url": bank_url, "callbacks": {"port": 0}},
            "detector": {"adapter": "tazama", "url": detector_url, "callbacks": {"topic": topic}},
        }
        scenario = tmp_path / "scenario.yaml"
        gates = 'thresholds: ["within[5s] >= 99.9%", "completion.p99 < 5s"]\n'
        scenario.write_text(f"{SHORT}{gates}targets: {json.dumps(targets)}\n")
        given = ("--scenario", str(scenario), "--no-kafka", "--report-dir", str(tmp_path), "--headless")
        done = locust(*given, "--processes", "2", "--seed", "3", *own_port())
    assert done.returncode == 0, done.stderr[-2000:]
    assert bank.mistakes == detector.mistakes == []
    assert len(bank.addresses) == 2
    sent = json.dumps([*bank.seen, *detector.seen]).lower()
    assert bank.seen and [name for name in FORBIDDEN if name in sent] == []
    (path,) = tmp_path.glob("*/results.json")
    found = json.loads(path.read_text())
    calls = {row["call"]: row["count"] for row in found["calls"]}
    later = found["completions"]
    both = calls["COMPLETION /transfers"] + calls["COMPLETION /v1/evaluate/iso20022/pacs.002.001.12"]
    assert later["completed"] == later["accepted"] == both > 120
    assert (later["missing"], later["late"], later["pending"]) == (0, 0, 0)
    twice = len(bank.references) // 9  # what comes again after the end is heard by nobody
    assert 5 < twice - 2 <= later["double"] <= twice
    assert {row["error"]: row["count"] for row in found["errors"]}["a completion came twice"] == later[
        "double"
    ]
    assert "pending when the run ended" in (path.parent / "report.html").read_text()


def test_tazama_publishes_its_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    contract = contracts.Tazama()
    with nats_server() as (topic, publish), serving(contract) as url:
        contract.publish = publish
        assert check("tazama", url, scenario_with(tmp_path, detector={"callbacks": {"topic": topic}})) == 0
    assert contract.mistakes == []
    assert "understood  detector: block" in capsys.readouterr().out


def test_tokens_that_live_20_s_are_renewed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANK_SECRET", "very-secret")
    door = Tokens(contracts.PlainBank(), life_s=20.0)
    with serving(door) as url:
        oauth = {"token_url": f"{url}/token", "client_id": "banksim", "client_secret": "${BANK_SECRET}"}
        bank = bank_at(url, adapter="plain_bank", oauth=oauth)
        bank.open_customer(customer())
        began_s, number, statuses = time.monotonic(), 0, set()
        while time.monotonic() - began_s < 23:
            statuses.add(bank.post(transaction(transaction_id=f"t{number}")).status)
            number += 1
            time.sleep(0.5)
        door._ends.clear()  # revoked: one 401, one new token, and no call is lost
        statuses.add(bank.post(transaction(transaction_id="after")).status)
        bank.close()
    assert statuses == {BankStatus.POSTED}
    assert (len(door.issued), door.refused) == (3, 1)
    assert door.mistakes == []


def test_workers_wait_for_completions_of_their_own(tmp_path: Path) -> None:
    """The real command with two workers: one ledger each, figures of both added up, balances agree."""
    ledger, detector = contracts.Blnk(), contracts.Rinha()
    with serving(ledger) as bank_url, serving(detector) as detector_url:
        targets = {
            "bank": {"adapter": "blnk_queued", "url": bank_url},
            "detector": {"adapter": "rinha", "url": detector_url},
        }
        scenario = tmp_path / "scenario.yaml"
        gates = 'thresholds: ["within[5s] >= 99.9%", "completion.p99 < 5s", "resent == 0"]\n'
        scenario.write_text(f"{SHORT}{gates}targets: {json.dumps(targets)}\n")
        given = ("--scenario", str(scenario), "--no-kafka", "--report-dir", str(tmp_path), "--headless")
        done = locust(*given, "--processes", "2", "--seed", "3", *own_port())
    assert done.returncode == 0, done.stderr[-2000:]
    assert ledger.mistakes == detector.mistakes == []
    assert len(ledger.ledgers) == 2
    (path,) = tmp_path.glob("*/results.json")
    found = json.loads(path.read_text())
    calls = {row["call"]: row["count"] for row in found["calls"]}
    assert calls["COMPLETION /transactions"] == calls["POST /transactions"] > 60
    assert found["reconciliation"]["verdict"] == "balanced"
    assert found["run"]["adapters"] == {"nexum": "blnk_queued", "bastion": "rinha"}


def test_connections_serve_as_long_as_the_scenario_says(tmp_path: Path) -> None:
    from banksim.run.connect import _client_settings

    text = f"{SHORT}connections: {{max_age_seconds: 7}}\n"
    settings = _client_settings(settings_for(tmp_path, text, mode=Mode.LIVE))
    targets = http_targets("http://127.0.0.1:9", "http://127.0.0.1:9", settings)
    transports = [http_under(one.transport) for one in (targets.bank, targets.detector) if one is not None]
    assert [one.max_age_s for one in transports if one is not None] == [7.0, 7.0]
    targets.close()
