"""The transaction log: what stands in a line, and what happens when the disk does not keep up."""

from __future__ import annotations

import csv
import threading
from pathlib import Path

import gevent
import pytest
from gevent import monkey

from banksim.measure.results import LogFile
from banksim.model import BankStatus, Decision, Label, ReportFolderError, ScoreReply
from banksim.model.transaction import BankReply, Outcome
from banksim.report import transaction_log
from banksim.report.transaction_log import COLUMNS, HEADER, TransactionLog, open_transaction_log
from tests.unit.measure.make import ALERT, PASSED, fraud, planned

NativeEvent = (
    monkey.get_original("threading", "Event") if monkey.is_module_patched("threading") else threading.Event
)


def lines_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_line_tells_transaction_truth_and_outcome(tmp_path: Path) -> None:
    log = open_transaction_log(tmp_path / "run")
    log.add(fraud(12_345, sim_s=7.25, campaign="c9"), ALERT, 1.5)
    log.add_dropped(planned(), "no free seat", 2.0)
    log.close()
    caught, dropped = lines_of(tmp_path / "run" / "transactions.csv")
    assert tuple(caught) == HEADER
    assert {name: caught[name] for name in ("sim_s", "amount_cents", "label", "typology", "campaign_id")} == {
        "sim_s": "7.25",
        "amount_cents": "12345",
        "label": "fraud",
        "typology": "card_testing",
        "campaign_id": "c9",
    }
    assert (caught["decision"], caught["score"], caught["fate"]) == ("block", "0.95", "completed")
    assert (caught["lag_ms"], caught["service_ms"], caught["ended_wall_s"]) == ("1.0", "20.0", "1.500")
    assert (dropped["fate"], dropped["drop_reason"], dropped["bank_status"]) == (
        "dropped",
        "no free seat",
        "",
    )
    assert log.summary() == LogFile(file="transactions.csv", lines=2, lost=0)


def test_texts_from_outside_are_no_formulas_and_break_no_line(tmp_path: Path) -> None:
    hostile = '=HYPERLINK("http://x")\n,"'
    answer = Outcome(
        BankReply(BankStatus.FAILED, hostile),
        ScoreReply(0.5, Decision.REVIEW, ("@sum", "b"), error="+1\ud800"),
        0.0,
        1.0,
    )
    log = TransactionLog(tmp_path / "t.csv")
    log.add(planned(Label.DECOY, typology="-1"), answer, 0.0)
    log.add(planned(), PASSED, 0.0)
    log.close()
    line, after = lines_of(tmp_path / "t.csv")
    assert line["bank_detail"] == "'" + hostile
    assert line["reasons"] == "'@sum, b"
    assert line["detector_error"] == "'+1\\ud800"
    assert line["typology"] == "'-1"
    assert after["bank_status"] == "posted"


def test_floats_come_back_exactly(tmp_path: Path) -> None:
    log = TransactionLog(tmp_path / "t.csv")
    log.add(planned(sim_s=0.1 + 0.2), Outcome(BankReply(BankStatus.POSTED), ScoreReply(1 / 3, Decision.APPROVE), 1 / 7, 2 / 7), 0.0)  # fmt: skip  # noqa: E501
    log.close()
    (line,) = lines_of(tmp_path / "t.csv")
    read = [float(line[name]) for name in ("sim_s", "score", "lag_ms", "service_ms")]
    assert read == [0.1 + 0.2, 1 / 3, 1 / 7, 2 / 7]


def test_lines_keep_their_order_over_many_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction_log, "BLOCK_CHARACTERS", 500)
    log = TransactionLog(tmp_path / "t.csv")
    for number in range(500):
        log.add(planned(amount_cents=number), PASSED, number / 1000)
        if number % 50 == 0:
            gevent.sleep(0)
    log.close()
    log.close()  # a second time does nothing
    assert [int(line["amount_cents"]) for line in lines_of(tmp_path / "t.csv")] == list(range(500))
    assert (log.lines, log.lost) == (500, 0)


class StuckFile:
    """A disk that holds every write until it is let go."""

    closed = False

    def __init__(self) -> None:
        self.go = NativeEvent()
        self.blocks: list[bytes] = []

    def write(self, block: memoryview) -> int:
        self.go.wait(10)
        self.blocks.append(bytes(block))
        return len(block)

    def close(self) -> None:
        self.closed = True


def test_a_slow_disk_holds_nobody_up_and_what_does_not_fit_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction_log, "BLOCK_CHARACTERS", 1_000)
    log = TransactionLog(tmp_path / "t.csv", max_pending_bytes=5_000)
    log._file.close()
    stuck = log._file = StuckFile()  # type: ignore[assignment]
    for _ in range(200):
        log.add(planned(), PASSED, 0.0)  # returns although not one write has ended
    assert not stuck.blocks
    assert log.lines + log.lost == 200
    assert 20 < log.lines < 60
    kept = log.lines
    stuck.go.set()
    log.flush()
    while log._task is not None:
        gevent.sleep(0.001)
        log.flush()
    log.add(planned(), PASSED, 0.0)  # taken again once the disk has caught up
    assert log.lines == kept + 1
    log.close()
    assert b"".join(stuck.blocks).count(b"\n") == log.lines + 1  # and the header


class FullFile(StuckFile):
    def write(self, block: memoryview) -> int:
        raise OSError(28, "No space left on device")


def test_a_full_disk_ends_the_log_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(transaction_log, "BLOCK_CHARACTERS", 100)
    log = TransactionLog(tmp_path / "t.csv")
    log._file.close()
    log._file = FullFile()  # type: ignore[assignment]
    for _ in range(20):
        log.add(planned(), PASSED, 0.0)
        gevent.sleep(0.001)
    log.close()
    assert (log.lines, log.lost) == (0, 20)
    assert "lacks 20 transactions: No space left on device" in caplog.text


def test_a_transaction_that_ends_after_the_close_is_counted(tmp_path: Path) -> None:
    log = TransactionLog(tmp_path / "t.csv")
    log.close()
    log.add(planned(), PASSED, 0.0)
    assert log.lost == 1


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(ReportFolderError):
        open_transaction_log(tmp_path / "taken")
    (tmp_path / "run" / "transactions.csv").mkdir(parents=True)
    with pytest.raises(ReportFolderError, match=r"transactions\.csv"):
        open_transaction_log(tmp_path / "run")


def test_columns_are_unique_and_explained() -> None:
    assert len(set(HEADER)) == len(COLUMNS)
    assert all(column.meaning for column in COLUMNS)


def test_the_reference_explains_every_column_in_order() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "transaction-log.md").read_text(encoding="utf-8")
    table = "".join(f"| `{column.name}` | {column.meaning} |\n" for column in COLUMNS)
    assert f"| Column | Meaning |\n|---|---|\n{table}" in text
