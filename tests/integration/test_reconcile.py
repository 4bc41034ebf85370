"""A bank that books twice, or not at all, is found out: which account, and to the cent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gevent
import pytest

from banksim.cli.main import main
from banksim.measure.results import Results, decode, encode
from banksim.model import ExitCode
from banksim.model.money import from_wire
from banksim.report.console import summary
from banksim.run import connect as targets
from banksim.run.plan import Mode
from banksim.run.run import End
from banksim.sandbox import BankApi
from tests.integration.driver import Driver, settings_for
from tests.services.sandbox import Server

SCENARIO = """\
name: A bank with a fault
duration_hours: 2
speed_multiplier: 3600
start_at: 2026-01-05 09:00:00
customers: 20
transaction_rate: {peak_tps: 60, off_peak_tps: 60}
"""


#: As long as it takes to be found out while it goes on, and no longer.
WATCHED = (
    SCENARIO.replace("duration_hours: 2", "duration_hours: 6")
    + """\
invariant: {every_seconds: 0.3, settle_seconds: 0.5}
thresholds: ["balance_violations == 0 abort"]
"""
)


class FaultyBank(BankApi):
    """Acknowledges everything as it should; one movement of a kind is booked ``times`` times instead."""

    def __init__(self, movement: str, times: int, at: int = 5) -> None:
        super().__init__()
        self._path = f"/transactions/{movement}"
        self._times = times
        self._until_fault = at
        self.wrong: dict[str, Any] = {}

    def handle(self, method: str, path: str, query: Mapping[str, str], body: Any = None) -> tuple[int, Any]:
        if path != self._path or body["channel"] == "system":
            return super().handle(method, path, query, body)
        self._until_fault -= 1
        if self._until_fault != 0:
            return super().handle(method, path, query, body)
        if self._times == 0:
            self.wrong = body
            return 200, {"transaction_id": "t", "state": "completed", "message": "ok"}
        reply = super().handle(method, path, query, body)
        if reply[0] != 200:
            self._until_fault = 1  # refused: the next one then
            return reply
        again = super().handle(method, path, query, body)
        assert again[0] == 200
        self.wrong = body
        return reply


def run_at(bank: BankApi, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(targets, "BankApi", lambda: bank)
    run = Driver(settings_for(folder, SCENARIO)).conduct()
    assert run.end is End.COMPLETED, run.message
    assert run.results is not None
    return encode(run.results)


@pytest.mark.parametrize(
    ("movement", "times", "fault", "sign"),
    [
        ("deposit", 2, "doubled", 1),
        ("deposit", 0, "lost", -1),
        ("withdraw", 2, "doubled", -1),
        ("withdraw", 0, "lost", 1),
    ],
)
def test_a_movement_booked_wrongly_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, movement: str, times: int, fault: str, sign: int
) -> None:
    bank = FaultyBank(movement, times)
    results = run_at(bank, tmp_path, monkeypatch)
    cents = sign * from_wire(bank.wrong["amount"]["amount"], "USD")
    found = results["reconciliation"]
    assert (found["verdict"], found["balanced"], found["differing"]) == ("differences", False, 1)
    (row,) = found["differences"]
    assert (row["account"], row["difference_cents"], row["fault"]) == (
        bank.wrong["account_id"],
        cents,
        fault,
    )
    assert found["total"]["actual_cents"] - found["total"]["expected_low_cents"] == cents
    text = summary(decode(Results, results))
    assert f"1 of {found['accounts']} accounts differ" in text and f"({fault}: 1)" in text


def test_a_transfer_booked_twice_shows_on_both_sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = FaultyBank("transfer", 2)
    found = run_at(bank, tmp_path, monkeypatch)["reconciliation"]
    cents = from_wire(bank.wrong["amount"]["amount"], "USD")
    differences = {row["account"]: (row["difference_cents"], row["fault"]) for row in found["differences"]}
    assert differences == {
        bank.wrong["from_account_id"]: (-cents, "doubled"),
        bank.wrong["to_account_id"]: (cents, "doubled"),
    }
    assert found["difference_cents"] == 0, "no money appeared or vanished, it is only in the wrong place"


@pytest.mark.parametrize(
    ("movement", "times", "fault"),
    [("withdraw", 0, "lost"), ("deposit", 0, "lost"), ("transfer", 2, "doubled")],
)
def test_a_loss_is_found_while_the_run_goes_on_and_can_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, movement: str, times: int, fault: str
) -> None:
    bank = FaultyBank(movement, times)
    monkeypatch.setattr(targets, "BankApi", lambda: bank)
    run = Driver(settings_for(tmp_path, WATCHED)).conduct()
    assert (run.end, run.exit_code) == (End.ABORTED, ExitCode.THRESHOLD_FAILED), run.message
    assert run.results is not None
    assert encode(run.results)["run"]["simulated_s"] < 6 * 3600, "it did not wait for the end"
    found = encode(run.results)["invariant"]
    accounts = {bank.wrong[key] for key in bank.wrong if key.endswith("account_id")}
    assert {row["account"] for row in found["rows"]} <= accounts
    row = found["rows"][0]
    assert row["fault"] == fault
    assert abs(row["difference_cents"]) == from_wire(bank.wrong["amount"]["amount"], "USD")
    assert row["sim_s"] < encode(run.results)["run"]["simulated_s"]
    # The comparison at the end says the same.
    assert {row["account"] for row in encode(run.results)["reconciliation"]["differences"]} == accounts
    assert "violations" in summary(run.results)


@pytest.mark.parametrize("over_http", [False, True])
def test_an_honest_bank_violates_nothing(tmp_path: Path, over_http: bool) -> None:
    text = WATCHED.replace("duration_hours: 6", "duration_hours: 3")
    if over_http:
        with Server("bank") as bank:  # a live bank: a few accounts a round, one by one
            run = Driver(
                settings_for(tmp_path, text, Mode.LIVE, nexum_url=bank.url, bastion_url="")
            ).conduct()
    else:
        run = Driver(settings_for(tmp_path, text)).conduct()
    assert (run.end, run.exit_code) == (End.COMPLETED, ExitCode.COMPLETED), run.message
    assert run.results is not None
    found = encode(run.results)["invariant"]
    assert (found["violations"], found["unread"]) == (0, 0)
    assert found["rounds"] >= 3
    assert found["readings"] >= found["rounds"] * 5
    total = found["total"]
    assert total["expected_low_cents"] <= total["actual_cents"] <= total["expected_high_cents"]
    # Readings are no load.
    assert not any("GET" in str(row) for row in encode(run.results)["calls"])


def test_the_running_check_can_be_switched_off(tmp_path: Path) -> None:
    run = Driver(settings_for(tmp_path, SCENARIO + "invariant: {enabled: false}\n")).conduct()
    assert run.end is End.COMPLETED
    assert run.results is not None
    assert encode(run.results)["invariant"] is None


def test_the_verdict_can_be_read_and_checked_again_later(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Server("bank", "--database", str(tmp_path / "bank.db")) as bank:
        settings = settings_for(tmp_path / "runs", SCENARIO, Mode.LIVE, nexum_url=bank.url, bastion_url="")
        run = Driver(settings).conduct()
        assert run.end is End.COMPLETED, run.message
        folder = str(settings.folder)
        assert main(["reconcile", folder]) == 0
        told = capsys.readouterr().out
        assert "After the run: balanced" in told
        assert f"Now, at {bank.url}: balanced" in told

        account_id = next(iter(run.measures.books.opening))
        with BankAtWork(bank.url) as somebody:
            somebody.take_a_cent(account_id)
        assert main(["reconcile", folder]) == 1
        told = capsys.readouterr().out
        assert "After the run: balanced" in told
        assert "differences: 1 of" in told
        assert f"{account_id}  expected" in told
        assert "USD -0.01" in told
    assert main(["reconcile", folder]) == 0
    assert "cannot be asked again" in capsys.readouterr().out


class LaggingBank(BankApi):
    """An honest bank whose books follow what it acknowledges after ``lag_s`` wall seconds."""

    def __init__(self, lag_s: float) -> None:
        super().__init__()
        self._lag_s = lag_s

    def handle(self, method: str, path: str, query: Mapping[str, str], body: Any = None) -> tuple[int, Any]:
        if not path.startswith("/transactions/") or body["channel"] == "system" or path.endswith("withdraw"):
            return super().handle(method, path, query, body)
        gevent.spawn_later(self._lag_s, super().handle, method, path, query, body)
        return 200, {"transaction_id": "t", "state": "completed", "message": "ok"}


@pytest.mark.parametrize("lag_s", [0.3, 1.0])
def test_books_that_lag_are_given_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lag_s: float) -> None:
    monkeypatch.setattr(targets, "BankApi", lambda: LaggingBank(lag_s))
    text = SCENARIO + "invariant: {every_seconds: 0.5}\n"
    text = text.replace("peak_tps: 60, off_peak_tps: 60", "peak_tps: 20, off_peak_tps: 20")
    text += "flow: post_then_score\nfraud: {rate: 0}\n"
    run = Driver(settings_for(tmp_path, text)).conduct()
    assert run.results is not None
    found = encode(run.results)
    assert found["reconciliation"]["verdict"] == "balanced", found["reconciliation"]
    assert found["invariant"]["violations"] == 0


class SilentOrFailing(BankApi):
    """Opens accounts, and then carries out nothing at all."""

    def handle(self, method: str, path: str, query: Mapping[str, str], body: Any = None) -> tuple[int, Any]:
        if path.startswith("/transactions/") and body["channel"] != "system":
            return 500, {"detail": "out of order"}
        return super().handle(method, path, query, body)


def test_a_run_in_which_nothing_worked_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "BankApi", SilentOrFailing)
    run = Driver(settings_for(tmp_path, SCENARIO)).conduct()
    assert run.end is End.COMPLETED
    assert run.exit_code is ExitCode.ERROR


@pytest.mark.parametrize("times", [0, 2])
def test_the_last_comparison_is_a_gate_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    monkeypatch.setattr(targets, "BankApi", lambda: FaultyBank("withdraw", times))
    text = SCENARIO + "invariant: {enabled: false}\ngoals: {money: warn}\n"
    for limit, code in (("== 0", ExitCode.THRESHOLD_FAILED), ("<= 1", ExitCode.COMPLETED)):
        gate = f'thresholds: ["balance_differences {limit}", "balances_unread == 0"]\n'
        run = Driver(settings_for(tmp_path, text + gate)).conduct()
        assert run.exit_code is code, run.message


class BankAtWork:
    """Somebody else who uses the same bank."""

    def __init__(self, url: str) -> None:
        from banksim.targets import HttpTransport, Request
        from banksim.world.random import stream

        self._transport = HttpTransport(url, rng=stream(1, "test"))
        self._request = Request

    def take_a_cent(self, account_id: str) -> None:
        money = {"amount": "0.01", "currency": "USD"}
        body = {"account_id": account_id, "amount": money, "description": "a cent"}
        path = "/transactions/withdraw"
        reply = self._transport.send(self._request("POST", path, path, body))
        assert reply.status == 200

    def __enter__(self) -> BankAtWork:
        return self

    def __exit__(self, *error: object) -> None:
        self._transport.close()


def test_a_run_that_is_not_there_is_one_message(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["reconcile", str(tmp_path / "nothing")]) == 2
    assert "nothing" in capsys.readouterr().err
