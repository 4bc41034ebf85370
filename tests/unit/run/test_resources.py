import time

import psutil
import pytest

from banksim.run.process import ResourceMeter


def test_cpu_is_of_one_core_and_memory_is_ours() -> None:
    meter = ResourceMeter()
    until_s = time.process_time() + 0.2
    while time.process_time() < until_s:
        pass
    cpu_percent, rss_bytes, network_bytes_s = meter.read()
    assert 1 < cpu_percent < 130  # how much depends on who else uses the machine
    assert rss_bytes > 10e6
    assert network_bytes_s >= 0


def test_reading_is_cheap() -> None:
    meter = ResourceMeter()
    begin_s = time.perf_counter()
    for _ in range(20):
        meter.read()
    assert (time.perf_counter() - begin_s) / 20 < 0.02


def test_a_system_that_tells_nothing_gives_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise psutil.AccessDenied

    meter = ResourceMeter()
    monkeypatch.setattr(psutil.Process, "cpu_percent", refuse)
    monkeypatch.setattr(psutil, "net_io_counters", refuse)
    assert meter.read() == (0.0, 0.0, 0.0)
