from __future__ import annotations

import time

import gevent
import pytest

from banksim.run.process import in_thread


def test_a_killed_caller_ends_only_when_its_work_has() -> None:
    """Else the work goes on writing to what the caller's heirs already read."""
    written: list[str] = []

    def work() -> None:
        time.sleep(0.2)
        written.append("done")

    caller = gevent.spawn(in_thread, work)
    gevent.sleep(0.05)
    caller.kill()
    assert written == ["done"]


def test_what_the_work_raises_is_raised_here() -> None:
    def work() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        in_thread(work)
