"""The life of a run, the same wherever its load is made.

    opening ──► running ◄──► paused        `conduct` walks this line in one greenlet;
                   │                       `request_end` may cut it short at any point
                   ▼
               draining ──► finished       (or failed, with one message for people)

Pages, users and signals know a run by this face alone.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

import gevent
from gevent.event import Event

from banksim.domain import BanksimError, ExitCode
from banksim.engine.feed import FeedView
from banksim.engine.gate import Gate
from banksim.engine.history import History
from banksim.engine.narrator import Narrator
from banksim.engine.settings import RunSettings
from banksim.measure import Measures, MeasureSettings
from banksim.plan import Parts
from banksim.scenario import Scenario

logger = logging.getLogger(__name__)


class State(StrEnum):
    OPENING = "opening"
    RUNNING = "running"
    PAUSED = "paused"
    DRAINING = "draining"
    FINISHED = "finished"
    FAILED = "failed"


class End(StrEnum):
    """How a run came to its end."""

    COMPLETED = "completed"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    ABORTED = "aborted"  # a threshold with `abort` was breached
    FAILED = "failed"


EXIT_CODES = {
    End.COMPLETED: ExitCode.COMPLETED,
    End.STOPPED: ExitCode.COMPLETED,
    End.INTERRUPTED: ExitCode.INTERRUPTED,
    End.ABORTED: ExitCode.THRESHOLD_FAILED,
    End.FAILED: ExitCode.ERROR,
}


class Progress(Protocol):
    """How many customers have been opened at the bank."""

    @property
    def done(self) -> int: ...
    @property
    def total(self) -> int: ...


def counting(scenario: Scenario) -> MeasureSettings:
    """How a scenario wants its transactions counted; equal in every process of a run."""
    return MeasureSettings(
        interval_s=scenario.metrics.collect_interval_seconds,
        max_points=scenario.metrics.max_points,
        warm_up_s=scenario.warm_up_hours * 3600.0,
    )


class Life(ABC):
    """One run.  Subclasses say where its load is made: here, or at workers."""

    def __init__(self, settings: RunSettings) -> None:
        self.settings = settings
        self.state = State.OPENING
        self.message = "Getting ready"
        self.end: End | None = None
        self.finished = Event()
        self.history = History()
        self.gate = Gate(settings.scenario)
        self.started_at: datetime | None = None
        self.results: dict[str, Any] | None = None

    # -- what is known of it ----------------------------------------------------------------

    @property
    @abstractmethod
    def measures(self) -> Measures:
        """What was counted so far."""

    @property
    @abstractmethod
    def parts(self) -> Parts | None:
        """The plan, once it is made."""

    @property
    @abstractmethod
    def feed(self) -> FeedView | None:
        """The last transactions."""

    @property
    @abstractmethod
    def opening(self) -> Progress | None:
        """Customers being opened before the run."""

    @property
    @abstractmethod
    def addresses(self) -> Mapping[str, str]:
        """Where each target is, by name; empty before they are known."""

    @abstractmethod
    def target_rows(self) -> list[dict[str, Any]]:
        """How each target does, for the status page: see `engine.target_rows`."""

    @abstractmethod
    def moment(self) -> tuple[float, float]:
        """(wall seconds since simulated time began, simulated seconds), now or at the end."""

    @abstractmethod
    def shortage_ms(self) -> float:
        """The longest an arrival waited for a busy user since the last call, in ms of wall time."""

    @property
    def speed(self) -> float:
        """Simulated seconds per wall second, as last set."""
        return self.parts.clock.speed if self.parts is not None else self.settings.speed

    @property
    def peak_tps(self) -> float:
        """Highest offered rate of the scenario, transactions per wall second."""
        scenario = self.settings.scenario
        if scenario.load is not None:
            return scenario.load.start_tps
        rate = scenario.transaction_rate
        highest = max([1.0, *rate.hourly_multipliers.values()])
        return max(rate.peak_tps, rate.off_peak_tps) * highest

    @property
    def exit_code(self) -> ExitCode:
        code = EXIT_CODES[self.end] if self.end is not None else ExitCode.ERROR
        return ExitCode.THRESHOLD_FAILED if code is ExitCode.COMPLETED and self.gate.failed else code

    # -- what is asked of it ------------------------------------------------------------------

    @abstractmethod
    def pause(self) -> None:
        """Stand simulated time still; what is under way goes on.  No effect unless running."""

    @abstractmethod
    def resume(self) -> None:
        """Let simulated time run on.  No effect unless paused."""

    @abstractmethod
    def set_speed(self, speed: float) -> None:
        """Change the speed from now on.  Raises ValueError on a speed out of range."""

    def request_end(self, end: End) -> None:
        """Offer nothing more, drain and report.  Returns at once; wait for `finished`."""
        if self.end is not None or self.finished.is_set():
            return
        self.end = end
        self._stop_offering()

    def conduct(self) -> None:
        """Live the whole run.  Returns when it is finished; failures end in `message`, not in a raise."""
        try:
            self._live()
        except BanksimError as error:
            self._fail(str(error))
        except Exception as error:
            logger.exception("the run failed")
            self._fail(f"{type(error).__name__}: {error}")
        finally:
            self._let_go()
            self.finished.set()

    @abstractmethod
    def _live(self) -> None:
        """Prepare, simulate, drain, close."""

    def _beside(
        self, moment: Callable[[], tuple[float, float]], predicted_tps: Callable[[float], float]
    ) -> list[gevent.Greenlet]:
        """What goes on beside the load, until it is killed: the narrator, and a look at the thresholds.

        ``moment`` is that up to which everything has been counted, in wall and simulated seconds.
        """
        start_at = self.settings.scenario.start_at
        narrator = Narrator(lambda: self.measures, start_at, self.history, moment, predicted_tps)
        beside = [gevent.spawn(narrator.run)]
        if self.gate.live:
            beside.append(gevent.spawn(self._watch_thresholds))
        return beside

    def _watch_thresholds(self) -> None:
        self.gate.watch(
            lambda: self.measures,
            lambda: self.moment()[0],
            lambda: self.state is State.PAUSED,
            lambda: self.request_end(End.ABORTED),
        )

    @abstractmethod
    def _stop_offering(self) -> None:
        """Whatever makes load here makes no more of it."""

    @abstractmethod
    def _let_go(self) -> None:
        """Close everything that was opened for the run, however it ended."""

    def _fail(self, message: str) -> None:
        self.end, self.state, self.message = End.FAILED, State.FAILED, message
        logger.error("The run failed: %s", message)
