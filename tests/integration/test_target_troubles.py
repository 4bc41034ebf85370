"""What ails a system is told as what it is: growth, slowness, resets, being asked twice."""

from __future__ import annotations

import csv
import json
import math
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from gevent.server import StreamServer

from banksim.measure.results import encode
from banksim.model import ExitCode
from banksim.report.console import summary
from banksim.run.plan import Mode
from tests.docs.pages import ROOT
from tests.integration.driver import Driver, settings_for
from tests.integration.test_no_leak import FORBIDDEN
from tests.services import contracts
from tests.services.doors import serving

STEADY = """\
name: Steady
duration_hours: {hours}
speed_multiplier: 3600
customers: 20
start_at: 2026-01-05 09:00:00
arrivals: even
transaction_rate: {{peak_tps: {tps}, off_peak_tps: {tps}}}
fraud: {{rate: 0}}
max_users: 20
"""


def run(folder: Path, text: str, users: int = 20, **overrides: Any) -> tuple[Any, Any]:
    """(results, exit code) of a live run."""
    settings = settings_for(folder, text, mode=Mode.LIVE, transaction_log=True, **overrides)
    done = Driver(settings, users=users).conduct()
    assert done.results is not None, done.message
    return done.results, done.exit_code


class Slow(contracts.PlainBank):
    """Takes ``base_s``, and ``more_s`` for every movement that it has made."""

    def __init__(self, base_s: float, more_s: float = 0.0) -> None:
        super().__init__()
        self.base_s, self.more_s = base_s, more_s

    def delay_s(self) -> float:
        return self.base_s + self.more_s * max(0, len(self.references) - 40)


def word(results: Any, subject: str) -> Any:
    return next(word for word in encode(results)["verdict"]["words"] if word["subject"] == subject)


def test_a_bank_that_gets_slower_is_told_with_its_slope(tmp_path: Path) -> None:
    bank = Slow(0.005, more_s=0.00004)  # 40 ms more with every 1,000
    with serving(bank) as url:
        overrides = {"nexum_url": url, "bastion_url": "", "bank_adapter": "plain_bank"}
        text = STEADY.format(hours=16, tps=40) + 'thresholds: ["growth[nexum] < 10ms"]\n'
        results, code = run(tmp_path, text, **overrides)
    found = encode(results)["growth"]["nexum"]
    assert found["grows"] and found["low_ms"] < found["slope_ms"] < found["high_ms"]
    assert found["slope_ms"] == pytest.approx(40, rel=0.25)
    assert code == ExitCode.THRESHOLD_FAILED
    assert word(results, "Bank")["word"] == "gets slower"
    assert "more with every 1,000" in word(results, "Bank")["sentence"]


def test_a_constantly_slow_bank_fails_and_the_generator_does_not(tmp_path: Path) -> None:
    bank = Slow(0.5)
    with serving(bank) as url:
        overrides = {"nexum_url": url, "bastion_url": "", "bank_adapter": "plain_bank"}
        results, _ = run(tmp_path, STEADY.format(hours=12, tps=80), **overrides)
    load, judged = word(results, "Load"), word(results, "Bank")
    assert (judged["kind"], judged["word"]) == ("fail", "is the limit")
    assert (load["kind"], load["word"]) == ("warn", "held up by the bank")
    assert "All 20 users were waiting for the bank" in load["sentence"]
    said = " ".join(encode(results)["limits"])
    assert "more workers would not help" in said and "the generator was late" not in said
    growth = encode(results)["growth"].get("nexum")
    assert growth is None or not growth["grows"]


@contextmanager
def resetting_detector() -> Iterator[tuple[str, list[bool]]]:
    """Resets every third request; the list has True for each that was answered."""
    requests: list[bool] = []

    def serve(sock: Any, _: Any) -> None:
        stream = sock.makefile("rb")
        while line := stream.readline():
            length = 0
            while (header := stream.readline().strip().lower()) != b"":
                if header.startswith(b"content-length:"):
                    length = int(header.split(b":")[1])
            stream.read(length)
            if line.startswith(b"GET"):
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                continue
            requests.append(len(requests) % 3 != 2)
            if not requests[-1]:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                break
            body = b'{"risk_score": 0.1, "action": "APPROVE"}'
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        stream.close()
        sock.close()

    server = StreamServer(("127.0.0.1", 0), serve)
    server.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requests
    finally:
        server.stop(timeout=1)


