"""The line of a headless run: what it says, how it shares the terminal, when it stays away."""

from __future__ import annotations

import io
import logging
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from banksim.load.terminal import ProgressLine, parts_of, progress_of, share_terminal, show_progress
from banksim.measure import Measures, MeasureSettings
from banksim.measure.results import CapacityFigures
from banksim.model import At
from banksim.run.run import Progress, State
from tests.unit.measure.make import ALERT, PASSED, START, end, fraud, planned


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class AsciiTerminal(Terminal):
    encoding = "ascii"


def life(state: State = State.RUNNING, measures: Measures | None = None, **changes: Any) -> Any:
    scenario = SimpleNamespace(start_at=datetime(2026, 1, 5, 8), duration_s=7200.0, load=None)
    return SimpleNamespace(
        state=state,
        message="Writing the report",
        moment=lambda: (10.0, 3600.0),
        settings=SimpleNamespace(scenario=scenario),
        speed=60.0,
        measures=measures or Measures(MeasureSettings()),
        opening=None,
        **changes,
    )


def measured() -> Measures:
    measures = Measures(MeasureSettings())
    at = At(9.0, 3600.0)
    for planned_one, outcome in [(fraud(), ALERT), (fraud(), PASSED), (planned(), PASSED)] * 10:
        measures.offered(at)
        measures.started(at)
        end(measures, planned_one, outcome, at)
    return measures


def test_it_tells_time_rate_lag_recall_and_what_is_left() -> None:
    parts = parts_of(life(measures=measured()))
    assert parts[:2] == ["1 min left", "recall 50.0\u202f% of 20"]  # half of two hours at 60x
    assert "lag 1" in parts[2] and parts[3].endswith(" TPS")
    assert parts[4:] == ["day 1, 09:00"]
    assert progress_of(life()) == 0.5


def test_before_the_first_transaction_it_invents_nothing() -> None:
    assert parts_of(life()) == ["1 min left", "day 1, 09:00"]


def test_other_moments_of_a_run() -> None:
    opening = life(State.OPENING)
    opening.opening = Progress(120, 480)
    assert parts_of(opening) == ["opening customers: 120 of 480"] and progress_of(opening) == 0.25
    opening.opening = Progress(340, 1000, history_days=2)
    assert parts_of(opening) == ["playing 2 days of history: 34 %"] and progress_of(opening) == 0.34
    assert parts_of(life(State.DRAINING)) == ["Writing the report"]
    assert parts_of(life(State.PAUSED))[0] == "paused"


def test_a_search_tells_the_rate_under_test_and_what_is_left() -> None:
    run = life()
    run.settings.scenario.load = object()
    run.load = SimpleNamespace(capacity=CapacityFigures(150.0, None, False, 20.0, [], [], testing_tps=225.0))
    assert parts_of(run)[0] == "testing 225 TPS"
    run.load.capacity = replace(run.load.capacity, testing_tps=183.71, left_s=53.6)
    assert parts_of(run)[0] == "testing 183.7 TPS, 54 s left"
    run.load.capacity = None
    assert parts_of(run) == ["day 1, 09:00"]


def test_drops_are_said() -> None:
    measures = measured()
    measures.offered(START)
    measures.dropped(START, planned(), "no seat")
    assert "1 dropped" in parts_of(life(measures=measures))


def test_colour_is_for_those_who_want_it() -> None:
    plain, coloured = Terminal(), Terminal()
    ProgressLine(plain, colour=False).draw(0.5, ["half"])
    ProgressLine(coloured, colour=True).draw(0.5, ["half"])
    assert plain.getvalue() == f"\r\x1b[K{'█' * 10}{'░' * 10}  50%  half"
    assert "\x1b[36m" in coloured.getvalue() and coloured.getvalue().endswith("half")


def test_a_terminal_without_blocks_gets_plain_signs() -> None:
    terminal = AsciiTerminal()
    ProgressLine(terminal, colour=False).draw(0.5, ["50.0\u202f%"])
    assert "##########.........." in terminal.getvalue()


def test_it_never_wraps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    terminal = Terminal()
    ProgressLine(terminal, colour=False).draw(0.5, ["short", "long " * 40, "gone"])
    assert len(terminal.getvalue().removeprefix("\r\x1b[K")) < 40
    assert terminal.getvalue().endswith(" 50%  short")  # what is worth most stays


def test_the_log_takes_it_away_first() -> None:
    terminal = Terminal()
    handler = logging.StreamHandler(terminal)
    logging.getLogger().addHandler(handler)
    try:
        line = ProgressLine(terminal, colour=False)
        line.draw(0.5, ["half"])
        logging.getLogger("banksim").warning("something happened")
        logging.getLogger("banksim").warning("and something else")
        line.draw(0.6, ["more"])
        line.end()
    finally:
        logging.getLogger().removeHandler(handler)
    assert "half\r\x1b[Ksomething happened\nand something else\n\r\x1b[K" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


@pytest.mark.parametrize(
    ("stream", "environ", "changes"),
    [
        (io.StringIO(), {}, {}),  # a file or a pipe
        (Terminal(), {"TERM": "dumb"}, {}),
        (Terminal(), {}, {"headless": False}),
    ],
)
def test_where_it_stays_away(stream: io.StringIO, environ: dict[str, str], changes: dict[str, bool]) -> None:
    options = SimpleNamespace(headless=True, worker=False)
    vars(options).update(changes)
    session: Any = None  # not even looked at
    show_progress(session, options, stream, environ)
    assert stream.getvalue() == ""


@pytest.mark.parametrize(("processes", "cleared"), [(2, True), (None, False)])
def test_a_worker_on_the_masters_terminal_makes_room(processes: int | None, cleared: bool) -> None:
    terminal = Terminal()
    handler = logging.StreamHandler(terminal)
    logging.getLogger().addHandler(handler)
    try:
        share_terminal(SimpleNamespace(headless=True, processes=processes), terminal, {})
        logging.getLogger("banksim").warning("from a worker")
    finally:
        logging.getLogger().removeHandler(handler)
    assert terminal.getvalue().startswith("\r\x1b[K" if cleared else "from a worker")
    assert terminal.getvalue().endswith("from a worker\n")


def test_customers_that_nobody_has_counted_yet_are_not_called_none() -> None:
    opening = life(State.OPENING)
    opening.opening = Progress()
    assert parts_of(opening) == ["Writing the report"]  # what the run says of itself
