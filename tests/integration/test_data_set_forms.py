"""Other forms of a data set: columns of public sets, compressed files, JSON lines, splits, further tables."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from banksim.cli import main as cli
from banksim.dataset.public_forms import LAUNDERING
from tests.integration.test_generate import generate, read

BASE = ("generate", "--scenario", "fraud_attack", "--seed", "7", "--limit", "4000")
MULES = ("generate", "--scenario", "mule_network", "--seed", "7", "--limit", "4000")


def made(tmp_path: Path, name: str, *arguments: str, base: tuple[str, ...] = BASE) -> Path:
    out = tmp_path / name
    assert cli.main([*base, "--out", str(out), *arguments]) == 0
    return out


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    return read(made(tmp_path_factory.mktemp("plain"), "x.csv"))


def posted(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [row for row in rows if row["status"] == "posted"]


# -- Columns of public sets -------------------------------------------------------------------------

#: The first lines of the published files.
HEADERS = {
    "paysim": "step,type,amount,nameOrig,oldbalanceOrg,newbalanceOrig,nameDest,oldbalanceDest,"
    "newbalanceDest,isFraud,isFlaggedFraud",
    "sparkov": "row,trans_date_trans_time,cc_num,merchant,category,amt,first,last,gender,street,city,"
    "state,zip,lat,long,city_pop,job,dob,trans_num,unix_time,merch_lat,merch_long,is_fraud",
    "saml-d": "Time,Date,Sender_account,Receiver_account,Amount,Payment_currency,Received_currency,"
    "Sender_bank_location,Receiver_bank_location,Payment_type,Is_laundering,Laundering_type",
    "amlworld": "Timestamp,From Bank,Account,To Bank,Account.1,Amount Received,Receiving Currency,"
    "Amount Paid,Payment Currency,Payment Format,Is Laundering",
}


@pytest.mark.parametrize("form", HEADERS)
def test_a_public_form_has_its_columns_and_every_posted_row(
    form: str, tmp_path: Path, plain: list[dict[str, str]]
) -> None:
    out = made(tmp_path, "x.csv", "--format", form)
    assert out.read_text().splitlines()[0] == HEADERS[form]
    rows, expected = read(out), posted(plain)
    if form == "sparkov":
        expected = [row for row in expected if row["kind"] == "purchase"]
    assert len(rows) == len(expected) > 500
    amount = {"paysim": "amount", "sparkov": "amt", "saml-d": "Amount", "amlworld": "Amount Paid"}[form]
    assert [row[amount] for row in rows] == [row["amount"] for row in expected]
    assert not (tmp_path / "x.customers.csv").exists()


def test_paysim_balances_follow_the_money(tmp_path: Path) -> None:
    rows = read(made(tmp_path, "x.csv", "--format", "paysim", base=MULES))
    held: dict[str, Decimal] = {}
    followed = 0
    for row in rows:
        amount, before, after = (Decimal(row[k]) for k in ("amount", "oldbalanceOrg", "newbalanceOrig"))
        assert after == before + (amount if row["type"] == "CASH_IN" else -amount)
        if row["nameOrig"] in held:
            followed += 1
            assert held[row["nameOrig"]] == before
        held[row["nameOrig"]] = after
        if row["nameDest"].startswith("C"):
            had, has = Decimal(row["oldbalanceDest"]), Decimal(row["newbalanceDest"])
            assert held.get(row["nameDest"], had) == had and has == had + amount
            held[row["nameDest"]] = has
    assert followed > 200
    assert [int(row["step"]) for row in rows] == sorted(int(row["step"]) for row in rows)
    assert {row["type"] for row in rows} >= {"PAYMENT", "TRANSFER", "CASH_IN"}


def test_sets_on_laundering_mark_laundering_and_no_other_fraud(tmp_path: Path) -> None:
    plain = posted(read(made(tmp_path, "plain.csv", base=MULES)))
    rows = read(made(tmp_path, "x.csv", "--format", "saml-d", base=MULES))
    expected = [row["typology"] if row["typology"] in LAUNDERING else "Normal" for row in plain]
    assert [row["Laundering_type"] for row in rows] == expected
    assert 0 < sum(row["Is_laundering"] == "1" for row in rows) < len(rows)


# -- Files --------------------------------------------------------------------------------------------


def test_json_lines_hold_what_csv_holds(tmp_path: Path, plain: list[dict[str, str]]) -> None:
    out = made(tmp_path, "x.jsonl.gz")
    lines = [
        json.loads(line, parse_float=str, parse_int=str)
        for line in gzip.decompress(out.read_bytes()).splitlines()
    ]
    assert [{name: value or "" for name, value in line.items()} for line in lines] == plain


def test_a_compressed_file_has_the_same_bytes_each_time(tmp_path: Path, plain: list[dict[str, str]]) -> None:
    one, two = made(tmp_path, "a.csv.gz"), made(tmp_path, "b.csv.gz")
    assert one.read_bytes() == two.read_bytes()
    with gzip.open(one, "rt", newline="") as file:
        assert list(csv.DictReader(file)) == plain
    assert (tmp_path / "a.customers.csv.gz").exists()


def test_standard_output_takes_rows_only(plain: list[dict[str, str]]) -> None:
    done = generate(*BASE[1:], "--out", "-")
    assert list(csv.DictReader(done.stdout.splitlines())) == plain
    assert done.stderr.startswith(f"standard output: {len(plain):,} transactions")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--out", "-", "--tables", "all"), "--tables needs files"),
        (("--out", "-", "--croissant"), "--croissant needs files"),
        (("--out", "x.xlsx"), ".jsonl or .parquet"),
        (("--out", ".csv"), "file name ending"),
    ],
)
def test_what_does_not_fit_is_one_message(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*BASE, *arguments]) == 2
    shown = capsys.readouterr().err
    assert said in shown and len(shown.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--split", "60,40"), "three percentages"),
        (("--split", "60,30,20"), "add up to 100"),
        (("--split", "a,b,c"), "three percentages"),
        (("--label-noise", "2"), "from 0 to 1"),
        (("--label-delay-days", "nan"), "from 0 to 3650"),
        (("--tables", "campaigns,people"), "'people'"),
        (("--format", "kaggle"), "paysim"),
    ],
)
def test_a_wrong_value_is_named(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*BASE, "--out", "x.csv", *arguments])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


# -- Splits and further tables ------------------------------------------------------------------------


def test_a_split_cuts_by_time(tmp_path: Path) -> None:
    whole = read(made(tmp_path, "whole.csv", base=MULES[:-2]))
    made(tmp_path, "x.csv", "--split", "50,30,20", base=MULES[:-2])
    parts = [read(tmp_path / f"x.{name}.csv") for name in ("train", "validation", "test")]
    assert [row for part in parts for row in part] == whole
    assert not (tmp_path / "x.csv").exists()
    moments = [[datetime.fromisoformat(row["timestamp"]) for row in part] for part in parts]
    start = min(moments[0]).replace(minute=0, second=0, microsecond=0)
    whole_span = max(moments[2]) - start
    for (first, second), share in zip(((0, 1), (1, 2)), (0.5, 0.8), strict=True):
        cut = start + share * whole_span
        assert abs(max(moments[first]) - cut) < 0.02 * whole_span
        assert max(moments[first]) <= min(moments[second])


def test_further_tables_add_up_to_the_transactions(tmp_path: Path) -> None:
    rows = read(made(tmp_path, "x.csv", "--tables", "all", base=MULES))
    table = {
        name: read(tmp_path / f"x.{name}.csv")
        for name in ("campaigns", "labels", "merchants", "devices", "nodes", "edges")
    }
    of_campaigns = Counter(row["campaign_id"] for row in rows if row["campaign_id"])
    assert {row["campaign_id"]: int(row["transactions"]) for row in table["campaigns"]} == of_campaigns
    money = sum(Decimal(row["amount"]) for row in posted(rows) if row["campaign_id"])
    assert sum(Decimal(row["posted_amount"]) for row in table["campaigns"]) == money > 0
    touched = {row["account_id"] for row in rows if row["is_fraud"] == "1"}
    assert touched <= {row["account_id"] for row in table["labels"]}
    assert all("mule" in row["roles"] or row["first_fraud_at"] for row in table["labels"])
    assert sum(int(row["transactions"]) for row in table["merchants"]) == sum(
        bool(row["merchant_id"]) for row in rows
    )
    assert sum(int(row["transactions"]) for row in table["devices"]) == sum(
        bool(row["device_id"]) for row in rows
    )
    assert [row["transaction_id"] for row in table["edges"]] == [r["transaction_id"] for r in posted(rows)]
    nodes = {row["node_id"] for row in table["nodes"]}
    assert {end for row in table["edges"] for end in (row["source"], row["target"])} == nodes
    assert sum(int(row["transactions"]) for row in table["nodes"]) == 2 * len(table["edges"])


def test_events_come_before_their_transactions_and_a_takeover_shows_in_them(tmp_path: Path) -> None:
    rows = read(made(tmp_path, "x.csv", "--tables", "events", base=(*BASE[:-2], "--limit", "20000")))
    events = read(tmp_path / "x.events.csv")
    assert [event["timestamp"] for event in events] == sorted(event["timestamp"] for event in events)
    of_id = {row["transaction_id"]: row for row in rows}
    added: set[tuple[str, str]] = set()
    taken = {event: [0, 0] for event in ("login", "password_reset", "device_added")}
    for event in events:
        row = of_id[event["transaction_id"]]
        assert row["channel"] in {"online", "web", "mobile"}
        assert event["timestamp"] < row["timestamp"]
        assert (event["customer_id"], event["is_fraud"]) == (row["customer_id"], row["is_fraud"])
        assert event["device_id"] == ("" if event["event"] == "sim_changed" else row["device_id"])
        if event["event"] == "payee_added":
            payee = event["customer_id"], event["payee_id"]
            assert payee not in added
            assert payee[1] == (row["counterparty_account_id"] or row["merchant_id"])
            added.add(payee)
        else:
            assert event["payee_id"] == ""
            if event["event"] in taken:
                taken[event["event"]][row["typology"] == "account_takeover"] += 1
    # Genuine people add devices and reset passwords too, but more seldom a log-in.
    for event in ("password_reset", "device_added"):
        genuine, thief = (taken[event][who] / taken["login"][who] for who in (0, 1))
        assert taken[event][0] > 10
        assert thief > 2 * genuine


def test_reports_come_late_and_some_are_mistakes(tmp_path: Path) -> None:
    rows = {
        row["transaction_id"]: row
        for row in read(made(tmp_path, "x.csv", "--label-delay-days", "3", "--label-noise", "0.2"))
    }
    reports = read(tmp_path / "x.reports.csv")
    frauds = sum(row["is_fraud"] == "1" for row in rows.values())
    right = [report for report in reports if rows[report["transaction_id"]]["is_fraud"] == "1"]
    assert frauds > 300
    assert len(right) / frauds == pytest.approx(0.8, abs=0.06)
    assert 0 <= frauds - len(reports) <= 0.05 * frauds  # mistakes still due at the end are not made
    delays = [
        datetime.fromisoformat(report["reported_at"])
        - datetime.fromisoformat(rows[report["transaction_id"]]["timestamp"])
        for report in reports
    ]
    assert min(delays) >= timedelta(seconds=-1)
    assert sum(delays, timedelta()) / len(delays) == pytest.approx(timedelta(days=3), rel=0.15)
    assert [report["reported_at"] for report in reports] == sorted(
        report["reported_at"] for report in reports
    )


def test_croissant_describes_every_file(tmp_path: Path) -> None:
    made(tmp_path, "x.csv", "--tables", "campaigns,edges", "--croissant")
    found = json.loads((tmp_path / "x.csv.croissant.json").read_text())
    assert found["@type"] == "sc:Dataset" and found["conformsTo"].endswith("croissant/1.0")
    files = {entry["name"]: entry for entry in found["distribution"]}
    names = ("x.csv", "x.customers.csv", "x.accounts.csv", "x.campaigns.csv", "x.edges.csv")
    assert set(files) == set(names)
    records = {record["name"]: record for record in found["recordSet"]}
    for name in names:
        raw = (tmp_path / name).read_bytes()
        assert files[name]["sha256"] == hashlib.sha256(raw).hexdigest()
        columns = [field["source"]["extract"]["column"] for field in records[name[:-4]]["field"]]
        assert columns == raw.decode().splitlines()[0].split(",")
