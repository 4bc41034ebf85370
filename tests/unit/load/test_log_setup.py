"""The log goes to a file too, bounded, and calls are told at DEBUG alone."""

from __future__ import annotations

import logging
import logging.handlers
from collections.abc import Iterator
from pathlib import Path

import pytest
from locust.event import Events

from banksim.load.terminal import MAX_BYTES, OLDER_PARTS, copy_log, level_from, log_calls
from banksim.model import BanksimError

NAMES = (None, "locust", "banksim.load.terminal", "faker")


@pytest.fixture(autouse=True)
def loggers_as_they_were() -> Iterator[None]:
    kept = [
        (logging.getLogger(name), logging.getLogger(name).level, list(logging.getLogger(name).handlers))
        for name in NAMES
    ]
    yield
    for logger, level, handlers in kept:
        for handler in set(logger.handlers) - set(handlers):
            handler.close()
        logger.handlers[:] = handlers
        logger.setLevel(level)


def test_both_kinds_of_lines_reach_the_file_after_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "run.log"
    path.parent.mkdir()
    path.write_text("yesterday\n")
    copy_log(path)
    logging.getLogger("banksim.run").warning("of ours")
    logging.getLogger("locust.runners").warning("of Locust's")
    lines = path.read_text().splitlines()
    assert lines[0] == "yesterday"
    assert [line.split(" - ", 1)[1] for line in lines[1:]] == ["WARNING - of ours", "WARNING - of Locust's"]


def test_the_file_is_bounded(tmp_path: Path) -> None:
    copy_log(tmp_path / "run.log")
    [handler] = [
        one for one in logging.getLogger().handlers if isinstance(one, logging.handlers.RotatingFileHandler)
    ]
    assert (handler.maxBytes, handler.backupCount) == (MAX_BYTES, OLDER_PARTS)


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(BanksimError, match=r"--log-file: .* cannot be written"):
        copy_log(tmp_path)


def test_levels() -> None:
    assert level_from({}) is None and level_from({"LOG_LEVEL": " "}) is None
    assert level_from({"LOG_LEVEL": "warning"}) == "WARNING"


@pytest.mark.parametrize(("level", "lines"), [(logging.DEBUG, 2), (logging.INFO, 0)])
def test_calls_are_told_at_debug_alone(level: int, lines: int, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("banksim.load.terminal").setLevel(level)
    events = Events()
    log_calls(events)
    call = {"request_type": "POST", "name": "/score", "response_length": 3, "context": {}}
    events.request.fire(**call, response_time=1.26, exception=None)
    events.request.fire(**call, response_time=None, exception=OSError("the circuit is open"))
    assert len(caplog.messages) == lines
    if lines:
        assert caplog.messages == [
            "Call: POST /score, 1.3 ms",
            "Call: POST /score, not sent, the circuit is open",
        ]