@pytest.mark.parametrize("retries", [0, 3])
def test_a_detector_that_resets_is_not_flawless(tmp_path: Path, retries: int) -> None:
    with resetting_detector() as (url, requests):
        text = STEADY.format(hours=4, tps=30) + f"connections: {{max_retries: {retries}}}\n"
        text += 'thresholds: ["resent == 0"]\n'
        results, code = run(tmp_path, text, nexum_url="", bastion_url=url)
    found = encode(results)
    row = next(row for row in found["calls"] if row["call"] == "POST /score")
    resets = requests.count(False)
    assert sum(point["resent"] for point in found["timeline"]) == row["resent"]
    assert resets > 30
    assert row["resent"] == len(requests) - row["count"]
    if retries == 0:
        assert len(requests) == row["count"], "nothing is sent twice"
        assert row["failed"] == resets == found["detection"]["missing"]
        assert word(results, "Detector")["kind"] == "fail"
    else:
        assert row["resent"] > 0.8 * resets
        assert code == ExitCode.THRESHOLD_FAILED


class AlsoAskedByTheBank(contracts.Contract):
    """A detector of Bastion's kind that a bank asks too: it has processed twice what we asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def answer(self, method: str, path: str, query: Any, body: Any, headers: Any) -> tuple[int, Any]:
        if path == "/stats":
            return 200, {"transactions_processed": 2 * self.asked, "decisions": {}}
        self.asked += path == "/score"
        return 200, {"risk_score": 0.1, "action": "APPROVE", "alerts": []}


def test_a_detector_that_is_asked_twice_is_told(tmp_path: Path) -> None:
    with serving(AlsoAskedByTheBank()) as url:
        results, _ = run(tmp_path, STEADY.format(hours=2, tps=40), nexum_url="", bastion_url=url)
    said = [sentence for sentence in encode(results)["limits"] if "somebody else asks it too" in sentence]
    assert len(said) == 1


class Objecting(contracts.PlainBank):
    """A bank that asks a detector by itself: it blocks whatever is above 300.00."""

    def answer(self, method: str, path: str, query: Any, body: Any, headers: Any) -> tuple[int, Any]:
        if method == "POST" and "cents" in (body or {}) and body["cents"] > 30_000 and self.seen[40:]:
            return 403, {"ok": False, "why": "Blocked by fraud detection: score 0.93"}
        return super().answer(method, path, query, body, headers)


@pytest.mark.parametrize("own_detector", [False, True])
def test_a_bank_that_blocks_fraud_by_itself_is_judged_as_a_detector(
    tmp_path: Path, own_detector: bool
) -> None:
    """Each of its refusals is one alert, also where our own detector alerts on the same transaction."""
    mapping = tmp_path / "objecting.yaml"
    shipped = (ROOT / "banksim/targets/mappings/plain_bank.yaml").read_text()
    rule = "  - {status: 403, means: refused, reason: fraud}\n"
    mapping.write_text(shipped.replace("  - {status: 4xx", f"{rule}  - {{status: 4xx"))
    bank, detector = Objecting(), contracts.Rinha()
    with serving(bank) as url, serving(detector) as detector_url:
        given: dict[str, Any] = {"nexum_url": url, "bastion_url": "", "bank_adapter": str(mapping)}
        if own_detector:
            given |= {"bastion_url": detector_url, "detector_adapter": "rinha"}
        results, _ = run(tmp_path, ATTACK, **given)
    (log,) = tmp_path.rglob("transactions.csv")
    rows = list(csv.DictReader(log.read_text().splitlines()))
    blocked = [row for row in rows if "Blocked by fraud" in row["bank_detail"]]
    asked = [row for row in rows if row["decision"] != "n/a"]
    alerts = [row for row in rows if row in blocked or row["decision"] in ("review", "block")]
    judged = [row for row in rows if row in blocked or row in asked or row["bank_status"] == "posted"]
    found = results.detection
    assert len(blocked) > 20 and results.refusals["fraud"] == len(blocked)
    assert bool(asked) == own_detector
    assert found.confusion.tp == sum(row["label"] == "fraud" for row in alerts) > 5
    assert found.confusion.fp == sum(row["label"] != "fraud" for row in alerts) > 0
    assert found.confusion.fraud == sum(row["label"] == "fraud" for row in judged)
    assert found.confusion.genuine == sum(row["label"] != "fraud" for row in judged)
    assert found.recall == pytest.approx(found.confusion.tp / found.confusion.fraud)
    assert found.by_bank == len(judged) - len(asked)
    assert (found.missing, found.scored) == (0, len(asked))
    by_channel = encode(results)["detection_by"]["channel"].values()
    assert sum(row["fraud"] + row["genuine"] for row in by_channel) == len(judged)
    assert "caught" in word(results, "Detector")["sentence"]
    assert any("Such a refusal is an alert" in said for said in encode(results)["limits"])


ATTACK = """\
name: Attack
duration_hours: 4
speed_multiplier: 3600
customers: 30
start_at: 2026-01-05 09:00:00
transaction_rate: {peak_tps: 60, off_peak_tps: 60}
fraud:
  rate: 0.2
  decoy_rate: 0.05
  patterns: [{type: card_testing}, {type: mule_network}, {type: large_amount}, {type: account_takeover}]
