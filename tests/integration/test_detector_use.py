"""Batches, feedback and the detector's own figures in whole runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from banksim.measure.results import encode
from banksim.run import connect as targets
from banksim.run.plan import Mode
from banksim.run.run import End
from banksim.sandbox import DetectorApi
from tests.integration.driver import Driver, settings_for
from tests.services.sandbox import Server

SCENARIO = """\
name: A detector and its figures
duration_hours: 3
speed_multiplier: 3600
start_at: 2026-01-05 09:00:00
customers: 40
accounts_per_customer: 2
transaction_rate: {peak_tps: 80, off_peak_tps: 80}
fraud:
  rate: 0.1
  patterns: [{type: card_testing}, {type: velocity_attack}]
"""


class Watched(DetectorApi):
    """Keeps what it was asked, in order."""

    def __init__(self, without: str = "") -> None:
        super().__init__()
        self.asked: list[tuple[str, Any]] = []
        self._without = without

    def handle(self, method: str, path: str, query: Any, body: Any = None) -> tuple[int, Any]:
        self.asked.append((path, body))
        return (
            (404, {"detail": "Not Found"})
            if path == self._without
            else super().handle(method, path, query, body)
        )


def run_with(
    folder: Path, monkeypatch: pytest.MonkeyPatch, detector: Watched, more: str = ""
) -> tuple[dict[str, Any], Driver]:
    monkeypatch.setattr(targets, "DetectorApi", lambda: detector)
    driver = Driver(settings_for(folder, SCENARIO + more), users=60)
    run = driver.conduct()
    assert run.end is End.COMPLETED, run.message
    assert run.results is not None
    sent = encode(run.results)["transactions"]
    assert sent["sent"] == sent["completed"] + sent["failed"] + sent["unknown"] > 150
    return encode(run.results), driver


def test_the_detectors_own_figures_agree_with_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results, _ = run_with(tmp_path, monkeypatch, Watched())
    own, found = results["run"]["detector"], results["detection"]
    confusion = found["confusion"]
    assert own["processed"] == found["scored"]
    assert own["alerts"] == confusion["tp"] + confusion["fp"]
    assert own["alerts_listed"] == own["alerts"]
    assert own["fraud_detection_rate"] is None, "nobody told it anything"
    assert results["run"]["feedback"] is None


def test_what_it_did_before_is_not_counted(tmp_path: Path) -> None:
    with Server("detector") as server:
        settings = settings_for(tmp_path, SCENARIO, Mode.LIVE, nexum_url="", bastion_url=server.url)
        for seed_run in range(2):
            run = Driver(settings, users=60).conduct()
            assert run.results is not None
            assert (
                encode(run.results)["run"]["detector"]["processed"]
                == encode(run.results)["detection"]["scored"]
            ), seed_run


def test_a_detector_without_figures_is_no_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results, _ = run_with(tmp_path, monkeypatch, Watched(without="/stats"))
    assert results["run"]["detector"] is None


@pytest.mark.parametrize("without", ["", "/score/batch"])
def test_scores_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without: str) -> None:
    detector = Watched(without)
    more = "detector: {batch_size: 10, batch_wait_ms: 100}\n"
    results, driver = run_with(tmp_path, monkeypatch, detector, more)
    assert results["detection"]["coverage"] == 1.0
    sizes = [len(body["transactions"]) for path, body in detector.asked if path == "/score/batch"]
    if without:
        # Neither route is there: asked for once, then each transaction by itself.
        assert len(sizes) <= 3
        assert sum(path == "/score" for path, _ in detector.asked) == len(driver.planned)
    else:
        assert sum(sizes) == len(driver.planned)
        assert max(sizes) > 2
        assert not any(path == "/score" for path, _ in detector.asked)


def test_feedback_tells_what_was_fraud_afterwards_and_only_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = Watched()
    more = "detector: {feedback: true, feedback_delay_hours: 0.2, feedback_sigma: 0.5}\n"
    results, driver = run_with(tmp_path, monkeypatch, detector, more)
    truth = {p.transaction.transaction_id: p.truth.is_fraud for p in driver.planned}
    scored_at: dict[str, int] = {}
    told: dict[str, bool] = {}
    for place, (path, body) in enumerate(detector.asked):
        if path == "/score":
            scored_at[body["transaction_id"]] = place
        elif path == "/feedback":
            assert scored_at[body["transaction_id"]] < place, "never before the fact"
            assert body["transaction_id"] not in told, "once"
            told[body["transaction_id"]] = body["actual_fraud"]
    figures = results["run"]["feedback"]
    assert len(told) == figures["accepted"] == figures["fraud"] + figures["false_positives"] > 5
    assert told == {transaction_id: truth[transaction_id] for transaction_id in told}
    labelled = sum(truth.values()) + results["detection"]["confusion"]["fp"]
    assert labelled == sum(figures[key] for key in ("fraud", "false_positives", "later", "not_sent"))
    own = results["run"]["detector"]
    assert own["fraud_detection_rate"] is not None
    assert any("received labels" in sentence for sentence in results["limits"])


def test_without_the_key_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = Watched()
    run_with(tmp_path, monkeypatch, detector)
    assert not any(path == "/feedback" for path, _ in detector.asked)


def test_a_detector_that_takes_no_feedback_is_told_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    detector = Watched(without="/feedback")
    more = "detector: {feedback: true, feedback_delay_hours: 0.1, feedback_sigma: 0}\n"
    results, _ = run_with(tmp_path, monkeypatch, detector, more)
    figures = results["run"]["feedback"]
    assert (figures["accepted"], figures["refused"] > 3) == (0, True)
    assert sum(path == "/feedback" for path, _ in detector.asked) <= 8
    assert caplog.text.count("does not take feedback") == 1
