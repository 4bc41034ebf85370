"""The live stream: everybody gets everything, nobody can hold the others up."""

from __future__ import annotations

import json

import pytest

from tests.unit.web_ext.fakes import DemoView, ManualClock
from tests.unit.web_ext.schemas import SCHEMAS
from web_ext import stream as hub_module
from web_ext.stream import Hub


class Rig:
    """A hub whose seconds pass by hand."""

    def __init__(self, **options):
        self.clock = ManualClock()
        self.view = DemoView(self.clock)
        self.started = 0
        self.hub = Hub(self.view, clock=self.clock, start=self._start, **options)

    def _start(self, work):
        self.started += 1

    def second(self, times=1):
        for _ in range(times):
            self.clock.now_s += 1
            self.hub.tick()

    def open(self):
        client = self.hub.join()
        stream = self.hub.stream(client)
        return client, stream, events(next(stream))


def events(chunk):
    """[(name, data)] of one chunk of a stream."""
    found = []
    for block in chunk.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "event" in lines:
            message = {"event": lines["event"], "data": json.loads(lines["data"])}
            SCHEMAS["page_stream"].validate(message)
            found.append((message["event"], message["data"]))
    return found


def test_a_client_gets_the_whole_state_then_only_what_is_new():
    rig = Rig()
    rig.second(3)
    _, stream, [(name, state)] = rig.open()
    assert (name, state["timeline"]["next"]) == ("state", 3)
    rig.second()
    [(name, update)] = events(next(stream))
    assert name == "update"
    assert [point["wall_s"] for point in update["timeline"]["points"]] == [4.0]
    assert update["feed"]["items"][0]["seq"] == update["feed"]["since"] == state["feed"]["next"]
    assert "windows" not in update


def test_updates_that_were_missed_in_one_go_come_together():
    rig = Rig()
    rig.second()
    _, stream, _ = rig.open()
    rig.second(3)
    assert [name for name, _ in events(next(stream))] == ["update"] * 3


def test_two_clients_read_the_same_frames_at_their_own_pace():
    rig = Rig()
    rig.second()
    _, quick, _ = rig.open()
    _, slow, _ = rig.open()
    rig.second()
    first = next(quick)
    rig.second()
    second = next(quick)
    assert next(slow) == first + second


def test_a_client_that_fell_off_the_ring_gets_the_whole_state_again():
    rig = Rig(ring=2)
    rig.second()
    _, stream, _ = rig.open()
    rig.second(5)
    [(name, state)] = events(next(stream))
    assert (name, state["timeline"]["next"]) == ("state", 6)
    assert rig.hub.counts.resyncs == 1


def test_a_new_run_and_a_new_state_resend_everything():
    rig = Rig()
    rig.second(2)
    _, stream, _ = rig.open()
    rig.view.control("pause", None)
    rig.second()
    [(name, state)] = events(next(stream))
    assert (name, state["status"]["state"]) == ("state", "paused")


def test_places_are_bounded_and_refusals_counted():
    rig = Rig(max_clients=2)
    first, _ = rig.hub.join(), rig.hub.join()
    assert rig.hub.join() is None
    assert rig.hub.counts.refused == 1
    rig.hub.leave(first)
    rig.hub.leave(first)
    assert rig.hub.clients == 1
    assert rig.hub.join() is not None


def test_a_client_stuck_in_a_send_is_put_out_and_the_others_stay():
    rig = Rig()
    put_out = []
    stuck = rig.hub.join(evict=lambda: put_out.append("stuck"))
    blocked = rig.hub.stream(stuck)
    next(blocked)  # suspended in its send, as in a socket that takes no more
    _, stream, _ = rig.open()
    for _ in range(40):
        rig.second()
        next(stream)
    assert put_out == ["stuck"]
    assert rig.hub.clients == 1
    assert rig.hub.counts.evicted == 1


def test_a_stream_ends_after_its_time_so_that_the_login_is_asked_again(monkeypatch):
    monkeypatch.setattr(hub_module, "MAX_STREAM_S", 2.5)
    rig = Rig()
    _, stream, _ = rig.open()
    rig.second()
    next(stream)
    rig.second(2)
    with pytest.raises(StopIteration):
        next(stream)
    assert rig.hub.clients == 0


def test_closing_a_stream_gives_its_place_back():
    rig = Rig()
    _, stream, _ = rig.open()
    stream.close()
    assert rig.hub.clients == 0


def test_silence_is_broken_by_a_heartbeat(monkeypatch):
    monkeypatch.setattr(hub_module, "HEARTBEAT_S", 0.01)
    rig = Rig()
    _, stream, _ = rig.open()
    assert next(stream) == hub_module.HEARTBEAT


def test_a_run_that_cannot_be_read_is_said_and_survived():
    rig = Rig()
    rig.second(2)
    _, stream, _ = rig.open()
    rig.view.failing = RuntimeError("password=hunter2")
    rig.second()
    [(name, trouble)] = events(next(stream))
    assert name == "trouble"
    assert "RuntimeError" in trouble["message"]
    assert "hunter2" not in trouble["message"]
    rig.view.failing = None
    rig.second()
    assert events(next(stream))[0][0] in ("state", "update")


def test_nothing_is_lost_after_a_reading_that_failed_half_way():
    rig = Rig()
    rig.second(2)
    _, stream, [(_, state)] = rig.open()
    rig.view.failing = RuntimeError("once")
    rig.second()
    next(stream)
    rig.view.failing = None
    rig.second()
    [(_, message)] = events(next(stream))
    assert message["timeline"]["since"] <= state["timeline"]["next"]
    assert message["timeline"]["next"] == 4


def test_a_burst_in_the_feed_is_cut_to_its_newest_and_the_cut_is_counted():
    rig = Rig(feed_items=5)
    rig.second()
    _, stream, _ = rig.open()
    rig.second()
    [(_, update)] = events(next(stream))
    assert len(update["feed"]["items"]) == 5
    assert update["feed"]["cut"] == 7
    assert update["feed"]["items"][-1]["seq"] == update["feed"]["next"] - 1


def test_the_first_client_starts_the_ticking_once():
    rig = Rig()
    rig.hub.join()
    rig.hub.join()
    assert rig.started == 1


def test_ticking_really_happens_and_ends_with_the_last_client():
    view = DemoView(ManualClock())
    hub = Hub(view)
    client = hub.join()
    stream = hub.stream(client)
    assert events(next(stream))[0][0] == "state"
    assert events(next(stream))
    stream.close()
    again = hub.stream(hub.join())
    next(again)
    assert events(next(again))
