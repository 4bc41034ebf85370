"""`banksim generate` as its users run it: in processes, with files."""

from __future__ import annotations

import csv
import os
import pty
import select
import signal
import subprocess
import sys
import time
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from banksim.cli import main as cli
from banksim.dataset.files import ACCOUNTS, CUSTOMERS, TRANSACTIONS, TRUTH_COLUMNS
from banksim.dataset.sinks import NO_PYARROW
from banksim.scenario import load_scenario
from tests.integration.commands import ROOT, environment

SMALL = ("--customers", "200", "--limit", "2000")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "banksim", "generate", *arguments]


def generate(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        cwd=ROOT,
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole fraud_attack day with seed 7."""
    out = tmp_path_factory.mktemp("day") / "x.csv"
    done = generate("--scenario", "fraud_attack", "--out", str(out), "--seed", "7")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # quiet without a terminal
    assert f"Data card: {out}.md" in done.stdout
    return out


def test_the_same_seed_gives_the_same_bytes_and_another_other_ones(tmp_path: Path) -> None:
    texts = []
    for name, seed in (("a", "7"), ("b", "7"), ("c", "8")):
        folder = tmp_path / name
        folder.mkdir()
        done = generate("--scenario", "normal_day", "--seed", seed, "--out", str(folder / "x.csv"), *SMALL)
        assert done.returncode == 0, done.stderr
        texts.append({path.name: path.read_bytes() for path in sorted(folder.iterdir())})
    assert list(texts[0]) == ["x.accounts.csv", "x.csv", "x.csv.md", "x.customers.csv"]
    assert texts[0] == texts[1]
    assert all(texts[0][name] != texts[2][name] for name in texts[0])


def test_the_files_fit_together(day: Path) -> None:
    rows, customers = read(day), read(day.with_name("x.customers.csv"))
    accounts = read(day.with_name("x.accounts.csv"))
    for found, columns in ((rows, TRANSACTIONS), (customers, CUSTOMERS), (accounts, ACCOUNTS)):
        assert list(found[0]) == [column.name for column in columns]
    assert list(rows[0])[-len(TRUTH_COLUMNS) :] == list(TRUTH_COLUMNS)  # labels come last
    owner = {account["account_id"]: account["customer_id"] for account in accounts}
    assert set(owner.values()) == {customer["customer_id"] for customer in customers}
    for row in rows:
        assert owner[row["account_id"]] == row["customer_id"]
        assert row["counterparty_account_id"] in owner or row["kind"] != "transfer"
        assert Decimal(row["amount"]) > 0
        assert row["label"] in ("genuine", "fraud", "decoy")
        assert (row["is_fraud"] == "1") == (row["label"] == "fraud")
        assert bool(row["typology"]) == bool(row["campaign_id"]) == (row["label"] != "genuine")
    moments = [row["timestamp"] for row in rows]
    assert moments == sorted(moments)
    assert len({row["transaction_id"] for row in rows}) == len(rows)


def test_replaying_the_rows_over_the_accounts_keeps_checking_accounts_above_zero(day: Path) -> None:
    balance = {
        account["account_id"]: Decimal(account["opening_balance"])
        for account in read(day.with_name("x.accounts.csv"))
    }
    for row in read(day):
        amount, own = Decimal(row["amount"]), row["account_id"]
        assert balance[own] == Decimal(row["balance_before"])
        if row["status"] == "refused":
            assert row["decline_reason"]
            assert amount > balance[own] or row["decline_reason"] != "insufficient funds"
            continue
        balance[own] += amount if row["kind"] in ("deposit", "salary") else -amount
        assert balance[own] >= 0
        if row["counterparty_account_id"]:
            balance[row["counterparty_account_id"]] += amount


def test_the_card_says_what_is_in_the_file(day: Path) -> None:
    card, rows = Path(f"{day}.md").read_text(), read(day)
    fraud = sum(row["is_fraud"] == "1" for row in rows)
    assert f"| transactions | {len(rows):,} |" in card
    assert f"| fraud | {fraud:,} ({fraud / len(rows):.3%}) |" in card
    assert load_scenario("fraud_attack", {"seed": 7}, environ={}).hash in card
    assert "`banksim generate --scenario fraud_attack --out x.csv --seed 7`" in card
    for typology in {row["typology"] for row in rows} - {""}:
        count = sum(row["typology"] == typology for row in rows)
        assert f"| {typology} | " in card and f"| {count:,} |" in card
    for column in (*TRANSACTIONS, *CUSTOMERS, *ACCOUNTS):
        assert f"| `{column.name}` |" in card


def test_parquet_holds_what_csv_holds(tmp_path: Path) -> None:
    for name in ("x.csv", "x.parquet"):
        done = generate("--scenario", "fraud_attack", "--seed", "7", "--out", str(tmp_path / name), *SMALL)
        assert done.returncode == 0, done.stderr
    for csv_name in ("x.csv", "x.customers.csv", "x.accounts.csv"):
        path = tmp_path / csv_name
        table = pyarrow.parquet.read_table(path.with_suffix(".parquet"))
        assert [_plain(row) for row in table.to_pylist()] == [_unguarded(row) for row in read(path)]
    kinds = {field.name: str(field.type) for field in table.schema}
    assert kinds["opening_balance"] == "decimal128(18, 2)"


def _plain(row: dict[str, Any]) -> dict[str, str]:
    """A row of a Parquet file as its CSV text."""
    return {name: _text(name, value) for name, value in row.items()}


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond // 1000:03d}Z"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _unguarded(row: dict[str, str]) -> dict[str, str]:
    """Without the apostrophe that keeps spreadsheets from running a phone number as a formula."""
    return {name: text[1:] if text[:2] in ("'+", "'=", "'-", "'@") else text for name, text in row.items()}


def test_limit_and_own_names(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.csv", tmp_path / "cut.csv"
    own = ["--accounts", str(tmp_path / "a.csv"), "--customers-out", str(tmp_path / "c.csv")]
    assert (
        generate("--scenario", "demo", "--seed", "7", "--limit", "600", "--out", str(whole)).returncode == 0
    )
    assert (
        generate("--scenario", "demo", "--seed", "7", "--limit", "300", "--out", str(cut), *own).returncode
        == 0
    )
    assert len(read(cut)) == 300
    assert read(whole)[:300] == read(cut)
    assert (tmp_path / "a.csv").exists() and (tmp_path / "c.csv").exists()
    assert not (tmp_path / "cut.accounts.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--scenario", "no_such", "--out", "x.csv"), 2, "no_such"),
        (("--scenario", "demo", "--out", "x.txt"), 2, ".jsonl or .parquet"),
        (("--scenario", "demo"), 2, "--out"),
        (("--scenario", "demo", "--out", "x.csv", "--customers", "0"), 2, "--customers"),
        (("--scenario", "demo", "--out", "x.csv", "--accounts", "x.csv"), 2, "different files"),
        (("--scenario", "demo", "--out", "/no/such/folder/x.csv"), 1, "/no/such/folder/x.csv"),
    ],
)
def test_wrong_wishes_get_one_message(
    arguments: tuple[str, ...],
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["generate", *arguments]) == code
    shown = capsys.readouterr()
    assert said in shown.err and "Traceback" not in shown.err
    assert len(shown.err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_option_ends_with_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["generate", "--scenario", "demo", "--out", "x.csv", "--limit", "few"])
    assert ended.value.code == 2
    assert "expected a whole number above 0" in capsys.readouterr().err


def test_without_pyarrow_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert cli.main(["generate", "--scenario", "demo", "--out", str(tmp_path / "x.parquet")]) == 1
    assert capsys.readouterr().err.strip() == NO_PYARROW
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_leaves_nothing_new(tmp_path: Path, sent: signal.Signals) -> None:
    out = tmp_path / "x.csv"
    out.write_text("older\n")
    process = subprocess.Popen(
        command("--scenario", "calibrated", "--speed", "500", "--out", str(out)),
        cwd=ROOT,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    _wait_for_rows(tmp_path)
    process.send_signal(sent)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupted" in said and "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]
    assert out.read_text() == "older\n"


def _wait_for_rows(folder: Path) -> None:
    """Until the unfinished file holds something."""
    until_s = time.monotonic() + 60
    while time.monotonic() < until_s:
        if any(path.stat().st_size > 100_000 for path in folder.glob(".x.csv.*")):
            return
        time.sleep(0.02)
    raise AssertionError("no rows were written")


@pytest.mark.parametrize("no_color", ["", "1"])
def test_a_terminal_sees_how_far_it_is(tmp_path: Path, no_color: str) -> None:
    terminal, other_end = pty.openpty()
    process = subprocess.Popen(
        command("--scenario", "normal_day", "--out", str(tmp_path / "x.csv")),
        cwd=ROOT,
        env=environment(NO_COLOR=no_color),
        stdout=subprocess.DEVNULL,
        stderr=other_end,
    )
    os.close(other_end)
    seen = b""
    while process.poll() is None or select.select([terminal], [], [], 0)[0]:
        try:
            if select.select([terminal], [], [], 0.1)[0]:
                seen += os.read(terminal, 4096)
        except OSError:  # the other end is closed
            break
    os.close(terminal)
    assert process.wait(timeout=60) == 0
    text = seen.decode()
    assert "day 1 " in text and " rows/s" in text
    assert ("\x1b[36m" in text) == (no_color == "")


def test_the_check_prints_a_verdict_and_fails_on_a_miss(capsys: pytest.CaptureFixture[str]) -> None:
    """A day whose demand is not the published curve: shown beside its targets, exit code 99."""
    assert cli.main(["generate", "--scenario", "normal_day", "--check", "--seed", "7"]) == 99
    said = capsys.readouterr().out
    assert "| figure | target | measured | result | source |" in said
    assert "**miss**" in said and "Self-check: miss." in said


def test_onboarding_customers_are_in_the_files(tmp_path: Path) -> None:
    out = tmp_path / "x.csv"
    assert generate("--scenario", "onboarding", "--seed", "7", "--out", str(out)).returncode == 0
    customers, rows = read(tmp_path / "x.customers.csv"), read(out)
    turned_away = {c["customer_id"] for c in customers if c["kyc_approved"] == "0"}
    joined = {c["customer_id"]: c["joined_at"] for c in customers if c["customer_id"] not in turned_away}
    with_account = {account["customer_id"] for account in read(tmp_path / "x.accounts.csv")}
    assert joined and turned_away
    assert turned_away.isdisjoint(with_account)
    assert turned_away.isdisjoint(row["customer_id"] for row in rows)
    assert all(row["timestamp"] >= joined.get(row["customer_id"], "") for row in rows)
