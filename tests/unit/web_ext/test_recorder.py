"""The record of a run: whole, bounded, and never in the run's way."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import pytest

from banksim.measure.results import encode
from tests.unit.web_ext.fakes import DemoView, ManualClock
from tests.unit.web_ext.schemas import SCHEMAS
from web_ext import recorder as record_module
from web_ext import recorder as recorder_module
from web_ext.recorder import FILE_NAME, Recorder, interval_s

RUN_ID = "20260105-000000-demo"


class Rig:
    """A recorder whose view and record share one clock in the test's hand."""

    def __init__(self, folder, monkeypatch, **options):
        self.clock = ManualClock()
        monkeypatch.setattr(record_module.time, "monotonic", self.clock)
        self.view = DemoView(self.clock, **{"state": "running", "duration_s": 86_400.0, **options})
        self.path = folder / RUN_ID / FILE_NAME
        self.recorder = Recorder(self.view, folder)

    def seconds(self, number, step=1.0):
        for _ in range(int(number / step)):
            self.clock.now_s += step
            self.recorder.look()

    def lines(self):
        with gzip.open(self.path, "rt") as file:
            lines = [json.loads(line) for line in file]
        for line in lines:
            SCHEMAS["record"].validate(line)
        return lines


def data_of(lines, *events):
    return [line["data"] for line in lines if line["event"] in events]


@pytest.fixture
def rig(tmp_path, monkeypatch):
    return Rig(tmp_path, monkeypatch)


def test_a_run_is_recorded_from_its_beginning_to_its_last_figures(rig):
    rig.seconds(10)
    rig.view.control("stop", None)
    rig.seconds(1)
    lines = rig.lines()
    assert [line["event"] for line in lines[:3]] == ["record", "state", "plan"]
    assert lines[-1]["event"] == "end"
    last = data_of(lines, "update")[-1]
    assert (last["status"]["state"], last["snapshot"]["transactions"]) == (
        "finished",
        encode(rig.view.snapshot().transactions),
    )
    frames = data_of(lines, "state", "update")
    assert lines[-1]["data"] == {"frames": len(frames), "left_out": 0, "cut": 0}
    points = [point["wall_s"] for frame in frames for point in frame["timeline"]["points"]]
    assert points == sorted(set(points)) == list(range(1, 11))
    items = [item["seq"] for frame in frames for item in frame["feed"]["items"]]
    assert items == list(range(120))


def test_nothing_is_recorded_before_a_run_or_while_customers_are_opened(tmp_path, monkeypatch):
    rig = Rig(tmp_path, monkeypatch, opening_s=5.0)
    rig.seconds(4)
    assert not rig.path.exists()
    rig.seconds(3)
    assert rig.path.exists()
    idle = Rig(tmp_path / "idle", monkeypatch, state="idle")
    idle.seconds(3)
    idle.recorder.close()
    assert not (tmp_path / "idle").exists()


def test_a_change_of_state_is_written_at_once_and_the_next_run_has_a_file_of_its_own(rig, tmp_path):
    rig.seconds(2)
    rig.clock.now_s += 0.25
    rig.view.control("pause", None)
    rig.recorder.look()
    rig.recorder.look()
    whole = rig.view.status()
    rig.view.status = lambda: replace(whole, run_id="another", state="running")
    rig.recorder.look()
    states = [data["status"]["state"] for data in data_of(rig.lines(), "state", "update")]
    assert states == ["running", "running", "paused"]
    assert rig.lines()[-1]["event"] == "end"
    rig.recorder.close()
    assert (tmp_path / "another" / FILE_NAME).is_file()


def test_updates_come_less_often_the_longer_a_run_goes_on(rig):
    assert [interval_s(0.1, 0), interval_s(1, 900), interval_s(5, 900), interval_s(1, 9000)] == [1, 1, 5, 10]
    rig.seconds(3600, step=5.0)
    rig.recorder.close()
    moments = [line["at_ms"] for line in rig.lines() if line["event"] == "update"]
    assert len(moments) < 720
    assert moments == sorted(moments)


def test_beyond_the_bound_only_the_last_state_is_written_and_the_rest_is_counted(rig, monkeypatch):
    monkeypatch.setattr("web_ext.recorder.Record", bounded(100_000))
    rig.seconds(60)
    rig.view.control("stop", None)
    rig.seconds(1)
    lines = rig.lines()
    end = lines[-1]["data"]
    assert end["left_out"] > 20
    assert data_of(lines, "update")[-1]["status"]["state"] == "finished"
    assert sum(len(json.dumps(line)) for line in lines) < 250_000


def bounded(max_bytes):
    record = record_module.Record
    return lambda folder, run_id: record(folder, run_id, max_bytes)


def test_what_was_written_can_be_read_after_a_crash(rig):
    rig.seconds(12)
    # No close: as after a kill.  What was flushed is there.
    text = bytearray()
    with gzip.open(rig.path, "rb") as file, pytest.raises(EOFError):
        while True:
            text += file.read(1)
    moments = [json.loads(line)["at_ms"] for line in bytes(text).split(b"\n")[:-1]]
    assert max(moments) >= 5000
    rig.recorder.close()


def test_a_disk_that_refuses_costs_one_warning_and_no_run(tmp_path, monkeypatch, caplog):
    (tmp_path / RUN_ID).write_text("a file where the folder should be")
    rig = Rig(tmp_path, monkeypatch)
    rig.seconds(5)
    said = [record.message for record in caplog.records]
    assert said == ["The run is not recorded: File exists"]


def test_a_run_that_cannot_be_read_is_not_recorded_any_more(rig, caplog):
    rig.seconds(3)
    rig.view.failing = RuntimeError("once")
    rig.seconds(3)
    rig.view.failing = None
    rig.seconds(3)
    rig.recorder.close()
    assert len(caplog.records) == 1
    assert len(data_of(rig.lines(), "state", "update")) == 3


def test_the_scenario_may_say_no(tmp_path, monkeypatch):
    rig = Rig(tmp_path, monkeypatch, dashboard={"record": False})
    rig.seconds(5)
    rig.recorder.close()
    assert not rig.path.exists()


def test_it_looks_by_itself_until_it_is_closed(rig, monkeypatch):
    monkeypatch.setattr(recorder_module, "LOOK_EVERY_S", 0.01)
    started = []
    monkeypatch.setattr(recorder_module, "spawn", started.append)
    rig.recorder.start()
    rig.clock.now_s += 1
    rig.recorder.close()
    [run] = started
    run()  # returns at once: it is closed
    assert rig.lines()[-1]["event"] == "end"