"""


class Faulty(contracts.Rinha):
    """A contestant that answers every fortieth with an error."""

    def answer(self, method: str, path: str, query: Any, body: Any, headers: Any) -> tuple[int, Any]:
        status, data = super().answer(method, path, query, body, headers)
        failing = path == "/fraud-score" and len(self.asked) % 40 == 0
        return (500, {"error": "busy"}) if failing else (status, data)


def test_the_contests_score_is_that_of_the_transaction_log(tmp_path: Path) -> None:
    with serving(Faulty()) as url:
        targets = {"detector": {"adapter": "rinha", "url": url}}
        results, _ = run(tmp_path, f"{ATTACK}targets: {json.dumps(targets)}\n")
    (log,) = tmp_path.rglob("transactions.csv")
    rows = [
        row
        for row in csv.DictReader(log.read_text().splitlines())
        if row["decision"] != "n/a" or row["detector_error"]
    ]
    fp = sum(row["label"] != "fraud" and row["decision"] == "block" for row in rows)
    fn = sum(row["label"] == "fraud" and row["decision"] == "approve" for row in rows)
    errors = sum(bool(row["detector_error"]) for row in rows)
    took_ms = sorted(float(row["detector_ms"]) for row in rows)
    p99_ms = took_ms[math.ceil(0.99 * len(took_ms)) - 1]
    weighted = fp + 3 * fn + 5 * errors
    detection = -3000.0
    if (fp + fn + errors) / len(rows) <= 0.15:
        detection = 1000 * math.log10(1 / max(weighted / len(rows), 0.001)) - 300 * math.log10(1 + weighted)
    contest = results.contest
    assert contest is not None and errors > 2 and fn > 5
    assert (contest.asked, contest.false_positives) == (len(rows), fp)
    assert (contest.false_negatives, contest.errors) == (fn, errors)
    assert contest.detection_points == pytest.approx(detection)
    assert contest.latency_points == pytest.approx(1000 * math.log10(1000 / max(p99_ms, 1.0)), abs=2)
    assert f"{contest.points:,.2f} points by the contest's rules" in summary(results)


PAIRS = [
    ("plain_bank", "plain_detector"),
    ("blnk", "rinha"),
    ("formance", "jube"),
    ("fineract", "tazama"),
    ("blnk_queued", "rinha"),
]


@pytest.mark.parametrize(("bank_name", "detector_name"), PAIRS)
def test_no_adapter_gives_a_label_away(
    bank_name: str, detector_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run with fraud over each mapping: no word of ours is in anything that was sent."""
    from tests.services.doors import nats_server

    monkeypatch.setenv("FINERACT_USER", "mifos:password")
    made = {
        "plain_bank": contracts.PlainBank,
        "plain_detector": contracts.PlainDetector,
        "rinha": contracts.Rinha,
        "blnk": contracts.Blnk,
        "blnk_queued": contracts.Blnk,
        "formance": contracts.Formance,
        "jube": contracts.Jube,
        "fineract": contracts.Fineract,
        "tazama": contracts.Tazama,
    }
    bank, detector = made[bank_name](), made[detector_name]()
    with nats_server() as (topic, publish), serving(bank) as bank_url, serving(detector) as detector_url:
        if isinstance(detector, contracts.Tazama):
            detector.publish = publish
        targets: dict[str, Any] = {
            "bank": {"adapter": bank_name, "url": bank_url},
            "detector": {"adapter": detector_name, "url": detector_url},
        }
        if bank_name == "fineract":
            targets["bank"]["basic"] = "${FINERACT_USER}"
            targets["detector"]["callbacks"] = {"topic": topic}
        results, _ = run(tmp_path, f"{ATTACK}targets: {json.dumps(targets)}\n")
    assert bank.mistakes == detector.mistakes == []
    found = encode(results)
    assert found["detection"]["confusion"]["tp"] + found["detection"]["confusion"]["fn"] > 10
    assert found["reconciliation"]["verdict"] == "balanced"
    sent = json.dumps([*bank.seen, *detector.seen]).lower()
    allowed = sent.replace("/fraud-score", "")  # the contest's own route
    assert [name for name in FORBIDDEN if name in allowed] == []
